//! Servers that the tests have not started: services of docker compose, or a server of one's own
//! that a variable names.

use std::env;

use crate::compose::{self, Service};
use crate::host::Host;

/// One for each kind of server. Where one is set, no server of another kind is started: a person who
/// has one server need not have the others.
const VARIABLES: [&str; 5] = [
    "SESSION_TEST_REDIS_URL",
    "SESSION_TEST_MEMCACHED",
    "SESSION_TEST_MONGODB_URL",
    "SESSION_TEST_POSTGRES_URL",
    "SESSION_TEST_MYSQL_URL",
];

/// The value of `variable`, or where the tests use docker compose and it is not set, the address of
/// the service there.
pub(crate) fn address(variable: &str, service: &str) -> Option<String> {
    let given = env::var(variable).ok();
    let given = given.or_else(|| compose::in_use().then(|| service.to_owned()));
    if given.is_none() {
        no_person_gives(variable);
    }
    given
}

/// Fails the test if a person has named servers for the tests, and it needs another: `what`.
pub(crate) fn no_person_gives(what: &str) {
    let mut set = VARIABLES.iter().filter(|name| env::var_os(name).is_some());
    if let (Some(named), false) = (set.next(), compose::in_use()) {
        panic!(
            "{named} names a server, and this test needs another ({what}): the test belongs into \
             tests/own-server.txt"
        );
    }
}

/// Fails the test if the URL has a user or a password: the harness talks to the server, too.
pub(crate) fn without_log_in(url: &str) {
    // Without the URL, in which the password is.
    assert!(
        !url.contains('@'),
        "the tests log in to no Redis and no MongoDB: name a server that needs no password"
    );
}

/// The port of a URL, or of an address without a scheme, on 127.0.0.1.
pub(crate) fn port(url: &str) -> u16 {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let (_, host) = authority.rsplit_once('@').unwrap_or(("", authority));
    let port = host
        .strip_prefix("127.0.0.1:")
        .and_then(|port| port.parse().ok());
    port.unwrap_or_else(|| panic!("a server of the tests must be on 127.0.0.1:port, not {host:?}"))
}

/// Who starts and ends the server on `port`.
pub(crate) fn host(port: u16) -> Box<dyn Host> {
    match Service::on(port) {
        Some(service) => Box::new(service),
        None => Box::new(Foreign(port)),
    }
}

/// Empties the server on `port` and brings its settings back, if it is a service.
pub(crate) fn renew(port: u16) {
    if let Some(service) = Service::on(port) {
        service.renew();
    }
}

/// Fails the test if it wants settings that a running server does not have, where there is one.
pub(crate) fn without_settings(settings: &[&str]) {
    let is_given = compose::in_use() || VARIABLES.iter().any(|name| env::var_os(name).is_some());
    assert!(
        settings.is_empty() || !is_given,
        "a running server cannot get the settings {settings:?}: the test belongs into tests/own-server.txt"
    );
}

/// A server that only its owner may start and end.
#[derive(Debug)]
struct Foreign(u16);

impl Foreign {
    fn refuse(&self) -> ! {
        panic!(
            "the server on port {} is not the tests' own, and this test starts, ends or freezes it: \
             the test belongs into tests/own-server.txt",
            self.0
        )
    }
}

impl Host for Foreign {
    fn is_of_a_person(&self) -> bool {
        true
    }

    fn start(&self) -> Result<(), String> {
        self.refuse()
    }

    fn kill(&self) {
        self.refuse()
    }

    fn freeze(&self) {
        self.refuse()
    }

    fn thaw(&self) {
        self.refuse()
    }
}
