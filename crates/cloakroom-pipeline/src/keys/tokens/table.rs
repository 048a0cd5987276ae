//! The vault's file: tokens and what they stand for, in SQLite.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cloakroom_core::CompactString;
use cloakroom_core::tokens::Lookup;
use cloakroom_crypto::{KeyId, WRAPPED_LEN, WrappedKey};
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::super::table::Owner;
use crate::error::ConnectorError;
use crate::private;
use crate::state::sqlite_error;

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE tokens (
    lookup BLOB NOT NULL,     -- keyed hash of format, type and value under a key of the domain, 16 bytes
    domain TEXT NOT NULL,
    token  TEXT NOT NULL,
    sealed TEXT NOT NULL,     -- the value, as a ck1 envelope bound to domain and token
    owner  BLOB               -- keyed hash of tenant and subject, while only their records have had the value
) STRICT;
CREATE UNIQUE INDEX by_lookup ON tokens (lookup);
CREATE UNIQUE INDEX by_token ON tokens (token, domain);
CREATE TABLE keys (
    name    TEXT PRIMARY KEY,
    root    TEXT NOT NULL,    -- the root key that wraps it
    wrapped BLOB NOT NULL     -- nonce, key, tag of AES-256-GCM
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', 0);
PRAGMA user_version = 1;
";

/// A token that is to be stored.
pub(super) struct NewToken {
    pub(super) domain: CompactString,
    pub(super) token: CompactString,
    pub(super) sealed: String,
}

/// A token that is stored.
pub(super) struct Stored {
    pub(super) token: CompactString,
    pub(super) owner: Option<Owner>,
}

/// One of the vault's two keys, wrapped.
pub(super) struct StoredKey {
    pub(super) root: KeyId,
    pub(super) wrapped: WrappedKey,
}

/// What is written at once.
pub(super) struct Change<'c> {
    /// Erasures that whoever wrote this knew of.
    pub(super) epoch: u64,
    /// New tokens, in the table's order.
    pub(super) tokens: &'c [(Lookup, &'c NewToken, Option<Owner>)],
    /// Values that somebody else's record has, too.
    pub(super) shared: &'c [Lookup],
}

/// An open vault file.
pub(super) struct TokenTable {
    connection: Connection,
    path: PathBuf,
}

impl TokenTable {
    /// Opens the file; makes it where there is none and `create` says so.
    pub(super) fn open(path: &Path, create: bool) -> Result<Self, ConnectorError> {
        let name = path.display();
        if create {
            private::folder_of(path)?;
        }
        private::file(path, create).map_err(|error| ConnectorError::io(format!("token vault {name}"), &error))?;
        let sqlite = |error| sqlite_error(&error).context(format!("token vault {name}"));
        let connection = Connection::open(path).map_err(sqlite)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(sqlite)?;
        // A token must survive a power cut before it is delivered. What is deleted is overwritten. New tokens are spread over
        // all of both indexes, so the log is folded in rarely: then many pages have changed more than once.
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; \
                        PRAGMA cache_size = -65536; PRAGMA mmap_size = 1073741824; PRAGMA wal_autocheckpoint = 16384;";
        connection.execute_batch(settings).map_err(sqlite)?;
        let mut table = Self { connection, path: path.to_owned() };
        let version = table.run(|connection| {
            if user_version(connection)? == 0 {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                // Another process may have made the tables between the look and the lock.
                if user_version(&transaction)? == 0 {
                    transaction.execute_batch(SCHEMA)?;
                }
                transaction.commit()?;
            }
            user_version(connection)
        })?;
        if version != SCHEMA_VERSION {
            return Err(ConnectorError::configuration(format!(
                "token vault {name}: made by a newer version of this program (tables {version}, known {SCHEMA_VERSION})"
            )));
        }
        Ok(table)
    }

    /// One of the vault's keys. Where there is none, the one that is given becomes it.
    pub(super) fn key(&mut self, name: &str, new: &StoredKey) -> Result<StoredKey, ConnectorError> {
        self.run(|connection| {
            connection.execute(
                "INSERT OR IGNORE INTO keys VALUES (?1, ?2, ?3)",
                params![name, new.root.as_str(), new.wrapped.as_slice()],
            )?;
            connection.query_row("SELECT root, wrapped FROM keys WHERE name = ?1", [name], stored_key)
        })
    }

    /// One of the vault's keys, when it has one.
    pub(super) fn known_key(&mut self, name: &str) -> Result<Option<StoredKey>, ConnectorError> {
        self.run(|connection| {
            connection.query_row("SELECT root, wrapped FROM keys WHERE name = ?1", [name], stored_key).optional()
        })
    }

