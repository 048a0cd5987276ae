//! The statements of the key table.

use rusqlite::types::{Type, ValueRef};
use rusqlite::{Connection, Error, OptionalExtension as _, Result, Statement, Transaction, params};

use super::shards::{SHARDS, ShardVersion};
use super::stored::{self, Owner, StoredKey};
use super::table::{Known, Stand};

/// Without keys for somebody who was erased.
pub(super) const FIND: &str =
    "SELECT k.entries FROM people p LEFT JOIN subject_keys k ON k.slot = p.slot WHERE p.tag = ?1";
pub(super) const UPDATE: &str = "UPDATE subject_keys SET entries = ?2 WHERE slot = ?1";

/// What finds a person; one of them may have the tag of another, though hardly ever.
fn tag_of(owner: &Owner) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *owner;
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}

pub(super) fn known(connection: &Connection, find: &mut Statement<'_>, owner: &Owner) -> Result<Known> {
    let mut rows = find.query([tag_of(owner)])?;
    let Some(row) = rows.next()? else { return Ok(Known::Nobody) };
    known_by(connection, row.get_ref(0)?.as_blob_or_null()?.unwrap_or_default(), owner)
}

/// The number of erasures and what is known of one person, by one statement: a transaction around several costs as much again.
pub(super) fn look_for_one(connection: &Connection, owner: &Owner) -> Result<(u64, Known)> {
    let mut find = connection.prepare_cached(
        "SELECT m.value, p.slot, k.entries FROM meta m LEFT JOIN people p ON p.tag = ?1 \
         LEFT JOIN subject_keys k ON k.slot = p.slot WHERE m.name = 'epoch'",
    )?;
    find.query_row([tag_of(owner)], |row| {
        let known = match row.get_ref(1)? {
            ValueRef::Null => Known::Nobody,
            _ => known_by(connection, row.get_ref(2)?.as_blob_or_null()?.unwrap_or_default(), owner)?,
        };
        Ok((number(row.get_ref(0)?)?, known))
    })
}

/// What is known of a person who has a row in the index.
fn known_by(connection: &Connection, entries: &[u8], owner: &Owner) -> Result<Known> {
    let mut keys: Option<(StoredKey, Vec<StoredKey>)> = None;
    for key in stored::from_bytes(entries) {
        let key = key.ok_or_else(damaged)?;
        match &mut keys {
            _ if key.owner != *owner => {}
            None => keys = Some((key, Vec::new())),
            Some((newest, older)) => older.push(std::mem::replace(newest, key)),
        }
    }
    match keys {
        Some((newest, older)) => Ok(Known::Keys(newest, older)),
        None if is_erased(connection, owner)? => Ok(Known::Erased),
        None => Ok(Known::Nobody),
    }
}

fn damaged() -> Error {
    Error::InvalidColumnType(0, String::new(), Type::Blob)
}

pub(super) fn insert(transaction: &Transaction<'_>, keys: &[StoredKey]) -> Result<()> {
    let mut next = transaction.query_row("SELECT coalesce(max(slot), 0) FROM subject_keys", [], |row| row.get(0))?;
    let mut name = transaction.prepare_cached("INSERT OR IGNORE INTO people VALUES (?1, ?2)")?;
    let mut store = transaction.prepare_cached("INSERT INTO subject_keys VALUES (?1, ?2)")?;
    for key in keys {
        next += 1_i64;
        if name.execute([tag_of(&key.owner), next])? == 1 {
            store.execute(params![next, key.to_bytes()])?;
        } else if add(transaction, key, next)? {
            // The slot is still free.
            next -= 1;
        }
    }
    Ok(())
}

