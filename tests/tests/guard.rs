//! No server outlives the test program, however that ends.

use std::io::{self, BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use session_tests::RedisServer;

#[tokio::test]
#[ignore = "the program that the other test kills"]
async fn victim() {
    let server = RedisServer::start(&[]).await;
    eprintln!("\n{} {}", server.port(), server.directory().display());
    std::future::pending::<()>().await;
}

#[test]
fn a_killed_test_program_leaves_no_server() -> io::Result<()> {
    let mut victim = Command::new(std::env::current_exe()?)
        .args(["--exact", "victim", "--ignored", "--nocapture"])
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
        assert!(
            begin.elapsed() < Duration::from_secs(10),
            "the server on port {port} or {directory} is still there"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}
