//! What the run loop tells.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::interval::Interval;
use crate::source::Outcome;

/// Adds up what it is told, until somebody takes it. It is told once for each batch, not for each record.
pub struct Meter {
    gathered: Mutex<Gathered>,
}

struct Gathered {
    interval: Interval,
    /// Records without an outcome.
    open: u64,
}

impl Default for Meter {
    fn default() -> Self {
        let interval = Interval::new(SystemTime::now());
        Self { gathered: Mutex::new(Gathered { interval, open: 0 }) }
    }
}

impl Meter {
    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records were taken from the source.
    pub fn received(&self, records: u64, bytes: u64) {
        let mut gathered = self.gathered();
        gathered.interval.counts.received += records;
        gathered.interval.bytes += bytes;
        gathered.open += records;
    }

    /// Records have outcomes.
    pub fn settled(&self, outcomes: &[Outcome]) {
        let mut gathered = self.gathered();
        let counts = &mut gathered.interval.counts;
        for outcome in outcomes {
            match outcome {
                Outcome::Delivered => counts.delivered += 1,
                Outcome::Duplicate => counts.duplicate += 1,
                Outcome::Filtered => counts.filtered += 1,
                Outcome::Dead(_) => counts.dead += 1,
            }
        }
        gathered.open = gathered.open.saturating_sub(outcomes.len() as u64);
    }

    /// Records were left to another run.
    pub fn returned(&self, records: u64) {
        let mut gathered = self.gathered();
        gathered.interval.counts.returned += records;
        gathered.open = gathered.open.saturating_sub(records);
    }

    /// Something is tried again.
    pub fn retried(&self) {
        self.gathered().interval.retries += 1;
    }

    /// A batch was written and committed.
    pub fn wrote(&self, took: Duration) {
        self.gathered().interval.write_latency.add(took);
    }

    /// All records of a batch that was taken so long ago have their outcomes.
    pub fn finished(&self, took: Duration) {
        self.gathered().interval.batch_latency.add(took);
    }

    /// The run has ended: what has no outcome stays at the source.
    pub fn end(&self, failed: bool) {
        let mut gathered = self.gathered();
        gathered.interval.counts.returned += std::mem::take(&mut gathered.open);
        gathered.interval.failed += u64::from(failed);
    }

    /// What it was told since it was last asked. The next interval begins where this one ends.
    #[must_use]
    pub fn take(&self) -> Interval {
        let now = SystemTime::now();
        let mut taken = std::mem::replace(&mut self.gathered().interval, Interval::new(now));
        taken.ended = now;
        taken
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::RecordErrorKind;

    use super::*;
    use crate::accounts::Counts;

    #[test]
    fn intervals_hold_what_was_new_in_them() {
        let meter = Meter::default();
        meter.received(7, 700);
        meter.settled(&[Outcome::Delivered, Outcome::Duplicate, Outcome::Dead(RecordErrorKind::Internal)]);
        meter.retried();
        meter.wrote(Duration::from_millis(2));
        meter.finished(Duration::from_millis(5));
        let first = meter.take();
        let expected = Counts { received: 7, delivered: 1, duplicate: 1, dead: 1, ..Counts::default() };
        assert_eq!((first.counts, first.bytes, first.retries, first.failed), (expected, 700, 1, 0));
        assert_eq!((first.write_latency.count(), first.batch_latency.count()), (1, 1));

        meter.settled(&[Outcome::Filtered]);
        meter.returned(1);
        meter.end(true);
        let second = meter.take();
        assert_eq!(second.counts, Counts { filtered: 1, returned: 1 + 2, ..Counts::default() }, "two had no outcome");
        assert_eq!((second.bytes, second.retries, second.failed, second.began), (0, 0, 1, first.ended));
        assert_eq!(meter.take().counts, Counts::default());

        let mut both = first;
        both.add(&second);
        assert_eq!((both.counts.open(), both.bytes, both.ended), (0, 700, second.ended));
    }
}
