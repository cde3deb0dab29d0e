//! Starts the demo without any configuration.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::paths::{built, target};
use crate::steps::{StepResult, Steps};

/// The demo starts in an empty directory without any configuration, and answers.
pub(crate) fn check(steps: &mut Steps) -> StepResult {
    steps.check(
        "demo",
        "DEMO_ADDR=127.0.0.1:0 demo, in an empty directory: GET / and GET /plain",
        || {
            let directory = target().join("smoke");
            // Left by a run that was interrupted, if at all.
            let _ = fs::remove_dir_all(&directory);
            fs::create_dir(&directory)
                .map_err(|error| format!("{}: {error}", directory.display()))?;
            let mut demo = Command::new(built("demo"));
            demo.env("DEMO_ADDR", "127.0.0.1:0")
                .current_dir(&directory)
                .stdin(Stdio::null())
                .stdout(Stdio::piped());
            let mut demo = demo.spawn().map_err(|error| format!("demo: {error}"))?;
            let outcome = answers(&mut demo);
            demo.kill()
                .and_then(|()| demo.wait())
                .map_err(|error| format!("demo: {error}"))?;
            fs::remove_dir_all(&directory)
                .map_err(|error| format!("{}: {error}", directory.display()))?;
            outcome
        },
    )
}

fn answers(demo: &mut Child) -> StepResult {
    let output = BufReader::new(demo.stdout.take().ok_or("the demo has no output")?);
    let lines = output.lines().map_while(Result::ok);
    let line = lines
        .into_iter()
        .find(|line| line.contains("http://"))
        .ok_or("the demo ended without naming its address")?;
    println!("{line}");
    let after = line.split("http://").nth(1).unwrap_or_default();
    let address = after
        .split(|next: char| !next.is_ascii_digit() && !".:".contains(next))
        .next()
        .unwrap_or_default();
    let page = get(address, "/")?;
    if !(page.starts_with("HTTP/1.1 200") && page.contains("<html")) {
        return Err(format!("GET / answered {page}"));
    }
    let plain = get(address, "/plain")?;
    if !(plain.starts_with("HTTP/1.1 200") && plain.ends_with("\r\n\r\nok")) {
        return Err(format!("GET /plain answered {plain}"));
    }
    Ok(())
}

fn get(address: &str, path: &str) -> Result<String, String> {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().map_err(|error: std::io::Error| format!("GET {path}: {error}"))
}
