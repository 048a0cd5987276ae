//! A stream on LocalStack, and what its records are.
#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{PutRecordsRequestEntry, Shard, StreamStatus};
use cloakroom_aws::kinesis::{Config, build};
use cloakroom_core::{Format, Payload};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::source::{Batch, Source};
use serde_json::{Value, json};

use crate::common::{address, context, localstack};

/// A stream of the test's own.
pub(crate) struct Stream {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Stream {
    /// `None` where there is no LocalStack.
    pub(crate) async fn new(shards: i32) -> Option<Self> {
        let sdk = localstack().await?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let stream = Self { client: Client::new(&sdk), name };
        stream.client.create_stream().stream_name(&stream.name).shard_count(shards).send().await.unwrap();
        stream.ready().await;
        Some(stream)
    }

    /// Waits until the stream is no longer being changed.
    pub(crate) async fn ready(&self) {
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
    pub(crate) async fn put(&self, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let key = number % 8;
            self.put_one(&format!("k{key}"), format!("{{\"key\":{key},\"n\":{number}}}")).await;
        }
    }

    pub(crate) async fn put_one(&self, key: &str, data: impl Into<Vec<u8>>) -> String {
        let call = self.client.put_record().stream_name(&self.name).partition_key(key).data(Blob::new(data));
        call.send().await.unwrap().sequence_number
    }

    /// In one call, which keeps no order, for tests with many records.
    pub(crate) async fn put_many(&self, count: u32) {
        let entry = |number: u32| {
            let data = Blob::new(format!("{{\"n\":{number}}}"));
            PutRecordsRequestEntry::builder().partition_key(format!("k{number}")).data(data).build().unwrap()
        };
        let entries = (0..count).map(entry).collect();
        let call = self.client.put_records().stream_name(&self.name).set_records(Some(entries));
        assert_eq!(call.send().await.unwrap().failed_record_count, Some(0));
    }

    pub(crate) async fn open_shards(&self) -> Vec<Shard> {
        let shards = self.client.list_shards().stream_name(&self.name).send().await.unwrap().shards.unwrap();
        let is_open =
            |shard: &Shard| shard.sequence_number_range().is_some_and(|range| range.ending_sequence_number().is_none());
        shards.into_iter().filter(is_open).collect()
    }

    /// Splits a shard in the middle of its keys.
    pub(crate) async fn split(&self, shard: &Shard) {
        let range = shard.hash_key_range().unwrap();
        let number = |text: &str| text.parse::<u128>().unwrap();
        let (from, to) = (number(range.starting_hash_key()), number(range.ending_hash_key()));
        let middle = (from + (to - from) / 2).to_string();
        let call = self.client.split_shard().stream_name(&self.name);
        call.shard_to_split(shard.shard_id()).new_starting_hash_key(middle).send().await.unwrap();
        self.ready().await;
    }

    pub(crate) async fn merge(&self, one: &Shard, other: &Shard) {
        let call = self.client.merge_shards().stream_name(&self.name);
        call.shard_to_merge(one.shard_id()).adjacent_shard_to_merge(other.shard_id()).send().await.unwrap();
        self.ready().await;
    }

    pub(crate) fn source(&self, more: Value) -> Box<dyn Source> {
        self.source_in(more, &context(Format::Json))
    }

    pub(crate) fn source_in(&self, more: Value, context: &SourceContext) -> Box<dyn Source> {
        let mut config = json!({ "stream": self.name, "endpoint": address(), "region": "us-east-1" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config: Config = serde_saphyr::from_str(&config.to_string()).unwrap();
        build(&config, context).unwrap()
    }

    pub(crate) fn partition(&self, shard: u32) -> String {
        format!("kinesis/{}/shardId-{shard:012}", self.name)
    }
}

/// The records, in the order in which they were given out.
pub(crate) fn records(batches: &[Batch]) -> Vec<Value> {
    let all = batches.iter().flat_map(|batch| &batch.deliveries);
    all.map(|delivery| serde_json::from_str(&text(&delivery.payload)).unwrap()).collect()
}

pub(crate) fn text(payload: &Payload) -> String {
    let object = payload.decode(cloakroom_core::Limits::default()).expect("a record");
    let mut bytes = Vec::new();
    cloakroom_core::encode::write_object(&object, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

/// Every number once, and those of each key in their order.
pub(crate) fn check_order(records: &[Value], numbers: std::ops::Range<u32>) {
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
