//! URLs in `SQLAlchemy`'s form.

use std::borrow::Cow;

/// The URL without the Python driver in its scheme, such as `+psycopg2` in
/// `postgresql+psycopg2://`.
///
/// A URL with a driver is certain to be `SQLAlchemy`'s. There, three slashes begin a relative path
/// of `SQLite`, and four an absolute one.
pub(crate) fn without_driver(url: &str) -> Cow<'_, str> {
    let Some((database, rest)) = url
        .split_once(':')
        .and_then(|(scheme, rest)| Some((scheme.split_once('+')?.0, rest)))
    else {
        return Cow::Borrowed(url);
    };
    let path = rest.strip_prefix("///");
    match (database, path) {
        ("sqlite", Some("")) => Cow::Borrowed("sqlite::memory:"),
        ("sqlite", Some(path)) => Cow::Owned(format!("sqlite://{path}")),
        ("sqlite", None) if rest == "//" => Cow::Borrowed("sqlite::memory:"),
        _ => Cow::Owned(format!("{database}:{rest}")),
    }
}

/// A URL that is certain to be `SQLAlchemy`'s, with a driver or without, as one of this crate.
///
/// `SQLAlchemy` creates `SQLite`'s file.
pub(crate) fn of_sqlalchemy(url: &str) -> String {
    let with_driver = match url.strip_prefix("sqlite:") {
        Some(path) => format!("sqlite+pysqlite:{path}"),
        None => url.to_owned(),
    };
    let mut url = without_driver(&with_driver).into_owned();
    if url.starts_with("sqlite://") && sqlite_mode(&url).is_none() {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str("mode=rwc");
    }
    url
}

/// The `mode` of a URL of `SQLite`, which the driver's options do not expose.
pub(crate) fn sqlite_mode(url: &str) -> Option<&str> {
    let (path, parameters) = url.split_once('?').unwrap_or((url, ""));
    if path.ends_with(":memory:") {
        return Some("memory");
    }
    parameters
        .split('&')
        .find_map(|pair| pair.strip_prefix("mode="))
}

#[cfg(test)]
mod tests {
    use super::{of_sqlalchemy, sqlite_mode, without_driver};

    #[test]
    fn the_mode_is_read_from_the_url() {
        assert_eq!(sqlite_mode("sqlite::memory:"), Some("memory"));
        assert_eq!(
            sqlite_mode("sqlite://:memory:?cache=shared"),
            Some("memory")
        );
        assert_eq!(
            sqlite_mode("sqlite://a.db?cache=shared&mode=ro"),
            Some("ro")
        );
        assert_eq!(sqlite_mode("sqlite://a.db"), None);
        assert_eq!(sqlite_mode("sqlite:///mode=memory/:memory:.d/a.db"), None);
    }

    #[test]
    fn sqlalchemys_sqlite_counts_slashes_in_its_way_and_creates_the_file() {
        for (sqlalchemy, ours) in [
            ("sqlite:////tmp/a.db", "sqlite:///tmp/a.db?mode=rwc"),
            ("sqlite:///a.db", "sqlite://a.db?mode=rwc"),
            ("sqlite+pysqlite:///a.db", "sqlite://a.db?mode=rwc"),
            (
                "sqlite:///a.db?cache=shared",
                "sqlite://a.db?cache=shared&mode=rwc",
            ),
            ("sqlite:///a.db?mode=rw", "sqlite://a.db?mode=rw"),
            ("sqlite:///mode=a.db", "sqlite://mode=a.db?mode=rwc"),
            ("sqlite://", "sqlite::memory:"),
            ("sqlite:///:memory:", "sqlite://:memory:"),
            ("postgresql+psycopg2://h/d", "postgresql://h/d"),
            ("mysql+pymysql://h/d", "mysql://h/d"),
        ] {
            assert_eq!(of_sqlalchemy(sqlalchemy), ours);
        }
    }

    #[test]
    fn a_python_driver_is_removed() {
        for (sqlalchemy, ours) in [
            ("postgresql+psycopg2://a:b+c@h/d", "postgresql://a:b+c@h/d"),
            (
                "mysql+pymysql://a@h/d?charset=utf8mb4",
                "mysql://a@h/d?charset=utf8mb4",
            ),
            ("mariadb+mysqldb://h/d", "mariadb://h/d"),
            ("sqlite+pysqlite:////var/a.db", "sqlite:///var/a.db"),
            ("sqlite+pysqlite:///a.db", "sqlite://a.db"),
            ("sqlite+pysqlite:///:memory:", "sqlite://:memory:"),
            ("sqlite+pysqlite://", "sqlite::memory:"),
            ("sqlite+pysqlite:///", "sqlite::memory:"),
        ] {
            assert_eq!(without_driver(sqlalchemy), ours);
        }
    }

    #[test]
    fn a_url_without_a_driver_stays() {
        for url in [
            "postgres://a:b@h/d",
            "sqlite::memory:",
            "sqlite:///var/a+b.db",
            "sqlite:////var/a.db",
            "hunter2",
        ] {
            assert_eq!(without_driver(url), url);
        }
    }
}
