//! The load: many visitors, each with a connection and a session of its own.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::task::JoinSet;

use crate::{Result, route::Route, visitor::Visitor};

/// The visitors of one contestant, each on a connection that it keeps.
pub(crate) struct Load(Vec<Visitor>);

impl Load {
    /// Connects all of them and gives each a session.
    pub(crate) async fn on(address: SocketAddr, number: usize) -> Result<Self> {
        let mut visitors = Vec::with_capacity(number);
        for _ in 0..number {
            let mut visitor = Visitor::connect(address).await?;
            visitor.ask(Route::Fill).await?;
            visitors.push(visitor);
        }
        Ok(Self(visitors))
    }

    /// Gives each visitor a fresh connection.
    pub(crate) async fn reconnect(&mut self) -> Result<()> {
        for visitor in &mut self.0 {
            visitor.reconnect().await?;
        }
        Ok(())
    }

    /// All ask for `route` again and again, as fast as they are answered; the requests answered,
    /// and how long it took.
    pub(crate) async fn run(&mut self, route: Route, lasts: Duration) -> Result<(u32, Duration)> {
        let begin = Instant::now();
        let mut tasks = JoinSet::new();
        for mut visitor in self.0.drain(..) {
            tasks.spawn(async move {
                let mut answered = 0;
                while begin.elapsed() < lasts {
                    visitor
                        .ask(route)
                        .await
                        .map_err(|error| error.to_string())?;
                    answered += 1;
                }
                Ok::<_, String>((visitor, answered))
            });
        }
        let mut answered = 0;
        while let Some(ended) = tasks.join_next().await {
            let (visitor, number): (_, u32) = ended??;
            self.0.push(visitor);
            answered += number;
        }
        Ok((answered, begin.elapsed()))
    }
}
