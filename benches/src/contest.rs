//! Starts stores and contestants, measures them in rounds, and compares the results.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use session_tests::{Memcached, Mongo, Postgres, RedisServer, scratch_dir};

use crate::{
    Result,
    bar::{Bar, Measure, Other},
    candidate::Candidate,
    chart,
    contestant::Contestant,
    cpu,
    figures::Round,
    plan::{Plan, Row},
    report::{self, Entry},
    route::Route,
};

const WARM_UP: Duration = Duration::from_millis(80);
/// Short, so that a disturbance of the machine that lasts a second hits all candidates of a round.
const MEASURED: Duration = Duration::from_millis(250);
/// As many as keep a program busy that answers in a tenth of a millisecond.
const USUAL_VISITORS: usize = 64;
const TEN_KB: usize = 10_000;

/// Candidates that are compared in one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contest {
    Redis,
    /// Ours on Redis beside the same of this program as it was built before.
    Before(PathBuf),
    /// With axum, on Redis.
    Axum,
    Memcached,
    Mongo,
    Files,
    Postgres,
    Sqlite,
}

impl Contest {
    pub(crate) const ALL: [Self; 7] = [
        Self::Redis,
        Self::Axum,
        Self::Memcached,
        Self::Mongo,
        Self::Files,
        Self::Postgres,
        Self::Sqlite,
    ];

    /// Those that a word of the command line means.
    pub(crate) fn named(word: &str) -> Option<Vec<Self>> {
        Some(match word {
            "redis" => vec![Self::Redis],
            "axum" => vec![Self::Axum],
            "memcached" => vec![Self::Memcached],
            "mongo" => vec![Self::Mongo],
            "files" => vec![Self::Files],
            "postgres" => vec![Self::Postgres],
            "sqlite" => vec![Self::Sqlite],
            "sql" => vec![Self::Postgres, Self::Sqlite],
            _ => return None,
        })
    }

    /// Whether the plan leaves it a row.
    pub(crate) fn has_rows(&self, plan: Plan) -> bool {
        self.rows().into_iter().any(|(row, _)| plan.wants(row))
    }

    /// What is measured, with whom.
    fn rows(&self) -> Vec<(Row, &'static [Candidate])> {
        use Candidate as C;
        const PEERS: &[C] = &[C::OursRedis, C::ByHand, C::ActixSession, C::TowerRedis];
        const BEFORE: &[C] = &[C::OursRedis, C::BeforeRedis];
        const WITH_BARE: &[C] = &[
            C::OursRedis,
            C::ByHand,
            C::ActixSession,
            C::TowerRedis,
            C::Bare,
        ];
        let usual = Row::of(USUAL_VISITORS);
        match self {
            Self::Redis => vec![
                (Row::of(1), PEERS),
                (Row::of(8), PEERS),
                (usual, WITH_BARE),
                (Row::of(512), PEERS),
                (usual.filled(TEN_KB), PEERS),
                (Row::of(8).filled(100_000), PEERS),
                (usual.sharing(), &[C::OursRedis]),
            ],
            Self::Axum => vec![
                (
                    Row::of(8),
                    &[
                        C::OursAxum,
                        C::RoutesAxum,
                        C::TowerRedis,
                        C::AxumSession,
                        C::AxumSessionShared,
                    ],
                ),
                (
                    usual,
                    &[
                        C::OursAxum,
                        C::RoutesAxum,
                        C::TowerRedis,
                        C::AxumSession,
                        C::AxumSessionShared,
                        C::UnusedAxum,
                        C::UnusedRoutesAxum,
                        C::BareAxum,
                    ],
                ),
            ],
            Self::Before(_) => [
                Row::of(1),
                Row::of(8),
                usual,
                usual.filled(TEN_KB),
                Row::of(8).filled(100_000),
            ]
            .map(|row| (row, BEFORE))
            .to_vec(),
            Self::Memcached => vec![
                (Row::of(8), &[C::OursMemcached, C::ByHandMemcached]),
                (usual, &[C::OursMemcached, C::ByHandMemcached, C::OursRedis]),
            ],
            Self::Mongo => [Row::of(8), usual]
                .map(|row| (row, &[C::OursMongo, C::ByHandMongo][..]))
                .to_vec(),
            Self::Files => [Row::of(8), usual]
                .map(|row| (row, &[C::OursFiles, C::ByHandFiles][..]))
                .to_vec(),
            Self::Postgres => [Row::of(8), usual]
                .map(|row| (row, &[C::OursPostgres, C::TowerPostgres][..]))
                .to_vec(),
            Self::Sqlite => [Row::of(8), usual]
                .map(|row| (row, &[C::OursSqlite, C::TowerSqlite][..]))
                .to_vec(),
        }
    }

