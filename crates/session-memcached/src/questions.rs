//! Questions to a node for which the driver has no command, in memcached's text protocol, on a connection
//! of their own.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::error::CallError;

/// The lines of the answer to `command`, up to the last one. Each may take `patience`, and so may
/// connecting.
pub(crate) async fn ask(
    address: &str,
    command: &str,
    patience: Duration,
    mut line: impl FnMut(&str),
) -> Result<(), CallError> {
    let connect = timeout(patience, TcpStream::connect(address)).await;
    let stream = connect.map_err(|_| CallError::Timeout)?;
    let mut stream = BufReader::new(stream.map_err(|error| CallError::Unreachable(error.into()))?);
    let broke = |error: io::Error| CallError::Disconnected(error.into());
    let command = format!("{command}\r\n");
    timeout(patience, stream.write_all(command.as_bytes()))
        .await
        .map_err(|_| CallError::Timeout)?
        .map_err(broke)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let read = timeout(patience, stream.read_until(b'\n', &mut bytes)).await;
        if read.map_err(|_| CallError::Timeout)?.map_err(broke)? == 0 {
            return Err(broke(io::ErrorKind::UnexpectedEof.into()));
        }
        let text = String::from_utf8_lossy(&bytes);
        let text = text.trim_end();
        match text.split(' ').next() {
            Some("END") => return Ok(()),
            Some("BUSY") => return Err(CallError::Busy),
            Some("ERROR" | "CLIENT_ERROR" | "SERVER_ERROR") => {
                return Err(CallError::Server(text.into()));
            }
            _ => line(text),
        }
    }
}
