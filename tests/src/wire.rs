//! Probes: a few bytes of each server's protocol, to see whether it works.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// A probe is repeated until the server works.
const OF_A_PROBE: Duration = Duration::from_secs(2);
/// A command is sent once, and may be a long one on a busy machine.
const OF_A_COMMAND: Duration = Duration::from_secs(20);

pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    connect_within(port, OF_A_PROBE)
}

fn connect_within(port: u16, limit: Duration) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    Ok(stream)
}

/// A probe by one line of a line-based protocol: what comes back at once.
pub(crate) fn ask(port: u16, line: &str) -> io::Result<String> {
    said(&mut connect(port)?, line)
}

/// One command of a line-based protocol, and what comes back.
pub(crate) fn command(port: u16, line: &str) -> io::Result<String> {
    said(&mut connect_within(port, OF_A_COMMAND)?, line)
}

/// The replies to two commands on one connection.
pub(crate) fn two_commands(port: u16, first: &str, second: &str) -> io::Result<(String, String)> {
    let mut stream = connect_within(port, OF_A_COMMAND)?;
    Ok((said(&mut stream, first)?, said(&mut stream, second)?))
}

fn said(stream: &mut TcpStream, line: &str) -> io::Result<String> {
    stream.write_all(format!("{line}\r\n").as_bytes())?;
    let mut reply = vec![0; 65_536];
    let length = stream.read(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

pub(crate) fn expect(condition: bool, what: &str) -> io::Result<()> {
    if condition {
        Ok(())
    } else {
        Err(io::Error::other(what.to_owned()))
    }
}