    /// Replaces the wrapping of all keys; `wrap` gives the new one. Keeps every other writer away meanwhile.
    pub(super) fn rewrap(
        &mut self,
        wrap: impl Fn(&str, &StoredKey) -> Result<StoredKey, ConnectorError>,
    ) -> Result<u64, ConnectorError> {
        let context = format!("token vault {}", self.path.display());
        let sqlite = |error: rusqlite::Error| sqlite_error(&error).context(&context);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let read = || {
            let mut statement = transaction.prepare("SELECT root, wrapped, name FROM keys")?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(2)?, stored_key(row)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        let keys = read().map_err(sqlite)?;
        for (name, key) in &keys {
            let StoredKey { root, wrapped } = wrap(name, key)?;
            let values = params![name, root.as_str(), wrapped.as_slice()];
            transaction.execute("UPDATE keys SET root = ?2, wrapped = ?3 WHERE name = ?1", values).map_err(sqlite)?;
        }
        transaction.commit().map_err(sqlite)?;
        Ok(keys.len() as u64)
    }

    /// The token of a value.
    pub(super) fn find(&mut self, lookup: &Lookup) -> Result<Option<Stored>, ConnectorError> {
        self.run(|connection| {
            let mut statement = connection.prepare_cached("SELECT token, owner FROM tokens WHERE lookup = ?1")?;
            let stored =
                |row: &rusqlite::Row<'_>| Ok(Stored { token: row.get_ref(0)?.as_str()?.into(), owner: row.get(1)? });
            statement.query_row([lookup.as_slice()], stored).optional()
        })
    }

    /// What a token stands for, sealed.
    pub(super) fn sealed(&mut self, domain: &str, token: &str) -> Result<Option<String>, ConnectorError> {
        self.run(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT sealed FROM tokens WHERE token = ?1 AND domain = ?2")?;
            statement.query_row([token, domain], |row| row.get(0)).optional()
        })
    }

    /// Counts erasures: whoever keeps tokens in memory forgets them when it changes.
    pub(super) fn epoch(&mut self) -> Result<u64, ConnectorError> {
        self.run(|connection| epoch(connection))
    }

    /// Stores what is new. False when something of it is not so any more: a value has a token meanwhile, a token is taken,
    /// or somebody was erased. What was stored all the same is true and stays.
    pub(super) fn store(&mut self, change: &Change<'_>) -> Result<bool, ConnectorError> {
        if change.tokens.is_empty() && change.shared.is_empty() {
            return Ok(self.epoch()? == change.epoch);
        }
        self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if epoch(&transaction)? != change.epoch {
                return Ok(false);
            }
            let mut all = true;
            {
                let mut insert =
                    transaction.prepare_cached("INSERT OR IGNORE INTO tokens VALUES (?1, ?2, ?3, ?4, ?5)")?;
                for (lookup, NewToken { domain, token, sealed }, owner) in change.tokens {
                    let owner = owner.as_ref().map(<[u8; 16]>::as_slice);
                    let values = params![lookup.as_slice(), domain.as_str(), token.as_str(), sealed.as_str(), owner];
                    all &= insert.execute(values)? == 1;
                }
                let mut share = transaction.prepare_cached("UPDATE tokens SET owner = NULL WHERE lookup = ?1")?;
                for lookup in change.shared {
                    all &= share.execute([lookup.as_slice()])? == 1;
                }
            }
            transaction.commit()?;
            Ok(all)
        })
    }

    /// Deletes the tokens of values that only the records of one person have had.
    pub(super) fn erase(&mut self, owner: &Owner) -> Result<u64, ConnectorError> {
        let deleted = self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let deleted = transaction.execute("DELETE FROM tokens WHERE owner = ?1", [owner.as_slice()])?;
            if deleted > 0 {
                transaction.execute("UPDATE meta SET value = value + 1 WHERE name = 'epoch'", [])?;
            }
            transaction.commit()?;
            Ok(deleted as u64)
        })?;
        if deleted > 0 {
            // The log still holds the old rows.
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        }
        Ok(deleted)
    }

    /// Tokens of each domain.
    pub(super) fn counts(&mut self) -> Result<Vec<(String, u64)>, ConnectorError> {
        self.run(|connection| {
            let mut statement =
                connection.prepare("SELECT domain, count(*) FROM tokens GROUP BY domain ORDER BY domain")?;
            let count = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()));
            statement.query_map([], count)?.collect()
        })
    }

    #[cfg(test)]
    pub(super) fn run_for_test(&mut self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    fn run<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, ConnectorError> {
        work(&mut self.connection)
            .map_err(|error| sqlite_error(&error).context(format!("token vault {}", self.path.display())))
    }
}

fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn epoch(connection: &Connection) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")?;
    statement.query_row([], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
}

fn stored_key(row: &rusqlite::Row<'_>) -> rusqlite::Result<StoredKey> {
    let damaged = || rusqlite::Error::InvalidColumnType(0, String::new(), rusqlite::types::Type::Text);
    let root: String = row.get(0)?;
    Ok(StoredKey { root: KeyId::parse(&root).map_err(|_| damaged())?, wrapped: row.get::<_, [u8; WRAPPED_LEN]>(1)? })
}
