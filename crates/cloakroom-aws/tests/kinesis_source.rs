//! The Kinesis source on a real server: LocalStack.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, StreamStatus};
use cloakroom_aws::kinesis::{Config, build};
use cloakroom_core::policy::{PolicyConfig, RecordConfig};
use cloakroom_core::{Format, Payload, Policy};
use cloakroom_crypto::{KeyId, PseudonymKey};
use cloakroom_faults::{Fault, FaultProxy, Plan};
use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::contract::{self, MemoryLedger};
use cloakroom_pipeline::error::ErrorKind;
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::source::{Batch, Outcome, Progress, Source};
use common::{address, localstack};
use serde_json::{Value, json};

/// A stream of the test's own.
struct Stream {
    client: Client,
    name: String,
}

impl Stream {
    /// `None` where there is no LocalStack.
    async fn new(shards: i32) -> Option<Self> {
        let sdk = localstack().await?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let stream = Self { client: Client::new(&sdk), name };
        stream.client.create_stream().stream_name(&stream.name).shard_count(shards).send().await.unwrap();
        stream.ready().await;
        Some(stream)
    }

    /// Waits until the stream is no longer being changed.
    async fn ready(&self) {
        for _ in 0..600 {
            let answer = self.client.describe_stream_summary().stream_name(&self.name).send().await.unwrap();
            if *answer.stream_description_summary.unwrap().stream_status() == StreamStatus::Active {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the stream is never active");
    }

    /// Puts records whose keys are `n` modulo 8.
    async fn put(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let key = number % 8;
            self.put_one(&format!("k{key}"), format!("{{\"key\":{key},\"n\":{number}}}")).await;
        }
    }

    async fn put_one(&self, key: &str, data: impl Into<Vec<u8>>) -> String {
        let call = self.client.put_record().stream_name(&self.name).partition_key(key).data(Blob::new(data));
        call.send().await.unwrap().sequence_number
    }

    /// In one call, which keeps no order, for tests with many records.
    async fn put_many(&self, count: u32) {
        let entry = |number: u32| {
            let data = Blob::new(format!("{{\"n\":{number}}}"));
            PutRecordsRequestEntry::builder().partition_key(format!("k{number}")).data(data).build().unwrap()
        };
        let entries = (0..count).map(entry).collect();
        let call = self.client.put_records().stream_name(&self.name).set_records(Some(entries));
        assert_eq!(call.send().await.unwrap().failed_record_count, Some(0));
    }

    async fn open_shards(&self) -> Vec<Shard> {
        let shards = self.client.list_shards().stream_name(&self.name).send().await.unwrap().shards.unwrap();
        let is_open =
            |shard: &Shard| shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none());
        shards.into_iter().filter(is_open).collect()
    }

    /// Splits a shard in the middle of its keys.
    async fn split(&self, shard: &Shard) {
        let range = shard.hash_key_range().unwrap();
        let number = |text: &str| text.parse::<u128>().unwrap();
        let (from, to) = (number(range.starting_hash_key()), number(range.ending_hash_key()));
        let middle = (from + (to - from) / 2).to_string();
        let call = self.client.split_shard().stream_name(&self.name);
        call.shard_to_split(shard.shard_id()).new_starting_hash_key(middle).send().await.unwrap();
        self.ready().await;
    }

    async fn merge(&self, one: &Shard, other: &Shard) {
        let call = self.client.merge_shards().stream_name(&self.name);
        call.shard_to_merge(one.shard_id()).adjacent_shard_to_merge(other.shard_id()).send().await.unwrap();
        self.ready().await;
    }

    fn source(&self, more: Value) -> Box<dyn Source> {
        self.source_in(more, &context(Format::Json))
    }

