//! What is wrong with a database.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use session_core::{Error, Finding, Result};

use crate::{
    connection::unless_silent,
    dialect::{Dialect, Value},
    error::CallError,
    instant::to_micros,
    layout::Layout,
    queries::statement,
    retry::Operation,
    store::SqlTable,
};

/// How long after its time a record is still there because the sweep has not come to it.
const SWEEP_LATE: Duration = Duration::from_secs(24 * 60 * 60);

impl<D: Dialect, L: Layout> SqlTable<D, L> {
    pub(crate) async fn findings(&self) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        match self.table_exists(Operation::Read).await {
            Ok(true) => {}
            Ok(false) => {
                findings.push(Finding::new(
                    format!("The table {} does not exist.", self.table),
                    "Run `sessionctl migrate`, or migrate() once before serving.",
                ));
                return Ok(findings);
            }
            Err(CallError::Unsuitable(reason)) => {
                let what = reason.split_once(": ");
                let (problem, remedy) = what.unwrap_or((&reason, "change the table"));
                findings.push(Finding::new(sentence(problem), sentence(remedy)));
                return Ok(findings);
            }
            Err(error) => return Err(error.into_error::<D>()),
        }
        if let Some(now) = D::NOW {
            let sql = statement::<D>(&self.table, now);
            let asked = SystemTime::now();
            let texts = async {
                let mut connection = self.connections.acquire(Operation::Read).await?;
                let texts = D::texts(connection.get_mut(), &sql);
                let texts = unless_silent::<D, _>(Operation::Read, texts).await;
                connection.finish(texts).map_err(CallError::Statement)
            };
            let texts = texts.await.map_err(CallError::into_error::<D>)?;
            let micros = texts.first().and_then(|it| it.parse().ok());
            let micros =
                micros.ok_or_else(|| Error::corrupt("the database's time is no number"))?;
            let time = UNIX_EPOCH + Duration::from_micros(micros);
            findings.extend(Finding::of_clock(time, asked, SystemTime::now()));
        }
        let late = to_micros(SystemTime::now() - SWEEP_LATE);
        let values = [Value::Number(late), Value::Number(1)];
        if !L::SWEEPS_ALL_ROWS {
            let due = self.run(Operation::Read, &self.queries.sweep_select, &values);
            if due.await?.rows.iter().any(|row| row.expires_at <= late) {
                findings.push(Finding::new(
                    "Records that expired more than a day ago are still there: nobody sweeps the table.",
                    "Run sweep_every in the application, or `sessionctl sweep` by cron.",
                ));
            }
        }
        Ok(findings)
    }
}

/// A reason as a sentence of its own.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().map(|it| it.to_uppercase().to_string());
    format!(
        "{}{}.",
        first.unwrap_or_default(),
        characters.as_str().trim_end_matches('.')
    )
}
