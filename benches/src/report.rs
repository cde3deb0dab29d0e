//! Prints the comparisons, and says whether every bar was met.

use crate::{
    bar::{Bar, Other},
    candidate::Candidate,
    figures::{Figure, Round},
    plan::Row,
    route::Route,
};

/// All rounds of one candidate on one route of one row.
pub(crate) struct Entry {
    pub(crate) row: Row,
    pub(crate) candidate: Candidate,
    pub(crate) route: Route,
    pub(crate) rounds: Vec<Round>,
}

impl Entry {
    pub(crate) fn new(row: Row, candidate: Candidate, route: Route) -> Self {
        Self {
            row,
            candidate,
            route,
            rounds: Vec::new(),
        }
    }

    /// Prints the last round.
    pub(crate) fn print_last(&self) {
        let Some(round) = self.rounds.last() else {
            return;
        };
        println!(
            "{:>4} {:<34} {:<8} {:<24} {:>8.0}/s {:>8.1} µs {:>8.1} µs of the store, median {:>8.0} µs",
            self.rounds.len(),
            self.row.name(),
            self.route.name(),
            self.candidate.name(),
            round.rate,
            round.cpu,
            round.store_cpu,
            round.latency,
        );
    }
}

/// What each came to: the middle of its rounds, and their range.
pub(crate) fn print(title: &str, entries: &[Entry]) {
    println!(
        "\n{title}, {} rounds\n{:<34} {:<8} {:<24} {:>24} {:>20} {:>20} {:>22}",
        entries.first().map_or(0, |entry| entry.rounds.len()),
        "visitors, sessions",
        "route",
        "",
        "requests/s",
        "CPU, µs",
        "store's CPU, µs",
        "median latency, µs",
    );
    for entry in entries {
        let figure = |of: fn(&Round) -> f64, digits: usize| {
            let figure = Figure::of(entry.rounds.iter().map(of));
            format!(
                "{:.digits$} ({:.digits$}-{:.digits$})",
                figure.median, figure.least, figure.most
            )
        };
        println!(
            "{:<34} {:<8} {:<24} {:>24} {:>20} {:>20} {:>22}",
            entry.row.name(),
            entry.route.name(),
            entry.candidate.name(),
            figure(|round| round.rate, 0),
            figure(|round| round.cpu, 1),
            figure(|round| round.store_cpu, 1),
            figure(|round| round.latency, 0),
        );
    }
}

/// Prints every comparison, and says whether every bar was met.
///
/// Each ratio is of two measurements of one round, a few seconds apart; what counts is the middle
/// of them.
pub(crate) fn judge(bars: &[Bar], entries: &[Entry]) -> bool {
    println!();
    let mut all = true;
    for bar in bars {
        let values = |candidate| {
            let found = entries.iter().find(|entry| {
                entry.row == bar.row && entry.candidate == candidate && entry.route == bar.route
            });
            let rounds = found.map_or(&[][..], |entry| &entry.rounds);
            rounds.iter().map(|round| bar.measure.of(*round))
        };
        let ours = values(bar.ours);
        let (name, ratio) = match bar.other {
            Other::Candidate(other) => {
                let ratios = ours.zip(values(other)).map(|(ours, other)| ours / other);
                (other.name().to_owned(), Figure::of(ratios))
            }
            Other::Micros(micros) => {
                let ratios = ours.map(|ours| ours * micros);
                (format!("{micros} µs"), Figure::of(ratios))
            }
        };
        let met = bar.at_least.map(|least| ratio.median >= least);
        let verdict = match (met, bar.at_least) {
            (Some(true), Some(least)) => format!("met: at least {least:.2}"),
            (Some(false), Some(least)) => format!("MISSED: at least {least:.2}"),
            _ => String::new(),
        };
        println!(
            "{:<34} {:<6} {:<15} {:<20} / {:<24} {:.2} ({:.2}-{:.2})  {verdict}",
            bar.row.name(),
            bar.route.name(),
            bar.measure.name(),
            bar.ours.name(),
            name,
            ratio.median,
            ratio.least,
            ratio.most,
        );
        all &= met != Some(false);
    }
    all
}
