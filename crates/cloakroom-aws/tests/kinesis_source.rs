//! The Kinesis source on a real server: LocalStack.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;
mod kinesis_stream;

use std::time::Duration;

use cloakroom_aws::kinesis::{Config, build};
use cloakroom_core::Format;
use cloakroom_faults::{Fault, FaultProxy, Plan};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::contract::{self, MemoryLedger};
use cloakroom_pipeline::error::ErrorKind;
use cloakroom_pipeline::source::{Batch, Outcome, Progress, Source};
use common::{address, context};
use kinesis_stream::{Stream, check_order, records, text};
use serde_json::{Value, json};

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
