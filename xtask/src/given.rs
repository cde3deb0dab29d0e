//! The tests against servers that run already: which of them those servers serve.

use std::process::{Command, Stdio};

use crate::own_server::{Entry, EntryKind, KINDS, Kind, LIST, List, servers};
use crate::paths::root;
use crate::steps::{StepResult, output};

/// The servers that the tests have: one entry for each, so that a kind can occur more than once.
#[derive(Debug)]
pub(crate) struct Given(Vec<&'static str>);

impl Given {
    /// Those that the environment names; `None` if it names none.
    ///
    /// # Errors
    ///
    /// If a variable has no value.
    pub(crate) fn by_environment() -> Result<Option<Self>, String> {
        let mut named = vec![];
        for kind in KINDS {
            if let Some(value) = kind.named()? {
                named.extend(servers(&value).map(|_| kind.name));
            }
        }
        Ok((!named.is_empty()).then_some(Self(named)))
    }

    /// For a command that uses other servers than those that the environment names.
    ///
    /// # Errors
    ///
    /// If it names any: the harness would take them, and a person's sessions with them.
    pub(crate) fn refuse() -> StepResult {
        let Some(given) = Self::by_environment()? else {
            return Ok(());
        };
        let kinds = KINDS.iter().filter(|kind| given.0.contains(&kind.name));
        let variables: Vec<_> = kinds.map(|kind| kind.variable).collect();
        Err(format!(
            "the servers of {} are for `cargo xtask test` alone: unset such variables for other commands",
            variables.join(" and ")
        ))
    }

    /// The packages with tests that these servers serve.
    pub(crate) fn packages(&self) -> Vec<&'static str> {
        let given = KINDS.iter().filter(|kind| self.0.contains(&kind.name));
        let mut packages: Vec<_> = given.flat_map(Kind::packages).collect();
        packages.sort_unstable();
        packages.dedup();
        packages
    }

    /// Which of the kinds in `used` are missing, each as often as it is.
    fn missing<'k>(&self, used: &[&'k str]) -> Vec<&'k str> {
        let mut left = self.0.clone();
        let mut missing = used.to_vec();
        missing.retain(|kind| {
            let found = left.iter().position(|it| it == kind);
            found.map(|place| left.swap_remove(place)).is_none()
        });
        missing
    }
}

/// The list, and which tests have not run because of it and of missing servers.
#[derive(Debug)]
pub(crate) struct Selection {
    /// `None` with docker compose, which has every server.
    given: Option<Given>,
    list: List,
    /// How many tests of a package lack servers, and which.
    lacking: Vec<(String, String, usize)>,
}

impl Selection {
    /// Docker compose can end, freeze and start its services: only what needs another server than
    /// those is left out there.
    pub(crate) fn read(given: Option<Given>) -> Result<Self, String> {
        Ok(Self::new(List::read()?, given))
    }

    fn new(list: List, given: Option<Given>) -> Self {
        Self {
            given,
            list,
            lacking: vec![],
        }
    }

    /// Whether there is every kind of server.
    pub(crate) fn is_all(&self) -> bool {
        self.given.is_none()
    }

