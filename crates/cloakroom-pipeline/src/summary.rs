//! Counting: what a run shows while it goes on, and what it answers for at its end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

use crate::metrics::Published;

/// Live numbers of a run, for the progress bar.
#[derive(Default)]
pub struct Counters {
    /// Records received from the source.
    pub received: AtomicU64,
    /// Records that are safely kept.
    pub delivered: AtomicU64,
    /// Records in the dead-letter store.
    pub dead: AtomicU64,
    /// Bytes received.
    pub bytes: AtomicU64,
    /// Bytes that the source has in all; 0 when unknown.
    pub total_bytes: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, number: u64) {
        counter.fetch_add(number, Ordering::Relaxed);
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The source has no more.
    Complete,
    /// It was asked to stop; what was not delivered stays at the source.
    Stopped,
}

/// What a run answers for. `received = delivered + duplicate + filtered + dead + returned`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The pipeline's name.
    pub pipeline: String,
    /// How it ended.
    pub end: End,
    /// Records received from the source.
    pub received: u64,
    /// Records that the sink has.
    pub delivered: u64,
    /// Records that the sink had already.
    pub duplicate: u64,
    /// Records that the policy leaves out.
    pub filtered: u64,
    /// Records in the dead-letter store.
    pub dead: u64,
    /// Records given back to the source because the run was stopped before they were delivered.
    pub returned: u64,
    /// Dead records by reason.
    pub dead_by_reason: BTreeMap<String, u64>,
    /// Findings by entity type.
    pub findings: BTreeMap<String, u64>,
    /// How often something was tried again.
    pub retries: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Seconds that it took.
    pub seconds: f64,
    /// What became of its metrics, if it had any to publish.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Published>,
}

impl Summary {
    /// An empty count.
    #[must_use]
    pub fn new(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            end: End::Complete,
            received: 0,
            delivered: 0,
            duplicate: 0,
            filtered: 0,
            dead: 0,
            returned: 0,
            dead_by_reason: BTreeMap::new(),
            findings: BTreeMap::new(),
            retries: 0,
            bytes: 0,
            seconds: 0.0,
            metrics: None,
        }
    }

    /// True when every received record is accounted for.
    #[must_use]
    pub fn is_reconciled(&self) -> bool {
        self.received == self.delivered + self.duplicate + self.filtered + self.dead + self.returned
    }

    /// Records per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        if self.seconds > 0.0 { self.received as f64 / self.seconds } else { 0.0 }
    }

    pub(crate) fn count_dead(&mut self, reason: &str) {
        self.dead += 1;
        *self.dead_by_reason.entry(reason.to_owned()).or_default() += 1;
    }

    pub(crate) fn took(&mut self, elapsed: Duration) {
        self.seconds = (elapsed.as_secs_f64() * 1000.0).round() / 1000.0;
    }
}
