//! Checks the dependencies of each crate.

use crate::paths::{cargo, root};
use crate::steps::{StepResult, Steps, output};

/// What must not come along uninvited: drivers, frameworks, TLS, and what Flask's signatures need.
const FOREIGN: &[&str] = &[
    "actix-web",
    "axum",
    "hyper",
    "memcache",
    "mongodb",
    "redis",
    "ring",
    "sqlx-mysql",
    "sqlx-postgres",
    "sqlx-sqlite",
    "libsqlite3-sys",
    "sha1",
];

/// Each crate, the features it is looked at with, and which of `FOREIGN` it may bring.
const CRATES: &[(&str, &str, &[&str])] = &[
    ("session-core", "", &[]),
    ("session-core", "conformance", &[]),
    ("session-fs", "", &[]),
    ("session-redis", "", &["redis"]),
    ("session-redis", "tls", &["redis", "ring"]),
    ("session-memcached", "", &["memcache"]),
    ("session-mongo", "", &["mongodb", "ring", "sha1"]),
    ("session-sql", "sqlite", &["sqlx-sqlite", "libsqlite3-sys"]),
    ("session-sql", "postgres", &["sqlx-postgres"]),
    ("session-sql", "mysql", &["sqlx-mysql", "sha1"]),
    ("session-actix", "", &["actix-web"]),
    ("session-actix", "flask", &["actix-web", "sha1"]),
    ("session-tower", "", &["axum", "hyper"]),
    ("session-tower", "flask", &["axum", "hyper", "sha1"]),
    ("actix-server-sessions", "", &["actix-web"]),
    ("actix-server-sessions", "filesystem", &["actix-web"]),
    ("actix-server-sessions", "redis", &["actix-web", "redis"]),
    (
        "actix-server-sessions",
        "memcached",
        &["actix-web", "memcache"],
    ),
    (
        "actix-server-sessions",
        "mongodb",
        &["actix-web", "mongodb", "ring", "sha1"],
    ),
    (
        "actix-server-sessions",
        "sqlite",
        &["actix-web", "sqlx-sqlite", "libsqlite3-sys"],
    ),
];

/// An application compiles the store that it uses and no other.
pub(crate) fn check(steps: &mut Steps) -> StepResult {
    steps.check(
        "dependencies",
        "cargo tree of each crate holds no foreign driver, and sha1 for Flask alone",
        || {
            for (name, features, allowed) in CRATES {
                let tree = tree(name, features)?;
                if let Some(found) = FOREIGN
                    .iter()
                    .find(|foreign| !allowed.contains(foreign) && tree.has(foreign))
                {
                    return Err(format!(
                        "{name} with features {features:?} depends on {found}"
                    ));
                }
                println!("{name} {features}: {} packages", tree.packages.len());
            }
            core_uses_little_of_tokio()?;
            no_openssl()
        },
    )
}

fn core_uses_little_of_tokio() -> StepResult {
    let tree = tree("session-core", "")?;
    let tokio = tree.packages.iter().find(|(name, _)| name == "tokio");
    match tokio.map(|(_, features)| features.as_str()) {
        // `rt` tells whether a runtime has one thread; tasks are the adapters' and the stores'.
        Some("rt,sync,time") => Ok(()),
        other => Err(format!(
            "session-core uses no more of tokio than rt, sync and time, not {other:?}"
        )),
    }
}

fn no_openssl() -> StepResult {
    let lock = std::fs::read_to_string(root().join("Cargo.lock"))
        .map_err(|error| format!("Cargo.lock: {error}"))?;
    if lock.contains("name = \"openssl-sys\"") {
        Err("Cargo.lock holds openssl-sys".to_owned())
    } else {
        Ok(())
    }
}

struct Tree {
    /// Name and enabled features of each package.
    packages: Vec<(String, String)>,
}

impl Tree {
    fn has(&self, name: &str) -> bool {
        self.packages.iter().any(|(package, _)| package == name)
    }
}

fn tree(package: &str, features: &str) -> Result<Tree, String> {
    let mut command = cargo(&[
        "tree", "--edges", "normal", "--prefix", "none", "--format", "{p}|{f}",
    ]);
    let text = output(command.args(["--package", package, "--features", features]))?;
    let lines = text
        .lines()
        .filter_map(|line| line.trim_end_matches(" (*)").split_once('|'));
    let named = lines.map(|(package, features)| {
        let name = package.split(' ').next().unwrap_or_default();
        (name.to_owned(), features.to_owned())
    });
    let mut packages: Vec<_> = named.collect();
    packages.sort();
    packages.dedup();
    Ok(Tree { packages })
}
