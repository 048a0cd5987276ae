//! Sinks in memory that die, refuse and are away when a test says so.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard};

use cloakroom_core::{Cloak, IngestTime, Payload, Place, Policy, PolicyConfig, RecordErrorKind, RecordId};

use super::*;

/// What a sink in memory holds, and what it is to do.
#[derive(Default)]
struct Store {
    rows: Vec<String>,
    positions: HashMap<String, String>,
    ids: HashSet<String>,
    refuses: HashSet<String>,
    /// What it takes and keeps nothing of.
    filters: HashSet<String>,
    /// So many of its next commits fail: before they happen, or after.
    fails: usize,
    fails_after: usize,
    conflict: bool,
    /// Has no transactions: what was written to it, committed or not.
    written: Option<HashSet<String>>,
    opened: usize,
    closed: usize,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Store>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap()
    }

    /// Its rows, sorted.
    fn rows(&self) -> Vec<String> {
        let mut rows = self.lock().rows.clone();
        rows.sort();
        rows
    }
}

struct Memory {
    store: Shared,
    staged: Option<(SinkBatch, Vec<RowOutcome>)>,
    in_doubt: Option<(Progress, Vec<RowOutcome>)>,
}

#[async_trait]
impl Ledger for Memory {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        Ok(self.store.lock().positions.get(partition).cloned())
    }
}

#[async_trait]
impl Sink for Memory {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        self.store.lock().opened += 1;
        Ok(())
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        let mut store = self.store.lock();
        let stands = match &batch.progress {
            Progress::Position { partition, position } => store.positions.get(&**partition) == Some(position),
            Progress::Ids => false,
        };
        let outcome = |record: &ProtectedRecord| {
            let text = text(record);
            match () {
                () if stands || store.ids.contains(&record.id().to_string()) => RowOutcome::Duplicate,
                () if store.refuses.contains(&text) => {
                    RowOutcome::Dead(RecordError::new(RecordErrorKind::Database, "23514"))
                }
                () if store.filters.contains(&text) => RowOutcome::Filtered,
                () => RowOutcome::Delivered,
            }
        };
        let outcomes: Vec<RowOutcome> = match self.in_doubt.take() {
            Some((progress, outcomes)) if stands && progress == batch.progress => outcomes,
            _ => batch.records.iter().map(outcome).collect(),
        };
        if let Some(written) = &mut store.written {
            written.extend(batch.records.iter().map(text));
        }
        let nothing = if stands { vec![RowOutcome::Duplicate; outcomes.len()] } else { outcomes.clone() };
        self.staged = Some((batch.clone(), nothing));
        Ok(outcomes)
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        let (batch, outcomes) = self.staged.take().unwrap();
        let mut store = self.store.lock();
        if store.conflict {
            return Err(ConnectorError::new(ErrorKind::Conflict, "moved"));
        }
        if store.fails > 0 {
            store.fails -= 1;
            return Err(ConnectorError::unavailable("away"));
        }
        let delivered = batch.records.iter().zip(&outcomes).filter(|(_, outcome)| **outcome == RowOutcome::Delivered);
        for (record, _) in delivered {
            store.rows.push(text(record));
            if batch.progress == Progress::Ids {
                store.ids.insert(record.id().to_string());
            }
        }
        if let Progress::Position { partition, position } = &batch.progress {
            store.positions.insert(partition.to_string(), position.clone());
        }
        if store.fails_after > 0 {
            store.fails_after -= 1;
            self.in_doubt = Some((batch.progress.clone(), outcomes));
            return Err(ConnectorError::unavailable("no answer"));
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        self.store.lock().closed += 1;
        Err(ConnectorError::unavailable("away"))
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        Ok("is there".to_owned())
    }

    fn is_transactional(&self) -> bool {
        self.store.lock().written.is_none()
    }
}

fn text(record: &ProtectedRecord) -> String {
    let mut text = Vec::new();
    record.write_json(&mut text);
    String::from_utf8(text).unwrap()
}

fn fan_out(stores: &[&Shared]) -> FanOut {
    let memory = |(index, store): (usize, &&Shared)| {
        let sink = Memory { store: (*store).clone(), staged: None, in_doubt: None };
        (format!("sink {}", index + 1), Box::new(sink) as Box<dyn Sink>)
    };
    FanOut::new(stores.iter().enumerate().map(memory).collect()).unwrap()
}

fn content(number: u64) -> String {
    format!("{{\"n\":{number}}}")
}

