//! Saves while the index of a large table is built.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use session_sql::SqlStore;

use crate::{
    BoxResult,
    database::Measured,
    fill,
    sample::{Times, save},
};

/// What a request may take at most.
const LIMIT: Duration = Duration::from_millis(1500);

pub(crate) async fn measure<D: Measured>(
    store: &SqlStore<D>,
    table: &str,
    sessions: usize,
) -> BoxResult<()> {
    store.migrate().await?;
    fill::live(store, table, sessions).await?;
    let mut connection = store.pool().acquire().await?.detach();
    D::execute(&mut connection, D::NO_TIMEOUT.to_owned()).await?;
    D::execute(&mut connection, D::DROP_INDEX.replace("{table}", table)).await?;
    let refused = store.migrate().await.err().ok_or("the index is there")?;
    let cause = refused.source().ok_or("the refusal has a reason")?;
    let text = cause.to_string();
    let (_, statement) = text.split_once("create it by ").ok_or(text.clone())?;
    println!("{statement}");

    let (began, statement) = (Instant::now(), statement.to_owned());
    let building = tokio::spawn(async move { D::execute(&mut connection, statement).await });
    let (mut during, mut failed) = (Times::default(), 0);
    while !building.is_finished() {
        let began = Instant::now();
        let saved = save(store, during.len() % fill::FEW).await;
        failed += usize::from(saved.is_err());
        during.push(saved.unwrap_or_else(|_| began.elapsed()));
    }
    building.await??;
    let took = began.elapsed().as_secs_f64();
    println!("the index of {sessions} sessions: {took:.1} s");
    println!("save meanwhile: {during}; {failed} failed");
    println!("over {LIMIT:?}: {}", during.over(LIMIT));
    store.migrate().await.map_err(Into::into)
}
