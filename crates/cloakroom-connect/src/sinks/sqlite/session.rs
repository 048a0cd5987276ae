//! One open database: batches are staged in a transaction, and made visible together with the ledger.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom_core::{ProtectedRecord, RecordError};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::private;
use cloakroom_pipeline::sink::{RowOutcome, SinkBatch};
use cloakroom_pipeline::source::Progress;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, ffi};

use super::rows::{Failure, Rows};
use super::table::{self, Table};
use super::{Target, ledger, sqlite};

/// How long to wait for another process that writes, before the run loop's own retries begin.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Statements that stay compiled: one for each set of columns that records bring.
const STATEMENTS: usize = 64;

/// How often a run that goes on for weeks forgets old ids.
const SWEEP_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// An open database.
pub(super) struct Session {
    connection: Connection,
    /// The table as it was at a version of the schema, outside of any transaction of ours.
    table: Option<(i64, Option<Table>)>,
    /// Where each partition stood when this sink last read or moved it.
    known: HashMap<String, Option<String>>,
    staged: Option<Staged>,
    /// A batch whose COMMIT failed. Most likely it was rolled back; the ledger knows.
    in_doubt: Option<Staged>,
    swept: Instant,
}

/// A batch that was written and not committed.
struct Staged {
    progress: Progress,
    records: Arc<Vec<ProtectedRecord>>,
    outcomes: Vec<RowOutcome>,
    /// False when the ledger had it all, so that there is no transaction to commit.
    open: bool,
}

impl Staged {
    /// True when a batch is this one, come again.
    fn is(&self, batch: &SinkBatch) -> bool {
        let ids = |records: &[ProtectedRecord], other: &[ProtectedRecord]| {
            records.len() == other.len() && records.iter().zip(other).all(|(one, two)| one.id() == two.id())
        };
        self.progress == batch.progress && ids(&self.records, &batch.records)
    }
}

