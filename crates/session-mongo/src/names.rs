//! `DatabaseName` and `CollectionName`, names that are checked before the server sees them.

use session_core::config::ConfigError;

use crate::settings::{COLLECTION, DATABASE};

macro_rules! name {
    (
        $(#[$doc:meta])*
        $name:ident, $setting:ident, $default:literal, $max:literal, $invalid:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Box<str>);

        impl $name {
            /// The maximum length of a name, in bytes.
            pub const MAX_LEN: usize = $max;

            /// Creates a name from text.
            ///
            /// # Errors
            ///
            /// If `MongoDB` does not accept the name. The message says why.
            pub fn new(name: &str) -> Result<Self, ConfigError> {
                let refuse = |reason: &str| Err(ConfigError::new($setting, reason));
                if name.is_empty() || name.len() > Self::MAX_LEN {
                    return refuse(concat!("must have 1 to ", $max, " bytes"));
                }
                match $invalid(name) {
                    Some(reason) => refuse(reason),
                    None => Ok(Self(name.into())),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self($default.into())
            }
        }
    };
}

name! {
    /// The name of the database of the sessions: 1 to 63 bytes. Defaults to `flask_session`.
    DatabaseName, DATABASE, "flask_session", 63, |name: &str| {
        name.contains(|c| "/\\. \"$*<>:|?\0".contains(c))
            .then_some("must not contain a space or any of / \\ . \" $ * < > : | ?")
    }
}
name! {
    /// The name of the collection of the sessions: 1 to 190 bytes. Defaults to `sessions`.
    CollectionName, COLLECTION, "sessions", 190, |name: &str| {
        if name.contains(['$', '\0']) {
            Some("must not contain $ or a NUL byte")
        } else if name.starts_with("system.") {
            Some("must not start with system., which MongoDB reserves")
        } else if name.starts_with('.') || name.ends_with('.') {
            Some("must not start or end with a dot")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_server_would_refuse_are_refused() {
        for bad in ["", "a b", "a.b", "a/b", "a$", "a\0", &"x".repeat(64)] {
            assert!(DatabaseName::new(bad).is_err(), "{bad:?}");
        }
        for bad in [
            "",
            "a$b",
            "a\0",
            "system.users",
            ".a",
            "a.",
            &"x".repeat(191),
        ] {
            assert!(CollectionName::new(bad).is_err(), "{bad:?}");
        }
        assert_eq!(DatabaseName::new("app").unwrap().as_str(), "app");
        assert_eq!(
            CollectionName::new("web.sessions").unwrap().as_str(),
            "web.sessions"
        );
    }

    #[test]
    fn the_message_names_the_setting() {
        let error = DatabaseName::new("a b").unwrap_err();
        assert_eq!(error.name(), DATABASE);
        let error = CollectionName::new("$").unwrap_err();
        assert_eq!(error.name(), COLLECTION);
    }
}