/// Stores a key where there is a row: another process was faster, or two people have one tag. True when `free` was not needed.
fn add(transaction: &Transaction<'_>, key: &StoredKey, free: i64) -> Result<bool> {
    let tag = tag_of(&key.owner);
    let slot: i64 = transaction.query_row("SELECT slot FROM people WHERE tag = ?1", [tag], |row| row.get(0))?;
    if slot == 0 {
        transaction.execute("INSERT INTO subject_keys VALUES (?1, ?2)", params![free, key.to_bytes()])?;
        transaction.execute("UPDATE people SET slot = ?2 WHERE tag = ?1", [tag, free])?;
        return Ok(false);
    }
    let mut keys = entries_at(transaction, slot)?;
    if !keys.iter().any(|known| (known.owner, known.kid) == (key.owner, key.kid)) {
        keys.push(key.clone());
        transaction.prepare_cached(UPDATE)?.execute(params![slot, stored::to_bytes(&keys)])?;
    }
    Ok(true)
}

/// Deletes a person's keys and says how many they were.
pub(super) fn delete(transaction: &Transaction<'_>, owner: &Owner) -> Result<usize> {
    let tag = tag_of(owner);
    let slot = transaction.query_row("SELECT slot FROM people WHERE tag = ?1", [tag], |row| row.get(0)).optional()?;
    let Some(slot @ 1_i64..) = slot else { return Ok(0) };
    let mut keys = entries_at(transaction, slot)?;
    let before = keys.len();
    keys.retain(|key| key.owner != *owner);
    if keys.is_empty() {
        transaction.execute("DELETE FROM subject_keys WHERE slot = ?1", [slot])?;
        transaction.execute("UPDATE people SET slot = 0 WHERE tag = ?1", [tag])?;
    } else if keys.len() < before {
        transaction.execute(UPDATE, params![slot, stored::to_bytes(&keys)])?;
    }
    Ok(before - keys.len())
}

fn entries_at(connection: &Connection, slot: i64) -> Result<Vec<StoredKey>> {
    let mut find = connection.prepare_cached("SELECT entries FROM subject_keys WHERE slot = ?1")?;
    find.query_row([slot], |row| all(row.get_ref(0)?.as_blob()?))
}

fn all(entries: &[u8]) -> Result<Vec<StoredKey>> {
    stored::from_bytes(entries).map(|key| key.ok_or_else(damaged)).collect()
}

/// The rows of a shard with their keys.
pub(super) fn of_shard(connection: &Connection, shard: u16) -> Result<Vec<(i64, Vec<StoredKey>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT k.slot, k.entries FROM people p JOIN subject_keys k ON k.slot = p.slot WHERE p.tag BETWEEN ?1 AND ?2",
    )?;
    let first = (u64::from(shard) << 52).cast_signed();
    let last = first | ((1 << 52) - 1);
    statement.query_map([first, last], |row| Ok((row.get(0)?, all(row.get_ref(1)?.as_blob()?)?)))?.collect()
}

pub(super) fn epoch(connection: &Connection) -> Result<u64> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = 'epoch'")?;
    statement.query_row([], |row| number(row.get_ref(0)?))
}

fn number(text: ValueRef<'_>) -> Result<u64> {
    text.as_str()?.parse().map_err(|_| damaged())
}

pub(super) fn stand(connection: &Connection, epoch: u64) -> Result<Stand> {
    let mut versions = vec![1; usize::from(SHARDS)];
    let mut statement = connection.prepare_cached("SELECT shard, version FROM shards")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(version) = versions.get_mut(usize::from(row.get::<_, u16>(0)?)) {
            *version = row.get(1)?;
        }
    }
    Ok(Stand { epoch, versions })
}

pub(super) fn shard_version(connection: &Connection, shard: u16) -> Result<ShardVersion> {
    let mut statement = connection.prepare_cached("SELECT version FROM shards WHERE shard = ?1")?;
    Ok(statement.query_row([shard], |row| row.get(0)).optional()?.unwrap_or(1))
}

pub(super) fn is_erased(connection: &Connection, owner: &Owner) -> Result<bool> {
    connection.prepare_cached("SELECT 1 FROM erased WHERE owner = ?1")?.exists([owner.as_slice()])
}
