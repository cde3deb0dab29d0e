use std::sync::LazyLock;

use redis::Cmd;

use crate::batch::command;

/// A script, named by its digest, and sent in full only to a server that does not know it.
pub(crate) struct Script {
    text: &'static str,
    digest: String,
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

script! { INSERT, "enter" "insert", None }
script! { UPDATE, "enter" "compare" "replace", Some(&UPDATE_WHEN_FULL) }
script! { UPDATE_WHEN_FULL, "allow_oom" "enter" "compare" "full" "replace", None }
script! { DELETE, "delete", None }
script! { ENTER_BEFORE, "enter" "before", None }
script! { ENTER_AFTER, "enter" "after", Some(&ENTER_AFTER_WHEN_FULL) }
script! { ENTER_AFTER_WHEN_FULL, "allow_oom" "enter" "after", None }

impl Script {
    /// The call by digest, which a server that lost its scripts refuses with `NOSCRIPT`.
    pub(crate) fn by_digest(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        call("EVALSHA", &self.digest, keys, args)
    }

    /// The call with the script's text, after which the server knows it.
    pub(crate) fn in_full(&self, keys: &[&str], args: &[&[u8]]) -> Cmd {
        call("EVAL", self.text, keys, args)
    }
}

fn call(name: &str, script: &str, keys: &[&str], args: &[&[u8]]) -> Cmd {
    let count = keys.len().to_string();
    let before = [name, script, &count];
    let words = before.iter().chain(keys).map(|word| word.as_bytes());
    command(&words.chain(args.iter().copied()).collect::<Vec<_>>())
}
