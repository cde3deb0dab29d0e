//! Probes: a few bytes of each server's protocol, to see whether it works.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn connect(port: u16) -> io::Result<TcpStream> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// One command of a line-based protocol and what comes back at once.
pub(crate) fn ask(port: u16, line: &str) -> io::Result<String> {
    said(&mut connect(port)?, line)
}

/// The replies to two lines on one connection.
pub(crate) fn ask_twice(port: u16, first: &str, second: &str) -> io::Result<(String, String)> {
    let mut stream = connect(port)?;
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
