//! A ledger in memory that fails before or after it wrote.

use std::sync::Mutex;

use bytes::Bytes;
use cloakroom_core::{Cloak, IngestTime, Payload, Place, Policy, PolicyConfig, RecordError, RecordErrorKind, RecordId};

use super::*;

#[derive(Default)]
struct Memory {
    entries: Mutex<HashMap<String, Stand<u32>>>,
    fails: Mutex<Option<When>>,
    /// So many of the next reads see a copy that has not got the last change yet.
    late: Mutex<usize>,
    copy: Mutex<HashMap<String, Stand<u32>>>,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Before,
    After,
    /// Not at all: the write is passed on twice, and the second one's answer is given.
    Twice,
}

impl Memory {
    fn fail(&self, when: When) {
        *self.fails.lock().unwrap() = Some(when);
    }
}

#[async_trait]
impl Entries for Memory {
    type Version = u32;

    async fn read(&self, id: &str) -> Result<Option<Stand<u32>>, ConnectorError> {
        let mut late = self.late.lock().unwrap();
        let entries = if *late > 0 { &self.copy } else { &self.entries };
        *late = late.saturating_sub(1);
        Ok(entries.lock().unwrap().get(id).cloned())
    }

    async fn write(&self, entry: &Entry<'_>, before: Option<&Stand<u32>>) -> Result<Option<u32>, ConnectorError> {
        let fails = self.fails.lock().unwrap().take();
        let away = || Err(ConnectorError::unavailable("no answer"));
        if fails == Some(When::Before) {
            return away();
        }
        let mut entries = self.entries.lock().unwrap();
        if entries.get(&entry.id) != before {
            return Ok(None);
        }
        let version = before.map_or(1, |before| before.version + 1);
        let stand = Stand { position: entry.position.to_owned(), version, run: Some(entry.run.to_owned()) };
        *self.copy.lock().unwrap() = entries.clone();
        entries.insert(entry.id.clone(), stand);
        match fails {
            Some(When::After) => away(),
            Some(When::Twice) => Ok(None),
            _ => Ok(Some(version)),
        }
    }
}

type Sink = Apart<u32, Option<RowOutcome>>;

fn sink() -> Sink {
    Apart::new("pipeline", "table")
}

