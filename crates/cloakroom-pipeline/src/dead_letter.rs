//! Sealed dead letters: records that could not be delivered, encrypted with their reason beside them.
//!
//! The reason, the field and where the record came from are in clear, so that letters can be listed and
//! counted; the record is a `ck1` envelope bound to its letter's id and pipeline. Replaying applies the
//! policy of today.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::{IngestTime, Payload, Place, RecordError, RecordId};
use cloakroom_crypto::envelope::{self, AdditionalData, ValueType};
use cloakroom_crypto::{DataKey, KeyRing, PseudonymKey, Zeroizing};
use rusqlite::{OptionalExtension, params, params_from_iter};
use serde::Serialize;

use crate::error::{ConnectorError, ErrorKind};
use crate::sink::Ledger;
use crate::source::{Batch, Delivery, Outcome, Progress, Source};
use crate::state::StateStore;

/// What the key that seals dead letters is derived for.
const PURPOSE: &str = "dead-letter";

/// The partition of replayed records: their ids are letters' ids.
const REPLAY_PARTITION: &str = "dead-letter";

/// A letter as it is listed: nothing of the record itself.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    /// Names the letter.
    pub id: String,
    /// The pipeline it belongs to.
    pub pipeline: String,
    /// Where the record came from.
    pub source: String,
    /// Why it was rejected.
    pub reason: String,
    /// The field, when one can be named.
    pub field: Option<String>,
    /// More about it.
    pub detail: String,
    /// The record's size.
    pub bytes: u64,
    /// When it was first rejected, in UTC.
    pub first_seen: String,
    /// When it was last rejected.
    pub last_seen: String,
    /// How often.
    pub times: u64,
    /// waiting, replayed or discarded.
    pub state: String,
}

const COLUMNS: &str = "id, pipeline, source, reason, field, detail, bytes, first_seen, last_seen, times, state";

fn read_letter(row: &rusqlite::Row<'_>) -> rusqlite::Result<DeadLetter> {
    let count = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(DeadLetter {
        id: row.get(0)?,
        pipeline: row.get(1)?,
        source: row.get(2)?,
        reason: row.get(3)?,
        field: row.get(4)?,
        detail: row.get(5)?,
        bytes: count(6)?,
        first_seen: row.get(7)?,
        last_seen: row.get(8)?,
        times: count(9)?,
        state: row.get(10)?,
    })
}

/// The dead letters of all pipelines that share a state store.
#[derive(Clone)]
pub struct DeadLetters {
    store: StateStore,
    ring: Arc<KeyRing>,
    seal: Arc<DataKey>,
    fingerprint: Arc<PseudonymKey>,
}

impl DeadLetters {
    /// Letters in a store, sealed with the active key of a ring.
    ///
    /// # Errors
    /// When the ring cannot give the keys.
    pub fn new(store: StateStore, ring: Arc<KeyRing>) -> Result<Self, ConnectorError> {
        let seal = Arc::new(ring.data_key(PURPOSE)?);
        let fingerprint = Arc::new(ring.fingerprint_key(PURPOSE)?);
        Ok(Self { store, ring, seal, fingerprint })
    }

    /// Where they are kept.
    #[must_use]
    pub fn state(&self) -> &StateStore {
        &self.store
    }

    /// Seals and stores rejected records; durable when it returns. A record that is rejected again
    /// updates its letter.
    ///
    /// # Errors
    /// When they cannot be stored. The caller must not settle them then.
    pub async fn store(
        &self,
        pipeline: &str,
        rejected: Vec<(RecordId, Payload, RecordError)>,
        now: IngestTime,
    ) -> Result<(), ConnectorError> {
        if rejected.is_empty() {
            return Ok(());
        }
        let (seal, fingerprint, pipeline) =
            (Arc::clone(&self.seal), Arc::clone(&self.fingerprint), pipeline.to_owned());
        let sealed = tokio::task::spawn_blocking(move || seal_all(&seal, &fingerprint, &pipeline, rejected));
        let letters =
            sealed.await.map_err(|_| ConnectorError::new(ErrorKind::Internal, "sealing dead letters failed"))??;
        let now = now.timestamp();
        self.store
            .with(move |connection| {
                let transaction = connection.transaction()?;
                {
                    let mut insert = transaction.prepare_cached(
                        "INSERT INTO dead_letters VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, 1, 'waiting')
                         ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, field = excluded.field,
                             detail = excluded.detail, sealed = excluded.sealed, last_seen = excluded.last_seen,
                             times = times + 1, state = 'waiting'",
                    )?;
                    for letter in &letters {
                        let SealedLetter { id, pipeline, source, error, bytes, envelope } = letter;
                        let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                        let reason = error.kind.as_str();
                        insert.execute(params![
                            id,
                            pipeline,
                            source,
                            reason,
                            error.path,
                            error.detail,
                            bytes,
                            envelope,
                            now
                        ])?;
                    }
                }
                transaction.commit()
            })
            .await
    }

