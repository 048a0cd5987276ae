//! Numbers of a run for a monitoring service, told while it goes on.
//!
//! ```text
//!  run loop ─▶ Meter ─▶ every interval: Interval ─▶ queue (bounded) ─▶ MetricSink::publish
//!  (counts)    (sums)   (what was new in it)        (what failed waits)
//! ```
//!
//! [`Meter`] adds up what it is told, [`Metrics`] takes the sums at every interval and brings them away on a task of its own.
//! Delivery never waits for that, and no failure of it ends a run: what could not be published waits for the next interval, and
//! where it stays so the summary says it. There are numbers in it and the names that the pipeline file gives, nothing of a record.

pub mod emf;
mod interval;
mod meter;
mod report;
mod scope;

use async_trait::async_trait;

use crate::error::ConnectorError;

pub use interval::{Interval, Metric, NAMES, Samples, Unit, Value};
pub use meter::Meter;
pub use report::{Metrics, Published};
pub use scope::{DEFAULT_NAMESPACE, EVERY_S, Scope};

/// Where intervals are published.
#[async_trait]
pub trait MetricSink: Send {
    /// Publishes one interval, whole or not at all. It is called again with the same interval when it failed; a service that
    /// took it without an answer then counts it twice.
    ///
    /// # Errors
    /// When it was not published.
    async fn publish(&mut self, interval: &Interval) -> Result<(), ConnectorError>;

    /// Tries whether it could publish; says where to.
    ///
    /// # Errors
    /// When it could not.
    async fn check(&mut self) -> Result<String, ConnectorError>;
}
