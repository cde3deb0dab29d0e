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

/// What a sweep would look at first, without the lock and the right that a sweep needs.
const DUE: &str = "SELECT store_key, store_key, revision, expires_at FROM {table} {by_sweep_at} \
    WHERE sweep_at <= ? ORDER BY sweep_at LIMIT ?";

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
        if let Some(about) = D::ABOUT {
            let sql = statement::<D>(&self.table, about);
            let asked = SystemTime::now();
            let texts = async {
                let mut connection = self.connections.acquire(Operation::Read).await?;
                let texts = D::texts(connection.get_mut(), &sql);
                let texts = unless_silent::<D, _>(Operation::Read, texts).await;
                connection.finish(texts).map_err(CallError::Statement)
            };
            let texts = texts.await.map_err(CallError::into_error::<D>)?;
            let version = texts.get(1).map_or("", String::as_str);
            findings.extend(of_version(version, D::OLDEST));
            let micros = texts.first().and_then(|it| it.parse().ok());
            let micros =
                micros.ok_or_else(|| Error::corrupt("the database's time is no number"))?;
            let time = UNIX_EPOCH + Duration::from_micros(micros);
            findings.extend(Finding::of_clock(time, asked, SystemTime::now()));
        }
        let late = to_micros(SystemTime::now() - SWEEP_LATE);
        let values = [Value::Number(late), Value::Number(1)];
        if !L::SWEEPS_ALL_ROWS {
            let due = statement::<D>(&self.table, DUE);
            let due = self.run(Operation::Read, &due, &values);
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

/// Whether a server that says so of its version is older than the store needs. The name of the last one
/// of `oldest` need not be in it.
fn of_version(version: &str, oldest: &[(&str, (u32, u32))]) -> Option<Finding> {
    let (name, oldest) = oldest
        .iter()
        .find(|(name, _)| version.contains(name))
        .or(oldest.last())?;
    let mut parts = version.split(|it: char| !it.is_ascii_digit());
    let mut part = || parts.next()?.parse::<u32>().ok();
    let found = (part()?, part().unwrap_or_default());
    (found < *oldest).then(|| {
        Finding::new(
            format!(
                "The server is {name} {version}; the store needs {}.{}.",
                oldest.0, oldest.1
            ),
            "Update it.",
        )
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named() {
        let mysql = [("MariaDB", (10, 6)), ("MySQL", (8, 0))];
        let postgres = [("PostgreSQL", (9, 5))];
        for (version, oldest) in [
            ("10.11.18-MariaDB-0+deb12u1", &mysql[..]),
            ("8.0.36-0ubuntu0.22.04.1", &mysql),
            ("9.7.4", &mysql),
            ("15.18 (Debian 15.18-0+deb12u1)", &postgres),
            ("17beta1", &postgres),
            ("9.5.25", &postgres),
            ("", &postgres),
            ("0", &[]),
        ] {
            assert_eq!(of_version(version, oldest), None, "{version}");
        }
        for (version, oldest, named) in [
            (
                "10.5.23-MariaDB",
                &mysql[..],
                "MariaDB 10.5.23-MariaDB; the store needs 10.6",
            ),
            (
                "5.7.44-log",
                &mysql,
                "MySQL 5.7.44-log; the store needs 8.0",
            ),
            (
                "9.4.26",
                &postgres,
                "PostgreSQL 9.4.26; the store needs 9.5",
            ),
        ] {
            let found = of_version(version, oldest).unwrap().problem;
            assert!(found.contains(named), "{found}");
        }
    }
}
