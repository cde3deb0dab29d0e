//! The figures of one round, and medians of several.

use std::time::Duration;

use crate::load::Answers;

/// What one round of one candidate on one route came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Round {
    /// Requests a second.
    pub(crate) rate: f64,
    /// Microseconds of processor time of the program for one request.
    pub(crate) cpu: f64,
    /// The same of the store's process.
    pub(crate) store_cpu: f64,
    /// Microseconds from a request to its answer, the median.
    pub(crate) latency: f64,
}

impl Round {
    pub(crate) fn of(answers: &Answers, cpu: Duration, store_cpu: Duration) -> Self {
        let number = f64::from(answers.number);
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        Self {
            rate: number / answers.took.as_secs_f64(),
            cpu: micros(cpu) / number,
            store_cpu: micros(store_cpu) / number,
            latency: micros(answers.latency),
        }
    }
}

/// The middle of several measurements, and the least and the most of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Figure {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Figure {
    /// Panics if there is nothing to take the middle of.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (low, high) = ((values.len() - 1) / 2, values.len() / 2);
        Self {
            median: f64::midpoint(values[low], values[high]),
            least: values[0],
            most: values[values.len() - 1],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_an_even_number_lies_between_two() {
        let figure = |median, least, most| Figure {
            median,
            least,
            most,
        };
        assert_eq!(Figure::of([4.0, 1.0, 3.0, 2.0]), figure(2.5, 1.0, 4.0));
        assert_eq!(Figure::of([7.0, 5.0, 6.0]), figure(6.0, 5.0, 7.0));
    }
}
