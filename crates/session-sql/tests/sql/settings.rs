//! Stores from a URL and from settings.

use session_core::config::Env;
use session_sql::{MySqlStore, PostgresStore, TableName};
use session_tests::scratch_dir;

#[test]
fn debug_and_errors_show_no_password() {
    let store = PostgresStore::connect("postgres://ada:hunter2@localhost/shop").unwrap();
    assert!(!format!("{store:?}").contains("hunter2"));
    for bad in [
        "postgres://ada:hunter2@localhost:port/shop",
        "postgres://ada:hunter2@localhost/shop?sslmode=wrong",
        "mysql://ada:hunter2@/?ssl-mode=wrong",
        "oracle://ada:hunter2@localhost/shop",
        "hunter2",
    ] {
        let error = session_sql::connect(bad).unwrap_err().to_string();
        assert!(error.starts_with("SESSION_SQL "), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn an_error_about_a_url_names_the_valid_schemes() {
    let error = MySqlStore::connect("postgres://localhost").unwrap_err();
    let expected = "SESSION_SQL must begin with one of mysql:, mariadb:";
    assert_eq!(error.to_string(), expected);
    let error = session_sql::connect("redis://localhost").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("sqlite:, postgres:, postgresql:, mysql:, mariadb:")
    );
}

#[test]
fn the_settings_name_database_and_table() {
    let url = ("SESSION_SQL", "postgresql://localhost/shop");
    let of = |settings: &[(&str, &str)]| {
        let all = [&[url], settings].concat();
        PostgresStore::from_env(&all.into_iter().collect::<Env>())
    };
    let shows = |store: &PostgresStore, table: TableName| {
        format!("{store:?}").contains(&format!("{table:?}"))
    };
    let logins = || TableName::new("logins").unwrap();
    assert!(shows(&of(&[]).unwrap(), TableName::default()));
    assert!(shows(
        &of(&[("SESSION_SQL_TABLE", "logins")]).unwrap(),
        logins()
    ));
    let ours = [
        ("SESSION_SQL_TABLE", "logins"),
        ("SESSION_SQL_SCHEMA", "web"),
    ];
    let flask = [
        ("SESSION_SQLALCHEMY_TABLE", "logins"),
        ("SESSION_SQLALCHEMY_SCHEMA", "web"),
    ];
    for names in [ours, flask] {
        let in_schema = logins().in_schema("web").unwrap();
        assert!(shows(&of(&names).unwrap(), in_schema));
    }
    let error = of(&[("SESSION_SQL_TABLE", "a b")]).unwrap_err();
    assert_eq!(error.name(), "SESSION_SQL_TABLE");
}

#[test]
fn sqlalchemys_url_is_read_unless_ours_is_set() {
    let of = |settings: &[(&str, &str)]| {
        let env: Env = settings.iter().copied().collect();
        session_sql::from_env(&env).map_err(|error| error.to_string())
    };
    let bad = ("SESSION_SQLALCHEMY", "oracle://ada:hunter2@localhost/shop");
    let error = of(&[bad]).unwrap_err();
    assert!(
        error.starts_with("SESSION_SQLALCHEMY must begin"),
        "{error}"
    );
    assert!(!error.contains("hunter2"), "{error}");
    of(&[bad, ("SESSION_SQL", "postgres://localhost/shop")]).unwrap();
    of(&[("SESSION_SQLALCHEMY", "postgresql+psycopg2://localhost/shop")]).unwrap();
}

#[tokio::test]
async fn sqlalchemys_three_slashes_are_a_relative_path_and_four_an_absolute_one() {
    let directory = scratch_dir();
    let file = directory.path().join("sessions.db");
    // The absolute path has a slash of its own.
    let url = format!("sqlite:///{}", file.display());
    let env = Env::from_iter([("SESSION_SQLALCHEMY", &*url)]);
    session_sql::from_env(&env)
        .unwrap()
        .migrate()
        .await
        .unwrap();
    assert!(file.exists());
}
