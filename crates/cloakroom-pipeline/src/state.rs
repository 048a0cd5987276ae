//! The state store: what Cloakroom keeps for itself. An SQLite file that only its owner can read.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;

use crate::error::{ConnectorError, ErrorKind};
use crate::private;

/// The version of the tables below, kept in SQLite's `user_version`.
const SCHEMA_VERSION: i64 = 2;

/// What each version added.
const SCHEMA: [&str; 2] = [DEAD_LETTERS, ACCOUNTS];

const DEAD_LETTERS: &str = "
CREATE TABLE dead_letters (
    id         TEXT PRIMARY KEY,     -- keyed fingerprint of where it came from and what it is
    pipeline   TEXT NOT NULL,
    source     TEXT NOT NULL,        -- file and line, message id, …
    reason     TEXT NOT NULL,
    field      TEXT,
    detail     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,     -- size of the record
    sealed     TEXT,                 -- ck1 envelope of the record; NULL once replayed or discarded
    first_seen TEXT NOT NULL,
    last_seen  TEXT NOT NULL,
    times      INTEGER NOT NULL,
    state      TEXT NOT NULL         -- waiting, replayed, discarded
) STRICT;
CREATE INDEX dead_letters_by_pipeline ON dead_letters (pipeline, state, first_seen);
";

const ACCOUNTS: &str = "
CREATE TABLE runs (
    run      INTEGER PRIMARY KEY,
    pipeline TEXT NOT NULL,
    process  INTEGER NOT NULL,
    began    TEXT NOT NULL,
    ended    TEXT,                   -- NULL while it goes on, and when it was killed
    how      TEXT,                   -- complete, stopped, failed
    reason   TEXT,
    seconds  REAL
) STRICT;
CREATE INDEX runs_by_pipeline ON runs (pipeline, run);
CREATE TABLE partitions (
    run       INTEGER NOT NULL REFERENCES runs (run) ON DELETE CASCADE,
    part      TEXT NOT NULL,         -- queue, object, shard, file
    received  INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    duplicate INTEGER NOT NULL,
    filtered  INTEGER NOT NULL,
    dead      INTEGER NOT NULL,
    returned  INTEGER NOT NULL,
    position  TEXT,
    PRIMARY KEY (run, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX partitions_by_part ON partitions (part, run);
";

/// A connection to the state store. Clones share it.
#[derive(Clone)]
pub struct StateStore {
    connection: Arc<Mutex<Connection>>,
    path: Arc<PathBuf>,
}

impl StateStore {
    /// Opens or makes the store.
    ///
    /// # Errors
    /// When the file cannot be made, is no state store, or was made by a newer version.
    pub fn open(path: &Path) -> Result<Self, ConnectorError> {
        private::folder_of(path)?;
        let name = path.display();
        let failed = |error| ConnectorError::io(format!("state store {name}"), &error);
        private::file(path, true).map_err(failed)?;
        let sqlite = |error| sqlite_error(&error).context(format!("state store {name}"));
        let connection = Connection::open(path).map_err(sqlite)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(sqlite)?;
        // A dead letter must survive a power cut before its source is told to forget the record.
        connection
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")
            .map_err(sqlite)?;
        let version = || connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)).map_err(sqlite);
        let found = version()?;
        if found > SCHEMA_VERSION {
            return Err(ConnectorError::configuration(format!(
                "state store {name}: made by a newer version of this program (tables {found}, known {SCHEMA_VERSION})"
            )));
        }
        if found < SCHEMA_VERSION {
            // Another process may be at it: whoever has the lock looks again.
            connection.execute_batch("BEGIN IMMEDIATE").map_err(sqlite)?;
            let missing = SCHEMA.iter().skip(usize::try_from(version()?).unwrap_or(0));
            let made = missing.fold(String::new(), |all, step| all + step);
            let script = format!("{made} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;");
            connection.execute_batch(&script).map_err(sqlite)?;
        }
        Ok(Self { connection: Arc::new(Mutex::new(connection)), path: Arc::new(path.to_owned()) })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs SQLite calls on a thread that may block.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ConnectorError> {
        let connection = Arc::clone(&self.connection);
        let result = tokio::task::spawn_blocking(move || {
            // A panic while the lock was held has rolled its transaction back; the connection is fine.
            work(&mut connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        match result.await {
            Ok(result) => result.map_err(|error| sqlite_error(&error).context("state store")),
            Err(_) => Err(ConnectorError::new(ErrorKind::Internal, "state store: the worker thread ended")),
        }
    }
}

/// SQLite's error by its result code. Its own texts are left out: a constraint's may hold values.
#[must_use]
pub fn sqlite_error(error: &rusqlite::Error) -> ConnectorError {
    use rusqlite::ErrorCode as Code;
    let Some(code) = error.sqlite_error_code() else {
        return ConnectorError::new(ErrorKind::Internal, "SQLite: a value has another type than expected");
    };
    let (kind, text) = match code {
        Code::DatabaseBusy | Code::DatabaseLocked => {
            (ErrorKind::Unavailable, "the database is locked by another process")
        }
        Code::DiskFull => (ErrorKind::Unavailable, "the disk is full"),
        Code::SystemIoFailure => (ErrorKind::Unavailable, "reading or writing the file failed"),
        Code::CannotOpen => (ErrorKind::Configuration, "the file cannot be opened"),
        Code::NotADatabase => (ErrorKind::Configuration, "the file is not an SQLite database"),
        Code::DatabaseCorrupt => (ErrorKind::Corrupt, "the database is damaged"),
        Code::ReadOnly | Code::PermissionDenied | Code::AuthorizationForStatementDenied => {
            (ErrorKind::Denied, "the file may not be written")
        }
        _ => {
            let number = error.sqlite_error().map_or(0, |inner| inner.extended_code);
            return ConnectorError::new(
                ErrorKind::Configuration,
                format!("SQLite refused the statement (result code {number})"),
            );
        }
    };
    ConnectorError::new(kind, text)
}