    fn bars(&self, has_ifeq: bool) -> Vec<Bar> {
        use {
            Candidate as C,
            Measure::{Cpu, Rate},
            Route::{Change, Read},
        };
        let both_of = |row, measure, ours, other, wanted: [Option<f64>; 2]| -> Vec<Bar> {
            let of = |(route, at_least)| Bar {
                row,
                route,
                measure,
                ours,
                other: Other::Candidate(other),
                at_least,
            };
            [Read, Change].into_iter().zip(wanted).map(of).collect()
        };
        let both = |measure, ours, other, wanted| {
            both_of(Row::of(USUAL_VISITORS), measure, ours, other, wanted)
        };
        // At most 1.10 times the processor time of the driver used by hand.
        let beside_hand = |ours, by_hand| -> Vec<Bar> {
            let few = both_of(Row::of(8), Cpu, ours, by_hand, [Some(1.0 / 1.1); 2]);
            let usual = both(Cpu, ours, by_hand, [Some(1.0 / 1.1); 2]);
            [few, usual].concat()
        };
        match self {
            Self::Redis => self.redis_bars(has_ifeq),
            Self::Before(_) => both(Cpu, C::OursRedis, C::BeforeRedis, [Some(0.97); 2]),
            Self::Axum => {
                let bar = |visitors, route, ours, other, at_least| Bar {
                    row: Row::of(visitors),
                    route,
                    measure: Rate,
                    ours,
                    other: Other::Candidate(other),
                    at_least: Some(at_least),
                };
                vec![
                    bar(USUAL_VISITORS, Read, C::OursAxum, C::TowerRedis, 1.4),
                    bar(USUAL_VISITORS, Change, C::OursAxum, C::TowerRedis, 1.5),
                    bar(8, Read, C::OursAxum, C::TowerRedis, 1.1),
                    bar(8, Change, C::OursAxum, C::TowerRedis, 1.1),
                    bar(USUAL_VISITORS, Read, C::UnusedAxum, C::BareAxum, 0.97),
                ]
            }
            Self::Memcached => {
                let redis = both(Rate, C::OursMemcached, C::OursRedis, [Some(0.8), None]);
                [beside_hand(C::OursMemcached, C::ByHandMemcached), redis].concat()
            }
            Self::Mongo => beside_hand(C::OursMongo, C::ByHandMongo),
            Self::Files => beside_hand(C::OursFiles, C::ByHandFiles),
            Self::Postgres => both(Rate, C::OursPostgres, C::TowerPostgres, [Some(1.05); 2]),
            Self::Sqlite => both(Rate, C::OursSqlite, C::TowerSqlite, [Some(1.2), Some(1.05)]),
        }
    }

