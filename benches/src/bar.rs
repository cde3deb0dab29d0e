//! The bars: how many times as good as another candidate this library has to be.

use crate::{candidate::Candidate, figures::Round, route::Route};

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Measure {
    /// Requests a second; more is better.
    Rate,
    /// Processor time for a request; less is better.
    Cpu,
}

/// How many times as good as another candidate ours has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bar {
    pub(crate) route: Route,
    pub(crate) measure: Measure,
    pub(crate) ours: Candidate,
    pub(crate) other: Candidate,
    /// Nothing where it is only shown.
    pub(crate) at_least: Option<f64>,
}

impl Measure {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "requests/s",
            Self::Cpu => "CPU/request",
        }
    }

    /// How many times as good `ours` is.
    pub(crate) fn ratio(self, ours: Round, other: Round) -> f64 {
        match self {
            Self::Rate => ours.rate / other.rate,
            Self::Cpu => other.cpu / ours.cpu,
        }
    }
}
