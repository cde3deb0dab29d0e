//! Starts stores and contestants, measures them in rounds, and compares the results.

use std::{env, path::PathBuf, time::Duration};

use session_tests::{Memcached, Postgres, RedisServer, scratch_dir};

use crate::{
    Result,
    bar::{Bar, Measure},
    candidate::Candidate,
    contestant::Contestant,
    figures::Round,
    plan::Plan,
    report::{self, Entry},
    route::Route,
};

const WARM_UP: Duration = Duration::from_millis(150);
const MEASURED: Duration = Duration::from_millis(1000);

/// Candidates that are compared in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contest {
    Redis,
    /// Ours on Redis beside the same of this program as it was built before.
    Before(PathBuf),
    Memcached,
    Postgres,
    Sqlite,
}

impl Contest {
    pub(crate) const ALL: [Self; 4] = [Self::Redis, Self::Memcached, Self::Postgres, Self::Sqlite];

    /// Those that a word of the command line means.
    pub(crate) fn named(word: &str) -> Option<Vec<Self>> {
        Some(match word {
            "redis" => vec![Self::Redis],
            "memcached" => vec![Self::Memcached],
            "postgres" => vec![Self::Postgres],
            "sqlite" => vec![Self::Sqlite],
            "sql" => vec![Self::Postgres, Self::Sqlite],
            _ => return None,
        })
    }

    fn bars(&self) -> Vec<Bar> {
        use {
            Candidate as C,
            Route::{Change, Plain, Read},
        };
        let wanted: &[(Route, C, C, Option<f64>)] = match self {
            Self::Redis => &[
                (Read, C::OursRedis, C::ActixSession, Some(1.6)),
                (Read, C::OursRedis, C::TowerRedis, Some(1.3)),
                (Change, C::OursRedis, C::ActixSession, Some(1.5)),
                (Change, C::OursRedis, C::TowerRedis, Some(1.5)),
                (Plain, C::OursRedis, C::ActixSession, None),
                (Plain, C::OursRedis, C::TowerRedis, None),
            ],
            Self::Before(_) => &[
                (Read, C::OursRedis, C::BeforeRedis, Some(0.97)),
                (Change, C::OursRedis, C::BeforeRedis, Some(0.97)),
            ],
            Self::Memcached => &[
                (Read, C::OursMemcached, C::OursRedis, Some(0.8)),
                (Change, C::OursMemcached, C::OursRedis, None),
            ],
            Self::Postgres => &[
                (Read, C::OursPostgres, C::TowerPostgres, Some(1.0)),
                (Change, C::OursPostgres, C::TowerPostgres, Some(1.0)),
            ],
            Self::Sqlite => &[
                (Read, C::OursSqlite, C::TowerSqlite, Some(1.0)),
                (Change, C::OursSqlite, C::TowerSqlite, Some(1.0)),
            ],
        };
        let mut bars = Vec::new();
        for &(route, ours, other, at_least) in wanted {
            for measure in [Measure::Rate, Measure::Cpu] {
                // The Redis bars ask for both, an earlier program's for processor time alone. The
                // rest is shown.
                let judged = match self {
                    Self::Redis => true,
                    Self::Before(_) => measure == Measure::Cpu,
                    _ => measure == Measure::Rate,
                };
                bars.push(Bar {
                    route,
                    measure,
                    ours,
                    other,
                    at_least: at_least.filter(|_| judged),
                });
            }
        }
        bars
    }

    /// Starts the stores and the contestants, measures, and says whether every bar was met.
    pub(crate) async fn run(&self, plan: Plan) -> Result<bool> {
        match self {
            Self::Redis => {
                let server = RedisServer::start(&[]).await;
                let url = server.url();
                let sides = [
                    (Candidate::OursRedis, url.as_str()),
                    (Candidate::ActixSession, &url),
                    (Candidate::TowerRedis, &url),
                ];
                self.measure(plan, &sides).await
            }
            Self::Before(_) => {
                let server = RedisServer::start(&[]).await;
                let url = server.url();
                let sides = [
                    (Candidate::OursRedis, url.as_str()),
                    (Candidate::BeforeRedis, &url),
                ];
                self.measure(plan, &sides).await
            }
            Self::Memcached => {
                let memcached = Memcached::start(&[]).await;
                let redis = RedisServer::start(&[]).await;
                let sides = [
                    (Candidate::OursMemcached, &*memcached.addr()),
                    (Candidate::OursRedis, &redis.url()),
                ];
                self.measure(plan, &sides).await
            }
            Self::Postgres => {
                let server = Postgres::start().await;
                let url = server.url();
                let sides = [
                    (Candidate::OursPostgres, url.as_str()),
                    (Candidate::TowerPostgres, &url),
                ];
                self.measure(plan, &sides).await
            }
            Self::Sqlite => {
                let directory = scratch_dir();
                let file = |name| {
                    format!(
                        "sqlite://{}?mode=rwc",
                        directory.path().join(name).display()
                    )
                };
                let sides = [
                    (Candidate::OursSqlite, &*file("ours.db")),
                    (Candidate::TowerSqlite, &file("theirs.db")),
                ];
                self.measure(plan, &sides).await
            }
        }
    }

    /// Every round measures everybody on every route, in a changing order: what disturbs the
    /// machine disturbs all alike.
    async fn measure(&self, plan: Plan, sides: &[(Candidate, &str)]) -> Result<bool> {
        let bars = self.bars();
        let routes = Route::MEASURED
            .into_iter()
            .filter(|route| bars.iter().any(|bar| bar.route == *route));
        let mut contestants = Vec::new();
        for (candidate, address) in sides {
            let program = match self {
                Self::Before(program) if *candidate == Candidate::BeforeRedis => program.clone(),
                _ => env::current_exe()?,
            };
            contestants.push(Contestant::start(*candidate, &program, address, plan).await?);
        }
        let mut entries: Vec<Entry> = routes
            .flat_map(|route| {
                sides
                    .iter()
                    .map(move |(candidate, _)| Entry::new(*candidate, route))
            })
            .collect();
        for round in 0..plan.rounds {
            for route in entries.chunks_mut(sides.len()) {
                route.rotate_left(1);
                for entry in route {
                    let contestant = contestants
                        .iter_mut()
                        .find(|contestant| contestant.candidate == entry.candidate);
                    let contestant = contestant.ok_or("a side that did not start")?;
                    entry.rounds.push(measure(contestant, entry.route).await?);
                }
            }
            eprintln!("{self:?}: round {} of {}", round + 1, plan.rounds);
        }
        entries.sort_by_key(|entry| (entry.route, entry.candidate));
        report::print(&format!("{self:?}"), &entries);
        Ok(report::judge(&bars, &entries))
    }
}

async fn measure(contestant: &mut Contestant, route: Route) -> Result<Round> {
    contestant.load().reconnect().await?;
    contestant.load().run(route, WARM_UP).await?;
    let before = contestant.cpu()?;
    let (answered, took) = contestant.load().run(route, MEASURED).await?;
    Ok(Round::of(
        answered,
        took,
        contestant.cpu()?.saturating_sub(before),
    ))
}
