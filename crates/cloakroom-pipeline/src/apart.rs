//! For sinks that cannot commit rows and ledger together: where partitions stand, and what is known of a batch between two
//! tries.
//!
//! ```text
//! write    every row in a place of its own, so that writing it again changes nothing
//! commit   the ledger's entry moves, under a condition; if it moved under somebody else's hand, the run stops
//! ```
//!
//! What a run wrote before it died is there, and the next run writes it again. A batch that failed in the middle, or whose
//! commit failed, goes on where it was.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cloakroom_core::ProtectedRecord;
use sha2::{Digest as _, Sha256};

use crate::error::{ConnectorError, ErrorKind};
use crate::sink::{RowOutcome, SinkBatch};
use crate::source::Progress;

mod parts;
#[cfg(test)]
mod tests;

pub use parts::{State, Told, rounds};

/// The pauses between looks at an entry that must have changed, in milliseconds.
const LOOKS: [u64; 4] = [20, 80, 300, 1_000];

/// The entries of a ledger, one for each partition.
#[async_trait]
pub trait Entries: Sync {
    /// Another one whenever an entry changes.
    type Version: Clone + Send + Sync;

    /// An entry as it is now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    async fn read(&self, id: &str) -> Result<Option<Stand<Self::Version>>, ConnectorError>;

    /// Writes an entry if it is still as it was read, or still not there; gives its new version, and `None` when it is not:
    /// somebody else changed it, or this very write did, which was passed on twice.
    ///
    /// # Errors
    /// When it cannot be written, or nobody knows whether it was (a transient kind).
    async fn write(
        &self,
        entry: &Entry<'_>,
        before: Option<&Stand<Self::Version>>,
    ) -> Result<Option<Self::Version>, ConnectorError>;
}

/// An entry as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand<V> {
    /// Up to where it was delivered.
    pub position: String,
    /// Another one whenever the entry changes.
    pub version: V,
    /// Who moved it: [`Entry::run`]. Entries of before this was kept have none.
    pub run: Option<String>,
}

/// What stands in an entry.
pub struct Entry<'a> {
    /// Its key: short, whatever the partition.
    pub id: String,
    /// The pipeline's name.
    pub pipeline: &'a str,
    /// The table or index of the rows.
    pub target: &'a str,
    /// The partition.
    pub partition: &'a str,
    /// Up to where it was delivered.
    pub position: &'a str,
    /// A random name of the run that moves it: a move that was applied twice is known by it.
    pub run: &'a str,
}

/// An entry of which it is known that it is no longer as it was before. A copy that is read may not have the change yet.
async fn moved<V: Clone + Send + Sync, E: Entries<Version = V>>(
    entries: &E,
    id: &str,
    before: Option<&Stand<V>>,
) -> Result<Option<Stand<V>>, ConnectorError> {
    let mut pauses = LOOKS.into_iter();
    loop {
        let stand = entries.read(id).await?;
        let is_old = match (&stand, before) {
            (Some(stand), Some(before)) => stand.position == before.position && stand.run == before.run,
            (stand, _) => stand.is_none(),
        };
        match pauses.next() {
            Some(pause) if is_old => tokio::time::sleep(Duration::from_millis(pause)).await,
            _ => return Ok(stand),
        }
    }
}

/// Where a batch stands before it is written.
pub enum Begun<S> {
    /// The ledger has it: these are its outcomes.
    Known(Vec<RowOutcome>),
    /// What is known of each record: of the try before, or nothing.
    Open(Vec<S>),
}

/// What such a sink remembers: `V` is the version of an entry, `S` what is known of a record.
pub struct Apart<V, S> {
    pipeline: String,
    target: String,
    /// A random name of our own.
    run: String,
    /// Entries as they are known to be.
    stands: HashMap<String, Option<Stand<V>>>,
    /// A batch that is written, for the ledger.
    staged: Option<Staged>,
    /// A batch whose commit got no answer: it may have happened.
    in_doubt: Option<Staged>,
    /// The batch that was written last, or failed in the middle.
    tried: Option<Tried<S>>,
}

struct Staged {
    progress: Progress,
    outcomes: Vec<RowOutcome>,
}

struct Tried<S> {
    /// Held, so that no other batch can stand at the same address.
    records: Arc<Vec<ProtectedRecord>>,
    states: Vec<S>,
}

impl<V: Clone + Send + Sync, S: Clone + Default> Apart<V, S> {
    /// For one pipeline and the table or index that it writes to.
    #[must_use]
    pub fn new(pipeline: &str, target: &str) -> Self {
        let (pipeline, target) = (pipeline.to_owned(), target.to_owned());
        let run = format!("{:032x}", rand::random::<u128>());
        Self { pipeline, target, run, stands: HashMap::new(), staged: None, in_doubt: None, tried: None }
    }

    /// What was known of the ledger may be wrong.
    pub fn forget(&mut self) {
        self.stands.clear();
    }

