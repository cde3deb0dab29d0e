//! TLS: what certificates are refused, that an outage is an error in time, and what it costs.

use std::{
    ops::Deref,
    time::{Duration, Instant},
};

use session_core::SessionStore as _;
use session_sql::{SqlStore, sqlx};
use session_tests::{
    Certificates, ChaosProxy, Disruption, MariaDb, Postgres, Server, Strike, Watch, assert_in_time,
    with_port,
};

use crate::{
    availability::{all_calls_fail, recovers_soon, succeeds},
    databases::{TestDatabase, each_server},
    records::{error_chain, insert, key, load, record},
};

/// A server with a certificate.
trait TlsServer: TestDatabase {
    type Server: Deref<Target = Server> + Send + Sync + 'static;
    /// The URL's parameters for a connection without TLS, for one that checks certificate and name,
    /// and for one that checks the certificate alone. `{}` is the file with the authority.
    const PLAIN: &'static str;
    const CHECKED: &'static str;
    const NAME_UNCHECKED: &'static str;
    /// For one that must have TLS.
    const REQUIRED: &'static str;
    /// 1 if the connection that asks has TLS.
    const IS_ENCRYPTED: &'static str;

    async fn start(certificates: &Certificates) -> Self::Server;

    async fn start_without_tls() -> Self::Server;

    fn url(server: &Self::Server) -> String;

    /// The parameters for a connection by the server's Unix socket.
    fn by_socket(server: &Self::Server) -> String;
}

impl TlsServer for sqlx::Postgres {
    type Server = Postgres;
    const PLAIN: &'static str = "?sslmode=disable";
    const CHECKED: &'static str = "?sslmode=verify-full&sslrootcert={}";
    const NAME_UNCHECKED: &'static str = "?sslmode=verify-ca&sslrootcert={}";
    const REQUIRED: &'static str = "?sslmode=require";
    const IS_ENCRYPTED: &'static str =
        "SELECT ssl::int::bigint FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

    async fn start(certificates: &Certificates) -> Postgres {
        Postgres::start_with_tls(certificates).await
    }

    async fn start_without_tls() -> Postgres {
        Postgres::start_with(&["ssl=off"]).await
    }

    fn url(server: &Postgres) -> String {
        server.url()
    }

    fn by_socket(server: &Postgres) -> String {
        format!("{}&host={}", Self::PLAIN, server.directory().display())
    }
}

impl TlsServer for sqlx::MySql {
    type Server = MariaDb;
    const PLAIN: &'static str = "?ssl-mode=DISABLED";
    const CHECKED: &'static str = "?ssl-mode=VERIFY_IDENTITY&ssl-ca={}";
    const NAME_UNCHECKED: &'static str = "?ssl-mode=VERIFY_CA&ssl-ca={}";
    const REQUIRED: &'static str = "?ssl-mode=REQUIRED";
    const IS_ENCRYPTED: &'static str = "SELECT CAST(variable_value <> '' AS SIGNED) \
        FROM {status} WHERE variable_name = 'Ssl_cipher'";

    async fn start(certificates: &Certificates) -> MariaDb {
        MariaDb::start_with_tls(certificates).await
    }

    async fn start_without_tls() -> MariaDb {
        // Newer servers offer it by themselves.
        let off = if MariaDb::starts_mysql() {
            "--tls-version="
        } else {
            "--skip-ssl"
        };
        MariaDb::start_with(&[off]).await
    }

    fn url(server: &MariaDb) -> String {
        server.url()
    }

    fn by_socket(server: &MariaDb) -> String {
        format!("{}&socket={}", Self::PLAIN, server.socket().display())
    }
}

each_server!(
    a_checked_connection_is_encrypted,
    a_certificate_of_another_name_is_refused_and_the_error_says_so,
    a_certificate_of_an_unknown_authority_is_refused_and_the_error_says_so,
    a_server_without_tls_is_refused_and_the_error_says_so,
    an_outage_is_an_error_in_time,
    a_handshake_that_ends_or_falls_silent_is_an_error_in_time_and_costs_no_place,
    an_update_of_16_kb_takes_at_most_half_as_long_again,
    an_update_of_20_kb_on_the_socket_takes_at_most_half_as_long_again,
);

