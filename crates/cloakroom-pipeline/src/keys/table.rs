//! The key table: the wrapped data keys of people, in an SQLite file.
//!
//! A person is an [`Owner`], a keyed hash, so the table is no list of customers. The keys themselves are wrapped under the key of the
//! person's shard, which is in the [shard file](super::shards).
//!
//! Owners are spread evenly, so a batch of new people touches as many pages as it has people wherever rows lie in their order. So
//! the rows lie in the order in which they came, one behind the other, and only a small index (`people`) is in the order of owners.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cloakroom_crypto::{KeyId, WrappedKey};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension as _, TransactionBehavior, params};

use super::rows;
use super::shards::{SHARDS, ShardVersion};
use super::stored::{self, ENTRY_LEN};
pub use super::stored::{Owner, StoredKey, shard_of};
use crate::error::ConnectorError;
use crate::private;
use crate::state::sqlite_error;

const SCHEMA_VERSION: i64 = 2;

const SCHEMA: &str = "
CREATE TABLE people (
    tag     INTEGER PRIMARY KEY, -- the first 64 bits of the owner, big-endian, signed; the first 12 are the shard
    slot    INTEGER NOT NULL     -- where their keys are; 0 for somebody who was erased
) STRICT;
CREATE TABLE subject_keys (
    slot    INTEGER PRIMARY KEY, -- in the order in which they came
    entries BLOB NOT NULL        -- 128 bytes for each key, the newest last
) STRICT;
CREATE TABLE shards (
    shard   INTEGER PRIMARY KEY,
    version INTEGER NOT NULL     -- the one in use; 1 where there is no row
) STRICT;
CREATE TABLE erased (
    owner   BLOB PRIMARY KEY,
    at      TEXT NOT NULL,
    receipt TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    name    TEXT PRIMARY KEY,
    value   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', '0');
PRAGMA user_version = 2;
";

/// A key must survive a power cut before what it seals is delivered. What is deleted is overwritten. Pages that are written again
/// and again, those of the index, are brought from the log to the table every 64 MB and not every 4.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; \
                        PRAGMA wal_autocheckpoint = 16384; PRAGMA cache_size = -49152;";

/// What the table knows of a person.
pub enum Known {
    /// Nothing: they have no key.
    Nobody,
    /// Their newest key, and older ones; nearly everybody has one.
    Keys(StoredKey, Vec<StoredKey>),
    /// Their keys were destroyed.
    Erased,
}

/// Which shard keys are in use, and how many erasures there were: what keys in memory depend on.
pub struct Stand {
    /// Counts erasures: whoever keeps keys in memory forgets them when it changes.
    pub epoch: u64,
    /// The version in use, by shard.
    pub versions: Vec<ShardVersion>,
}

/// What an erasure does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The person, as the key table knew them.
    pub owner: Owner,
    /// Keys destroyed.
    pub destroyed: u64,
    /// Keys of others in the shard that were wrapped anew.
    pub rewrapped: u64,
    /// The shard.
    pub shard: u16,
    /// The version of its key that is destroyed.
    pub from: ShardVersion,
    /// The version that replaces it.
    pub to: ShardVersion,
}

/// What an erasure needs from outside of the table.
pub trait ShardRoll {
    /// Makes the new version of a shard's key and wraps what remains under it, in its order.
    ///
    /// # Errors
    /// Nothing is erased then.
    fn roll(
        &self,
        shard: u16,
        from: ShardVersion,
        to: ShardVersion,
        rest: &[StoredKey],
    ) -> Result<Vec<WrappedKey>, ConnectorError>;

    /// The text that is kept of the erasure.
    ///
    /// # Errors
    /// Nothing is erased then.
    fn receipt(&self, erasure: &Erasure) -> Result<String, ConnectorError>;
}

/// Why new keys were not stored.
pub enum Refused {
    /// A person was erased, or a shard's key replaced, in the meantime.
    Changed,
    /// The table failed.
    Failed(ConnectorError),
}

/// How many there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// People with a key.
    pub subjects: u64,
    /// Keys, of all versions.
    pub keys: u64,
    /// People whose keys were destroyed.
    pub erased: u64,
}

/// An open key table.
pub struct KeyTable {
    connection: Connection,
    path: PathBuf,
}

