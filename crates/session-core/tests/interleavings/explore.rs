//! Enumerates the decisions of a run, or takes them from a seed.

/// The decisions of one run; the next run differs in the last one that still has another way to go.
#[derive(Debug, Default)]
pub(crate) struct Path {
    taken: Vec<(usize, usize)>,
    position: usize,
    random: Option<u64>,
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
        if self.position == self.taken.len() {
            self.taken.push((0, ways));
        }
        let (way, known) = self.taken[self.position];
        assert_eq!(known, ways, "the same decisions lead to the same choice");
        self.position += 1;
        way
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
