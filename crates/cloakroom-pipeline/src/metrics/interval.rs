//! What was new in an interval, and the metrics that this makes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::accounts::Counts;

/// The names of all metrics. Alarms are made of them: they are stable.
pub const NAMES: [&str; 11] = [
    "received",
    "delivered",
    "duplicate",
    "filtered",
    "dead",
    "returned",
    "bytes",
    "retries",
    "failed",
    "batch_latency",
    "write_latency",
];

/// What was new in an interval: never totals of a run, so that intervals may be added up over runs and machines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interval {
    /// When it began.
    pub began: SystemTime,
    /// When it ended: the time that its metrics have.
    pub ended: SystemTime,
    /// Records. Outcomes may belong to records that an interval before received.
    pub counts: Counts,
    /// Bytes received.
    pub bytes: u64,
    /// How often something was tried again.
    pub retries: u64,
    /// 1 when the run ended with an error in it.
    pub failed: u64,
    /// Of each batch: from when it was taken from the source until its records had their outcomes.
    pub batch_latency: Samples,
    /// Of each batch: writing and committing it, the try that succeeded.
    pub write_latency: Samples,
}

impl Interval {
    pub(super) fn new(began: SystemTime) -> Self {
        Self {
            began,
            ended: began,
            counts: Counts::default(),
            bytes: 0,
            retries: 0,
            failed: 0,
            batch_latency: Samples::default(),
            write_latency: Samples::default(),
        }
    }

    /// Adds an interval that came after this one: one of both, which has the time of the later.
    pub(super) fn add(&mut self, later: &Self) {
        let Self { ended, counts, bytes, retries, failed, batch_latency, write_latency, .. } = later;
        self.ended = *ended;
        self.counts.received += counts.received;
        self.counts.delivered += counts.delivered;
        self.counts.duplicate += counts.duplicate;
        self.counts.filtered += counts.filtered;
        self.counts.dead += counts.dead;
        self.counts.returned += counts.returned;
        self.bytes += bytes;
        self.retries += retries;
        self.failed += failed;
        self.batch_latency.add_all(batch_latency);
        self.write_latency.add_all(write_latency);
    }

    /// Its metrics, in the order of [`NAMES`]. Sums are there when they are zero, so that an alarm can tell "none" from "no
    /// news"; latencies only when something was measured.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric<'_>> {
        let Counts { received, delivered, duplicate, filtered, dead, returned } = self.counts;
        let sums = [received, delivered, duplicate, filtered, dead, returned, self.bytes, self.retries, self.failed];
        let samples = [&self.batch_latency, &self.write_latency];
        let values = sums.into_iter().map(Value::Sum).chain(samples.into_iter().map(Value::Samples));
        let mut metrics = Vec::with_capacity(NAMES.len());
        for (name, value) in NAMES.into_iter().zip(values) {
            let unit = match value {
                Value::Samples(samples) if samples.count() == 0 => continue,
                Value::Samples(_) => Unit::Milliseconds,
                Value::Sum(_) if name == "bytes" => Unit::Bytes,
                Value::Sum(_) => Unit::Count,
            };
            metrics.push(Metric { name, unit, value });
        }
        metrics
    }
}

/// One metric of an interval.
#[derive(Clone, Debug)]
pub struct Metric<'a> {
    /// One of [`NAMES`].
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// How much of it.
    pub value: Value<'a>,
}

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Milliseconds.
    Milliseconds,
}

impl Unit {
    /// The word that CloudWatch has for it
    /// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bytes => "Bytes",
            Self::Count => "Count",
            Self::Milliseconds => "Milliseconds",
        }
    }
}

/// How much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A sum.
    Sum(u64),
    /// Each of several.
    Samples(&'a Samples),
}

/// How long something took, each time. Kept with two significant digits, at most 5% off, so that a busy interval holds some
/// hundred different ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// Microseconds, and how often.
    times: BTreeMap<u64, u64>,
}

impl Samples {
    /// Adds one.
    pub fn add(&mut self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        *self.times.entry(two_digits(took)).or_default() += 1;
    }

    fn add_all(&mut self, others: &Self) {
        for (took, times) in &others.times {
            *self.times.entry(*took).or_default() += times;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.times.values().sum()
    }

    /// The different ones in milliseconds, ascending, each with how often it came.
    pub fn values(&self) -> impl Iterator<Item = (f64, u64)> {
        self.times.iter().map(|(took, times)| (milliseconds(*took), *times))
    }

    /// At most so many (two or more) in milliseconds, ascending: all, or those at evenly spaced ranks, the least and the greatest
    /// among them, whose average and percentiles are near those of all.
    #[must_use]
    pub fn at_most(&self, most: u64) -> Vec<f64> {
        let count = self.count();
        let wanted = count.min(most.max(2));
        let mut values = Vec::new();
        let mut passed = 0;
        let mut next = 0;
        for (took, times) in &self.times {
            passed += times;
            while next < wanted && rank(next, wanted, count) < passed {
                values.push(milliseconds(*took));
                next += 1;
            }
        }
        values
    }
}

/// The rank of the n-th of `wanted` among `count`.
fn rank(n: u64, wanted: u64, count: u64) -> u64 {
    if wanted == count { n } else { n * (count - 1) / (wanted - 1) }
}

fn milliseconds(microseconds: u64) -> f64 {
    microseconds as f64 / 1000.0
}

fn two_digits(number: u64) -> u64 {
    let mut unit = 1;
    while number / unit >= 100 {
        unit *= 10;
    }
    number.saturating_add(unit / 2) / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_keep_two_digits() {
        for (number, expected) in
            [(0, 0), (7, 7), (99, 99), (100, 100), (104, 100), (105, 110), (995, 1000), (12_499, 12_000)]
        {
            assert_eq!(two_digits(number), expected, "{number}");
        }
        assert!(two_digits(u64::MAX) > u64::MAX / 2);
        let mut samples = Samples::default();
        for took in [Duration::from_micros(1_234), Duration::from_micros(1_199), Duration::from_secs(2)] {
            samples.add(took);
        }
        assert_eq!(samples.values().collect::<Vec<_>>(), [(1.2, 2), (2000.0, 1)]);
        assert_eq!((samples.count(), samples.at_most(100)), (3, vec![1.2, 1.2, 2000.0]));
    }

    #[test]
    fn a_few_samples_stand_for_many() {
        let mut samples = Samples::default();
        for took in 1..=10_000 {
            samples.add(Duration::from_millis(took));
        }
        let few = samples.at_most(100);
        assert_eq!((few.len(), few[0], few[99]), (100, 1.0, 10_000.0));
        let average = few.iter().sum::<f64>() / 100.0;
        assert!((average - 5000.0).abs() < 100.0 && (few[50] - 5000.0).abs() < 200.0, "{average} {}", few[50]);
        assert!(Samples::default().at_most(100).is_empty());
    }

    #[test]
    fn sums_are_told_also_when_they_are_zero() {
        let mut interval = Interval::new(SystemTime::UNIX_EPOCH);
        let names = |interval: &Interval| interval.metrics().iter().map(|metric| metric.name).collect::<Vec<_>>();
        assert_eq!(names(&interval), NAMES[..9]);
        interval.batch_latency.add(Duration::from_millis(3));
        assert_eq!(names(&interval), NAMES[..10]);
        interval.write_latency.add(Duration::from_millis(3));
        let units: Vec<_> = interval.metrics().iter().map(|metric| metric.unit).collect();
        assert_eq!((names(&interval).len(), units[0], units[6]), (11, Unit::Count, Unit::Bytes));
        assert_eq!(units[9..], [Unit::Milliseconds; 2]);
    }
}
