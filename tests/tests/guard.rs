//! No server outlives the test program, however that ends.

use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use session_tests::{RedisServer, assert_in_time};

/// Set for the program that is killed: this test, started again.
const VICTIM: &str = "SESSION_TEST_VICTIM";

async fn start_and_wait_for_the_end() {
    let server = RedisServer::start(&[]).await;
    eprintln!("\n{} {}", server.port(), server.directory().display());
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_killed_test_program_leaves_no_server() -> io::Result<()> {
    if std::env::var_os(VICTIM).is_some() {
        start_and_wait_for_the_end().await;
    }
    let mut victim = Command::new(std::env::current_exe()?)
        .args([
            "--exact",
            "a_killed_test_program_leaves_no_server",
            "--nocapture",
        ])
        .env(VICTIM, "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(victim.stderr.take().expect("it is piped"))
        .lines()
        .map_while(Result::ok);
    let (port, directory) = lines
        .find_map(|line| {
            line.split_once(' ')
                .and_then(|(port, dir)| Some((port.parse::<u16>().ok()?, dir.to_owned())))
        })
        .expect("the victim names its server");
    TcpStream::connect(("127.0.0.1", port))?;

    victim.kill()?;
    victim.wait()?;

    let begin = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_ok() || Path::new(&directory).exists() {
        assert_in_time!(
            begin.elapsed() < Duration::from_secs(10),
            "the server on port {port} or {directory} is still there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
