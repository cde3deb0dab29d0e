use std::sync::LazyLock;

use redis::{Cmd, Pipeline};

/// A script on one key, named by its digest, and sent in full only to a server that does not know it.
pub(crate) struct Script {
    text: &'static str,
    digest: String,
}

pub(crate) static REPLACE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/replace.lua")));
pub(crate) static REPLACE_WHEN_FULL: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/replace_when_full.lua")));
pub(crate) static TOUCH: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/touch.lua")));
pub(crate) static DELETE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/delete.lua")));
pub(crate) static FORGET: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/forget.lua")));

impl Script {
    fn new(text: &'static str) -> Self {
        let digest = redis::Script::new(text).get_hash().to_owned();
        Self { text, digest }
    }

    /// The call by digest, which a server that lost its scripts refuses with `NOSCRIPT`.
    pub(crate) fn by_digest(&self, commands: &mut Pipeline, key: &str, args: &[&[u8]]) {
        commands.add_command(call("EVALSHA", &self.digest, key, args));
    }

    /// The call with the script's text, after which the server knows it.
    pub(crate) fn in_full(&self, commands: &mut Pipeline, key: &str, args: &[&[u8]]) {
        commands.add_command(call("EVAL", self.text, key, args));
    }
}

fn call(name: &str, script: &str, key: &str, args: &[&[u8]]) -> Cmd {
    let payloads: usize = args.iter().map(|arg| arg.len()).sum();
    let size = name.len() + script.len() + 1 + key.len() + payloads;
    // Made in its size: growing would copy the payload several times.
    let mut command = Cmd::with_capacity(4 + args.len(), size);
    command.arg(name).arg(script).arg(1).arg(key).arg(args);
    command
}
