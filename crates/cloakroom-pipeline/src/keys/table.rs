//! The key table: the wrapped data keys of people, in an SQLite file.
//!
//! A person is an [`Owner`], a keyed hash, so the table is no list of customers. The keys themselves are wrapped under the key of the
//! person's shard, which is in the [shard file](super::shards).

use std::path::{Path, PathBuf};
use std::time::Duration;

use cloakroom_crypto::{KeyId, WRAPPED_LEN, WrappedKey};
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};

use super::shards::ShardVersion;
use crate::error::ConnectorError;
use crate::private;
use crate::state::sqlite_error;

const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE subject_keys (
    owner         BLOB NOT NULL,     -- keyed hash of tenant and subject, 16 bytes; the first 12 bits are the shard
    kid           TEXT NOT NULL,     -- the version that envelopes name
    shard_version INTEGER NOT NULL,  -- the version of the shard's key that wraps it
    wrapped       BLOB NOT NULL,     -- nonce, key, tag of AES-256-GCM
    commitment    BLOB NOT NULL,     -- of the data key: checked before its first use
    created       TEXT NOT NULL,
    PRIMARY KEY (owner, kid)
) STRICT, WITHOUT ROWID;
CREATE TABLE shards (
    shard   INTEGER PRIMARY KEY,
    version INTEGER NOT NULL         -- the one in use; 1 where there is no row
) STRICT;
CREATE TABLE erased (
    owner   BLOB PRIMARY KEY,
    at      TEXT NOT NULL,
    receipt TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('epoch', '0');
PRAGMA user_version = 1;
";

/// A person of a tenant, as the key table knows them.
pub type Owner = [u8; 16];

/// The shard of a person.
#[must_use]
pub fn shard_of(owner: &Owner) -> u16 {
    u16::from_be_bytes([owner[0], owner[1]]) >> 4
}

/// A data key, wrapped.
#[derive(Clone)]
pub struct StoredKey {
    /// Whose it is.
    pub owner: Owner,
    /// Its version.
    pub kid: KeyId,
    /// The version of the shard's key.
    pub shard_version: ShardVersion,
    /// The key.
    pub wrapped: WrappedKey,
    /// Of the data key.
    pub commitment: [u8; 32],
    /// When it was made, RFC 3339.
    pub created: String,
}

/// What the table knows of a person.
pub enum Known {
    /// Their keys, the newest last; none for somebody unknown.
    Keys(Vec<StoredKey>),
    /// Their keys were destroyed.
    Erased,
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
        // A key must survive a power cut before what it seals is delivered. What is deleted is overwritten.
        let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; \
                        PRAGMA cache_size = -65536; PRAGMA mmap_size = 1073741824;";
        connection.execute_batch(settings).map_err(sqlite)?;
        let mut table = Self { connection, path: path.to_owned() };
        table.prepare()?;
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
            Ok(newer) => Err(ConnectorError::configuration(format!(
                "key table {name}: made by a newer version of this program (tables {newer}, known {SCHEMA_VERSION})"
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

    /// Counts erasures: whoever keeps keys in memory forgets them when it changes.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn epoch(&mut self) -> Result<u64, ConnectorError> {
        self.run(|connection| {
            let epoch: String = connection
                .prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")?
                .query_row([], |row| row.get(0))?;
            Ok(epoch.parse().unwrap_or(0))
        })
    }

    /// What is known of a person.
    ///
    /// # Errors
    /// When the table cannot be read or is damaged.
    pub fn find(&mut self, owner: &Owner) -> Result<Known, ConnectorError> {
        let mut keys = self.run(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT owner, kid, shard_version, wrapped, commitment, created FROM subject_keys WHERE owner = ?1",
            )?;
            statement.query_map([owner.as_slice()], stored_key)?.collect::<rusqlite::Result<Vec<_>>>()
        })?;
        // Here and not in SQLite, which would make a table for it: nearly everybody has one key.
        keys.sort_by(|a, b| (&a.created, a.kid).cmp(&(&b.created, b.kid)));
        if keys.is_empty() && self.run(|connection| is_erased(connection, owner))? {
            return Ok(Known::Erased);
        }
        Ok(Known::Keys(keys))
    }

    /// The version of a shard's key that is in use.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub fn shard_version(&mut self, shard: u16) -> Result<ShardVersion, ConnectorError> {
        self.run(|connection| shard_version(connection, shard))
    }

    /// Stores new keys, all or none.
    ///
    /// # Errors
    /// [`Refused::Changed`] when one of the people was erased or their shard's key replaced since the key was made.
    pub fn insert(&mut self, keys: &[StoredKey]) -> Result<(), Refused> {
        let stored = self.run(|connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for key in keys {
                if shard_version(&transaction, shard_of(&key.owner))? != key.shard_version
                    || is_erased(&transaction, &key.owner)?
                {
                    return Ok(false);
                }
                transaction
                    .prepare_cached("INSERT OR IGNORE INTO subject_keys VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                    .execute(params![
                        key.owner.as_slice(),
                        key.kid.as_str(),
                        key.shard_version,
                        key.wrapped.as_slice(),
                        key.commitment.as_slice(),
                        key.created
                    ])?;
            }
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
        let destroyed =
            transaction.execute("DELETE FROM subject_keys WHERE owner = ?1", [owner.as_slice()]).map_err(sqlite)?;
        if destroyed == 0 {
            return Ok(None);
        }
        let from = shard_version(&transaction, shard).map_err(sqlite)?;
        let to = from + 1;
        let rest = keys_of_shard(&transaction, shard).map_err(sqlite)?;
        let wrapped = roll.roll(shard, from, to, &rest)?;
        let receipt = roll.receipt(&Erasure {
            owner: *owner,
            destroyed: destroyed as u64,
            rewrapped: rest.len() as u64,
            shard,
            from,
            to,
        })?;
        let finish = || {
            let mut update = transaction
                .prepare("UPDATE subject_keys SET shard_version = ?3, wrapped = ?4 WHERE owner = ?1 AND kid = ?2")?;
            for (key, wrapped) in rest.iter().zip(&wrapped) {
                update.execute(params![key.owner.as_slice(), key.kid.as_str(), to, wrapped.as_slice()])?;
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
                subjects: count("SELECT count(DISTINCT owner) FROM subject_keys")?,
                keys: count("SELECT count(*) FROM subject_keys")?,
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
        for shard in 0..super::shards::SHARDS {
            for key in self.run(|connection| keys_of_shard(connection, shard))? {
                each(&key)?;
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

fn keys_of_shard(connection: &Connection, shard: u16) -> rusqlite::Result<Vec<StoredKey>> {
    let mut statement = connection.prepare_cached(
        "SELECT owner, kid, shard_version, wrapped, commitment, created FROM subject_keys \
         WHERE owner >= ?1 AND owner < ?2 ORDER BY owner, kid",
    )?;
    let first = (shard << 4).to_be_bytes();
    let behind = (u32::from(shard) + 1) << 4;
    // Behind the last shard: more than any owner.
    let behind = u16::try_from(behind).map_or(vec![0xFF; 17], |behind| behind.to_be_bytes().to_vec());
    statement.query_map(params![first.as_slice(), behind.as_slice()], stored_key)?.collect()
}

fn shard_version(connection: &Connection, shard: u16) -> rusqlite::Result<ShardVersion> {
    let mut statement = connection.prepare_cached("SELECT version FROM shards WHERE shard = ?1")?;
    Ok(statement.query_row([shard], |row| row.get(0)).optional()?.unwrap_or(1))
}

fn is_erased(connection: &Connection, owner: &Owner) -> rusqlite::Result<bool> {
    connection.prepare_cached("SELECT 1 FROM erased WHERE owner = ?1")?.exists([owner.as_slice()])
}

fn stored_key(row: &Row<'_>) -> rusqlite::Result<StoredKey> {
    let damaged = |column| rusqlite::Error::InvalidColumnType(column, String::new(), rusqlite::types::Type::Blob);
    let kid: String = row.get(1)?;
    Ok(StoredKey {
        owner: row.get(0)?,
        kid: KeyId::parse(&kid).map_err(|_| damaged(1))?,
        shard_version: row.get(2)?,
        wrapped: row.get::<_, [u8; WRAPPED_LEN]>(3)?,
        commitment: row.get(4)?,
        created: row.get(5)?,
    })
}
