//! Enumerates the decisions of a run, or takes them from a seed.

/// The decisions of one run; the next run differs in the last one that still has another way to go.
#[derive(Debug, Default)]
pub(crate) struct Path {
    taken: Vec<(usize, usize)>,
    position: usize,
    random: Option<u64>,
    /// Where this run has another choice than an earlier one that decided the same.
    strayed_at: Option<usize>,
}

impl Path {
    /// Decisions by a generator that gives the same ones for the same seed.
    pub(crate) fn random(seed: usize) -> Self {
        Self {
            random: Some((seed as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            ..Self::default()
        }
    }

    /// One of `ways` ways.
    pub(crate) fn choose(&mut self, ways: usize) -> usize {
        if let Some(state) = &mut self.random {
            // xorshift64
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            return usize::try_from(*state >> 33).expect("31 bits") % ways;
        }
        if self.strayed_at.is_some() {
            return 0;
        }
        if self.position == self.taken.len() {
            self.taken.push((0, ways));
        }
        let (way, known) = self.taken[self.position];
        if known != ways {
            self.strayed_at = Some(self.position);
            return 0;
        }
        self.position += 1;
        way
    }

    /// Whether the run strayed: the same decisions led to another choice. Ids are random, and in one
    /// of 1,024 runs two keys share a queue. `again` says how often in a row this happened; if it
    /// goes on, it was the earlier run that strayed, and its decisions are forgotten. The next run
    /// begins anew.
    pub(crate) fn strayed(&mut self, again: usize) -> bool {
        let Some(position) = self.strayed_at.take() else {
            return false;
        };
        if again > 0 && again.is_multiple_of(3) {
            self.taken.truncate(position);
        }
        self.position = 0;
        true
    }

    /// Turns to the next run; false if there is none.
    pub(crate) fn advance(&mut self) -> bool {
        self.position = 0;
        while let Some((way, ways)) = self.taken.pop() {
            if way + 1 < ways {
                self.taken.push((way + 1, ways));
                return true;
            }
        }
        false
    }
}