impl Session {
    /// Opens the database, makes what is to be made, and checks that the policy's records fit.
    pub(super) fn open(target: &Target) -> Result<Self, ConnectorError> {
        private::file(&target.path, target.create_table).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound if !target.create_table => table::no_file(),
            _ => ConnectorError::io("the file", &error),
        })?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&target.path, flags).map_err(sqlite)?;
        connection.busy_timeout(PATIENCE).map_err(sqlite)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        // A source is told to forget its records after a commit: it must survive a power cut.
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").map_err(sqlite)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        table::prepare(&transaction, target)?;
        ledger::create(&transaction).map_err(sqlite)?;
        ledger::sweep(&transaction, &target.pipeline, target.ledger_days).map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
        Ok(Self { connection, table: None, known: HashMap::new(), staged: None, in_doubt: None, swept: Instant::now() })
    }

    /// Where a partition stands.
    pub(super) fn position(&mut self, target: &Target, partition: &str) -> Result<Option<String>, ConnectorError> {
        let position = ledger::position(&self.connection, &target.pipeline, partition).map_err(sqlite)?;
        self.known.insert(partition.to_owned(), position.clone());
        Ok(position)
    }

    /// Stages a batch. What was staged before is gone, and after an error nothing is staged.
    pub(super) fn write(&mut self, target: &Target, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.staged = None;
        self.rollback()?;
        let staged = self.stage(target, batch);
        let (outcomes, open) = match staged {
            Ok((outcomes, true)) => (outcomes, true),
            // Others need not wait for the lock while the run loop pauses.
            nothing => {
                let unlocked = self.rollback();
                let staged = nothing?;
                unlocked?;
                staged
            }
        };
        let (progress, records) = (batch.progress.clone(), Arc::clone(&batch.records));
        self.staged = Some(Staged { progress, records, outcomes: outcomes.clone(), open });
        Ok(outcomes)
    }

    /// The outcomes, and whether there is something to commit.
    fn stage(&mut self, target: &Target, batch: &SinkBatch) -> Result<(Vec<RowOutcome>, bool), ConnectorError> {
        let mut refused: HashMap<usize, RecordError> = HashMap::new();
        loop {
            self.connection.execute_batch("BEGIN IMMEDIATE").map_err(sqlite)?;
            if let Some(outcomes) = self.committed_before(target, batch)? {
                return Ok((outcomes, false));
            }
            if batch.progress == Progress::Ids && self.swept.elapsed() > SWEEP_EVERY {
                ledger::sweep(&self.connection, &target.pipeline, target.ledger_days).map_err(sqlite)?;
                self.swept = Instant::now();
            }
            let table = self.table(target)?;
            match self.insert(target, batch, table, &refused)? {
                Inserted::All(outcomes) => return Ok((outcomes, true)),
                // A trigger with RAISE(ROLLBACK) took the good rows with it: once more without the bad one.
                Inserted::RolledBack { by, error } => refused.insert(by, error),
            };
        }
    }

    /// What the ledger says about a batch that came before: its outcomes, or `None` when it is new.
    fn committed_before(
        &mut self,
        target: &Target,
        batch: &SinkBatch,
    ) -> Result<Option<Vec<RowOutcome>>, ConnectorError> {
        let doubt = self.in_doubt.as_ref().filter(|doubt| doubt.is(batch));
        let Progress::Position { partition, position } = &batch.progress else {
            let Some(doubt) = doubt else { return Ok(None) };
            // All of its ids are there or none.
            let delivered = doubt.outcomes.iter().position(|outcome| *outcome == RowOutcome::Delivered);
            let Some(at) = delivered else { return Ok(None) };
            let id = doubt.records[at].id().to_string();
            let committed = ledger::knows(&self.connection, &target.pipeline, &id).map_err(sqlite)?;
            return Ok(committed.then(|| doubt.outcomes.clone()));
        };
        let stands = ledger::position(&self.connection, &target.pipeline, partition).map_err(sqlite)?;
        if stands.as_ref() == Some(position) {
            let outcomes = match doubt {
                Some(doubt) => doubt.outcomes.clone(),
                None => vec![RowOutcome::Duplicate; batch.records.len()],
            };
            self.known.insert(partition.to_string(), stands);
            return Ok(Some(outcomes));
        }
        match self.known.get(&**partition) {
            Some(known) if *known != stands => {
                Err(ConnectorError::new(ErrorKind::Conflict, "another run of this pipeline moved the ledger"))
            }
            Some(_) => Ok(None),
            None => {
                self.known.insert(partition.to_string(), stands);
                Ok(None)
            }
        }
    }

    /// The table as this transaction sees it. It is read and checked again only when somebody changed the
    /// schema; a table that was altered or dropped under our feet must not fill the dead letters.
    fn table(&mut self, target: &Target) -> Result<Option<Table>, ConnectorError> {
        let version = self.schema_version()?;
        if let Some((read_at, table)) = &self.table
            && *read_at == version
        {
            return Ok(table.clone());
        }
        let table = table::prepare(&self.connection, target)?;
        // A table that this transaction made goes when it is rolled back.
        self.table = (self.schema_version()? == version).then(|| (version, table.clone()));
        Ok(table)
    }

    fn schema_version(&self) -> Result<i64, ConnectorError> {
        self.connection.query_row("PRAGMA schema_version", [], |row| row.get(0)).map_err(sqlite)
    }

    /// One row per record that is new.
    fn insert(
        &self,
        target: &Target,
        batch: &SinkBatch,
        table: Option<Table>,
        refused: &HashMap<usize, RecordError>,
    ) -> Result<Inserted, ConnectorError> {
        let connection = &self.connection;
        let mut rows = Rows::new(connection, target, table);
        let mut outcomes = Vec::with_capacity(batch.records.len());
        for (index, record) in batch.records.iter().enumerate() {
            if let Some(error) = refused.get(&index) {
                outcomes.push(RowOutcome::Dead(error.clone()));
                continue;
            }
            let id = (batch.progress == Progress::Ids).then(|| record.id().to_string());
            if let Some(id) = &id
                && !ledger::remember(connection, &target.pipeline, id).map_err(sqlite)?
            {
                outcomes.push(RowOutcome::Duplicate);
                continue;
            }
            match rows.insert(record.content()) {
                Ok(()) => outcomes.push(RowOutcome::Delivered),
                Err(Failure::Batch(error)) => return Err(error),
                Err(Failure::Record(error)) if connection.is_autocommit() => {
                    return Ok(Inserted::RolledBack { by: index, error });
                }
                Err(Failure::Record(error)) => {
                    // It is not here: when it is replayed from the dead letters, it must not count as known.
                    if let Some(id) = &id {
                        ledger::forget(connection, &target.pipeline, id).map_err(sqlite)?;
                    }
                    outcomes.push(RowOutcome::Dead(error));
                }
            }
        }
        Ok(Inserted::All(outcomes))
    }

    /// Moves the ledger and commits.
    pub(super) fn commit(&mut self, target: &Target) -> Result<(), ConnectorError> {
        let Some(staged) = self.staged.take() else {
            return Err(ConnectorError::new(ErrorKind::Internal, "nothing is staged to be committed"));
        };
        if staged.open
            && let Err(error) = self.move_and_commit(target, &staged.progress)
        {
            self.in_doubt = Some(staged);
            // When this fails too, the next write begins with it.
            let _ = self.rollback();
            return Err(error);
        }
        self.in_doubt = None;
        if let Progress::Position { partition, position } = staged.progress {
            self.known.insert(partition.to_string(), Some(position));
        }
        Ok(())
    }

    fn move_and_commit(&self, target: &Target, progress: &Progress) -> Result<(), ConnectorError> {
        if let Progress::Position { partition, position } = progress {
            ledger::set_position(&self.connection, &target.pipeline, partition, position).map_err(sqlite)?;
        }
        self.connection.execute_batch("COMMIT").map_err(|error| match error.sqlite_error() {
            Some(inner) if inner.extended_code == ffi::SQLITE_CONSTRAINT_FOREIGNKEY => {
                ConnectorError::configuration(format!(
                    "a deferred foreign key of table {} is violated, and SQLite does not say by which row; \
                     make it immediate, so that such records become dead letters",
                    target.table
                ))
            }
            _ => sqlite(error),
        })
    }

    fn rollback(&self) -> Result<(), ConnectorError> {
        if self.connection.is_autocommit() {
            return Ok(());
        }
        self.connection.execute_batch("ROLLBACK").map_err(sqlite)
    }

    /// Drops what is staged, brings what was committed from the log into the database file, and closes it.
    pub(super) fn close(self) -> Result<(), ConnectorError> {
        self.rollback()?;
        // Gives a row that says whether a reader was in the way; then whoever closes last does it.
        self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).map_err(sqlite)?;
        self.connection.close().map_err(|(_, error)| sqlite(error))
    }
}

/// How inserting a batch ended.
enum Inserted {
    /// Every record has its outcome.
    All(Vec<RowOutcome>),
    /// A record made the database roll the whole transaction back.
    RolledBack { by: usize, error: RecordError },
}
