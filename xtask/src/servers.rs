//! Database servers of other versions, from Debian's suites, each in a folder of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::paths::{installed, target};
use crate::steps::{StepResult, Steps, output};

/// The tests of one crate, as words for `cargo test`: each item is a run of its own.
#[derive(Debug)]
pub(crate) struct Tests {
    pub(crate) package: &'static str,
    pub(crate) runs: &'static [&'static [&'static str]],
}

/// A server in one of Debian's suites, and the tests that run on it.
#[derive(Debug)]
pub(crate) struct ServerVersion {
    /// The server and the first numbers of its version.
    pub(crate) name: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    /// The program that says its version.
    program: &'static str,
    /// A second name for `program`, under which the tests look for it.
    alias: Option<&'static str>,
    /// The tests that run on it.
    pub(crate) tests: &'static Tests,
}

const fn server(
    name: &'static str,
    suite: &'static str,
    packages: &'static [&'static str],
    program: &'static str,
    tests: &'static Tests,
) -> ServerVersion {
    ServerVersion {
        name,
        suite,
        packages,
        program,
        alias: None,
        tests,
    }
}

// Of the whole workspace, so that nothing is compiled again with fewer features.
const REDIS: &Tests = &Tests {
    package: "session-redis",
    runs: &[&["--workspace", "--all-features", "--test", "redis"]],
};
const MEMCACHED: &Tests = &Tests {
    package: "session-memcached",
    runs: &[&["--workspace", "--all-features", "--test", "memcached"]],
};
const POSTGRES: &Tests = &Tests {
    package: "session-sql",
    runs: &[
        &["--workspace", "--all-features", "--test", "sql", "postgres"],
        &[
            "--workspace",
            "--all-features",
            "--test",
            "logins_at_once",
            "postgres",
        ],
    ],
};
const ON_MARIADB: [&[&str]; 2] = [
    &["--workspace", "--all-features", "--test", "sql", "mariadb"],
    &[
        "--workspace",
        "--all-features",
        "--test",
        "logins_at_once",
        "mariadb",
    ],
];
const MARIADB_TESTS: &Tests = &Tests {
    package: "session-sql",
    runs: &ON_MARIADB,
};
const MYSQL_TESTS: &Tests = &Tests {
    package: "session-sql",
    runs: &[
        ON_MARIADB[0],
        ON_MARIADB[1],
        &["--workspace", "--all-features", "--test", "mysql"],
        // Without TLS and RSA: the error.
        &[
            "--package",
            "session-sql",
            "--features",
            "mysql",
            "--test",
            "mysql",
        ],
    ],
};

const PGBOUNCER: &Tests = &Tests {
    package: "session-sql",
    runs: &[&[
        "--workspace",
        "--all-features",
        "--test",
        "sql",
        "pgbouncer",
    ]],
};

/// The server, and what its set-up calls.
const MARIADB: &[&str] = &["mariadb-server-core", "mariadb-client-core"];

/// The oldest and the newest version of each server that Debian supports.
pub(crate) const VERSIONS: &[ServerVersion] = &[
    server(
        "redis-7.0",
        "bookworm",
        &["redis-server"],
        "redis-server",
        REDIS,
    ),
    server("redis-8.0", "sid", &["redis-server"], "redis-server", REDIS),
    // The first Redis here whose SET compares.
    server(
        "redis-8.6",
        "experimental",
        &["redis-server"],
        "redis-server",
        REDIS,
    ),
    ServerVersion {
        alias: Some("redis-server"),
        ..server(
            "valkey-9.1",
            "sid",
            &["valkey-server"],
            "valkey-server",
            REDIS,
        )
    },
    server(
        "memcached-1.6.18",
        "bookworm",
        &["memcached"],
        "memcached",
        MEMCACHED,
    ),
    server(
        "memcached-1.6.45",
        "sid",
        &["memcached"],
        "memcached",
        MEMCACHED,
    ),
    server(
        "postgresql-15",
        "bookworm",
        &["postgresql-15"],
        "postgres",
        POSTGRES,
    ),
    server(
        "postgresql-18",
        "sid",
        &["postgresql-18"],
        "postgres",
        POSTGRES,
    ),
    // The oldest that keeps prepared statements in transaction mode is 1.21; Debian 12 has 1.18.
    server(
        "pgbouncer-1.26",
        "sid",
        &["pgbouncer", "postgresql-18"],
        "pgbouncer",
        PGBOUNCER,
    ),
    server(
        "mariadb-10.11",
        "bookworm",
        MARIADB,
        "mariadbd",
        MARIADB_TESTS,
    ),
    server("mariadb-11.8", "sid", MARIADB, "mariadbd", MARIADB_TESTS),
    server(
        "mysql-9.7",
        "sid",
        &["mysql-server-core"],
        "mysqld",
        MYSQL_TESTS,
    ),
];