    /// The position of a partition as the ledger has it now.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn position(
        &mut self,
        entries: &impl Entries<Version = V>,
        partition: &str,
    ) -> Result<Option<String>, ConnectorError> {
        let stand = entries.read(&self.id(partition)).await?;
        let position = stand.as_ref().map(|stand| stand.position.clone());
        self.stands.insert(partition.to_owned(), stand);
        Ok(position)
    }

    /// Begins to write a batch; one that was staged is so no longer.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn begin(
        &mut self,
        entries: &impl Entries<Version = V>,
        batch: &SinkBatch,
    ) -> Result<Begun<S>, ConnectorError> {
        self.staged = None;
        let count = batch.records.len();
        if let Progress::Position { partition, position } = &batch.progress {
            if !self.stands.contains_key(&**partition) {
                self.position(entries, partition).await?;
            }
            let stand = self.stands.get(&**partition).and_then(Option::as_ref);
            if let Some(stand) = stand.filter(|stand| stand.position == *position) {
                let is_ours = stand.run.as_ref() == Some(&self.run);
                let doubt = self.in_doubt.take().filter(|doubt| is_ours && doubt.progress == batch.progress);
                let doubt = doubt.filter(|doubt| doubt.outcomes.len() == count);
                let outcomes = doubt.map_or_else(|| vec![RowOutcome::Duplicate; count], |doubt| doubt.outcomes);
                self.stage(batch, &outcomes);
                return Ok(Begun::Known(outcomes));
            }
        }
        let tried = self.tried.take().filter(|tried| Arc::ptr_eq(&tried.records, &batch.records));
        Ok(Begun::Open(tried.map_or_else(|| vec![S::default(); count], |tried| tried.states)))
    }

    /// Ends it: keeps what is known by now, and stages the batch when all of it is.
    ///
    /// # Errors
    /// The one that writing ended with.
    pub fn end(
        &mut self,
        batch: &SinkBatch,
        states: Vec<S>,
        result: Result<(), ConnectorError>,
        outcome: impl Fn(&S) -> Option<RowOutcome>,
    ) -> Result<Vec<RowOutcome>, ConnectorError> {
        let outcomes: Vec<_> = states.iter().map_while(outcome).collect();
        // The commit may fail too: then the batch comes again, and all of it is known.
        self.tried = Some(Tried { records: Arc::clone(&batch.records), states });
        result?;
        if outcomes.len() < batch.records.len() {
            return Err(ConnectorError::new(ErrorKind::Internal, "a record has no outcome"));
        }
        self.stage(batch, &outcomes);
        Ok(outcomes)
    }

    fn stage(&mut self, batch: &SinkBatch, outcomes: &[RowOutcome]) {
        self.staged = Some(Staged { progress: batch.progress.clone(), outcomes: outcomes.to_vec() });
    }

    /// Gives up what is staged.
    pub fn unstage(&mut self) {
        self.staged = None;
    }

    /// Moves the ledger to the staged batch.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when somebody else moved the entry, and the ledger's own. After a transient one the batch
    /// comes again, and is recognised if it was committed.
    pub async fn commit(&mut self, entries: &impl Entries<Version = V>) -> Result<(), ConnectorError> {
        let Some(staged) = self.staged.take() else { return Ok(()) };
        if let Progress::Position { partition, position } = &staged.progress
            && let Err(error) = self.advance(entries, partition, position).await
        {
            // Without an answer it may have happened; a conflict is an answer, and stands until somebody asks where the
            // partition is now: batches that are still on their way must not move it back.
            if error.kind.is_transient() {
                self.forget();
                self.in_doubt = Some(staged);
            }
            return Err(error);
        }
        self.in_doubt = None;
        self.tried = None;
        Ok(())
    }

    async fn advance(
        &mut self,
        entries: &impl Entries<Version = V>,
        partition: &str,
        position: &str,
    ) -> Result<(), ConnectorError> {
        if !self.stands.contains_key(partition) {
            self.position(entries, partition).await?;
        }
        let before = self.stands.get(partition).and_then(Option::as_ref);
        if before.is_some_and(|before| before.position == position) {
            return Ok(());
        }
        let Self { pipeline, target, run, .. } = &*self;
        let entry = Entry { id: self.id(partition), pipeline, target, partition, position, run };
        let version = match entries.write(&entry, before).await? {
            Some(version) => version,
            // A node or a proxy on the way repeats a write whose answer it missed, and finds the first one's effect. The
            // position alone does not say whose it is: another run may have moved to the same one.
            None => match moved(entries, &entry.id, before).await? {
                Some(stand) if stand.position == position && stand.run.as_ref() == Some(run) => stand.version,
                _ => {
                    return Err(ConnectorError::new(
                        ErrorKind::Conflict,
                        format!("another run of pipeline {pipeline} moves the same ledger; let one of them end"),
                    ));
                }
            },
        };
        let stand = Stand { position: position.to_owned(), version, run: Some(run.clone()) };
        self.stands.insert(partition.to_owned(), Some(stand));
        Ok(())
    }

    /// Base64url of SHA-256 of pipeline, target and partition, each behind its 64-bit big-endian length: partitions may be
    /// long, and keys must be short.
    fn id(&self, partition: &str) -> String {
        let mut hash = Sha256::new();
        for part in [&self.pipeline, &self.target, partition] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        URL_SAFE_NO_PAD.encode(hash.finalize())
    }
}
