//! The bars: how many times as good as another candidate this library has to be.

use crate::{candidate::Candidate, figures::Round, plan::Row, route::Route};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Requests a second; more is better.
    Rate,
    /// Processor time for a request; less is better.
    Cpu,
    /// Processor time for a request, with that of the store; less is better.
    CpuWithStore,
    /// The median time from a request to its answer; less is better.
    Latency,
}

/// What ours is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Other {
    Candidate(Candidate),
    /// So many microseconds.
    Micros(f64),
}

/// How many times as good as another candidate ours has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) row: Row,
    pub(crate) route: Route,
    pub(crate) measure: Measure,
    pub(crate) ours: Candidate,
    pub(crate) other: Other,
    /// Nothing where it is only shown.
    pub(crate) at_least: Option<f64>,
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "requests/s",
            Self::Cpu => "CPU/request",
            Self::CpuWithStore => "CPU and store's",
            Self::Latency => "median latency",
        }
    }

    /// What is compared, so that more is better.
    pub(crate) fn of(self, round: Round) -> f64 {
        match self {
            Self::Rate => round.rate,
            Self::Cpu => 1.0 / round.cpu,
            Self::CpuWithStore => 1.0 / (round.cpu + round.store_cpu),
            Self::Latency => 1.0 / round.latency,
        }
    }
}
