//! The Lua scripts, composed of the files in `scripts/`.

use std::sync::LazyLock;

/// A script. The server knows it by its digest; the text is sent only if the server does not have
/// it.
pub(crate) struct Script {
    pub(crate) text: &'static str,
    pub(crate) digest: String,
    /// The script to run instead if the server is out of memory.
    pub(crate) on_oom: Option<&'static LazyLock<Script>>,
}

macro_rules! script {
    ($name:ident, $($part:literal)+, $on_oom:expr) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = concat!($(include_str!(concat!("scripts/", $part, ".lua"))),+);
            Script {
                text,
                digest: redis::Script::new(text).get_hash().to_owned(),
                on_oom: $on_oom,
            }
        });
    };
}

script! { INSERT, "set_entry" "require_absent" "write_record", None }
script! { UPDATE, "set_entry" "require_unchanged" "write_record", Some(&UPDATE_ON_OOM) }
script! {
    UPDATE_ON_OOM,
    "allow_oom" "set_entry" "require_unchanged" "require_smaller" "write_record", None
}
script! {
    UPDATE_TAGGED, "set_entry" "require_tagged" "write_record", Some(&UPDATE_TAGGED_ON_OOM)
}
script! {
    UPDATE_TAGGED_ON_OOM,
    "allow_oom" "set_entry" "require_tagged" "require_smaller" "write_record", None
}
script! { DELETE, "delete_record", None }
script! { EXTEND_ENTRY, "set_entry" "extend_entry", None }
script! { SHORTEN_ENTRY, "set_entry" "shorten_entry", Some(&SHORTEN_ENTRY_ON_OOM) }
script! { SHORTEN_ENTRY_ON_OOM, "allow_oom" "set_entry" "shorten_entry", None }
