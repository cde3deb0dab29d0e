//! The load: many visitors, each with a connection, and with a session of its own or all with one.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{Result, plan::Row, route::Route, visitor::Visitor};

/// The visitors of one contestant, each on a connection that it keeps.
pub(crate) struct Load {
    visitors: Vec<Visitor>,
    shared: bool,
    changes: u64,
}

/// What a run of a load came to.
pub(crate) struct Answers {
    pub(crate) number: u32,
    pub(crate) took: Duration,
    /// The median of the time from a request to its answer.
    pub(crate) latency: Duration,
}

impl Load {
    /// Connects all of them and gives each a session, or all the same.
    pub(crate) async fn on(address: SocketAddr, row: Row) -> Result<Self> {
        let mut visitors: Vec<Visitor> = Vec::with_capacity(row.visitors);
        for _ in 0..row.visitors {
            let mut visitor = Visitor::connect(address).await?;
            match visitors.first_mut() {
                Some(first) if row.shared => visitor.share(first),
                _ => visitor.ask(Route::Fill).await?,
            }
            visitors.push(visitor);
        }
        Ok(Self {
            visitors,
            shared: row.shared,
            changes: 0,
        })
    }

    /// Gives each visitor a fresh connection.
    pub(crate) async fn reconnect(&mut self) -> Result<()> {
        for visitor in &mut self.visitors {
            visitor.reconnect().await?;
        }
        Ok(())
    }

    /// Makes so many new sessions.
    pub(crate) async fn fill(&mut self, sessions: u32) -> Result<()> {
        let mut tasks = JoinSet::new();
        let visitors = u32::try_from(self.visitors.len())?;
        for (number, mut visitor) in (0..visitors).zip(self.visitors.drain(..)) {
            let own = sessions / visitors + u32::from(number < sessions % visitors);
            tasks.spawn(async move {
                for _ in 0..own {
                    visitor.forget();
                    let filled = visitor.ask(Route::Fill).await;
                    filled.map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(visitor)
            });
        }
        while let Some(ended) = tasks.join_next().await {
            self.visitors.push(ended??);
        }
        Ok(())
    }

    /// All ask for `route` again and again, as fast as they are answered.
    ///
    /// # Errors
    ///
    /// If an answer is not the one that the session must give, or a change of the session that all
    /// share is lost.
    pub(crate) async fn run(&mut self, route: Route, lasts: Duration) -> Result<Answers> {
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for mut visitor in self.visitors.drain(..) {
            tasks.spawn(async move {
                let mut latencies = Vec::new();
                let mut asked = begin.elapsed();
                while asked < lasts {
                    visitor
                        .ask(route)
                        .await
                        .map_err(|error| error.to_string())?;
                    let now = begin.elapsed();
                    latencies.push(now.saturating_sub(asked));
                    asked = now;
                }
                Ok::<_, String>((visitor, latencies))
            });
        }
        let mut latencies = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            let (visitor, of_visitor) = ended??;
            self.visitors.push(visitor);
            latencies.extend(of_visitor);
        }
        let took = begin.elapsed();
        let number = u32::try_from(latencies.len())?;
        if self.shared && route == Route::Change {
            self.changes += u64::from(number) + 1;
            let kept = match self.visitors.first_mut() {
                Some(visitor) => visitor.visits().await?,
                None => 0,
            };
            if kept != self.changes {
                return Err(format!("{kept} of {} changes were kept", self.changes).into());
            }
        }
        let middle = latencies.len() / 2;
        let latency = match latencies.len() {
            0 => Duration::ZERO,
            _ => *latencies.select_nth_unstable(middle).1,
        };
        Ok(Answers {
            number,
            took,
            latency,
        })
    }
}
