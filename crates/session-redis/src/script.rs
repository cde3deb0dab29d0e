use std::sync::LazyLock;

use redis::Cmd;

use crate::{batch::command, exchange::Resend};

/// A script, named by its digest, and sent in full only to a server that does not know it.
pub(crate) struct Script {
    text: &'static str,
    digest: String,
    pub(crate) resend: Resend,
    /// What to run instead when the server is out of memory.
    pub(crate) when_full: Option<&'static LazyLock<Script>>,
}

macro_rules! script {
    ($name:ident, [$($part:literal),+], $resend:ident, $when_full:expr) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            let text = concat!($(include_str!(concat!("scripts/", $part, ".lua"))),+);
            Script {
                text,
                digest: redis::Script::new(text).get_hash().to_owned(),
                resend: Resend::$resend,
                when_full: $when_full,
            }
        });
    };
}

script!(INSERT, ["enter", "insert"], Never, None);
script!(
    UPDATE,
    ["enter", "compare", "replace"],
    Never,
    Some(&UPDATE_WHEN_FULL)
);
script!(
    UPDATE_WHEN_FULL,
    ["allow_oom", "enter", "compare", "full", "replace"],
    Never,
    None
);
script!(DELETE, ["delete"], Never, None);
script!(ENTER_BEFORE, ["enter", "before"], Never, None);
script!(
    ENTER_AFTER,
    ["enter", "after"],
    Never,
    Some(&ENTER_AFTER_WHEN_FULL)
);
script!(
    ENTER_AFTER_WHEN_FULL,
    ["allow_oom", "enter", "after"],
    Never,
    None
);
script!(HEADS, ["heads"], Once, None);

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
