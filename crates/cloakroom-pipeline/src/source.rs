//! Where records come from.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::{Payload, RecordErrorKind, RecordId};

use crate::error::ConnectorError;
use crate::sink::Ledger;

/// One record as it arrived, with its identity.
pub struct Delivery {
    /// The same when the record is delivered again.
    pub id: RecordId,
    /// Its bytes.
    pub payload: Payload,
}

/// How a batch is recognised when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The source reads a partition in order; after this batch it stands at this position. The ledger
    /// needs one row per partition.
    Position {
        /// File, object, shard.
        partition: Arc<str>,
        /// What the source needs to go on after this batch. Opaque to everyone else.
        position: String,
    },
    /// The source has no order; the ledger keeps the records' ids.
    Ids,
}

/// What became of one record. Whatever has no outcome stays at the source and comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The sink has it.
    Delivered,
    /// The sink had it already.
    Duplicate,
    /// The sink leaves it out, by a rule of its own.
    Filtered,
    /// It is in the dead-letter store.
    Dead(RecordErrorKind),
}

/// Records that are delivered, written and settled together.
pub struct Batch {
    /// How to recognise it.
    pub progress: Progress,
    /// Its records, in order.
    pub deliveries: Vec<Delivery>,
}

/// A source of records.
///
/// The run loop calls `open` once, then `next_batch` until it gives `None`, and `settle` once for every
/// batch, in the order in which they were given out, after all of its records have outcomes on disk.
/// Batches may be asked for before earlier ones are settled.
#[async_trait]
pub trait Source: Send {
    /// Opens the source. Sources with positions ask the ledger where to go on.
    ///
    /// # Errors
    /// When it cannot be opened.
    async fn open(&mut self, ledger: &mut dyn Ledger) -> Result<(), ConnectorError>;

    /// The next records, or `None` at the end. Must be cancel-safe: the loop drops the future when
    /// something else is ready first, and nothing may be lost by that. A source that meets a new partition
    /// on its way (an object, a shard) asks the ledger where to go on.
    ///
    /// # Errors
    /// When the source fails for good; it retries what is worth it by itself.
    async fn next_batch(&mut self, ledger: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError>;

    /// Every record of the oldest batch has its outcome on disk: delete it or commit it at the source.
    ///
    /// # Errors
    /// When that fails; the records will come again and change nothing.
    async fn settle(&mut self, progress: &Progress, outcomes: &[Outcome]) -> Result<(), ConnectorError>;

    /// The sink's ledger was moved by another run, which therefore works on this batch's partition. True when
    /// the source leaves it to the other and goes on; it drops what it has of the partition, and asks the ledger before it
    /// takes it up again. Called in the place of [`Source::settle`], and again for each later batch of the partition.
    ///
    /// # Errors
    /// When giving it up fails.
    async fn yield_to_other(&mut self, progress: &Progress) -> Result<bool, ConnectorError> {
        let _ = progress;
        Ok(false)
    }

    /// The run ends, well or not: whatever was taken and is not settled goes back at once, so that others may have it.
    ///
    /// # Errors
    /// When that fails; it comes again by itself, only later.
    async fn close(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Tries whether the source can be reached, without taking records from it; says what it found.
    ///
    /// # Errors
    /// When it cannot.
    async fn check(&mut self) -> Result<String, ConnectorError>;

    /// How many bytes there are in all, when that is known: for the progress bar.
    fn total_bytes(&self) -> Option<u64> {
        None
    }

    /// True when the same record has the same id in another run, so that a sink's ledger recognises it.
    fn is_repeatable(&self) -> bool {
        true
    }

    /// True when [`Source::settle`] makes the source forget records for good, as messages of a queue are deleted: what a sink
    /// loses afterwards does not come again. Such a source does not go with every sink ([`crate::run::check_together`]).
    fn forgets(&self) -> bool {
        false
    }
}
