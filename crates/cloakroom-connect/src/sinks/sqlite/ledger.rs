//! What was delivered, kept beside the rows and moved in the same transaction: one row per partition for
//! sources that read in order, the ids of a bounded window for those that do not.

use std::time::{SystemTime, UNIX_EPOCH};

use cloakroom_pipeline::run::now;
use rusqlite::{Connection, OptionalExtension, Result, params};

/// Makes the ledger's tables, for all pipelines that write into this file.
pub(super) fn create(connection: &Connection) -> Result<()> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS cloakroom_ledger (
             pipeline TEXT NOT NULL, part TEXT NOT NULL, position TEXT NOT NULL, updated_at TEXT NOT NULL,
             PRIMARY KEY (pipeline, part)
         ) STRICT;
         CREATE TABLE IF NOT EXISTS cloakroom_ledger_ids (
             pipeline TEXT NOT NULL, id TEXT NOT NULL, seen_at INTEGER NOT NULL,
             PRIMARY KEY (pipeline, id)
         ) STRICT, WITHOUT ROWID;",
    )
}

/// The position up to which a partition was delivered.
pub(super) fn position(connection: &Connection, pipeline: &str, partition: &str) -> Result<Option<String>> {
    connection
        .prepare_cached("SELECT position FROM cloakroom_ledger WHERE pipeline = ?1 AND part = ?2")?
        .query_row(params![pipeline, partition], |row| row.get(0))
        .optional()
}

/// Moves a partition.
pub(super) fn set_position(connection: &Connection, pipeline: &str, partition: &str, position: &str) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO cloakroom_ledger (pipeline, part, position, updated_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (pipeline, part) DO UPDATE SET position = excluded.position, updated_at = excluded.updated_at",
        )?
        .execute(params![pipeline, partition, position, now().timestamp()])
        .map(|_| ())
}

/// Remembers an id; false when it was known.
pub(super) fn remember(connection: &Connection, pipeline: &str, id: &str) -> Result<bool> {
    let now = unix_seconds();
    let fresh = connection
        .prepare_cached("INSERT OR IGNORE INTO cloakroom_ledger_ids (pipeline, id, seen_at) VALUES (?1, ?2, ?3)")?
        .execute(params![pipeline, id, now])?
        > 0;
    if !fresh {
        // An id that comes again and again is remembered from the last time on, not from the first.
        let again =
            "UPDATE cloakroom_ledger_ids SET seen_at = ?3 WHERE pipeline = ?1 AND id = ?2 AND seen_at < ?3 - 86400";
        connection.prepare_cached(again)?.execute(params![pipeline, id, now])?;
    }
    Ok(fresh)
}

/// Forgets an id, so that its record may come again.
pub(super) fn forget(connection: &Connection, pipeline: &str, id: &str) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM cloakroom_ledger_ids WHERE pipeline = ?1 AND id = ?2")?
        .execute(params![pipeline, id])
        .map(|_| ())
}

/// Whether an id is known.
pub(super) fn knows(connection: &Connection, pipeline: &str, id: &str) -> Result<bool> {
    connection
        .prepare_cached("SELECT 1 FROM cloakroom_ledger_ids WHERE pipeline = ?1 AND id = ?2")?
        .exists(params![pipeline, id])
}

/// Forgets the ids that were last seen longer ago than the window.
pub(super) fn sweep(connection: &Connection, pipeline: &str, days: u32) -> Result<()> {
    let oldest = unix_seconds() - i64::from(days) * 86_400;
    connection
        .execute("DELETE FROM cloakroom_ledger_ids WHERE pipeline = ?1 AND seen_at < ?2", params![pipeline, oldest])
        .map(|_| ())
}

fn unix_seconds() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
    i64::try_from(elapsed).unwrap_or(i64::MAX)
}
