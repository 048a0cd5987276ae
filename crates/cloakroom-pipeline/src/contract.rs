//! The contract that every source and every sink keeps, as tests that their crates call.
//!
//! Panics are this module's way to fail: it is compiled for tests only.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use cloakroom_core::{Cloak, IngestTime, Payload, Place, Policy, PolicyConfig, ProtectedRecord, RecordId};

use crate::error::{ConnectorError, ErrorKind};
use crate::sink::{Ledger, RowOutcome, Sink, SinkBatch};
use crate::source::{Batch, Outcome, Progress, Source};

/// A ledger in memory, for tests of sources.
#[derive(Default)]
pub struct MemoryLedger(pub HashMap<String, String>);

#[async_trait]
impl Ledger for MemoryLedger {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        Ok(self.0.get(partition).cloned())
    }
}

/// Takes all batches of a source.
pub async fn drain(source: &mut dyn Source, ledger: &mut MemoryLedger) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch(ledger).await.expect("a batch") {
        assert!(batches.len() < 1_000_000, "a source must end");
        batches.push(batch);
    }
    batches
}

fn ids(batches: &[Batch]) -> Vec<RecordId> {
    batches.iter().flat_map(|batch| &batch.deliveries).map(|delivery| delivery.id.clone()).collect()
}

/// What every source of a fixed content must do. `make` opens the same content anew each time; it must
/// hold `expected` records in at least two batches.
pub async fn source(make: impl AsyncFn() -> Box<dyn Source>, expected: usize) {
    let mut first = make().await;
    first.open(&mut MemoryLedger::default()).await.expect("open");
    let batches = drain(first.as_mut(), &mut MemoryLedger::default()).await;
    assert!(batches.len() >= 2, "the test needs two batches");
    let all = ids(&batches);
    assert_eq!(all.len(), expected, "every record once");
    let mut unique = all.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), expected, "every record has an id of its own");
    assert!(
        first.next_batch(&mut MemoryLedger::default()).await.expect("after the end").is_none(),
        "the end stays the end"
    );
    for batch in &batches {
        let outcomes = vec![Outcome::Delivered; batch.deliveries.len()];
        first.settle(&batch.progress, &outcomes).await.expect("settle");
    }
    if !first.is_repeatable() {
        return;
    }

    let mut second = make().await;
    second.open(&mut MemoryLedger::default()).await.expect("open again");
    assert_eq!(
        ids(&drain(second.as_mut(), &mut MemoryLedger::default()).await),
        all,
        "a redelivered record has the same id"
    );

    // Dropping the future of a batch loses nothing.
    let mut third = make().await;
    third.open(&mut MemoryLedger::default()).await.expect("open again");
    let mut collected = Vec::new();
    loop {
        for _ in 0..3 {
            let mut ledger = MemoryLedger::default();
            let waiting = std::pin::pin!(third.next_batch(&mut ledger));
            let mut waiting = Some(waiting);
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(waiting.as_mut().map(|future| future.as_mut().poll(context)))
            });
            if let Some(std::task::Poll::Ready(batch)) = polled.await {
                match batch.expect("a batch") {
                    Some(batch) => collected.push(batch),
                    None => break,
                }
            }
        }
        match third.next_batch(&mut MemoryLedger::default()).await.expect("a batch") {
            Some(batch) => collected.push(batch),
            None => break,
        }
    }
    assert_eq!(ids(&collected), all, "a cancelled wait loses nothing");

    // Whoever has positions goes on where the ledger stands.
    if let Progress::Position { partition, position } = &batches[0].progress {
        let mut ledger = MemoryLedger::default();
        ledger.0.insert(partition.to_string(), position.clone());
        let mut resumed = make().await;
        resumed.open(&mut ledger).await.expect("open at a position");
        assert_eq!(
            ids(&drain(resumed.as_mut(), &mut ledger).await),
            all[batches[0].deliveries.len()..],
            "it goes on after the first batch"
        );
        let last = batches.iter().rev().find_map(|batch| match &batch.progress {
            Progress::Position { partition, position } => Some((partition.to_string(), position.clone())),
            Progress::Ids => None,
        });
        ledger.0.extend(last);
        let mut finished = make().await;
        finished.open(&mut ledger).await.expect("open at the end");
        assert!(
            ids(&drain(finished.as_mut(), &mut ledger).await).is_empty(),
            "nothing is left after the last position"
        );
    }
}

/// A sink under test and a way to look at what it holds.
#[async_trait]
pub trait SinkUnderTest: Send + Sync {
    /// The sink on the same storage, not yet open.
    async fn make(&self) -> Box<dyn Sink>;
    /// How many records are visible in the storage.
    async fn count(&self) -> usize;
    /// JSON of a record that the sink accepts, different for each number.
    fn good(&self, number: u64) -> String {
        format!("{{\"id\":\"row-{number}\",\"n\":{number}}}")
    }
    /// False for storage without transactions: what was written before a crash stays, and is written again under the same
    /// identity, which changes nothing.
    fn is_transactional(&self) -> bool {
        true
    }
    /// True for storage that two runs can have open at once.
    fn is_shared(&self) -> bool {
        false
    }
    /// JSON of a record that the sink must refuse, if there can be one.
    fn bad(&self) -> Option<String>;
}

/// A protected record with this content, made by a policy that keeps everything.
#[must_use]
pub fn record(id: RecordId, json: &str) -> ProtectedRecord {
    let policy = Policy::compile(&PolicyConfig::default(), None).expect("an empty policy");
    let payload = Payload::Json(Bytes::copy_from_slice(json.as_bytes()));
    Cloak::new(Arc::new(policy)).process(id, &payload, IngestTime::from_unix_seconds(0)).expect("a record")
}

