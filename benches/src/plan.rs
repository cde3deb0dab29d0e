//! The plan of a contest: rounds, processor cores, and the rows that are measured.

/// How a contest is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) rounds: usize,
    /// The only row to measure has so many visitors; all rows if this is nothing.
    pub(crate) visitors: Option<usize>,
    /// The processor core of the programs that are measured.
    pub(crate) core: usize,
}

/// What the visitors of a row are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) visitors: usize,
    /// The length that is added to the sessions' 300 bytes.
    pub(crate) filler: usize,
    /// Whether all visitors use one session.
    pub(crate) shared: bool,
    /// How many users log in, one with each session; nobody if this is nothing.
    pub(crate) owners: Option<u32>,
}

impl Plan {
    /// 36 rounds.
    pub(crate) fn on(core: usize) -> Self {
        Self {
            rounds: 36,
            visitors: None,
            core,
        }
    }

    pub(crate) fn wants(self, row: Row) -> bool {
        self.visitors.is_none_or(|number| row.visitors == number)
    }
}

impl Row {
    /// Sessions of 300 bytes.
    pub(crate) const fn of(visitors: usize) -> Self {
        Self {
            visitors,
            filler: 0,
            shared: false,
            owners: None,
        }
    }

    pub(crate) const fn of_owners(self, owners: u32) -> Self {
        Self {
            owners: Some(owners),
            ..self
        }
    }

    pub(crate) const fn filled(self, filler: usize) -> Self {
        Self { filler, ..self }
    }

    pub(crate) const fn sharing(self) -> Self {
        Self {
            shared: true,
            ..self
        }
    }

    pub(crate) fn name(self) -> String {
        let visitors = match self.visitors {
            1 => "1 visitor".to_owned(),
            number => format!("{number} visitors"),
        };
        let size = match self.filler {
            0 => "300 B".to_owned(),
            filler => format!("{} KB", filler / 1000),
        };
        let shared = if self.shared { " in one session" } else { "" };
        format!("{visitors}{shared}, {size}")
    }
}