impl ServerVersion {
    /// Brings the newest package of the suite into the server's folder, unless it is there already.
    pub(crate) fn fetch(&self, steps: &mut Steps) -> StepResult {
        if !installed("patchelf") {
            apt::install(steps, &["patchelf"])?;
        }
        let what = format!("{} from Debian's {}", self.name, self.suite);
        steps.check("server", &what, || self.unpack())
    }

    /// The folder that the tests' harness takes the server's programs from.
    pub(crate) fn folder(&self) -> PathBuf {
        target().join("servers").join(self.name)
    }

    /// Its name with its whole version.
    pub(crate) fn label(&self, version: &str) -> String {
        let name = self.name.split('-').next().unwrap_or(self.name);
        format!("{name} {version}")
    }

    /// What the server itself says of its version.
    pub(crate) fn version(&self) -> Result<String, String> {
        let mut command = Command::new(self.program()?);
        let text = output(command.arg("--version"))?;
        let numbers = text.split_whitespace().find_map(|word| {
            let word = word.strip_prefix("v=").unwrap_or(word);
            let end = word.find(|it: char| it != '.' && !it.is_ascii_digit());
            let numbers = &word[..end.unwrap_or(word.len())];
            numbers.contains('.').then_some(numbers)
        });
        Ok(numbers.unwrap_or(text.trim()).to_owned())
    }

    fn program(&self) -> Result<PathBuf, String> {
        let found = program_directories(&self.folder())
            .into_iter()
            .map(|directory| directory.join(self.program))
            .find(|path| path.is_file());
        found.ok_or_else(|| format!("{} has no {}", self.folder().display(), self.program))
    }

    fn unpack(&self) -> StepResult {
        let suite = Suite::at(self.suite);
        suite.update()?;
        let wanted = suite.wanted(self.packages)?;
        let folder = self.folder();
        // Written last, so its presence means that all is there.
        let stamp = folder.join("packages");
        if fs::read_to_string(&stamp).is_ok_and(|text| text == wanted) {
            return Ok(());
        }
        let archives = suite.download(self.packages, &wanted)?;
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        create(&folder)?;
        for archive in archives {
            output(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&folder))?;
        }
        lead_to_own_libraries(&folder)?;
        if let Some(alias) = self.alias {
            let program = self.program()?;
            let link = program.with_file_name(alias);
            std::os::unix::fs::symlink(&program, &link)
                .map_err(|error| format!("{}: {error}", link.display()))?;
        }
        fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
    }
}

/// One of Debian's suites, with the state of apt in a folder of its own: neither the system's
/// packages nor its lists are touched, and no rights are needed.
struct Suite {
    name: &'static str,
    folder: PathBuf,
}

impl Suite {
    fn at(name: &'static str) -> Self {
        let folder = target().join("servers/apt").join(name);
        Self { name, folder }
    }

    fn update(&self) -> StepResult {
        for part in [
            "state/lists/partial",
            "cache/archives/partial",
            "empty/partial",
            "etc",
            "log",
        ] {
            create(&self.folder.join(part))?;
        }
        let sources = self.folder.join("etc/sources.list");
        let (keyring, mirror) = (keyring()?, mirror()?);
        // Experimental is no whole suite, and is used on top of this one.
        let base = (self.name == "experimental").then_some("sid");
        let suites = base.into_iter().chain([self.name]);
        let mut lines = String::new();
        for suite in suites {
            let line = format!("deb [signed-by={keyring}] {mirror} {suite} main\n");
            lines.push_str(&line);
        }
        for (path, text) in [
            (sources, lines.as_str()),
            (self.folder.join("state/status"), ""),
        ] {
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        }
        output(self.apt_get().arg("update")).map(drop)
    }

    /// The archives of the packages and of all that they depend on, one a line.
    fn wanted(&self, packages: &[&str]) -> Result<String, String> {
        let mut install = self.install(packages);
        // Only what is not in the cache is printed.
        let empty = self.folder.join("empty");
        install
            .arg("-o")
            .arg(format!("Dir::Cache::archives={}", empty.display()));
        output(install.arg("--print-uris")).map(|lines| {
            let names = lines.lines().filter_map(|line| line.split(' ').nth(1));
            names.collect::<Vec<_>>().join("\n")
        })
    }