/// Protected records of these lines, in order.
#[must_use]
pub fn records(policy: &Arc<Policy>, lines: impl IntoIterator<Item = String>) -> Arc<Vec<ProtectedRecord>> {
    let cloak = Cloak::new(Arc::clone(policy));
    let record = |(number, line): (u64, String)| {
        let id = RecordId { partition: "test".into(), position: Place::Offset { byte: number, number } };
        cloak.process(id, &Payload::Json(Bytes::from(line)), IngestTime::from_unix_seconds(0)).expect("a record")
    };
    Arc::new((0..).zip(lines).map(record).collect())
}

fn offset(number: u64) -> RecordId {
    RecordId { partition: "part".into(), position: Place::Offset { byte: number, number } }
}

fn named(number: u64) -> RecordId {
    RecordId { partition: "queue".into(), position: Place::Id(format!("m-{number}").into()) }
}

fn at(position: &str) -> Progress {
    Progress::Position { partition: "part".into(), position: position.to_owned() }
}

fn delivered(count: usize) -> Vec<RowOutcome> {
    vec![RowOutcome::Delivered; count]
}

/// One of two runs that move the same partition is told so, for every batch, until it asks where the other one is.
async fn two_runs(
    test: &dyn SinkUnderTest,
    first: &mut dyn Sink,
    batch: &dyn Fn(Progress, std::ops::Range<u64>) -> SinkBatch,
) {
    let before = first.position("part").await.expect("position");
    let mut other = test.make().await;
    other.open().await.expect("open beside it");
    assert_eq!(other.position("part").await.expect("position"), before);
    other.write(&batch(at("26"), 300..302)).await.expect("write");
    other.commit().await.expect("commit");
    for late in ["27", "28"] {
        let result = match first.write(&batch(at(late), 300..301)).await {
            Ok(_) => first.commit().await,
            Err(error) => Err(error),
        };
        assert_eq!(result.err().map(|error| error.kind), Some(ErrorKind::Conflict), "{late}");
    }
    assert_eq!(first.position("part").await.expect("position").as_deref(), Some("26"));
    first.write(&batch(at("29"), 302..303)).await.expect("write");
    first.commit().await.expect("it has asked");
    other.close().await.expect("close");
}

/// What every sink must do.
pub async fn sink(test: &dyn SinkUnderTest) {
    let batch = |progress: Progress, numbers: std::ops::Range<u64>| {
        let id = if progress == Progress::Ids { named } else { offset };
        let records = numbers.map(|number| record(id(number), &test.good(number))).collect();
        SinkBatch { progress, records: Arc::new(records) }
    };
    let mut first = test.make().await;
    first.open().await.expect("open");
    assert_eq!(first.position("part").await.expect("a new ledger"), None);
    assert_eq!(first.write(&batch(at("10"), 0..10)).await.expect("write"), delivered(10));
    first.commit().await.expect("commit");
    assert_eq!(test.count().await, 10, "committed records are visible");

    if first.has_ledger() {
        assert_eq!(first.position("part").await.expect("position").as_deref(), Some("10"));
        // Staged and not committed: a crash leaves nothing.
        first.write(&batch(at("20"), 10..20)).await.expect("write");
        drop(first);
        let mut second = test.make().await;
        second.open().await.expect("open after a crash");
        if test.is_transactional() {
            assert_eq!(test.count().await, 10, "what was not committed is not there");
        }
        assert_eq!(second.position("part").await.expect("position").as_deref(), Some("10"));

        // Written again before the commit: the later one counts.
        second.write(&batch(at("20"), 10..20)).await.expect("write");
        assert_eq!(second.write(&batch(at("20"), 10..20)).await.expect("write again"), delivered(10));
        second.commit().await.expect("commit");
        assert_eq!(test.count().await, 20);

        // An empty batch moves the ledger: all of its records were rejected.
        second.write(&batch(at("25"), 0..0)).await.expect("write nothing");
        second.commit().await.expect("commit");
        assert_eq!(second.position("part").await.expect("position").as_deref(), Some("25"));

        // Ids: what is known is a duplicate.
        assert_eq!(second.write(&batch(Progress::Ids, 100..105)).await.expect("write"), delivered(5));
        second.commit().await.expect("commit");
        let known = if test.is_transactional() { RowOutcome::Duplicate } else { RowOutcome::Delivered };
        let mut expected = vec![known; 5];
        expected.extend(delivered(2));
        assert_eq!(second.write(&batch(Progress::Ids, 100..107)).await.expect("write"), expected);
        second.commit().await.expect("commit");
        assert_eq!(test.count().await, 27, "a redelivery changes nothing");
        second.close().await.expect("close");
        first = test.make().await;
        first.open().await.expect("open again");
        if test.is_shared() {
            two_runs(test, first.as_mut(), &batch).await;
        }
    }

    if let Some(bad) = test.bad() {
        let before = test.count().await;
        let records = (200..209).map(|number| match number {
            203 | 207 => record(offset(number), &bad),
            _ => record(offset(number), &test.good(number)),
        });
        let mixed = SinkBatch { progress: at("30"), records: Arc::new(records.collect()) };
        let outcomes = first.write(&mixed).await.expect("write a mixed batch");
        for (index, outcome) in outcomes.iter().enumerate() {
            match outcome {
                RowOutcome::Dead(_) => assert!(index == 3 || index == 7, "record {index} is good"),
                outcome => assert!(*outcome == RowOutcome::Delivered && index != 3 && index != 7, "record {index}"),
            }
        }
        first.commit().await.expect("commit");
        assert_eq!(test.count().await, before + 7, "bad records cost only themselves");
    }
    first.close().await.expect("close");
}