    /// The letters of a pipeline, or of all, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list(
        &self,
        pipeline: Option<&str>,
        all_states: bool,
        limit: u64,
    ) -> Result<Vec<DeadLetter>, ConnectorError> {
        let pipeline = pipeline.map(str::to_owned);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.store
            .with(move |connection| {
                let mut statement = connection.prepare(&format!(
                    "SELECT {COLUMNS} FROM dead_letters
                     WHERE (?1 IS NULL OR pipeline = ?1) AND (?2 OR state = 'waiting')
                     ORDER BY first_seen, source, id LIMIT ?3"
                ))?;
                let letters = statement.query_map(params![pipeline, all_states, limit], read_letter)?;
                letters.collect()
            })
            .await
    }

    /// One letter, by its id or the beginning of it.
    ///
    /// # Errors
    /// When there is none, or more than one begins like that.
    pub async fn get(&self, id: &str) -> Result<DeadLetter, ConnectorError> {
        let wanted = id.to_owned();
        let mut found: Vec<DeadLetter> = self
            .store
            .with(move |connection| {
                let sql = format!("SELECT {COLUMNS} FROM dead_letters WHERE substr(id, 1, length(?1)) = ?1 LIMIT 2");
                connection.prepare(&sql)?.query_map([wanted], read_letter)?.collect()
            })
            .await?;
        match (found.pop(), found.is_empty()) {
            (Some(letter), true) => Ok(letter),
            (None, _) => {
                Err(ConnectorError::configuration(format!("no dead letter `{id}`; see `cloakroom dead-letters list`")))
            }
            (Some(_), false) => Err(ConnectorError::configuration(format!("several dead letters begin with `{id}`"))),
        }
    }

    /// The record of a letter. Raw: for applying a policy, never for showing.
    ///
    /// # Errors
    /// When its content is gone or its key is not in the ring.
    pub async fn open(&self, letter: &DeadLetter) -> Result<Payload, ConnectorError> {
        let id = letter.id.clone();
        let sealed: Option<Option<String>> = self
            .store
            .with(move |connection| {
                let sql = "SELECT sealed FROM dead_letters WHERE id = ?1";
                connection.query_row(sql, [id], |row| row.get(0)).optional()
            })
            .await?;
        let Some(Some(sealed)) = sealed else {
            return Err(ConnectorError::configuration(format!(
                "the content of dead letter `{}` is gone: it is {}",
                letter.id, letter.state
            )));
        };
        let ring = Arc::clone(&self.ring);
        let (pipeline, id) = (letter.pipeline.clone(), letter.id.clone());
        let opened = tokio::task::spawn_blocking(move || unseal(&ring, &pipeline, &id, &sealed));
        opened.await.map_err(|_| ConnectorError::new(ErrorKind::Internal, "opening a dead letter failed"))?
    }

    /// Ends letters: their content is erased, their line stays as history.
    ///
    /// # Errors
    /// When the store cannot be written.
    async fn end(&self, ids: Vec<String>, state: &'static str) -> Result<u64, ConnectorError> {
        self.store
            .with(move |connection| {
                let marks = vec!["?"; ids.len()].join(",");
                let sql = format!(
                    "UPDATE dead_letters SET state = '{state}', sealed = NULL WHERE state = 'waiting' AND id IN ({marks})"
                );
                connection.execute(&sql, params_from_iter(ids)).map(|count| count as u64)
            })
            .await
    }

    /// Discards letters for good.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn discard(&self, ids: Vec<String>) -> Result<u64, ConnectorError> {
        let mut discarded = 0;
        for ids in ids.chunks(500) {
            discarded += self.end(ids.to_vec(), "discarded").await?;
        }
        Ok(discarded)
    }

    /// A source that delivers waiting letters again.
    #[must_use]
    pub fn replay(&self, letters: Vec<DeadLetter>) -> ReplaySource {
        ReplaySource {
            letters: self.clone(),
            waiting: letters.into_iter().rev().collect(),
            unreadable: None,
            given: Vec::new(),
        }
    }
}