    fn source_in(&self, more: Value, context: &SourceContext) -> Box<dyn Source> {
        let mut config = json!({ "stream": self.name, "endpoint": address(), "region": "us-east-1" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config: Config = serde_saphyr::from_str(&config.to_string()).unwrap();
        build(&config, context).unwrap()
    }

    fn partition(&self, shard: u32) -> String {
        format!("kinesis/{}/shardId-{shard:012}", self.name)
    }
}

fn context(format: Format) -> SourceContext {
    let record = RecordConfig { format, ..RecordConfig::default() };
    let policy = PolicyConfig { record, ..PolicyConfig::default() };
    SourceContext {
        policy: Arc::new(Policy::compile(&policy, None).unwrap()),
        batch: BatchConfig { records: 7, bytes: 1 << 20, wait_ms: 0 },
        retry: RetryConfig { base_ms: 10, max_ms: 100, give_up_after_s: 10 },
        fingerprint: Arc::new(PseudonymKey::from_raw(KeyId::parse("aaaaaaaa").unwrap(), b"key").unwrap()),
        once: true,
    }
}

/// Takes everything, as the run loop does: outcomes for each batch, and the ledger moves with it.
async fn drain(source: &mut dyn Source, ledger: &mut MemoryLedger) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch(ledger).await.unwrap() {
        settle(source, ledger, &batch).await;
        batches.push(batch);
    }
    batches
}

async fn settle(source: &mut dyn Source, ledger: &mut MemoryLedger, batch: &Batch) {
    let Progress::Position { partition, position } = &batch.progress else { panic!("a position") };
    ledger.0.insert(partition.to_string(), position.clone());
    source.settle(&batch.progress, &vec![Outcome::Delivered; batch.deliveries.len()]).await.unwrap();
}

/// A whole run that goes on from a ledger.
async fn run(stream: &Stream, more: Value, ledger: &mut MemoryLedger) -> Vec<Value> {
    let mut source = stream.source(more);
    source.open(ledger).await.unwrap();
    let batches = drain(source.as_mut(), ledger).await;
    source.close().await.unwrap();
    records(&batches)
}

/// The records, in the order in which they were given out.
fn records(batches: &[Batch]) -> Vec<Value> {
    let all = batches.iter().flat_map(|batch| &batch.deliveries);
    all.map(|delivery| serde_json::from_str(&text(&delivery.payload)).unwrap()).collect()
}

fn text(payload: &Payload) -> String {
    let object = payload.decode(cloakroom_core::Limits::default()).expect("a record");
    let mut bytes = Vec::new();
    cloakroom_core::encode::write_object(&object, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// Every number once, and those of each key in their order.
fn check_order(records: &[Value], numbers: std::ops::Range<u32>) {
    let mut last: BTreeMap<u64, u64> = BTreeMap::new();
    for record in records {
        let (key, number) = (record["key"].as_u64().unwrap(), record["n"].as_u64().unwrap());
        let before = last.insert(key, number);
        assert!(before.is_none_or(|before| before < number), "{number} of key {key} came after {before:?}");
    }
    let found: BTreeSet<u64> = records.iter().map(|record| record["n"].as_u64().unwrap()).collect();
    assert_eq!((records.len(), found.len()), (numbers.len(), numbers.len()), "every record once");
    assert_eq!(found, numbers.map(u64::from).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_keeps_the_contract() {
    let Some(stream) = Stream::new(1).await else { return };
    stream.put_many(40).await;
    contract::source(async || stream.source(json!({})), 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_goes_on_where_the_last_one_was_stopped() {
    let Some(stream) = Stream::new(3).await else { return };
    stream.put(0..120).await;
    let mut ledger = MemoryLedger::default();
    let mut all = Vec::new();
    // Stopped after a few batches, with some that were given out and never settled.
    for _ in 0..3 {
        let mut source = stream.source(json!({}));
        source.open(&mut ledger).await.unwrap();
        for _ in 0..3 {
            let batch = source.next_batch(&mut ledger).await.unwrap().unwrap();
            assert!((1..=7).contains(&batch.deliveries.len()));
            settle(source.as_mut(), &mut ledger, &batch).await;
            all.extend(records(&[batch]));
        }
        source.next_batch(&mut ledger).await.unwrap().unwrap();
        source.close().await.unwrap();
    }
    all.extend(run(&stream, json!({}), &mut ledger).await);
    check_order(&all, 0..120);
    assert!(run(&stream, json!({}), &mut ledger).await.is_empty(), "nothing comes twice");
    stream.put(120..130).await;
    check_order(&run(&stream, json!({}), &mut ledger).await, 120..130);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_over_splits_and_merges() {
    let Some(stream) = Stream::new(2).await else { return };
    stream.put(0..60).await;
    let mut ledger = MemoryLedger::default();
    let mut source = stream.source(json!({}));
    source.open(&mut ledger).await.unwrap();
    let mut all = Vec::new();
    for _ in 0..2 {
        let batch = source.next_batch(&mut ledger).await.unwrap().unwrap();
        settle(source.as_mut(), &mut ledger, &batch).await;
        all.extend(records(&[batch]));
    }
    // In the middle of the run a shard is split, then a child of it is merged with a shard that was there before.
    let open = stream.open_shards().await;
    stream.split(&open[0]).await;
    stream.put(60..120).await;
    let mut open = stream.open_shards().await;
    open.sort_by_key(|shard| shard.hash_key_range().unwrap().starting_hash_key().parse::<u128>().unwrap());
    stream.merge(&open[1], &open[2]).await;
    stream.put(120..180).await;
    while let Some(batch) = source.next_batch(&mut ledger).await.unwrap() {
        settle(source.as_mut(), &mut ledger, &batch).await;
        all.extend(records(&[batch]));
    }
    source.close().await.unwrap();
    // What arrived after the run had reached the newest record is the next one's.
    all.extend(run(&stream, json!({}), &mut ledger).await);
    check_order(&all, 0..180);
    assert_eq!(ledger.0.values().filter(|position| *position == "END").count(), 3, "{:?}", ledger.0);

    // From the beginning, over all generations at once.
    let mut fresh = MemoryLedger::default();
    check_order(&run(&stream, json!({}), &mut fresh).await, 0..180);
    assert_eq!(fresh.0, ledger.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_is_kept_from_the_first_run_on() {
    let Some(stream) = Stream::new(2).await else { return };
    stream.put(0..20).await;
    // LocalStack cuts the time to whole seconds.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    let latest = json!({ "start": "latest" });
    let mut ledger = MemoryLedger::default();
    let mut source = stream.source(latest.clone());
    source.open(&mut ledger).await.unwrap();
    let begin = source.next_batch(&mut ledger).await.unwrap().unwrap();
    assert!(begin.deliveries.is_empty());
    settle(source.as_mut(), &mut ledger, &begin).await;
    // It is killed before the first record; what comes meanwhile is not lost, nor what comes to shards that are new.
    drop(source);
    tokio::time::sleep(Duration::from_millis(50)).await;
    stream.put(20..40).await;
    let open = stream.open_shards().await;
    stream.split(&open[0]).await;
    stream.put(40..60).await;
    check_order(&run(&stream, latest, &mut ledger).await, 20..60);
    // A ledger that knows shards and no time is gone on with from where they stand.
    let mut begun = MemoryLedger::default();
    begun.0.insert(stream.partition(1), ledger.0[&stream.partition(1)].clone());
    let rest = run(&stream, json!({ "start": "latest" }), &mut begun).await;
    assert!(rest.iter().any(|record| record["n"].as_u64() < Some(20)), "the others are read from their beginning");
}

#[tokio::test(flavor = "multi_thread")]
async fn poison_passes_and_holds_nothing_up() {
    let Some(stream) = Stream::new(1).await else { return };
    stream.put(0..5).await;
    let poison = stream.put_one("k0", "this is no JSON").await;
    stream.put(5..9).await;
    let mut ledger = MemoryLedger::default();
    let mut source = stream.source(json!({ "metadata": "stream" }));
    source.open(&mut ledger).await.unwrap();
    let batches = drain(source.as_mut(), &mut ledger).await;
    let all: Vec<_> = batches.iter().flat_map(|batch| &batch.deliveries).collect();
    assert_eq!(all.len(), 10);
    assert!(all[5].payload.decode(cloakroom_core::Limits::default()).is_err());
    assert!(all[5].id.to_string().ends_with(&format!("shardId-000000000000#{poison}")), "{}", all[5].id);
    let good: Value = serde_json::from_str(&text(&all[6].payload)).unwrap();
    let about = &good["stream"];
    assert_eq!((&about["shard"], &about["partition_key"]), (&json!("shardId-000000000000"), &json!("k5")));
    assert!(about["arrival_timestamp"].is_u64() && about["sequence_number"].is_string(), "{about}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_fail_are_made_again_and_nothing_is_lost() {
    let Some(stream) = Stream::new(2).await else { return };
    stream.put(0..60).await;
    let proxy = FaultProxy::http(&address(), Plan::none());
    for code in ["ExpiredIteratorException", "ProvisionedThroughputExceededException", "ExpiredIteratorException"] {
        proxy.next(Fault::Refuse(400, code), "GetRecords");
    }
    proxy.next(Fault::Status(500), "GetShardIterator");
    proxy.next(Fault::NoAnswer, "GetRecords");
    proxy.next(Fault::Cut, "GetRecords");
    let mut ledger = MemoryLedger::default();
    let all = run(&stream, json!({ "endpoint": proxy.url() }), &mut ledger).await;
    check_order(&all, 0..60);
    assert_eq!((proxy.waiting(), proxy.injected().refused), (0, 4), "{}", proxy.describe());
    // In the middle of a shard: the new iterator begins after what was read.
    stream.put(60..80).await;
    proxy.next(Fault::Refuse(400, "ExpiredIteratorException"), "GetRecords");
    check_order(&run(&stream, json!({ "endpoint": proxy.url() }), &mut ledger).await, 60..80);

    proxy.next(Fault::Refuse(400, "KMSAccessDeniedException"), "GetRecords");
    let mut source = stream.source(json!({ "endpoint": proxy.url() }));
    source.open(&mut ledger).await.unwrap();
    let error = source.next_batch(&mut ledger).await.err().unwrap();
    assert_eq!((error.kind, error.message.contains("kms:Decrypt")), (ErrorKind::Denied, true), "{error}");
    proxy.next(Fault::Refuse(400, "AccessDeniedException"), "ListShards");
    let error = stream.source(json!({ "endpoint": proxy.url() })).open(&mut ledger).await.err().unwrap();
    assert_eq!((error.kind, error.message.contains("kinesis:ListShards")), (ErrorKind::Denied, true), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_another_run_moves_is_left_to_it() {
    let Some(stream) = Stream::new(2).await else { return };
    stream.put(0..80).await;
    let mut ledger = MemoryLedger::default();
    let (mut one, mut other) = (stream.source(json!({})), stream.source(json!({})));
    one.open(&mut ledger).await.unwrap();
    other.open(&mut ledger).await.unwrap();
    // Both read ahead from the beginning.
    let first = one.next_batch(&mut ledger).await.unwrap().unwrap();
    let mut stale = Vec::new();
    stale.push(other.next_batch(&mut ledger).await.unwrap().unwrap());
    stale.push(other.next_batch(&mut ledger).await.unwrap().unwrap());
    settle(one.as_mut(), &mut ledger, &first).await;
    let mut all = records(&[first]);
    all.extend(records(&drain(one.as_mut(), &mut ledger).await));
    check_order(&all, 0..80);
    // The sink refuses what the other one has.
    for batch in stale {
        assert!(other.yield_to_other(&batch.progress).await.unwrap());
    }
    while let Some(batch) = other.next_batch(&mut ledger).await.unwrap() {
        assert!(other.yield_to_other(&batch.progress).await.unwrap());
    }
    other.close().await.unwrap();
    stream.put(80..90).await;
    check_order(&run(&stream, json!({}), &mut ledger).await, 80..90);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_does_not_end_reads_what_comes() {
    let Some(stream) = Stream::new(1).await else { return };
    let mut ledger = MemoryLedger::default();
    let mut source = stream.source_in(json!({}), &SourceContext { once: false, ..context(Format::Json) });
    source.open(&mut ledger).await.unwrap();
    let waits = tokio::time::timeout(Duration::from_secs(2), source.next_batch(&mut ledger)).await;
    assert!(waits.is_err(), "nothing is there");
    let mut all = Vec::new();
    for round in 0..3 {
        stream.put(round * 5..round * 5 + 5).await;
        if round == 1 {
            let open = stream.open_shards().await;
            stream.split(&open[0]).await;
        }
        while all.len() < round as usize * 5 + 5 {
            let next = tokio::time::timeout(Duration::from_secs(30), source.next_batch(&mut ledger)).await;
            let batch = next.expect("it comes in time").unwrap().unwrap();
            settle(source.as_mut(), &mut ledger, &batch).await;
            all.extend(records(&[batch]));
        }
    }
    check_order(&all, 0..15);
    source.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said() {
    let Some(stream) = Stream::new(2).await else { return };
    let said = stream.source(json!({})).check().await.unwrap();
    let expected = "active, 2 open shards, not encrypted by Kinesis, records are kept for 24 hours";
    assert_eq!(said, format!("stream {}: {expected}", stream.name));
    let missing = json!({ "stream": "no-such-stream" });
    let error = stream.source(missing.clone()).check().await.err().unwrap();
    assert_eq!((error.kind, error.message.contains("no such stream")), (ErrorKind::Configuration, true), "{error}");
    let error = stream.source(missing).open(&mut MemoryLedger::default()).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    let config = |text: &str| serde_saphyr::from_str::<Config>(text).unwrap();
    for (format, text) in [
        (Format::Csv, "{stream: x}"),
        (Format::Json, "{stream: 'a b'}"),
        (Format::Json, "{stream: 'arn:aws:sqs:us-east-1:1:x'}"),
        (Format::Json, "{stream: x, metadata: ''}"),
    ] {
        let error = build(&config(text), &context(format)).err().expect(text);
        assert_eq!(error.kind, ErrorKind::Configuration, "{text}");
    }
    // A name by its ARN, and another position than one of this stream.
    let arn = format!("arn:aws:kinesis:us-east-1:000000000000:stream/{}", stream.name);
    stream.put(0..10).await;
    let mut ledger = MemoryLedger::default();
    check_order(&run(&stream, json!({ "stream": arn }), &mut ledger).await, 0..10);
    ledger.0.insert(stream.partition(0), "nonsense".to_owned());
    let mut source = stream.source(json!({}));
    source.open(&mut ledger).await.unwrap();
    assert_eq!(source.next_batch(&mut ledger).await.err().unwrap().kind, ErrorKind::Corrupt);
}
