//! Finds free ports, and names them in URLs.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

static HANDED_OUT: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A server's URL with the port of a proxy, or of another server, in place of its own.
pub fn with_port(url: &str, own: u16, other: u16) -> String {
    // The last, because a password may contain the same digits.
    let around = url.rsplit_once(&format!(":{own}"));
    let (before, after) = around.unwrap_or_else(|| panic!("a URL without port {own}"));
    format!("{before}:{other}{after}")
}

/// A TCP port of 127.0.0.1 that nobody listens on and that this process has not handed out before.
///
/// It lies below the range from which the system takes the ports of outgoing connections: there, a
/// client that retries while its server is down can end up connected to itself and keep the server
/// from coming back.
pub fn free_port() -> u16 {
    let mut guard = HANDED_OUT.lock().unwrap_or_else(PoisonError::into_inner);
    let handed_out = guard.get_or_insert_default();
    for attempt in 0..1000_u32 {
        let port = 12_000
            + u16::try_from(RandomState::new().hash_one(attempt) % 18_000).expect("below 18,000");
        if !handed_out.contains(&port) && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            handed_out.insert(port);
            return port;
        }
    }
    panic!("no free port between 12,000 and 30,000 in a thousand attempts");
}