    fn redis_bars(&self, has_ifeq: bool) -> Vec<Bar> {
        use {
            Candidate as C,
            Measure::{Cpu, CpuWithStore, Latency, Rate},
            Route::{Change, Read},
        };
        let ours = |row, route, measure, other, at_least| Bar {
            row,
            route,
            measure,
            ours: C::OursRedis,
            other: Other::Candidate(other),
            at_least,
        };
        let (usual, few) = (Row::of(USUAL_VISITORS), Row::of(8));
        let long = usual.filled(TEN_KB);
        // A script costs the server more than the `SET` of the program by hand.
        let change_by_hand = if has_ifeq { 1.0 } else { 0.9 };
        let mut bars = vec![
            ours(usual, Read, Rate, C::ByHand, Some(1.2)),
            ours(usual, Change, Rate, C::ByHand, Some(change_by_hand)),
            ours(few, Read, Rate, C::TowerRedis, Some(1.2)),
            ours(few, Change, Rate, C::TowerRedis, Some(1.2)),
            ours(usual, Read, Rate, C::ActixSession, Some(1.75)),
            ours(usual, Change, Rate, C::ActixSession, Some(1.9)),
            ours(Row::of(1), Read, Latency, C::ByHand, Some(1.0 / 1.05)),
            ours(long, Change, CpuWithStore, C::ByHand, Some(1.0 / 1.15)),
            ours(usual, Read, Cpu, C::Bare, Some(1.0 / 1.55)),
            Bar {
                row: usual.sharing(),
                route: Change,
                measure: Cpu,
                ours: C::OursRedis,
                other: Other::Micros(60.0),
                at_least: Some(1.0),
            },
        ];
        for (row, candidates) in self.rows() {
            for other in candidates.iter().filter(|it| **it != C::OursRedis) {
                for (route, measure) in [(Read, Rate), (Read, Cpu), (Change, Rate), (Change, Cpu)] {
                    let is_known = bars.iter().any(|bar| {
                        matches!(bar.other, Other::Candidate(it) if it == *other)
                            && bar.row == row
                            && bar.route == route
                            && bar.measure == measure
                    });
                    if !is_known && (*other != C::Bare || route == Read) {
                        bars.push(ours(row, route, measure, *other, None));
                    }
                }
            }
        }
        bars
    }

    /// Starts the stores and the contestants, measures, draws the chart if a file for it is named, and
    /// says whether every bar was met.
    pub(crate) async fn run(&self, plan: Plan, chart: Option<&Path>) -> Result<bool> {
        match self {
            Self::Redis | Self::Before(_) | Self::Axum => {
                let server = RedisServer::start(&[]).await;
                let has_ifeq = has_ifeq(&server);
                let store = Store {
                    pid: server.pid(),
                    has_ifeq,
                    address: &|_| server.url(),
                };
                self.measure(plan, chart, store).await
            }
            Self::Memcached => {
                let memcached = Memcached::start(&[]).await;
                let redis = RedisServer::start(&[]).await;
                let store = Store {
                    pid: None,
                    has_ifeq: false,
                    address: &|candidate| match candidate {
                        Candidate::OursMemcached | Candidate::ByHandMemcached => memcached.addr(),
                        _ => redis.url(),
                    },
                };
                self.measure(plan, chart, store).await
            }
            Self::Mongo => {
                let server = Mongo::start().await;
                let store = Store {
                    pid: None,
                    has_ifeq: false,
                    address: &|_| server.url(),
                };
                self.measure(plan, chart, store).await
            }
            Self::Files => {
                let directory = scratch_dir();
                let store = Store {
                    pid: None,
                    has_ifeq: false,
                    address: &|candidate| {
                        let below = directory.path().join(candidate.name());
                        below.display().to_string()
                    },
                };
                self.measure(plan, chart, store).await
            }
            Self::Postgres => {
                let server = Postgres::start().await;
                let store = Store {
                    pid: None,
                    has_ifeq: false,
                    address: &|_| server.url(),
                };
                self.measure(plan, chart, store).await
            }
            Self::Sqlite => {
                let directory = scratch_dir();
                let store = Store {
                    pid: None,
                    has_ifeq: false,
                    address: &|candidate| {
                        let file = directory.path().join(candidate.name());
                        format!("sqlite://{}.db?mode=rwc", file.display())
                    },
                };
                self.measure(plan, chart, store).await
            }
        }
    }