fn store<D: TlsServer>(server: &D::Server, parameters: &str) -> SqlStore<D> {
    let url = format!("{}{parameters}", D::url(server));
    SqlStore::connect(&url).expect("the URL is valid")
}

fn trusting(parameters: &str, certificates: &Certificates) -> String {
    parameters.replace("{}", &certificates.authority())
}

async fn is_encrypted<D: TlsServer>(store: &SqlStore<D>) -> bool {
    // The two servers keep it in different places.
    let status = [
        "performance_schema.session_status",
        "information_schema.session_status",
    ];
    let mut connection = store.pool().acquire().await.unwrap();
    for place in status {
        let sql = D::IS_ENCRYPTED.replace("{status}", place);
        if let Ok(number) = D::number(&mut connection, &sql).await {
            return number == 1;
        }
    }
    panic!("the server does not say")
}

async fn a_checked_connection_is_encrypted<D: TlsServer>() {
    let certificates = Certificates::of_localhost();
    let server = D::start(&certificates).await;
    for parameters in [D::CHECKED, D::NAME_UNCHECKED] {
        let store = store::<D>(&server, &trusting(parameters, &certificates));
        store.migrate().await.unwrap();
        let key = key();
        insert(&store, &key, &record(b"one")).await;
        assert_eq!(load(&store, &key).await.unwrap().bytes, b"one"[..]);
        assert!(is_encrypted(&store).await, "{parameters}");
    }
    let plain = store::<D>(&server, D::PLAIN);
    assert!(!is_encrypted(&plain).await);
}

/// The error of a call, which names the address and has to have these words.
async fn is_refused<D: TlsServer>(server: &D::Server, parameters: &str, words: &[&str]) {
    let store = store::<D>(server, parameters);
    let (began, limit) = (Watch::start(), Duration::from_secs(3));
    let errors = [
        store.load(&key()).await.unwrap_err(),
        store.migrate().await.unwrap_err(),
    ];
    let took = began.stop(limit).await;
    assert_in_time!(took < limit, "{took:?}");
    for error in errors {
        let error = error_chain(&error);
        let address = format!("127.0.0.1:{}", server.port());
        for word in words.iter().chain([&&*address]) {
            assert!(error.contains(word), "no {word:?} in {error:?}");
        }
        assert!(!error.contains("session:session"), "{error}");
    }
}

async fn a_certificate_of_another_name_is_refused_and_the_error_says_so<D: TlsServer>() {
    let certificates = Certificates::of_another_host();
    let server = D::start(&certificates).await;
    let checked = trusting(D::CHECKED, &certificates);
    is_refused::<D>(&server, &checked, &["certificate", "not valid for name"]).await;
    // Only the name is wrong.
    let unchecked = trusting(D::NAME_UNCHECKED, &certificates);
    store::<D>(&server, &unchecked).migrate().await.unwrap();
}

async fn a_certificate_of_an_unknown_authority_is_refused_and_the_error_says_so<D: TlsServer>() {
    let server = D::start(&Certificates::of_localhost()).await;
    let other = Certificates::of_localhost();
    for parameters in [D::CHECKED, D::NAME_UNCHECKED] {
        let parameters = trusting(parameters, &other);
        is_refused::<D>(&server, &parameters, &["certificate", "UnknownIssuer"]).await;
    }
}

async fn a_server_without_tls_is_refused_and_the_error_says_so<D: TlsServer>() {
    let server = D::start_without_tls().await;
    is_refused::<D>(&server, D::REQUIRED, &["server does not support TLS"]).await;
}