    /// The names of the package's tests that are to run, of those that `tests` would run and
    /// `is_run` allows. An entry without a test is an error.
    pub(crate) fn of(
        &mut self,
        package: &str,
        tests: &Command,
        is_run: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, String> {
        let mut list = Command::new(tests.get_program());
        list.args(tests.get_args())
            .arg("--list")
            .current_dir(root());
        let listed = output(list.stderr(Stdio::inherit()))?;
        let names = listed
            .lines()
            .filter_map(|line| line.strip_suffix(": test"));
        let mut selected = self.select(package, names.map(str::to_owned).collect())?;
        selected.retain(|name| is_run(name));
        Ok(selected)
    }

    fn select(&mut self, package: &str, mut names: Vec<String>) -> Result<Vec<String>, String> {
        for entry in self.list.0.iter().filter(|it| it.package == package) {
            if !names.iter().any(|name| name.starts_with(&entry.test)) {
                return Err(format!("{LIST}: {package} has no test {}", entry.test));
            }
        }
        for entry in self.left_out().filter(|it| it.package == package) {
            names.retain(|name| !name.starts_with(&entry.test));
        }
        let Some(given) = &self.given else {
            return Ok(names);
        };
        let mut lacking = vec![];
        names.retain(|name| {
            let missing = given.missing(&self.list.used(package, name));
            if !missing.is_empty() {
                lacking.push(missing.join(", "));
            }
            missing.is_empty()
        });
        lacking.sort_unstable();
        for same in lacking.chunk_by(|one, other| one == other) {
            self.lacking
                .push((package.to_owned(), same[0].clone(), same.len()));
        }
        Ok(names)
    }

    /// The entries whose tests do not run.
    fn left_out(&self) -> impl Iterator<Item = &Entry> {
        let under_compose = self.given.is_none();
        self.list.0.iter().filter(move |entry| match entry.kind {
            EntryKind::Ends => !under_compose,
            EntryKind::Other => true,
            EntryKind::Uses => false,
        })
    }

    /// Says what has not run of these packages.
    pub(crate) fn report(&self, is_selected: impl Fn(&str) -> bool) {
        println!("\nNot run, as {LIST} says:");
        for entry in self.left_out().filter(|it| is_selected(&it.package)) {
            println!("  {} {} ({})", entry.package, entry.test, entry.text);
        }
        if !self.lacking.is_empty() {
            println!("\nNot run, because no variable names these servers:");
        }
        for (package, servers, tests) in &self.lacking {
            println!("  {package}: {tests} tests that use {servers}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_LIST: &str = "# a comment\n\n\
        ends session-sql outage::postgres::a_killed_server ends its server\n\
        other session-sql failover:: starts primaries\n\
        uses session-tests increments:: redis postgres\n\
        uses session-memcached nodes:: memcached memcached\n";

    fn selected(given: &[&'static str], package: &str, names: &[&str]) -> (Vec<String>, Selection) {
        let list = List::parse(A_LIST).expect("the list is right");
        let mut selection = Selection::new(list, Some(Given(given.to_vec())));
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let selected = selection.select(package, names).expect("each has a test");
        (selected, selection)
    }

    const OF_SQL: &[&str] = &[
        "outage::postgres::a_killed_server_is_an_error",
        "outage::postgres::a_locked_table",
        "outage::mariadb::a_locked_table",
        "outage::sqlite::a_locked_table",
        "failover::a_replica",
    ];

    #[test]
    fn one_server_runs_the_tests_that_use_it_or_none_and_no_others() {
        let (names, selection) = selected(&["postgres"], "session-sql", OF_SQL);
        assert_eq!(
            names,
            [
                "outage::postgres::a_locked_table",
                "outage::sqlite::a_locked_table"
            ]
        );
        let lacking = ("session-sql".to_owned(), "mysql".to_owned(), 1);
        assert_eq!(selection.lacking, [lacking]);
        let (names, _) = selected(&["mysql"], "session-sql", OF_SQL);
        assert_eq!(
            names,
            [
                "outage::mariadb::a_locked_table",
                "outage::sqlite::a_locked_table"
            ]
        );
    }

    #[test]
    fn a_line_of_the_list_says_what_a_name_does_not() {
        let names = ["increments::are_kept", "outages::redis_away"];
        let (names_of_one, _) = selected(&["redis"], "session-tests", &names);
        assert_eq!(names_of_one, ["outages::redis_away"]);
        let (both, _) = selected(&["redis", "postgres"], "session-tests", &names);
        assert_eq!(both, names);
    }

    #[test]
    fn a_test_that_needs_more_servers_of_a_kind_than_are_named_does_not_run() {
        let names = ["nodes::every_node", "keys::a_key"];
        let (one, selection) = selected(&["memcached"], "session-memcached", &names);
        assert_eq!(one, ["keys::a_key"]);
        assert_eq!(selection.lacking[0].1, "memcached");
        let (two, _) = selected(&["memcached"; 2], "session-memcached", &names);
        assert_eq!(two, names);
    }

    #[test]
    fn docker_compose_has_every_server_and_ends_its_own() {
        let list = List::parse(A_LIST).expect("the list is right");
        let mut selection = Selection::new(list, None);
        let names = OF_SQL.iter().map(|&name| name.to_owned()).collect();
        let names = selection
            .select("session-sql", names)
            .expect("all are there");
        assert_eq!(names, OF_SQL[..4]);
    }

    #[test]
    fn a_line_without_a_test_and_a_wrong_line_are_errors() {
        let list = List::parse(A_LIST).expect("the list is right");
        let mut selection = Selection::new(list, None);
        let error = selection.select("session-sql", vec!["other".to_owned()]);
        assert!(error.is_err_and(|it| it.contains("has no test outage::")));
        for wrong in [
            "ends session-sql test",
            "skips session-sql test x",
            "uses session-tests test oracle",
            "uses session-sql test postgres",
        ] {
            assert!(List::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_packages_are_those_with_tests_of_the_named_servers() {
        let packages = Given(vec!["memcached"]).packages();
        assert_eq!(
            packages,
            [
                "session-memcached",
                "session-stores",
                "session-tests",
                "sessionctl"
            ]
        );
    }
}
