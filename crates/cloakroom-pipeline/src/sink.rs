//! Where records are kept.

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::{Object, ProtectedRecord, RecordError, Value};

use crate::error::ConnectorError;
use crate::retry::{Backoff, RetryConfig};
use crate::source::Progress;

/// Records to write together. Only protected ones: the type cannot hold a raw record.
#[derive(Clone)]
pub struct SinkBatch {
    /// How to recognise the batch when it comes again.
    pub progress: Progress,
    /// Its records, in order; may be empty when all were rejected, and still moves the ledger.
    pub records: Arc<Vec<ProtectedRecord>>,
}

/// What happened to one record at the sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// It will be visible with the commit.
    Delivered,
    /// The ledger says that it is there already.
    Duplicate,
    /// The other side took it and keeps nothing of it, by a rule of its own: an ingest pipeline that drops it.
    Filtered,
    /// The sink refuses it for good.
    Dead(RecordError),
}

/// The part of a sink that remembers what was delivered.
#[async_trait]
pub trait Ledger: Send {
    /// The position up to which a partition was delivered, or `None`.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError>;
}

/// Asks the ledger for a partition, as long as trying again is worth it: for sources that meet partitions on their way.
///
/// # Errors
/// When the ledger cannot be read for good.
pub async fn ask(
    ledger: &mut dyn Ledger,
    partition: &str,
    retry: RetryConfig,
) -> Result<Option<String>, ConnectorError> {
    let mut backoff = Backoff::new(retry).telling("the ledger in the sink cannot be read");
    loop {
        match ledger.position(partition).await {
            Ok(position) => return Ok(position),
            Err(error) => tokio::time::sleep(backoff.after(error)?).await,
        }
    }
}

/// No ledger: for reading a source from its beginning, with nothing remembered of it.
pub struct NoLedger;

#[async_trait]
impl Ledger for NoLedger {
    async fn position(&mut self, _: &str) -> Result<Option<String>, ConnectorError> {
        Ok(None)
    }
}

/// A sink of protected records.
///
/// Writing has two steps, so that rejected records can be put into the dead-letter store between them:
/// `write` stages a batch and says what happens to each record; `commit` makes rows and ledger visible
/// at once. A crash between them leaves neither. Calling `write` again drops what was staged.
#[async_trait]
pub trait Sink: Ledger {
    /// Connects, creates what the user asked to be created, and checks that records of this policy fit.
    ///
    /// # Errors
    /// When the sink cannot take such records; nothing has been written then.
    async fn open(&mut self) -> Result<(), ConnectorError>;

    /// Stages a batch: one outcome per record, in order.
    ///
    /// # Errors
    /// When nothing of the batch could be staged; transient kinds are tried again.
    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError>;

    /// Makes the staged batch durable and visible, together with its ledger entry.
    ///
    /// # Errors
    /// When it is not known to be committed; the loop writes the batch again, and the sink recognises it
    /// if it was.
    async fn commit(&mut self) -> Result<(), ConnectorError>;

    /// Ends the work: flushes and closes.
    ///
    /// # Errors
    /// When what was committed cannot be brought to its place.
    async fn close(&mut self) -> Result<(), ConnectorError>;

    /// Tries whether the sink can be reached and fits the policy, without writing; says what it found.
    ///
    /// # Errors
    /// When it cannot or does not.
    async fn check(&mut self) -> Result<String, ConnectorError>;

    /// Protected records that have one of these values in a member at their top, at most `limit` of them. Needs no
    /// [`Sink::open`], and changes nothing.
    ///
    /// # Errors
    /// When this sink cannot be searched, or has no such member.
    async fn find(&mut self, member: &str, values: &[Value], limit: usize) -> Result<Vec<Object>, ConnectorError> {
        let _ = (member, values, limit);
        Err(ConnectorError::configuration(
            "records of this sink cannot be looked up; export them and give them with --jsonl",
        ))
    }

    /// False for sinks that cannot remember what they were given (standard output): a run that is
    /// repeated writes again.
    fn has_ledger(&self) -> bool {
        true
    }

    /// True when nothing of what [`write`](Self::write) stages can be seen before [`commit`](Self::commit): a sink with
    /// transactions. False when the records themselves are there by then, and only the ledger moves with the commit.
    fn is_transactional(&self) -> bool {
        true
    }

    /// Where a commit keeps nothing yet, because what was committed is brought to its place only by [`Sink::close`]: why, and
    /// what to set instead. Such a sink does not go with a source that forgets ([`crate::run::check_together`]).
    fn only_at_end(&self) -> Option<&'static str> {
        None
    }
}

#[async_trait]
impl<T: Ledger + ?Sized> Ledger for Box<T> {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        (**self).position(partition).await
    }
}
