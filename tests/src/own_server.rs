//! Which servers a test uses, and which tests a server that runs already cannot serve.
//!
//! `xtask` compiles this file, too, and chooses the tests by it. The harness checks at each use of a
//! server that what the test's name and the list say is true.

use std::env;
use std::fs;
use std::path::Path;

/// Lists the tests that a server which is running already cannot serve.
pub(crate) const LIST: &str = "tests/own-server.txt";

/// The package whose tests are chosen by the words in their names alone where they run on another
/// version of a server (`cargo xtask matrix`), and on MySQL in place of MariaDB.
pub(crate) const CHOSEN_BY_NAME: &str = "session-sql";

/// A kind of server that a person can name by a variable.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As in the list.
    pub(crate) name: &'static str,
    pub(crate) variable: &'static str,
    /// What a test's name contains that uses it.
    words: &'static [&'static str],
    /// The package whose tests all use it, unless their names say otherwise.
    package: Option<&'static str>,
    /// Further packages with tests that use it.
    others: &'static [&'static str],
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        name: "redis",
        variable: "SESSION_TEST_REDIS_URL",
        words: &["redis"],
        package: Some("session-redis"),
        others: &["session-stores", "session-tests", "sessionctl"],
    },
    Kind {
        name: "memcached",
        variable: "SESSION_TEST_MEMCACHED",
        words: &["memcached"],
        package: Some("session-memcached"),
        others: &["session-stores", "session-tests", "sessionctl"],
    },
    Kind {
        name: "mongodb",
        variable: "SESSION_TEST_MONGODB_URL",
        words: &["mongo"],
        package: Some("session-mongo"),
        others: &["session-tests", "sessionctl"],
    },
    Kind {
        name: "postgres",
        variable: "SESSION_TEST_POSTGRES_URL",
        words: &["postgres"],
        package: None,
        others: &["session-sql", "session-tests", "sessionctl"],
    },
    Kind {
        name: "mysql",
        variable: "SESSION_TEST_MYSQL_URL",
        words: &["mariadb", "mysql"],
        package: None,
        others: &["session-sql", "session-tests", "sessionctl"],
    },
];

impl Kind {
    /// The packages with tests that use it.
    pub(crate) fn packages(&self) -> impl Iterator<Item = &'static str> {
        self.package.iter().chain(self.others).copied()
    }

    /// The server, or the servers, that the variable names; `None` if it is not set.
    ///
    /// # Errors
    ///
    /// If it has no value: whoever set it expects that the tests use a server of theirs.
    pub(crate) fn named(&self) -> Result<Option<String>, String> {
        let Some(value) = env::var_os(self.variable) else {
            return Ok(None);
        };
        let value = value.into_string().ok();
        let value = value.filter(|it| servers(it).next().is_some());
        value.map(Some).ok_or_else(|| {
            format!(
                "{} is set and names no server: give it one, as CONTRIBUTING.md says, or unset it",
                self.variable
            )
        })
    }

    pub(crate) fn is_in_the_name(&self, test: &str) -> bool {
        self.words.iter().any(|word| test.contains(word))
    }
}

/// The servers in the value of a variable.
pub(crate) fn servers(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|it| !it.is_empty())
}

/// A line of the list.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    pub(crate) package: String,
    /// A test, or the beginning of the names of several.
    pub(crate) test: String,
    /// Why it is left out, or the servers that it uses.
    pub(crate) text: String,
}

impl Entry {
    /// Whether it names this test of the package.
    pub(crate) fn is_of(&self, package: &str, test: &str) -> bool {
        self.package == package && test.starts_with(&self.test)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum EntryKind {
    /// Docker compose can do it.
    Ends,
    /// Only the tests' own server can.
    Other,
    /// It uses other servers than its package and its name say.
    Uses,
}

/// What stands in the file.
#[derive(Debug)]
pub(crate) struct List(pub(crate) Vec<Entry>);

impl List {
    pub(crate) fn read() -> Result<Self, String> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(LIST);
        let text = fs::read_to_string(path).map_err(|error| format!("{LIST}: {error}"))?;
        Self::parse(&text)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let lines = lines.filter(|line| !line.is_empty());
        lines.map(parse_line).collect::<Result<_, _>>().map(Self)
    }

    /// The kinds of the servers that a test uses, one for each server.
    pub(crate) fn used(&self, package: &str, test: &str) -> Vec<&str> {
        let mut entries = self.0.iter();
        let says = |it: &&Entry| it.kind == EntryKind::Uses && it.is_of(package, test);
        if let Some(entry) = entries.find(says) {
            return entry.text.split(' ').collect();
        }
        let used = KINDS
            .iter()
            .filter(|kind| kind.package == Some(package) || kind.is_in_the_name(test));
        used.map(|kind| kind.name).collect()
    }
}

fn parse_line(line: &str) -> Result<Entry, String> {
    let wrong = || format!("{LIST}: a line is `ends|other|uses PACKAGE TEST TEXT`, not {line:?}");
    let mut fields = line.splitn(4, char::is_whitespace).map(str::trim);
    let mut field = || fields.next().filter(|it| !it.is_empty());
    let kind = match field() {
        Some("ends") => EntryKind::Ends,
        Some("other") => EntryKind::Other,
        Some("uses") => EntryKind::Uses,
        _ => return Err(wrong()),
    };
    let (Some(package), Some(test), Some(rest)) = (field(), field(), field()) else {
        return Err(wrong());
    };
    if kind == EntryKind::Uses {
        let known = |name| KINDS.iter().any(|kind| kind.name == name);
        if !rest.split(' ').all(known) {
            return Err(wrong());
        }
        if package == CHOSEN_BY_NAME {
            return Err(format!(
                "{LIST}: the tests of {package} say their server by their names: {test}"
            ));
        }
    }
    Ok(Entry {
        kind,
        package: package.to_owned(),
        test: test.to_owned(),
        text: rest.to_owned(),
    })
}
