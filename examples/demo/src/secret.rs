use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread::sleep,
    time::Duration,
};

use actix_server_sessions::session_core::config::{ConfigError, Env};
use base64::{Engine as _, engine::general_purpose::STANDARD};

const FILE: &str = "./demo-secret.key";

/// Adds the demo's own secret where the environment has none: made once, kept in a file that only
/// its owner reads.
pub(crate) fn provide(env: Env) -> Result<Env, ConfigError> {
    if env.get("SECRET_KEY").is_some() {
        return Ok(env);
    }
    let secret = made_or_read().map_err(|error| {
        ConfigError::new(
            "SECRET_KEY",
            format!("is unset, and {FILE} cannot be used instead: {error}"),
        )
    })?;
    Ok(env.or("SECRET_KEY", &secret))
}

fn made_or_read() -> std::io::Result<String> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    match options.open(FILE) {
        Ok(mut file) => {
            let mut bytes = [0; 48];
            getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
            let secret = STANDARD.encode(bytes);
            file.write_all(secret.as_bytes())?;
            Ok(secret)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(Path::new(FILE)),
        Err(error) => Err(error),
    }
}

/// Another demo that started at the same moment may not have written it yet.
fn read(path: &Path) -> std::io::Result<String> {
    for _ in 0..50 {
        let secret = fs::read_to_string(path)?;
        if secret.len() == 64 {
            return Ok(secret);
        }
        sleep(Duration::from_millis(10));
    }
    Err(std::io::Error::other(
        "it is not one that the demo wrote; delete it",
    ))
}