fn contents(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    let mut contents: Vec<String> = numbers.map(content).collect();
    contents.sort();
    contents
}

fn record(place: Place, json: &str) -> ProtectedRecord {
    let policy = Policy::compile(&PolicyConfig::default(), None).unwrap();
    let id = RecordId { partition: "file".into(), position: place };
    let payload = Payload::Json(bytes::Bytes::copy_from_slice(json.as_bytes()));
    Cloak::new(Arc::new(policy)).process(id, &payload, IngestTime::from_unix_seconds(0)).unwrap()
}

/// Records of a file whose lines have so many bytes, up to a position named by the last of them.
fn lines(numbers: std::ops::RangeInclusive<u64>, width: u64) -> SinkBatch {
    let position = format!("{}x{width}", numbers.end());
    let line = |number| record(Place::Offset { byte: number * width, number }, &content(number));
    let records = Arc::new(numbers.map(line).collect());
    SinkBatch { progress: Progress::Position { partition: "file".into(), position }, records }
}

fn sequence(numbers: std::ops::RangeInclusive<u64>, progress: Progress) -> SinkBatch {
    let message = |number: u64| record(Place::Id(format!("m{number}").into()), &content(number));
    SinkBatch { progress, records: Arc::new(numbers.map(message).collect()) }
}

fn shard(end: u64) -> Progress {
    Progress::Position { partition: "file".into(), position: end.to_string() }
}

async fn put(sink: &mut FanOut, batch: &SinkBatch) -> Vec<RowOutcome> {
    let outcomes = sink.write(batch).await.unwrap();
    sink.commit().await.unwrap();
    outcomes
}

fn count(outcomes: &[RowOutcome], wanted: &RowOutcome) -> usize {
    outcomes.iter().filter(|outcome| *outcome == wanted).count()
}

/// Commits everywhere but in the last sink, and dies.
async fn die_between(stores: &[&Shared], batch: &SinkBatch) {
    let mut sink = fan_out(stores);
    sink.position("file").await.unwrap();
    sink.write(batch).await.unwrap();
    stores[stores.len() - 1].lock().fails = 1;
    sink.commit().await.unwrap_err();
}

#[tokio::test]
async fn a_crash_between_commits_leaves_all_exact_whatever_the_cuts_are_then() {
    // Where the batch that was in doubt began, and the cuts of what comes after the crash.
    for (before, cuts) in [
        (0, &[10, 20, 30][..]),
        (10, &[20, 30]),
        (10, &[15, 25, 30]),
        (10, &[12, 14, 16, 18, 30]),
        (10, &[30]),
        (0, &[30]),
    ] {
        for crashes in 1..=2 {
            let (one, two, three) = (Shared::default(), Shared::default(), Shared::default());
            let all = [&one, &two, &three];
            if before > 0 {
                put(&mut fan_out(&all), &lines(1..=before, 9)).await;
            }
            die_between(&all, &lines(before + 1..=20.max(before + 1), 9)).await;
            assert_eq!((one.rows().len(), three.rows().len() as u64), (20, before));
            let mut from = before + 1;
            for (index, cut) in cuts.iter().enumerate().filter(|(_, cut)| **cut > before) {
                if crashes == 2 && index == 0 {
                    die_between(&all, &lines(from..=*cut, 9)).await;
                }
                // A run of its own each time, and the source goes on where it is told.
                let mut sink = fan_out(&all);
                let position = sink.position("file").await.unwrap();
                assert_eq!(position, (from > 1).then(|| format!("{}x9", from - 1)), "{before} {cuts:?}");
                let outcomes = put(&mut sink, &lines(from..=*cut, 9)).await;
                assert_eq!(outcomes, vec![RowOutcome::Delivered; outcomes.len()]);
                from = cut + 1;
            }
            for store in all {
                assert_eq!(store.rows(), contents(1..=30), "{before} {cuts:?}, {crashes} crashes");
            }
        }
    }
}

#[tokio::test]
async fn shards_whose_records_have_ids_are_exact_too() {
    let (one, two) = (Shared::default(), Shared::default());
    put(&mut fan_out(&[&one, &two]), &sequence(1..=10, shard(10))).await;
    die_between(&[&one, &two], &sequence(11..=20, shard(20))).await;
    for (numbers, end) in [(11..=14, 14), (15..=30, 30)] {
        put(&mut fan_out(&[&one, &two]), &sequence(numbers, shard(end))).await;
    }
    assert_eq!((one.rows(), two.rows()), (contents(1..=30), contents(1..=30)));
}

