use std::sync::LazyLock;

use redis::{Cmd, Pipeline};

/// A script, named by its digest, and sent in full only to a server that does not know it.
pub(crate) struct Script {
    text: &'static str,
    digest: String,
    /// What to run instead when the server is out of memory.
    pub(crate) when_full: Option<&'static LazyLock<Script>>,
}

macro_rules! script {
    ($name:ident, [$($part:literal),+], $when_full:expr) => {
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!($(include_str!(concat!("scripts/", $part, ".lua"))),+), $when_full)
        });
    };
}

script!(INSERT, ["enter", "insert"], None);
script!(
    UPDATE,
    ["enter", "compare", "replace"],
    Some(&UPDATE_WHEN_FULL)
);
script!(
    UPDATE_WHEN_FULL,
    ["allow_oom", "enter", "compare", "full", "replace"],
    None
);
script!(ENTER_BEFORE, ["enter", "before"], None);
script!(
    ENTER_AFTER,
    ["enter", "after"],
    Some(&ENTER_AFTER_WHEN_FULL)
);
script!(ENTER_AFTER_WHEN_FULL, ["allow_oom", "enter", "after"], None);
script!(DELETE, ["delete"], None);

impl Script {
    fn new(text: &'static str, when_full: Option<&'static LazyLock<Script>>) -> Self {
        let digest = redis::Script::new(text).get_hash().to_owned();
        Self {
            text,
            digest,
            when_full,
        }
    }

    /// The call by digest, which a server that lost its scripts refuses with `NOSCRIPT`.
    pub(crate) fn by_digest(&self, commands: &mut Pipeline, keys: &[&str], args: &[&[u8]]) {
        commands.add_command(call("EVALSHA", &self.digest, keys, args));
    }

    /// The call with the script's text, after which the server knows it.
    pub(crate) fn in_full(&self, commands: &mut Pipeline, keys: &[&str], args: &[&[u8]]) {
        commands.add_command(call("EVAL", self.text, keys, args));
    }
}

fn call(name: &str, script: &str, keys: &[&str], args: &[&[u8]]) -> Cmd {
    let keys_size: usize = keys.iter().map(|key| key.len()).sum();
    let args_size: usize = args.iter().map(|arg| arg.len()).sum();
    let size = name.len() + script.len() + 1 + keys_size + args_size;
    // Made in its size: growing would copy the record several times.
    let mut command = Cmd::with_capacity(3 + keys.len() + args.len(), size);
    command
        .arg(name)
        .arg(script)
        .arg(keys.len())
        .arg(keys)
        .arg(args);
    command
}