struct SealedLetter {
    id: String,
    pipeline: String,
    source: String,
    error: RecordError,
    bytes: usize,
    envelope: String,
}

fn seal_all(
    key: &DataKey,
    fingerprint: &PseudonymKey,
    pipeline: &str,
    rejected: Vec<(RecordId, Payload, RecordError)>,
) -> Result<Vec<SealedLetter>, ConnectorError> {
    let mut letters = Vec::with_capacity(rejected.len());
    for (record, payload, error) in rejected {
        let content = Zeroizing::new(payload.to_bytes());
        let source = record.to_string();
        let id = match &record.position {
            // A replayed letter that is rejected again stays the same letter.
            Place::Id(id) if &*record.partition == REPLAY_PARTITION => id.to_string(),
            _ => short_id(&fingerprint.tag_parts(&[pipeline.as_bytes(), source.as_bytes(), &content])),
        };
        let mut sealed = String::new();
        envelope::seal(key, &place_of(pipeline, &id), &content, &mut sealed)?;
        letters.push(SealedLetter {
            id,
            pipeline: pipeline.to_owned(),
            source,
            error,
            bytes: payload.len(),
            envelope: sealed,
        });
    }
    Ok(letters)
}

fn unseal(ring: &KeyRing, pipeline: &str, id: &str, sealed: &str) -> Result<Payload, ConnectorError> {
    let key = ring.data_key_for(&envelope::parse(sealed)?.kid, PURPOSE)?;
    let content = envelope::open(&key, &place_of(pipeline, id), sealed)?;
    let payload = Payload::from_bytes(&Bytes::copy_from_slice(&content));
    payload.ok_or_else(|| {
        ConnectorError::new(ErrorKind::Corrupt, format!("dead letter `{id}` holds something else than a record"))
    })
}

fn place_of<'a>(pipeline: &'a str, id: &'a str) -> AdditionalData<'a> {
    let collection = "cloakroom.dead_letters";
    AdditionalData { tenant: pipeline, collection, path: id, subject: "", value_type: ValueType::String }
}

/// Twelve letters and digits of a keyed fingerprint: 60 bits, enough to tell letters apart.
fn short_id(tag: &[u8; 32]) -> String {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    tag.iter().take(12).map(|byte| char::from(ALPHABET[usize::from(byte & 31)])).collect()
}

/// Delivers dead letters again, a few hundred at a time.
pub struct ReplaySource {
    letters: DeadLetters,
    /// Last one first.
    waiting: Vec<DeadLetter>,
    /// Why a letter could not be opened; told at the end, so that it does not hold up the others.
    unreadable: Option<ConnectorError>,
    /// Ids of the batches that were given out and not settled, oldest first.
    given: Vec<Vec<String>>,
}

#[async_trait]
impl Source for ReplaySource {
    async fn open(&mut self, _: &mut dyn Ledger) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn next_batch(&mut self, _: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        if self.waiting.is_empty() {
            return self.unreadable.take().map_or(Ok(None), Err);
        }
        // Letters leave `waiting` only when all of the batch is there: dropping this future loses none.
        let take = self.waiting.len().min(200);
        let chosen = self.waiting.len() - take;
        let mut deliveries = Vec::with_capacity(take);
        let mut unreadable = None;
        for letter in self.waiting[chosen..].iter().rev() {
            let payload = match self.letters.open(letter).await {
                Ok(payload) => payload,
                Err(error) => {
                    unreadable = Some(error.context(format!("dead letter `{}`", letter.id)));
                    continue;
                }
            };
            let id = RecordId { partition: REPLAY_PARTITION.into(), position: Place::Id(letter.id.as_str().into()) };
            deliveries.push(Delivery { id, payload });
        }
        self.waiting.truncate(chosen);
        self.unreadable = unreadable.or(self.unreadable.take());
        let id_of = |delivery: &Delivery| match &delivery.id.position {
            Place::Id(id) => id.to_string(),
            Place::Offset { .. } => String::new(),
        };
        self.given.push(deliveries.iter().map(id_of).collect());
        Ok(Some(Batch { progress: Progress::Ids, deliveries }))
    }

