//! Brings intervals away while a run goes on, and at its end.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::MetricSink;
use super::interval::Interval;
use super::meter::Meter;
use crate::error::{ConnectorError, ErrorKind};

/// Intervals that wait for a service that is away: an hour of minutes. Beyond it the oldest two become one.
const MOST_WAITING: usize = 60;
/// How long the end of a run waits for the last of them.
const LAST: Duration = Duration::from_secs(10);

/// Where metrics of a run go, and how often.
pub struct Metrics {
    sink: Box<dyn MetricSink>,
    every: Duration,
    last: Duration,
}

/// What became of a run's metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Intervals that were published.
    pub published: u64,
    /// Tries that failed. What they would have told was told later, but for what is lost.
    pub failures: u64,
    /// Intervals that could not be published until the run ended.
    pub lost: u64,
    /// Why the last try that failed did so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl fmt::Display for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { published, failures, lost, error } = self;
        write!(formatter, "{published} intervals published, {lost} lost")?;
        match error {
            Some(error) => write!(formatter, "; tries that failed: {failures}, the last: {error}"),
            None => Ok(()),
        }
    }
}

impl Metrics {
    /// Metrics that go to `sink` after each time of `every`.
    #[must_use]
    pub fn new(sink: Box<dyn MetricSink>, every: Duration) -> Self {
        Self { sink, every: every.max(Duration::from_millis(1)), last: LAST }
    }

    /// Tries whether metrics can be published; says where to.
    ///
    /// # Errors
    /// When they cannot.
    pub async fn check(&mut self) -> Result<String, ConnectorError> {
        self.sink.check().await
    }

    /// Begins to publish what `meter` is told.
    pub(crate) fn start(self, pipeline: &str, meter: Arc<Meter>) -> Reporter {
        let stop = CancellationToken::new();
        let state = Arc::new(Mutex::new(State::default()));
        let work =
            Work { sink: self.sink, pipeline: pipeline.to_owned(), state: Arc::clone(&state), told: HashSet::new() };
        let task = tokio::spawn(work.run(Arc::clone(&meter), self.every, stop.clone()));
        Reporter { meter, state, stop: stop.drop_guard(), task, last: self.last }
    }
}

/// What is known of the intervals of a run.
#[derive(Default)]
struct State {
    /// The oldest first. One that is being published is still among them.
    waiting: VecDeque<Interval>,
    published: Published,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A task that publishes.
pub(crate) struct Reporter {
    meter: Arc<Meter>,
    state: Arc<Mutex<State>>,
    stop: DropGuard,
    task: JoinHandle<()>,
    last: Duration,
}

impl Reporter {
    /// Publishes what was told since the last interval, and what still waits. Takes no longer than ten seconds.
    pub(crate) async fn end(self, failed: bool) -> Published {
        let Self { meter, state, stop, mut task, last } = self;
        meter.end(failed);
        lock(&state).waiting.push_back(meter.take());
        drop(stop);
        let ended = tokio::time::timeout(last, &mut task).await;
        let mut state = lock(&state);
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(_)) => state.published.error = Some("the task that publishes metrics ended early".to_owned()),
            Err(_) => {
                task.abort();
                state.published.failures += 1;
                state.published.error = Some(format!("the last metrics could not be published within {last:?}"));
            }
        }
        Published { lost: state.waiting.len() as u64, ..state.published.clone() }
    }
}

/// What the task has.
struct Work {
    sink: Box<dyn MetricSink>,
    pipeline: String,
    state: Arc<Mutex<State>>,
    /// Kinds of failures that are in the log already.
    told: HashSet<ErrorKind>,
}

impl Work {
    async fn run(mut self, meter: Arc<Meter>, every: Duration, stop: CancellationToken) {
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
            }
            wait(&mut lock(&self.state).waiting, meter.take());
            self.publish().await;
        }
        self.publish().await;
    }

    /// Publishes what waits, the oldest first, until a try fails.
    async fn publish(&mut self) {
        loop {
            let Some(oldest) = lock(&self.state).waiting.front().cloned() else { return };
            let published = self.sink.publish(&oldest).await;
            let mut state = lock(&self.state);
            match published {
                Ok(()) => {
                    state.waiting.pop_front();
                    state.published.published += 1;
                }
                Err(error) => {
                    if self.told.insert(error.kind) {
                        tracing::warn!(pipeline = %self.pipeline, kind = ?error.kind, "metrics could not be published yet: {error}");
                    }
                    state.published.failures += 1;
                    state.published.error = Some(error.message);
                    return;
                }
            }
        }
    }
}