impl KeyTable {
    /// Opens the table; makes it where there is none and `create` says so.
    ///
    /// # Errors
    /// When it is not there, cannot be made, is no key table, or was made by a newer version.
    pub fn open(path: &Path, create: bool) -> Result<Self, ConnectorError> {
        let name = path.display();
        if create {
            private::folder_of(path)?;
        }
        private::file(path, create).map_err(|error| ConnectorError::io(format!("key table {name}"), &error))?;
        let sqlite = |error| sqlite_error(&error).context(format!("key table {name}"));
        let connection = Connection::open(path).map_err(sqlite)?;
        connection.busy_timeout(Duration::from_secs(10)).map_err(sqlite)?;
        // Statements are planned once, and not anew for the values that are bound to them.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sqlite)?;
        connection.execute_batch(SETTINGS).map_err(sqlite)?;
        let mut table = Self { connection, path: path.to_owned() };
        table.prepare()?;
        Ok(table)
    }

    /// Another connection to a table that is open already.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn reader(path: &Path) -> Result<Self, ConnectorError> {
        let mut table = Self::open(path, false)?;
        table.run(|connection| connection.execute_batch("PRAGMA cache_size = -16384"))?;
        Ok(table)
    }

    fn prepare(&mut self) -> Result<(), ConnectorError> {
        let name = self.path.display().to_string();
        let version =
            |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
        let work = |connection: &mut Connection| {
            if version(connection)? == 0 {
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                // Another process may have made the tables between the look and the lock.
                if version(&transaction)? == 0 {
                    transaction.execute_batch(SCHEMA)?;
                }
                transaction.commit()?;
            }
            version(connection)
        };
        match work(&mut self.connection) {
            Ok(SCHEMA_VERSION) => Ok(()),
            Ok(other) => Err(ConnectorError::configuration(format!(
                "key table {name}: made by another version of this program (tables {other}, known {SCHEMA_VERSION})"
            ))),
            Err(error) => Err(sqlite_error(&error).context(format!("key table {name}"))),
        }
    }

    /// Says that the table belongs to a shard file, by its lookup key.
    ///
    /// # Errors
    /// When it belongs to another one.
    pub fn belongs_to(&mut self, lookup: &KeyId) -> Result<(), ConnectorError> {
        let known: Option<String> = self.run(|connection| {
            connection.execute("INSERT OR IGNORE INTO meta VALUES ('lookup', ?1)", [lookup.as_str()])?;
            connection.query_row("SELECT value FROM meta WHERE name = 'lookup'", [], |row| row.get(0)).optional()
        })?;
        if known.as_deref() == Some(lookup.as_str()) {
            return Ok(());
        }
        Err(ConnectorError::configuration(format!(
            "key table {}: it belongs to another shard file; restore the two that belong together",
            self.path.display()
        )))
    }

    /// How things stand now.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn stand(&mut self) -> Result<Stand, ConnectorError> {
        self.run(|connection| {
            let transaction = connection.transaction()?;
            let epoch = rows::epoch(&transaction)?;
            rows::stand(&transaction, epoch)
        })
    }

    /// Looks for people, all at one moment of the table. Where `is_current` does not know the number of erasures, the [`Stand`] of
    /// that moment is given, too. People are found faster in the order of their owners.
    ///
    /// # Errors
    /// When the table cannot be read or is damaged.
    pub fn look(
        &mut self,
        is_current: impl Fn(u64) -> bool,
        owners: &[Owner],
    ) -> Result<(Vec<Known>, Option<Stand>), ConnectorError> {
        self.run(|connection| {
            if let [owner] = owners
                && let (epoch, known) = rows::look_for_one(connection, owner)?
                && is_current(epoch)
            {
                return Ok((vec![known], None));
            }
            let transaction = connection.transaction()?;
            let epoch = rows::epoch(&transaction)?;
            let stand = if is_current(epoch) { None } else { Some(rows::stand(&transaction, epoch)?) };
            let all = {
                let mut find = transaction.prepare_cached(rows::FIND)?;
                let known = |owner| rows::known(&transaction, &mut find, owner);
                owners.iter().map(known).collect::<rusqlite::Result<_>>()?
            };
            transaction.commit()?;
            Ok((all, stand))
        })
    }

    /// What is known of a person.
    ///
    /// # Errors
    /// When the table cannot be read or is damaged.
    pub fn find(&mut self, owner: &Owner) -> Result<Known, ConnectorError> {
        self.run(|connection| rows::known(connection, &mut *connection.prepare_cached(rows::FIND)?, owner))
    }

    /// The version of a shard's key that is in use.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn shard_version(&mut self, shard: u16) -> Result<ShardVersion, ConnectorError> {
        self.run(|connection| rows::shard_version(connection, shard))
    }

    /// Stores new keys, all or none. They were made when there had been `epoch` erasures.
    ///
    /// # Errors
    /// [`Refused::Changed`] when one of the people was erased or their shard's key replaced since then.
    pub fn insert(&mut self, keys: &[StoredKey], made_at: u64) -> Result<(), Refused> {
        let stored = self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            if rows::epoch(&transaction)? != made_at {
                for key in keys {
                    if rows::shard_version(&transaction, shard_of(&key.owner))? != key.shard_version
                        || rows::is_erased(&transaction, &key.owner)?
                    {
                        return Ok(false);
                    }
                }
            }
            rows::insert(&transaction, keys)?;
            transaction.commit()?;
            Ok(true)
        });
        match stored {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refused::Changed),
            Err(error) => Err(Refused::Failed(error)),
        }
    }

    /// Deletes a person's keys and replaces the wrapping of all others in their shard, in one transaction that keeps every other writer
    /// away. Returns the version of the shard's key that was in use, and the receipt; `None` when the person has no key.
    ///
    /// # Errors
    /// When the table cannot be read or written, and those of `roll`. Then nothing has changed.
    pub fn erase(
        &mut self,
        owner: &Owner,
        at: &str,
        roll: &dyn ShardRoll,
    ) -> Result<Option<(ShardVersion, String)>, ConnectorError> {
        let shard = shard_of(owner);
        let context = format!("key table {}", self.path.display());
        let sqlite = |error: rusqlite::Error| sqlite_error(&error).context(&context);
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        let destroyed = rows::delete(&transaction, owner).map_err(sqlite)?;
        if destroyed == 0 {
            return Ok(None);
        }
        let from = rows::shard_version(&transaction, shard).map_err(sqlite)?;
        let to = from + 1;
        let mut left = rows::of_shard(&transaction, shard).map_err(sqlite)?;
        let rest: Vec<StoredKey> = left.iter().flat_map(|(_, keys)| keys.iter().cloned()).collect();
        let wrapped = roll.roll(shard, from, to, &rest)?;
        let receipt = roll.receipt(&Erasure {
            owner: *owner,
            destroyed: destroyed as u64,
            rewrapped: rest.len() as u64,
            shard,
            from,
            to,
        })?;
        let mut finish = || {
            for (key, wrapped) in left.iter_mut().flat_map(|(_, keys)| keys).zip(&wrapped) {
                (key.shard_version, key.wrapped) = (to, *wrapped);
            }
            let mut update = transaction.prepare(rows::UPDATE)?;
            for (slot, keys) in &left {
                update.execute(params![slot, stored::to_bytes(keys)])?;
            }
            transaction.execute("INSERT OR REPLACE INTO shards VALUES (?1, ?2)", params![shard, to])?;
            transaction
                .execute("INSERT OR REPLACE INTO erased VALUES (?1, ?2, ?3)", params![owner.as_slice(), at, receipt])?;
            transaction.execute("UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE name = 'epoch'", [])
        };
        finish().map_err(sqlite)?;
        transaction.commit().map_err(sqlite)?;
        // The log still holds the old rows; they are of no use without the shard's old key, and go all the same.
        let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        Ok(Some((from, receipt)))
    }

    /// The receipt of an earlier erasure.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn receipt(&mut self, owner: &Owner) -> Result<Option<String>, ConnectorError> {
        self.run(|connection| {
            connection
                .query_row("SELECT receipt FROM erased WHERE owner = ?1", [owner.as_slice()], |row| row.get(0))
                .optional()
        })
    }

    /// Counts what is in the table.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn counts(&mut self) -> Result<TableCounts, ConnectorError> {
        self.run(|connection| {
            let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs);
            Ok(TableCounts {
                subjects: count("SELECT count(*) FROM subject_keys")?,
                keys: count(&format!("SELECT coalesce(sum(length(entries)), 0) / {ENTRY_LEN} FROM subject_keys"))?,
                erased: count("SELECT count(*) FROM erased")?,
            })
        })
    }

    /// Calls `each` with every key, shard by shard.
    ///
    /// # Errors
    /// When the table cannot be read or is damaged, and those of `each`.
    pub fn for_each(
        &mut self,
        mut each: impl FnMut(&StoredKey) -> Result<(), ConnectorError>,
    ) -> Result<(), ConnectorError> {
        for shard in 0..SHARDS {
            for (_, keys) in self.run(|connection| rows::of_shard(connection, shard))? {
                keys.iter().try_for_each(&mut each)?;
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn run_for_test(&mut self, sql: &str) {
        self.connection.execute_batch(sql).unwrap();
    }

    fn run<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, ConnectorError> {
        work(&mut self.connection)
            .map_err(|error| sqlite_error(&error).context(format!("key table {}", self.path.display())))
    }
}
