//! What a proxy does to what passes through it.

use std::time::Duration;

/// What a [`ChaosProxy`](super::ChaosProxy) does to what passes through it.
///
/// The first seven last; the others happen once, to one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Disruption {
    /// Nothing.
    #[default]
    None,
    /// Each piece of a reply comes this much later.
    Latency(Duration),
    /// Connections are accepted and stay open, nothing passes; what was sent arrives when the
    /// damage ends.
    Blackhole,
    /// As [`Blackhole`](Self::Blackhole), but replies pass.
    SilentRequests,
    /// As [`Blackhole`](Self::Blackhole), but requests pass.
    SilentReplies,
    /// Replies pass a byte at a time, with this pause after each.
    Drip(Duration),
    /// As [`Drip`](Self::Drip), but requests, and replies pass.
    DripRequests(Duration),
    /// Of the next reply on any connection only so many bytes arrive, then that connection is
    /// closed.
    CutReply(usize),
    /// As [`CutReply`](Self::CutReply), but the connection ends by a TCP reset, on both sides.
    ResetReply(usize),
    /// Of the next request on any connection only so many bytes arrive, then that connection ends
    /// by a TCP reset, on both sides.
    ResetRequest(usize),
    /// As [`CutReply`](Self::CutReply), but the connection stays open, and is silent in both
    /// directions.
    HalfReply(usize),
    /// Of the next request on any connection only so many bytes arrive, then that connection is
    /// silent in both directions.
    HalfRequest(usize),
    /// The next request on any connection arrives, then that connection is silent in both
    /// directions.
    SilenceAfterRequest,
    /// The next piece of a reply that is so long, on any connection, lacks the byte at this place;
    /// all others arrive.
    DropByte(usize),
    /// The next reply on any connection is swallowed and that connection closed: the server did the
    /// work, the client does not know.
    DropReply,
    /// After so many pieces of replies, on any connection, the next piece never arrives, and its
    /// connection stays open.
    LoseReply(usize),
}

/// A damage to a single connection. One that lasts ends with the connection, or with
/// [`ChaosProxy::heal`](super::ChaosProxy::heal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Strike {
    /// Whether the next new connection is meant, and its pieces are counted, or those of all.
    pub new_connection: bool,
    /// It happens after so many pieces in both directions, to the next one that it fits. A new
    /// connection is hit before its first piece by a damage that lasts.
    pub after: usize,
    /// The damage.
    pub disruption: Disruption,
}

/// Who sends a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Reply,
}

impl Disruption {
    pub(super) fn lasts(self) -> bool {
        use Disruption::{
            Blackhole, Drip, DripRequests, Latency, None, SilentReplies, SilentRequests,
        };
        matches!(
            self,
            None | Latency(_)
                | Blackhole
                | SilentRequests
                | SilentReplies
                | Drip(_)
                | DripRequests(_)
        )
    }

    pub(super) fn holds(self, direction: Direction) -> bool {
        match self {
            Self::Blackhole => true,
            Self::SilentRequests => direction == Direction::Request,
            Self::SilentReplies => direction == Direction::Reply,
            _ => false,
        }
    }

    /// The pause after each byte, if they pass one at a time.
    pub(super) fn pause(self, direction: Direction) -> Option<Duration> {
        match (self, direction) {
            (Self::Drip(pause), Direction::Reply)
            | (Self::DripRequests(pause), Direction::Request) => Some(pause),
            _ => None,
        }
    }

    /// Whether it can happen to a piece of so many bytes.
    pub(super) fn fits(self, direction: Direction, length: usize) -> bool {
        match self {
            Self::ResetRequest(_) | Self::HalfRequest(_) | Self::SilenceAfterRequest => {
                direction == Direction::Request
            }
            Self::DropByte(place) => direction == Direction::Reply && place < length,
            _ => self.lasts() || direction == Direction::Reply,
        }
    }
}