    async fn settle(&mut self, _: &Progress, outcomes: &[Outcome]) -> Result<(), ConnectorError> {
        if self.given.is_empty() {
            return Ok(());
        }
        let ids = self.given.remove(0);
        let delivered = ids.into_iter().zip(outcomes).filter(|(_, outcome)| !matches!(outcome, Outcome::Dead(_)));
        let delivered: Vec<String> = delivered.map(|(id, _)| id).collect();
        self.letters.end(delivered, "replayed").await.map(|_| ())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        Ok(format!("{} dead letters", self.waiting.len()))
    }

    /// The content of a letter that was delivered is erased.
    fn forgets(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use cloakroom_core::RecordErrorKind;

    use super::*;

    fn letters(folder: &std::path::Path) -> DeadLetters {
        let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
        DeadLetters::new(StateStore::open(&folder.join("state.db")).unwrap(), Arc::new(ring)).unwrap()
    }

    fn record(number: u64) -> RecordId {
        RecordId { partition: "logins.jsonl".into(), position: Place::Offset { byte: number * 10, number } }
    }

    #[tokio::test]
    async fn letters_are_sealed_listed_and_opened() {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(folder.path());
        let error = RecordError::at(RecordErrorKind::MissingField, "ip", "");
        let payload = Payload::Json(Bytes::from_static(b"{\"secret\":\"CANARY-7\"}"));
        let now = IngestTime::from_unix_seconds(1_700_000_000);
        for _ in 0..2 {
            let rejected =
                vec![(record(33), payload.clone(), error.clone()), (record(77), payload.clone(), error.clone())];
            letters.store("logins", rejected, now).await.unwrap();
        }
        let listed = letters.list(Some("logins"), false, 10).await.unwrap();
        let shown: Vec<_> = listed.iter().map(|l| (l.source.as_str(), l.reason.as_str(), l.times)).collect();
        assert_eq!(shown, [("logins.jsonl:33", "missing field", 2), ("logins.jsonl:77", "missing field", 2)]);
        assert!(letters.list(Some("other"), true, 10).await.unwrap().is_empty());
        let Payload::Json(opened) = letters.open(&listed[0]).await.unwrap() else { panic!("another kind") };
        assert_eq!(&opened[..], b"{\"secret\":\"CANARY-7\"}");
        let swapped = DeadLetter { id: listed[1].id.clone(), ..listed[0].clone() };
        assert!(letters.open(&swapped).await.is_ok(), "its own id opens it");
        assert!(letters.get(&listed[0].id[..6]).await.is_ok());
        assert!(letters.get("zzzz").await.is_err());

        assert_eq!(letters.discard(vec![listed[0].id.clone()]).await.unwrap(), 1);
        assert!(letters.open(&listed[0]).await.is_err());
        assert_eq!(letters.list(None, false, 10).await.unwrap().len(), 1);
        assert_eq!(letters.list(None, true, 10).await.unwrap().len(), 2);
        // Rejected once more after it was discarded: it is a letter again, with its content.
        letters.store("logins", vec![(record(33), payload.clone(), error.clone())], now).await.unwrap();
        assert!(letters.open(&letters.get(&listed[0].id).await.unwrap()).await.is_ok());
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|w| w == b"CANARY"), "the store holds nothing in clear");
        }
    }

    #[tokio::test]
    async fn a_letter_moved_to_another_row_does_not_open() {
        let folder = tempfile::tempdir().unwrap();
        let letters = letters(folder.path());
        let error = RecordError::new(RecordErrorKind::InvalidFormat, "");
        let rejected = (1..3).map(|n| (record(n), Payload::Json(Bytes::from(format!("{n}"))), error.clone())).collect();
        letters.store("p", rejected, IngestTime::from_unix_seconds(0)).await.unwrap();
        letters
            .store
            .with(|c| c.execute("UPDATE dead_letters SET sealed = (SELECT max(sealed) FROM dead_letters)", []))
            .await
            .unwrap();
        let listed = letters.list(None, false, 9).await.unwrap();
        let opened = [letters.open(&listed[0]).await.is_ok(), letters.open(&listed[1]).await.is_ok()];
        assert_eq!(opened.iter().filter(|ok| **ok).count(), 1);
    }
}
