//! Random numbers from a seed, and random damages.

use std::time::Duration;

use session_tests::{Disruption, Strike};

/// `SplitMix64`.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Less than `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let limit = u64::try_from(limit).expect("a small number");
        usize::try_from((x ^ (x >> 31)) % limit).expect("less than the limit")
    }

    pub(crate) fn fork(&mut self) -> Self {
        Self::new(u64::try_from(self.below(usize::MAX)).expect("64 bits"))
    }

    /// One of the damages, at one of the next messages: of a connection in use, or of a new one, so
    /// at its log-in.
    pub(crate) fn strike(&mut self) -> Strike {
        let new_connection = self.below(10) < 3;
        Strike {
            new_connection,
            after: self.below(if new_connection { 12 } else { 60 }),
            disruption: self.disruption(),
        }
    }

    fn disruption(&mut self) -> Disruption {
        let bytes = self.below(60);
        match self.below(15) {
            0 => Disruption::Blackhole,
            1 => Disruption::SilentRequests,
            2 => Disruption::SilentReplies,
            3 => Disruption::Drip(Duration::from_secs(1)),
            4 => Disruption::Latency(Duration::from_millis(20 + 5 * bytes as u64)),
            5 => Disruption::CutReply(bytes),
            6 => Disruption::ResetReply(bytes),
            7 => Disruption::ResetRequest(bytes),
            8 => Disruption::HalfReply(bytes),
            9 => Disruption::HalfRequest(bytes),
            10 => Disruption::SilenceAfterRequest,
            11 => Disruption::DropByte(bytes),
            12 => Disruption::DropReply,
            13 => Disruption::LoseReply(0),
            _ => Disruption::DripRequests(Duration::from_secs(1)),
        }
    }
}
