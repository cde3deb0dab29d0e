//! A visitor: a small HTTP client with one connection and one cookie.

use std::{io, net::SocketAddr, str};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{record, route::Route};

/// Speaks as much HTTP as an answer with a length needs, keeps the cookie it is given, and checks
/// what it is told.
pub(crate) struct Visitor {
    address: SocketAddr,
    stream: TcpStream,
    cookie: String,
    visits: u64,
    /// Whether others use the same session at the same time, so that the numbers are not final.
    shares: bool,
    received: Vec<u8>,
    request: Vec<u8>,
    /// What `request` asks for; nothing once the cookie has changed.
    prepared: Option<Route>,
}

impl Visitor {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            address,
            stream: open(address).await?,
            cookie: String::new(),
            visits: 0,
            shares: false,
            received: Vec::with_capacity(4096),
            request: Vec::with_capacity(512),
            prepared: None,
        })
    }

    /// Uses the session of another visitor from now on.
    pub(crate) fn share(&mut self, other: &mut Self) {
        self.cookie.clone_from(&other.cookie);
        self.prepared = None;
        (self.shares, other.shares) = (true, true);
    }

    /// Comes without a cookie the next time.
    pub(crate) fn forget(&mut self) {
        self.cookie.clear();
        self.prepared = None;
    }

    /// Changes the session once more; how many changes it has kept then.
    pub(crate) async fn visits(&mut self) -> io::Result<u64> {
        self.ask(Route::Change).await?;
        Ok(self.visits)
    }

    /// Begins a connection of its own again: servers end those that were idle for long.
    pub(crate) async fn reconnect(&mut self) -> io::Result<()> {
        self.stream = open(self.address).await?;
        Ok(())
    }

    /// One request and its whole answer.
    ///
    /// # Errors
    ///
    /// If the answer is not the one that this visitor's session must give.
    pub(crate) async fn ask(&mut self, route: Route) -> io::Result<()> {
        if self.prepared != Some(route) {
            self.prepare(route);
        }
        self.stream.write_all(&self.request).await?;
        let (head, whole) = self.receive().await?;
        let (head, body) = (&self.received[..head], &self.received[head..whole]);
        let right = match route {
            Route::Read => body == record::read().as_bytes(),
            Route::Change => {
                let visits = str::from_utf8(body).ok().and_then(|text| text.parse().ok());
                let expected = self.visits + 1;
                self.visits = visits.unwrap_or_default();
                self.visits == expected || self.shares
            }
            Route::Fill => true,
        };
        if !head.starts_with(b"HTTP/1.1 200 ") || !right {
            let text = String::from_utf8_lossy(&self.received[..whole]);
            return Err(io::Error::other(format!("/{}: {text}", route.name())));
        }
        // Some send the same cookie each time, and remove others.
        if let Some(pair) = fields(head, b"set-cookie").find_map(pair)
            && pair != self.cookie.as_bytes()
        {
            self.cookie = String::from_utf8_lossy(pair).into_owned();
            self.prepared = None;
        }
        Ok(())
    }

    fn prepare(&mut self, route: Route) {
        let (method, path, cookie) = (route.method(), route.name(), &self.cookie);
        self.request.clear();
        self.request.extend_from_slice(
            format!("{method} /{path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\ncookie: {cookie}\r\n\r\n")
                .as_bytes(),
        );
        self.prepared = Some(route);
    }

    /// Receives one answer; where its body begins and ends.
    async fn receive(&mut self) -> io::Result<(usize, usize)> {
        self.received.clear();
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let end = self
                .received
                .windows(4)
                .position(|four| four == b"\r\n\r\n");
            let Some(head) = end.map(|end| end + 4) else {
                continue;
            };
            let length = fields(&self.received[..head], b"content-length").next();
            let length = length.and_then(|text| str::from_utf8(text).ok()?.parse::<usize>().ok());
            let length = length.ok_or_else(|| io::Error::other("an answer without a length"))?;
            if self.received.len() >= head + length {
                return Ok((head, head + length));
            }
        }
    }
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The values of the fields called `name`, which is given in small letters.
fn fields<'a>(head: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    head.split(|byte| *byte == b'\n').filter_map(|line| {
        let (given, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        given.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// The name and the value of a cookie; nothing if it is removed.
fn pair(cookie: &[u8]) -> Option<&[u8]> {
    let pair = cookie.split(|byte| *byte == b';').next()?;
    let value = pair.splitn(2, |byte| *byte == b'=').nth(1)?;
    (!value.is_empty()).then_some(pair)
}