async fn an_outage_is_an_error_in_time<D: TlsServer>() {
    let certificates = Certificates::of_localhost();
    let server = D::start(&certificates).await;
    let store = store::<D>(&server, &trusting(D::CHECKED, &certificates));
    store.migrate().await.unwrap();
    let key = key();
    insert(&store, &key, &record(b"before")).await;
    server.freeze();
    for _ in 0..3 {
        all_calls_fail(&store).await;
    }
    server.thaw();
    recovers_soon(&store).await;
    assert_eq!(load(&store, &key).await.unwrap().bytes, b"before"[..]);
    server.kill();
    for _ in 0..2 {
        all_calls_fail(&store).await;
    }
    server.restart().await;
    recovers_soon(&store).await;
}

/// At each of the messages by which a connection is opened, and those of its first call.
async fn a_handshake_that_ends_or_falls_silent_is_an_error_in_time_and_costs_no_place<
    D: TlsServer,
>() {
    let certificates = Certificates::of_localhost();
    let server = D::start(&certificates).await;
    let proxy = ChaosProxy::start(server.port()).await;
    let url = with_port(&D::url(&server), server.port(), proxy.port());
    let url = format!("{url}{}", trusting(D::CHECKED, &certificates));
    let store = SqlStore::<D>::connect(&url).unwrap();
    store.migrate().await.unwrap();
    for disruption in [
        Disruption::SilentReplies,
        Disruption::HalfReply(7),
        Disruption::ResetReply(7),
        Disruption::ResetRequest(7),
    ] {
        for after in 0..8 {
            proxy.reset_connections();
            proxy.strike(Strike {
                new_connection: true,
                after,
                disruption,
            });
            let began = Instant::now();
            while proxy.strikes_left() > 0 {
                succeeds(store.load(&key())).await;
                let waited = began.elapsed();
                assert_in_time!(waited < Duration::from_secs(5), "{disruption:?} {after}");
            }
        }
        recovers_soon(&store).await;
    }
    let (began, limit) = (Watch::start(), Duration::from_secs(2));
    while store.pool().size() as usize != store.pool().num_idle() {
        assert_in_time!(began.stop(limit).await < limit, "a place is held");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How many times as long an update takes at the second store as at the first. Both take turns, so
/// that other load of the machine affects both.
async fn times_as_long<D: TlsServer>(stores: &[SqlStore<D>; 2], size: usize) -> f64 {
    const UPDATES: usize = 100;
    let bytes = vec![7; size];
    let (mut keys, mut times) = ([key(), key()], [vec![], vec![]]);
    stores[0].migrate().await.unwrap();
    for (store, key) in stores.iter().zip(&mut keys) {
        insert(store, key, &record(&bytes)).await;
    }
    for _ in 0..UPDATES {
        for ((store, key), times) in stores.iter().zip(&keys).zip(&mut times) {
            let revision = load(store, key).await.unwrap().revision;
            let began = Instant::now();
            let write = store.update(key, &record(&bytes), &revision).await;
            times.push(began.elapsed());
            assert!(write.unwrap().is_stored());
        }
    }
    let [first, second] = times.map(|mut times| {
        times.sort_unstable();
        times[UPDATES / 2].as_secs_f64()
    });
    eprintln!("update of {size} bytes: {first:.6} s and {second:.6} s");
    second / first
}

/// What the README says of the driver, which keeps larger updates over TLS waiting.
async fn an_update_of_16_kb_takes_at_most_half_as_long_again<D: TlsServer>() {
    let certificates = Certificates::of_localhost();
    let server = D::start(&certificates).await;
    let encrypted = trusting(D::CHECKED, &certificates);
    let stores = [D::PLAIN, &encrypted].map(|parameters| store::<D>(&server, parameters));
    let times = times_as_long(&stores, 16_000).await;
    assert!(times < 1.5, "{times:.2} times");
}

/// The README's way round.
async fn an_update_of_20_kb_on_the_socket_takes_at_most_half_as_long_again<D: TlsServer>() {
    let server = D::start(&Certificates::of_localhost()).await;
    let socket = D::by_socket(&server);
    let stores = [D::PLAIN, &socket].map(|parameters| store::<D>(&server, parameters));
    let times = times_as_long(&stores, 20_000).await;
    assert!(times < 1.5, "{times:.2} times");
}