#[tokio::test]
async fn the_order_of_the_list_may_change_after_a_crash() {
    let (one, two) = (Shared::default(), Shared::default());
    die_between(&[&one, &two], &lines(1..=20, 9)).await;
    die_between(&[&two, &one], &lines(1..=15, 9)).await;
    for numbers in [1..=15, 16..=30] {
        put(&mut fan_out(&[&two, &one]), &lines(numbers, 9)).await;
    }
    assert_eq!((one.rows(), two.rows()), (contents(1..=30), contents(1..=30)));
}

#[tokio::test]
async fn a_file_that_is_replaced_is_delivered_anew_even_after_a_crash() {
    let twice = || {
        let mut rows = [contents(1..=20), contents(1..=20)].concat();
        rows.sort();
        rows
    };
    // In good order; in the middle of the file; in its first batch, where only the places of records tell.
    for before in [20, 10, 0] {
        let (one, two) = (Shared::default(), Shared::default());
        if before > 0 {
            put(&mut fan_out(&[&one, &two]), &lines(1..=before, 9)).await;
        }
        if before < 20 {
            die_between(&[&one, &two], &lines(before + 1..=20, 9)).await;
        }
        for numbers in [1..=8, 9..=20] {
            let numbers = if before == 0 { 1..=20 } else { numbers };
            let last = before == 0;
            put(&mut fan_out(&[&one, &two]), &lines(numbers, 8)).await;
            if last {
                break;
            }
        }
        assert_eq!(one.rows(), twice(), "{before}");
        assert_eq!(two.rows().len() as u64, 20 + before);
    }
}

#[tokio::test]
async fn what_one_refuses_reaches_none() {
    for refusing in 0..3 {
        let stores = [Shared::default(), Shared::default(), Shared::default()];
        let all: Vec<&Shared> = stores.iter().collect();
        stores[refusing].lock().refuses = [content(3), content(7)].into();
        let mut sink = fan_out(&all);
        let outcomes = sink.write(&lines(1..=10, 9)).await.unwrap();
        let name = format!("sink {}: 23514", refusing + 1);
        for (at, outcome) in outcomes.iter().enumerate() {
            match outcome {
                RowOutcome::Dead(error) => assert!((at == 2 || at == 6) && error.detail == name, "{at} {error}"),
                outcome => assert!(*outcome == RowOutcome::Delivered && at != 2 && at != 6, "{at}"),
            }
        }
        // Not committed, and the process dies when only some of them have committed.
        drop(sink);
        die_between(&all, &lines(1..=10, 9)).await;
        for numbers in [1..=6, 7..=20] {
            let outcomes = put(&mut fan_out(&all), &lines(numbers, 9)).await;
            assert_eq!(count(&outcomes, &RowOutcome::Delivered), outcomes.len() - 1);
        }
        for store in &stores {
            assert_eq!(store.rows(), contents((1..=20).filter(|number| *number != 3 && *number != 7)));
        }
        // Replayed when the table has been altered.
        stores[refusing].lock().refuses.clear();
        let replayed = sequence(3..=3, Progress::Ids);
        assert_eq!(put(&mut fan_out(&all), &replayed).await, [RowOutcome::Delivered]);
        assert_eq!(put(&mut fan_out(&all), &replayed).await, [RowOutcome::Duplicate]);
        assert!(stores.iter().all(|store| store.rows().len() == 19));
    }
}

#[tokio::test]
async fn what_a_sink_with_transactions_refuses_is_never_written_to_one_without() {
    for without in 0..3 {
        let stores = [Shared::default(), Shared::default(), Shared::default()];
        stores[without].lock().written = Some(HashSet::new());
        stores[(without + 1) % 3].lock().refuses = [content(3)].into();
        stores[(without + 2) % 3].lock().refuses = [content(7)].into();
        let mut sink = fan_out(&stores.iter().collect::<Vec<_>>());
        let outcomes = sink.write(&lines(1..=10, 9)).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 8);
        let written = stores[without].lock().written.clone().unwrap();
        assert!(written.len() == 8 && !written.contains(&content(3)) && !written.contains(&content(7)), "{without}");
    }
}

#[tokio::test]
async fn what_one_leaves_out_is_delivered_by_the_other() {
    let (one, two) = (Shared::default(), Shared::default());
    one.lock().filters = [content(3), content(7)].into();
    two.lock().filters = [content(7)].into();
    let outcomes = put(&mut fan_out(&[&one, &two]), &lines(1..=10, 9)).await;
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 9);
    assert_eq!(outcomes[6], RowOutcome::Filtered, "neither has it");
}