fn batch(position: &str, count: u64) -> SinkBatch {
    let cloak = Cloak::new(Arc::new(Policy::compile(&PolicyConfig::default(), None).unwrap()));
    let record = |number| {
        let id = RecordId { partition: "p".into(), position: Place::Offset { byte: number, number } };
        let line = Bytes::from(format!(r#"{{"n":{number}}}"#));
        cloak.process(id, &Payload::Json(line), IngestTime::from_unix_seconds(0)).unwrap()
    };
    let progress = Progress::Position { partition: "p".into(), position: position.to_owned() };
    SinkBatch { progress, records: Arc::new((0..count).map(record).collect()) }
}

async fn begin(sink: &mut Sink, ledger: &Memory, batch: &SinkBatch) -> Begun<Option<RowOutcome>> {
    sink.begin(ledger, batch).await.unwrap()
}

/// Begins and ends with every record delivered that had no outcome.
async fn write(sink: &mut Sink, ledger: &Memory, batch: &SinkBatch) -> Vec<RowOutcome> {
    match begin(sink, ledger, batch).await {
        Begun::Known(outcomes) => outcomes,
        Begun::Open(states) => {
            let states = states.into_iter().map(|state| state.or(Some(RowOutcome::Delivered))).collect();
            sink.end(batch, states, Ok(()), Clone::clone).unwrap()
        }
    }
}

fn dead() -> RowOutcome {
    RowOutcome::Dead(RecordError::new(RecordErrorKind::TooLarge, "too large"))
}

#[tokio::test]
async fn a_batch_that_comes_again_is_recognised() {
    let (ledger, mut one) = (Memory::default(), sink());
    assert_eq!(one.position(&ledger, "p").await.unwrap(), None);
    for position in ["1", "2"] {
        assert_eq!(write(&mut one, &ledger, &batch(position, 2)).await, vec![RowOutcome::Delivered; 2]);
        one.commit(&ledger).await.unwrap();
    }
    // In this run, and in the next one; committing it changes nothing.
    for sink in [&mut one, &mut sink()] {
        assert_eq!(write(sink, &ledger, &batch("2", 2)).await, vec![RowOutcome::Duplicate; 2]);
        sink.commit(&ledger).await.unwrap();
        assert_eq!(sink.position(&ledger, "p").await.unwrap().as_deref(), Some("2"));
    }
    assert_eq!(ledger.entries.lock().unwrap().values().next().unwrap().version, 2);
}

#[tokio::test]
async fn a_commit_without_an_answer_keeps_the_outcomes() {
    for when in [When::Before, When::After] {
        let (ledger, mut sink, batch) = (Memory::default(), sink(), batch("1", 2));
        let outcomes = vec![RowOutcome::Delivered, dead()];
        assert!(matches!(begin(&mut sink, &ledger, &batch).await, Begun::Open(_)));
        let states = outcomes.iter().cloned().map(Some).collect();
        sink.end(&batch, states, Ok(()), Clone::clone).unwrap();
        ledger.fail(when);
        assert!(sink.commit(&ledger).await.unwrap_err().kind.is_transient());
        match (begin(&mut sink, &ledger, &batch).await, when) {
            (Begun::Known(known), When::After) => assert_eq!(known, outcomes),
            (Begun::Open(states), When::Before) => {
                assert_eq!(states, outcomes.iter().cloned().map(Some).collect::<Vec<_>>(), "nothing is written again");
                sink.end(&batch, states, Ok(()), Clone::clone).unwrap();
            }
            _ => panic!("the ledger says whether it was committed"),
        }
        sink.commit(&ledger).await.unwrap();
        assert_eq!(sink.position(&ledger, "p").await.unwrap().as_deref(), Some("1"));
    }
}

#[tokio::test]
async fn a_batch_that_failed_in_the_middle_goes_on() {
    let (ledger, mut sink, batch_1, batch_2) = (Memory::default(), sink(), batch("1", 2), batch("2", 3));
    assert!(matches!(begin(&mut sink, &ledger, &batch_1).await, Begun::Open(states) if states == [None, None]));
    let states = vec![None, Some(dead())];
    let error = sink.end(&batch_1, states.clone(), Err(ConnectorError::unavailable("away")), Clone::clone);
    assert_eq!(error.unwrap_err().kind, ErrorKind::Unavailable);
    sink.commit(&ledger).await.unwrap();
    assert_eq!(sink.position(&ledger, "p").await.unwrap(), None, "nothing was staged");
    assert!(matches!(begin(&mut sink, &ledger, &batch_1).await, Begun::Open(known) if known == states));
    // Who says that all is well must have said what became of each.
    let error = sink.end(&batch_1, states, Ok(()), Clone::clone).unwrap_err();
    assert_eq!(error.kind, ErrorKind::Internal);
    // Another batch has nothing of it.
    assert!(matches!(begin(&mut sink, &ledger, &batch_2).await, Begun::Open(states) if states == [None, None, None]));
}

#[tokio::test]
async fn a_conflict_stands_until_somebody_asks() {
    let (ledger, mut one, mut other) = (Memory::default(), sink(), sink());
    for sink in [&mut one, &mut other] {
        assert_eq!(sink.position(&ledger, "p").await.unwrap(), None);
    }
    write(&mut one, &ledger, &batch("1", 1)).await;
    one.commit(&ledger).await.unwrap();
    for position in ["1", "2"] {
        write(&mut other, &ledger, &batch(position, 1)).await;
        assert_eq!(other.commit(&ledger).await.unwrap_err().kind, ErrorKind::Conflict);
    }
    assert_eq!(other.position(&ledger, "p").await.unwrap().as_deref(), Some("1"));
    assert_eq!(write(&mut other, &ledger, &batch("1", 1)).await, [RowOutcome::Duplicate]);
    write(&mut other, &ledger, &batch("2", 1)).await;
    other.commit(&ledger).await.unwrap();
}

#[tokio::test]
async fn a_move_that_was_passed_on_twice_is_no_conflict() {
    let (ledger, mut one) = (Memory::default(), sink());
    assert_eq!(one.position(&ledger, "p").await.unwrap(), None);
    for (position, late) in [("1", 0), ("2", 3)] {
        write(&mut one, &ledger, &batch(position, 1)).await;
        ledger.fail(When::Twice);
        *ledger.late.lock().unwrap() = late;
        one.commit(&ledger).await.unwrap();
    }
    // The version is known, so the next one needs no other look.
    write(&mut one, &ledger, &batch("3", 1)).await;
    one.commit(&ledger).await.unwrap();
    assert_eq!(one.position(&ledger, "p").await.unwrap().as_deref(), Some("3"));
}

#[tokio::test]
async fn an_entry_that_names_no_run_is_nobodys_move() {
    let (ledger, mut one) = (Memory::default(), sink());
    assert_eq!(one.position(&ledger, "p").await.unwrap(), None);
    write(&mut one, &ledger, &batch("1", 1)).await;
    // A run of a version before this one was faster, to the same position.
    let stand = Stand { position: "1".to_owned(), version: 1, run: None };
    ledger.entries.lock().unwrap().insert(one.id("p"), stand);
    assert_eq!(one.commit(&ledger).await.unwrap_err().kind, ErrorKind::Conflict);
    // What it left is read, and gone on from.
    assert_eq!(one.position(&ledger, "p").await.unwrap().as_deref(), Some("1"));
    assert_eq!(write(&mut one, &ledger, &batch("1", 1)).await, [RowOutcome::Duplicate]);
    write(&mut one, &ledger, &batch("2", 1)).await;
    one.commit(&ledger).await.unwrap();
}

#[tokio::test]
async fn what_another_run_committed_meanwhile_has_its_outcomes() {
    let (ledger, mut one, mut other, all) = (Memory::default(), sink(), sink(), batch("1", 1));
    write(&mut one, &ledger, &all).await;
    ledger.fail(When::Before);
    assert!(one.commit(&ledger).await.unwrap_err().kind.is_transient());
    write(&mut other, &ledger, &all).await;
    other.commit(&ledger).await.unwrap();
    assert_eq!(write(&mut one, &ledger, &all).await, [RowOutcome::Duplicate]);
}

#[test]
fn ids_are_those_of_before_and_tell_all_parts_apart() {
    // printf '\0\0\0\0\0\0\0\1a\0\0\0\0\0\0\0\1b\0\0\0\0\0\0\0\1c' | openssl dgst -sha256 -binary | basenc --base64url
    assert_eq!(Apart::<(), ()>::new("a", "b").id("c"), "vXNVF96osEu6kdWO2VbqnOMpbS85tKbhEDiEgV3XHQ0");
    assert_ne!(Apart::<(), ()>::new("ab", "").id("c"), Apart::<(), ()>::new("a", "b").id("c"));
}
