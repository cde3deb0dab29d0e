use session_core::config::ConfigError;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $setting:literal, $default:literal, $max:literal, $refused:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(Box<str>);

        impl $name {
            /// The longest name, in bytes.
            pub const MAX_LEN: usize = $max;

            /// Checks and takes `name`.
            ///
            /// # Errors
            ///
            /// If `MongoDB` would not take the name; the message says why.
            pub fn new(name: &str) -> Result<Self, ConfigError> {
                let refuse = |reason: &str| Err(ConfigError::new($setting, reason));
                if name.is_empty() || name.len() > Self::MAX_LEN {
                    return refuse(concat!("must have 1 to ", $max, " bytes"));
                }
                match $refused(name) {
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
    /// The database that holds the collection of sessions: 1 to 63 bytes. Defaults to `flask_session`.
    DatabaseName, "SESSION_MONGODB_DB", "flask_session", 63, |name: &str| {
        name.contains(|c| "/\\. \"$*<>:|?\0".contains(c))
            .then_some("must hold no space and none of / \\ . \" $ * < > : | ?")
    }
}
name! {
    /// The collection of sessions: 1 to 190 bytes. Defaults to `sessions`.
    CollectionName, "SESSION_MONGODB_COLLECT", "sessions", 190, |name: &str| {
        if name.contains(['$', '\0']) {
            Some("must hold no $")
        } else if name.starts_with("system.") {
            Some("must not begin with system., which is MongoDB's own")
        } else if name.starts_with('.') || name.ends_with('.') {
            Some("must neither begin nor end with a dot")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_server_refuses_are_refused_before() {
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
        assert_eq!(error.name(), "SESSION_MONGODB_DB");
        let error = CollectionName::new("$").unwrap_err();
        assert_eq!(error.name(), "SESSION_MONGODB_COLLECT");
    }
}