    /// Every round measures everybody on every route, in a random order: what disturbs the machine
    /// disturbs all alike, and nobody always comes after the same one.
    async fn measure(&self, plan: Plan, chart: Option<&Path>, store: Store<'_>) -> Result<bool> {
        let mut bars = self.bars(store.has_ifeq);
        bars.retain(|bar| plan.wants(bar.row));
        let mut entries = Vec::new();
        for (row, candidates) in self.rows() {
            if plan.wants(row) {
                entries.extend(self.measure_row(plan, &store, row, candidates).await?);
            }
        }
        report::print(&format!("{self:?}"), &entries);
        if let Some(file) = chart {
            let title =
                format!("{self:?}: requests a second, the program on one core; more is better");
            chart::draw(file, &title, &entries)?;
        }
        Ok(report::judge(&bars, &entries))
    }

    async fn measure_row(
        &self,
        plan: Plan,
        store: &Store<'_>,
        row: Row,
        candidates: &[Candidate],
    ) -> Result<Vec<Entry>> {
        let mut contestants = Vec::new();
        for candidate in candidates {
            let program = match self {
                Self::Before(program) if *candidate == Candidate::BeforeRedis => program.clone(),
                _ => env::current_exe()?,
            };
            let address = (store.address)(*candidate);
            contestants.push(
                Contestant::start(*candidate, Command::new(program), &address, plan, row).await?,
            );
        }
        let mut routes = Vec::new();
        for route in Route::MEASURED {
            let takes_part =
                |candidate: &&Candidate| route == Route::Read || candidate.has_sessions();
            let entries = candidates.iter().filter(takes_part);
            let entries = entries.map(|candidate| Entry::new(row, *candidate, route));
            routes.push(entries.collect::<Vec<_>>());
        }
        for _ in 0..plan.rounds {
            for route in &mut routes {
                let random = || getrandom::u64().expect("the system has random numbers");
                route.sort_by_cached_key(|_| random());
                for entry in route {
                    let contestant = contestants
                        .iter_mut()
                        .find(|contestant| contestant.candidate == entry.candidate);
                    let contestant = contestant.ok_or("a side that did not start")?;
                    entry
                        .rounds
                        .push(measure(contestant, entry.route, store.pid).await?);
                    entry.print_last();
                }
            }
        }
        let mut entries: Vec<Entry> = routes.into_iter().flatten().collect();
        entries.sort_by_key(|entry| (entry.route, entry.candidate));
        Ok(entries)
    }
}

/// The server of the sessions.
struct Store<'s> {
    /// Its process, if it has one and its processor time is wanted.
    pid: Option<i32>,
    address: &'s dyn Fn(Candidate) -> String,
    /// Whether it is a Redis or Valkey that compares in `SET`.
    has_ifeq: bool,
}

/// Prints what the server is, and says whether it knows `SET … IFEQ`, which changes nothing here: nothing is stored yet.
fn has_ifeq(server: &RedisServer) -> bool {
    let about = server.command("INFO server");
    let versions = about.lines().filter(|line| line.contains("_version:"));
    println!("{}", versions.collect::<Vec<_>>().join(", "));
    !server.command("SET none new IFEQ old").starts_with("-ERR")
}

async fn measure(contestant: &mut Contestant, route: Route, store: Option<i32>) -> Result<Round> {
    let store_cpu = || match store {
        Some(pid) => cpu::used_by(pid.try_into()?),
        None => Ok(Duration::ZERO),
    };
    contestant.load().reconnect().await?;
    contestant.load().run(route, WARM_UP).await?;
    let before = (contestant.cpu()?, store_cpu()?);
    let answers = contestant.load().run(route, MEASURED).await?;
    Ok(Round::of(
        &answers,
        contestant.cpu()?.saturating_sub(before.0),
        store_cpu()?.saturating_sub(before.1),
    ))
}
