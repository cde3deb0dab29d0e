use std::sync::LazyLock;

/// A script, named by its digest, and sent in full only to a server that does not know it.
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) digest: String,
    /// What to run instead when the server is out of memory.
    pub(crate) when_full: Option<&'static LazyLock<Script>>,
}

macro_rules! script {
    ($name:ident, $($part:literal)+, $when_full:expr) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = concat!($(include_str!(concat!("scripts/", $part, ".lua"))),+);
            Script {
                text,
                digest: redis::Script::new(text).get_hash().to_owned(),
                when_full: $when_full,
            }
        });
    };
}

script! { INSERT, "enter" "vacant" "replace", None }
script! { UPDATE, "enter" "compare" "replace", Some(&UPDATE_WHEN_FULL) }
script! { UPDATE_WHEN_FULL, "allow_oom" "enter" "compare" "full" "replace", None }
script! { DELETE, "delete", None }
script! { ENTER_BEFORE, "enter" "before", None }
script! { ENTER_AFTER, "enter" "after", Some(&ENTER_AFTER_WHEN_FULL) }
script! { ENTER_AFTER_WHEN_FULL, "allow_oom" "enter" "after", None }
