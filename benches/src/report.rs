//! Prints the comparisons, and says whether every bar was met.

use crate::{
    bar::Bar,
    candidate::Candidate,
    figures::{Figure, Round},
    route::Route,
};

/// All rounds of one candidate on one route.
pub(crate) struct Entry {
    pub(crate) candidate: Candidate,
    pub(crate) route: Route,
    pub(crate) rounds: Vec<Round>,
}

impl Entry {
    pub(crate) fn new(candidate: Candidate, route: Route) -> Self {
        Self {
            candidate,
            route,
            rounds: Vec::new(),
        }
    }
}

/// What each came to: the middle of its rounds, and their range.
pub(crate) fn print(title: &str, entries: &[Entry]) {
    println!(
        "\n{title}, {} rounds",
        entries.first().map_or(0, |entry| entry.rounds.len())
    );
    println!(
        "{:<8} {:<24} {:>28} {:>24}",
        "route", "", "requests/s", "CPU/request, µs"
    );
    for entry in entries {
        let rate = Figure::of(entry.rounds.iter().map(|round| round.rate));
        let cpu = Figure::of(entry.rounds.iter().map(|round| round.cpu));
        println!(
            "{:<8} {:<24} {:>28} {:>24}",
            entry.route.name(),
            entry.candidate.name(),
            format!("{:.0} ({:.0}-{:.0})", rate.median, rate.least, rate.most),
            format!("{:.1} ({:.1}-{:.1})", cpu.median, cpu.least, cpu.most),
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
        let rounds = |candidate| {
            let found = entries
                .iter()
                .find(|entry| entry.candidate == candidate && entry.route == bar.route);
            found.map_or(&[][..], |entry| &entry.rounds)
        };
        let pairs = rounds(bar.ours).iter().zip(rounds(bar.other));
        let ratio = Figure::of(pairs.map(|(ours, other)| bar.measure.ratio(*ours, *other)));
        let met = bar.at_least.map(|least| ratio.median >= least);
        let verdict = match (met, bar.at_least) {
            (Some(true), Some(least)) => format!("met: at least {least}"),
            (Some(false), Some(least)) => format!("MISSED: at least {least}"),
            _ => String::new(),
        };
        println!(
            "{:<6} {:<11} {:<20} / {:<24} {:.2} ({:.2}-{:.2})  {verdict}",
            bar.route.name(),
            bar.measure.name(),
            bar.ours.name(),
            bar.other.name(),
            ratio.median,
            ratio.least,
            ratio.most,
        );
        all &= met != Some(false);
    }
    all
}