/// Puts an interval at the end of those that wait.
fn wait(waiting: &mut VecDeque<Interval>, interval: Interval) {
    waiting.push_back(interval);
    if waiting.len() > MOST_WAITING
        && let Some(mut oldest) = waiting.pop_front()
        && let Some(next) = waiting.front_mut()
    {
        oldest.add(next);
        *next = oldest;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use async_trait::async_trait;

    use super::*;
    use crate::source::Outcome;

    /// Takes intervals where it does not fail, or never answers.
    #[derive(Clone, Default)]
    struct Fake(Arc<Mutex<Taken>>);

    #[derive(Default)]
    struct Taken {
        intervals: Vec<Interval>,
        fail: Option<ErrorKind>,
        hang: bool,
        tries: u64,
    }

    impl Fake {
        fn set(&self, fail: Option<ErrorKind>) {
            self.0.lock().unwrap().fail = fail;
        }

        fn delivered(&self) -> u64 {
            self.0.lock().unwrap().intervals.iter().map(|interval| interval.counts.delivered).sum()
        }

        async fn after_tries(&self, more: u64) {
            let goal = self.0.lock().unwrap().tries + more;
            while self.0.lock().unwrap().tries < goal {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    #[async_trait]
    impl MetricSink for Fake {
        async fn publish(&mut self, interval: &Interval) -> Result<(), ConnectorError> {
            let hang = {
                let mut taken = self.0.lock().unwrap();
                taken.tries += 1;
                if let Some(kind) = taken.fail {
                    return Err(ConnectorError::new(kind, "away"));
                }
                if !taken.hang {
                    taken.intervals.push(interval.clone());
                }
                taken.hang
            };
            if hang { std::future::pending().await } else { Ok(()) }
        }

        async fn check(&mut self) -> Result<String, ConnectorError> {
            Ok(String::new())
        }
    }

    fn started(fake: &Fake) -> (Arc<Meter>, Reporter) {
        let meter = Arc::new(Meter::default());
        let metrics = Metrics::new(Box::new(fake.clone()), Duration::from_millis(5));
        let metrics = Metrics { last: Duration::from_millis(200), ..metrics };
        (Arc::clone(&meter), metrics.start("p", meter))
    }

    #[tokio::test]
    async fn what_a_service_did_not_take_it_gets_later() {
        let fake = Fake::default();
        let (meter, reporter) = started(&fake);
        for fail in [None, Some(ErrorKind::Unavailable), Some(ErrorKind::Denied), None] {
            fake.set(fail);
            meter.settled(&[Outcome::Delivered]);
            fake.after_tries(3).await;
        }
        meter.received(2, 0);
        meter.settled(&[Outcome::Delivered]);
        let published = reporter.end(false).await;
        assert_eq!((fake.delivered(), published.lost), (5, 0), "{published}");
        assert!(published.failures >= 4 && published.error.as_deref() == Some("away"), "{published}");
        let taken = fake.0.lock().unwrap();
        assert_eq!(published.published, taken.intervals.len() as u64);
        assert!(taken.intervals.is_sorted_by_key(|interval| interval.ended));
        let returned = taken.intervals.iter().map(|interval| interval.counts.returned).sum::<u64>();
        assert_eq!(returned, 1, "what has no outcome at the end");
    }

    #[tokio::test]
    async fn the_end_tells_what_is_lost_and_does_not_wait_for_ever() {
        let fake = Fake::default();
        fake.set(Some(ErrorKind::Unavailable));
        let (_, reporter) = started(&fake);
        fake.after_tries(2).await;
        let published = reporter.end(true).await;
        assert!(published.published == 0 && published.lost >= 3, "{published}");
        assert!(published.to_string().contains("last: away"), "{published}");

        let fake = Fake::default();
        fake.0.lock().unwrap().hang = true;
        let (_, reporter) = started(&fake);
        fake.after_tries(1).await;
        let began = Instant::now();
        let published = reporter.end(false).await;
        assert!(began.elapsed() < Duration::from_secs(5), "bounded");
        assert_eq!((published.published, published.lost, published.failures), (0, 2, 1), "{published}");
    }

    #[test]
    fn what_waits_is_bounded_and_nothing_of_it_is_dropped() {
        let (meter, mut waiting) = (Meter::default(), VecDeque::new());
        for number in 1..=1000 {
            meter.received(number, 1);
            meter.wrote(Duration::from_millis(number));
            wait(&mut waiting, meter.take());
        }
        assert_eq!(waiting.len(), MOST_WAITING);
        assert_eq!(waiting.iter().map(|interval| interval.counts.received).sum::<u64>(), 500_500);
        assert_eq!(waiting.iter().map(|interval| interval.write_latency.count()).sum::<u64>(), 1000);
        assert!(waiting.iter().is_sorted_by_key(|interval| interval.ended));
    }
}