#[tokio::test]
async fn a_commit_that_is_tried_again_counts_each_record_once() {
    for progress in ["position", "ids"] {
        for (fails, fails_after) in [([0, 2], [0, 0]), ([1, 1], [0, 0]), ([0, 0], [1, 0]), ([0, 0], [0, 1])] {
            let (one, two) = (Shared::default(), Shared::default());
            two.lock().refuses.insert(content(4));
            for (store, at) in [(&one, 0), (&two, 1)] {
                (store.lock().fails, store.lock().fails_after) = (fails[at], fails_after[at]);
            }
            let batch = match progress {
                "ids" => sequence(1..=10, Progress::Ids),
                _ => lines(1..=10, 9),
            };
            let mut sink = fan_out(&[&one, &two]);
            let outcomes = loop {
                let outcomes = sink.write(&batch).await.unwrap();
                match sink.commit().await {
                    Ok(()) => break outcomes,
                    Err(error) => assert!(error.message.starts_with("sink ") && error.kind.is_transient(), "{error}"),
                }
                // What is refused now would be a second outcome of a record that has one.
                two.lock().refuses.clear();
            };
            assert_eq!(count(&outcomes, &RowOutcome::Delivered), 9, "{progress} {fails:?} {fails_after:?}");
            assert!(matches!(outcomes[3], RowOutcome::Dead(_)));
            let expected = contents((1..=10).filter(|number| *number != 4));
            assert_eq!((one.rows(), two.rows()), (expected.clone(), expected));
        }
    }
}

#[tokio::test]
async fn a_sink_that_is_added_goes_on_where_the_others_are() {
    let (one, two, new) = (Shared::default(), Shared::default(), Shared::default());
    for numbers in [1..=10, 11..=20] {
        put(&mut fan_out(&[&one, &two]), &lines(numbers, 9)).await;
    }
    // Its first commit comes before those of the others, so that it is not left behind by a crash.
    die_between(&[&one, &two, &new], &lines(21..=30, 9)).await;
    new.lock().fails = 0;
    assert_eq!((one.rows().len(), new.rows().len()), (20, 0));
    let mut sink = fan_out(&[&one, &two, &new]);
    assert_eq!(sink.position("file").await.unwrap().as_deref(), Some("20x9"));
    put(&mut sink, &lines(21..=30, 9)).await;
    assert_eq!((one.rows(), two.rows(), new.rows()), (contents(1..=30), contents(1..=30), contents(21..=30)));

    // One that was left out for a while has a gap that nobody could fill.
    put(&mut fan_out(&[&one, &two]), &lines(31..=40, 9)).await;
    put(&mut fan_out(&[&one, &two]), &lines(41..=50, 9)).await;
    let error = fan_out(&[&one, &two, &new]).position("file").await.unwrap_err();
    assert!(error.message.contains("sink 3 and sink 2") || error.message.contains("sink 3 and sink 1"), "{error}");
}

#[tokio::test]
async fn one_sink_that_was_alone_goes_on_with_another() {
    let (one, new) = (Shared::default(), Shared::default());
    one.lock().positions.insert("file".to_owned(), "7:1:0:6:abcd".to_owned());
    let mut sink = fan_out(&[&one, &new]);
    assert_eq!(sink.position("file").await.unwrap().as_deref(), Some("7:1:0:6:abcd"));
    put(&mut sink, &lines(2..=9, 9)).await;
    assert_eq!((one.rows(), new.rows()), (contents(2..=9), contents(2..=9)));
}

#[tokio::test]
async fn errors_have_names_and_all_are_closed() {
    let (one, two) = (Shared::default(), Shared::default());
    let mut sink = fan_out(&[&one, &two]);
    sink.open().await.unwrap();
    sink.open().await.unwrap();
    assert_eq!((one.lock().opened, two.lock().opened), (1, 1), "what is open stays so");
    assert_eq!(sink.check().await.unwrap(), "sink 1: is there; sink 2: is there");
    two.lock().conflict = true;
    sink.write(&lines(1..=2, 9)).await.unwrap();
    let error = sink.commit().await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str()), (ErrorKind::Conflict, "sink 2: moved"));
    assert!(sink.find("n", &[], 1).await.is_err_and(|error| error.message.starts_with("sink 1: ")));
    assert_eq!(sink.close().await.unwrap_err().message, "sink 1: away");
    assert_eq!((one.lock().closed, two.lock().closed), (1, 1));
    assert!(FanOut::new(Vec::new()).is_err());
}