    fn download(&self, packages: &[&str], wanted: &str) -> Result<Vec<PathBuf>, String> {
        output(self.install(packages).arg("--download-only"))?;
        let archives = self.folder.join("cache/archives");
        Ok(wanted.lines().map(|name| archives.join(name)).collect())
    }

    fn install(&self, packages: &[&str]) -> Command {
        let mut command = self.apt_get();
        command.args(["install", "--yes", "--no-install-recommends"]);
        command.args(["--target-release", self.name]);
        command.args(packages);
        command
    }

    fn apt_get(&self) -> Command {
        let own = |name: &str, path: &str| format!("{name}={}", self.folder.join(path).display());
        let mut command = Command::new("apt-get");
        command.arg("-qq");
        for option in [
            own("Dir::State", "state"),
            own("Dir::State::status", "state/status"),
            own("Dir::Cache", "cache"),
            own("Dir::Etc::sourcelist", "etc/sources.list"),
            own("Dir::Etc::sourceparts", "etc/none"),
            own("Dir::Log", "log"),
            // The account that root downloads as has no access to this folder.
            "APT::Sandbox::User=".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }
}

/// Where this machine takes Debian's packages from.
fn mirror() -> Result<String, String> {
    let mut list = Command::new("apt-get");
    list.args(["indextargets", "--format", "$(REPO_URI) $(ORIGIN) $(LABEL)"]);
    let found = output(list.arg("Created-By: Packages"))?;
    let debian = found
        .lines()
        .find_map(|line| line.strip_suffix(" Debian Debian"));
    debian.map(str::to_owned).ok_or_else(|| {
        "no source of Debian's packages is set up here: apt-get update as root on Debian".to_owned()
    })
}

fn keyring() -> Result<String, String> {
    let known = ["pgp", "gpg"].map(|kind| {
        let name = format!("/usr/share/keyrings/debian-archive-keyring.{kind}");
        Path::new(&name).is_file().then_some(name)
    });
    known.into_iter().flatten().next().ok_or_else(|| {
        "Debian's keys are missing: apt-get install debian-archive-keyring".to_owned()
    })
}

/// Makes each program of the folder run with the folder's libraries and not with the system's.
fn lead_to_own_libraries(folder: &Path) -> StepResult {
    let libraries: Vec<_> = ["usr/lib", "lib"]
        .iter()
        .filter_map(|path| find(&folder.join(path), |name| name.ends_with("-linux-gnu")))
        .collect();
    // Elsewhere it may be a link to the system's.
    let loader = libraries
        .iter()
        .find_map(|path| find(path, |name| name.starts_with("ld-linux")))
        .ok_or_else(|| format!("{} has no loader", folder.display()))?;
    let paths: Vec<_> = libraries
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    for program in executables(folder)? {
        let is_dynamic = |program: &Path| {
            let mut ask = Command::new("patchelf");
            output(ask.arg("--print-interpreter").arg(program)).is_ok()
        };
        if is_dynamic(&program) {
            let mut patch = Command::new("patchelf");
            patch.arg("--set-interpreter").arg(&loader);
            // Of the two kinds of path, only this one counts for a library's libraries, too.
            patch.args(["--force-rpath", "--set-rpath", &paths.join(":")]);
            output(patch.arg(&program))?;
        }
    }
    Ok(())
}

fn find(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> Option<PathBuf> {
    let entries = directory.read_dir().into_iter().flatten().flatten();
    let wanted = entries.filter(|entry| entry.file_name().to_str().is_some_and(&is_wanted));
    wanted.map(|entry| entry.path()).next()
}

/// The regular files in the folder's directories for programs.
fn executables(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![];
    for directory in program_directories(folder) {
        let entries = directory
            .read_dir()
            .map_err(|error| format!("{}: {error}", directory.display()))?;
        let files = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
        found.extend(files.map(|entry| entry.path()));
    }
    Ok(found)
}

fn program_directories(folder: &Path) -> Vec<PathBuf> {
    let postgres = folder.join("usr/lib/postgresql").read_dir();
    let versions = postgres.into_iter().flatten().flatten();
    [folder.join("usr/bin"), folder.join("usr/sbin")]
        .into_iter()
        .chain(versions.map(|version| version.path().join("bin")))
        .filter(|directory| directory.is_dir())
        .collect()
}

fn create(directory: &Path) -> StepResult {
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))
}
