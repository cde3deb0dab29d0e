//! Servers that the tests have not started: services of docker compose, or a server of one's own
//! that a variable names.

use std::env;
use std::sync::LazyLock;
use std::thread;

use crate::binary::are_of_a_folder;
use crate::compose::{self, Service};
use crate::host::Host;
use crate::own_server::{CHOSEN_BY_NAME, EntryKind, KINDS, Kind, LIST, List};

static THE_LIST: LazyLock<List> =
    LazyLock::new(|| List::read().unwrap_or_else(|error| panic!("{error}")));

/// The test that runs on this thread.
struct RunningTest {
    package: String,
    name: String,
}

impl RunningTest {
    /// `None` on other threads, in a program that cargo has not started as a test, and where another
    /// version of a server is tested: the tests there are chosen, and some run nowhere else.
    fn on_this_thread() -> Option<Self> {
        if are_of_a_folder() {
            return None;
        }
        let thread = thread::current();
        let name = thread.name().filter(|name| *name != "main")?;
        let of_a_path = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == ':';
        // One that fails already is to say why.
        let is_test = name.chars().all(of_a_path) && !thread::panicking();
        let package = env::var("CARGO_PKG_NAME").ok().filter(|_| is_test)?;
        let name = name.to_owned();
        Some(Self { package, name })
    }

    /// Whether the list has a line of one of these kinds for it.
    fn is_listed(&self, kinds: &[EntryKind]) -> bool {
        let mut entries = THE_LIST.0.iter();
        entries.any(|it| kinds.contains(&it.kind) && it.is_of(&self.package, &self.name))
    }

    /// Whether it says that it uses a server of this kind, to whoever chooses tests by that.
    fn tells(&self, kind: &Kind) -> bool {
        if self.package == CHOSEN_BY_NAME {
            return kind.is_in_the_name(&self.name);
        }
        let used = THE_LIST.used(&self.package, &self.name);
        let is_chosen = used.contains(&kind.name) && kind.packages().any(|it| it == self.package);
        is_chosen || self.is_listed(&[EntryKind::Ends, EntryKind::Other])
    }
}

/// The kind of server that the harness calls so; `None` for a program that is no server of sessions.
fn kind_of(server: &str) -> Option<&'static Kind> {
    let name = match server {
        "redis-server" | "redis-sentinel" => "redis",
        "memcached" => "memcached",
        "mongod" | "SecantusDB" => "mongodb",
        "postgres" | "pgbouncer" => "postgres",
        "mariadbd" => "mysql",
        _ => return None,
    };
    KINDS.iter().find(|kind| kind.name == name)
}

/// Fails a test that uses a server of this kind and does not say so: it would fail where only
/// another server is given, and not run on other versions of this one.
fn uses(kind: &Kind) {
    if let Some(test) = RunningTest::on_this_thread() {
        assert!(
            test.tells(kind),
            "{} of {} uses {} and does not say so: by its name, or (not in {CHOSEN_BY_NAME}) by a \
             line of {LIST} that begins with `uses`",
            test.name,
            test.package,
            kind.name
        );
    }
}

/// The same for the server that the harness calls so.
pub(crate) fn uses_server(name: &str) {
    if let Some(kind) = kind_of(name) {
        uses(kind);
    }
}

/// Fails a test that ends, freezes or changes its server and is not listed: it would fail where the
/// server is a person's.
pub(crate) fn ends_its_server() {
    is_listed_as(
        &[EntryKind::Ends, EntryKind::Other],
        "ends or changes its server",
    );
}

/// Fails a test that is not listed and needs `what`, which a server that runs already does not have.
pub(crate) fn needs_its_own(what: &str) {
    is_listed_as(&[EntryKind::Other], what);
    assert!(
        !compose::in_use() && named().next().is_none(),
        "a running server has not what this test needs ({what}): the test belongs into {LIST}"
    );
}

fn is_listed_as(kinds: &[EntryKind], what: &str) {
    if let Some(test) = RunningTest::on_this_thread() {
        assert!(
            test.is_listed(kinds),
            "{} of {} belongs into {LIST}, in a line that begins with {} ({what})",
            test.name,
            test.package,
            format!("{kinds:?}").to_lowercase()
        );
    }
}

/// The value of `variable`, or where the tests use docker compose and it is not set, the address of
/// the service there.
pub(crate) fn address(variable: &str, service: &str) -> Option<String> {
    let mut kinds = KINDS.iter();
    let kind = kinds.find(|it| it.variable == variable);
    let kind = kind.expect("a variable of a kind");
    uses(kind);
    let given = named_of(kind);
    if given.is_none() {
        no_person_gives(variable);
    }
    given.or_else(|| compose::in_use().then(|| service.to_owned()))
}

/// What a person names by the variable of this kind; fails the test if that has no value.
fn named_of(kind: &Kind) -> Option<String> {
    kind.named().unwrap_or_else(|error| panic!("{error}"))
}

/// The kinds of which a person names a server.
fn named() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().filter(|kind| named_of(kind).is_some())
}

/// Fails the test if a person has named servers for the tests, and it needs another: `what`.
fn no_person_gives(what: &str) {
    if let (Some(named), false) = (named().next(), compose::in_use()) {
        panic!(
            "{} names a server, and this test needs another ({what}): {LIST} has to say so",
            named.variable
        );
    }
}

/// Fails a test that is not listed and starts a group of servers, which docker compose has and a
/// person does not name.
pub(crate) fn starts_a_group() {
    is_listed_as(&[EntryKind::Ends, EntryKind::Other], "a group of servers");
    no_person_gives("a group of servers");
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

/// Empties the server on `port` and brings its settings back, if it is a service. Whether it is one.
pub(crate) fn renew(port: u16) -> bool {
    let service = Service::on(port);
    if let Some(service) = &service {
        service.renew();
    }
    service.is_some()
}

/// Fails a test that is not listed and wants settings.
pub(crate) fn without_settings(settings: &[&str]) {
    if !settings.is_empty() {
        needs_its_own(&format!("the settings {settings:?}"));
    }
}

/// A server that only its owner may start and end.
#[derive(Debug)]
struct Foreign(u16);

impl Foreign {
    fn refuse(&self) -> ! {
        panic!(
            "the server on port {} is not the tests' own, and this test starts, ends or freezes it: \
             the test belongs into {LIST}",
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
