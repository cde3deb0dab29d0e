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
    pub(crate) fn by_digest(&self, key: &str, args: &[&[u8]]) -> Pipeline {
        call(redis::cmd("EVALSHA").arg(&self.digest), key, args)
    }

    /// The call with the script's text, after which the server knows it.
    pub(crate) fn in_full(&self, key: &str, args: &[&[u8]]) -> Pipeline {
        call(redis::cmd("EVAL").arg(self.text), key, args)
    }
}

fn call(command: &mut Cmd, key: &str, args: &[&[u8]]) -> Pipeline {
    command.arg(1).arg(key).arg(args);
    let mut pipeline = Pipeline::with_capacity(1);
    pipeline.add_command(std::mem::take(command));
    pipeline
}
