//! Several workers that share the shards of a stream, on real servers: LocalStack for the stream, DynamoDB Local for the
//! leases. What the sink's ledger does is done by [`Sink`].
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;
mod kinesis_stream;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use cloakroom_aws::kinesis::{Config, build};
use cloakroom_core::Format;
use cloakroom_faults::{Fault, FaultProxy, Plan, seed};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::sink::Ledger;
use cloakroom_pipeline::source::{Batch, Outcome, Progress, Source};
use common::{context, sdk};
use kinesis_stream::{Stream, check_order, records};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

fn dynamodb() -> String {
    std::env::var("CLOAKROOM_TEST_DYNAMODB_URL").expect("CLOAKROOM_TEST_DYNAMODB_URL; run the tests with `make test`")
}

/// What several workers write to: rows, and a ledger that moves with them.
#[derive(Default)]
struct Sink {
    ledger: HashMap<String, String>,
    rows: Vec<Value>,
    /// Batches that were refused because another worker had moved the ledger.
    conflicts: usize,
}

/// One worker's connection to it.
struct Connection {
    sink: Arc<Mutex<Sink>>,
    known: HashMap<String, Option<String>>,
}

#[async_trait]
impl Ledger for Connection {
    async fn position(&mut self, partition: &str) -> Result<Option<String>, ConnectorError> {
        let position = self.sink.lock().unwrap().ledger.get(partition).cloned();
        self.known.insert(partition.to_owned(), position.clone());
        Ok(position)
    }
}

impl Connection {
    /// Writes a batch, unless somebody else moved the ledger since it was asked.
    fn write(&mut self, batch: &Batch) -> bool {
        let Progress::Position { partition, position } = &batch.progress else { panic!("a position") };
        let mut sink = self.sink.lock().unwrap();
        if sink.ledger.get(&**partition) != self.known[&**partition].as_ref() {
            sink.conflicts += 1;
            return false;
        }
        sink.ledger.insert(partition.to_string(), position.clone());
        self.known.insert(partition.to_string(), Some(position.clone()));
        sink.rows.extend(records(std::slice::from_ref(batch)));
        true
    }
}

/// A worker that goes on, as the run loop does, with some batches under way.
struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    /// It is stopped: what was taken is written, and the source closed.
    async fn close(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// It is killed.
    async fn die(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

async fn work(mut source: Box<dyn Source>, mut to: Connection, lag: Duration, stop: CancellationToken) {
    while let Err(error) = source.open(&mut to).await {
        assert!(error.kind.is_transient(), "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (mut given, mut ended) = (VecDeque::<Batch>::new(), false);
    loop {
        let may_take = !ended && !stop.is_cancelled() && given.len() < 3;
        tokio::select! {
            biased;
            () = stop.cancelled(), if may_take => {}
            batch = source.next_batch(&mut to), if may_take => match batch.unwrap() {
                Some(batch) => given.push_back(batch),
                None => ended = true,
            },
            () = tokio::time::sleep(lag), if !given.is_empty() => {
                let batch = given.pop_front().unwrap();
                match to.write(&batch) {
                    true => {
                        let outcomes = vec![Outcome::Delivered; batch.deliveries.len()];
                        source.settle(&batch.progress, &outcomes).await.unwrap();
                    }
                    false => assert!(source.yield_to_other(&batch.progress).await.unwrap()),
                }
            }
            else => break,
        }
    }
    source.close().await.unwrap();
}

/// A stream, a table for leases, and a sink.
struct World {
    stream: Stream,
    client: Client,
    table: String,
    sink: Arc<Mutex<Sink>>,
}

impl World {
    async fn new(shards: i32) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let stream = Stream::new(shards).await?;
        let table = format!("leases-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let client = Client::new(&sdk(&dynamodb()).await);
        Some(Self { stream, client, table, sink: Arc::default() })
    }

    fn source(&self, leases: Value, context: &SourceContext) -> Box<dyn Source> {
        let mut config = json!({ "table": self.table, "endpoint": dynamodb(), "duration_s": 3 });
        config.as_object_mut().unwrap().extend(leases.as_object().unwrap().clone());
        self.stream.source_in(json!({ "leases": config }), context)
    }

    fn connection(&self) -> Connection {
        Connection { sink: Arc::clone(&self.sink), known: HashMap::new() }
    }

    fn start_in(&self, leases: Value, lag: Duration, context: &SourceContext) -> Worker {
        let stop = CancellationToken::new();
        let task = tokio::spawn(work(self.source(leases, context), self.connection(), lag, stop.clone()));
        Worker { stop, task }
    }

    /// A worker that goes on until it is stopped.
    fn start(&self, name: &str, leases: Value) -> Worker {
        let mut named = json!({ "worker": name });
        named.as_object_mut().unwrap().extend(leases.as_object().unwrap().clone());
        self.start_in(named, Duration::from_millis(20), &SourceContext { once: false, ..context(Format::Json) })
    }

    /// How many leases each worker holds, by its name.
    async fn held(&self) -> BTreeMap<String, usize> {
        let mut held = BTreeMap::new();
        let Ok(scanned) = self.client.scan().table_name(&self.table).consistent_read(true).send().await else {
            return held;
        };
        for item in scanned.items() {
            if let Some(AttributeValue::S(owner)) = item.get("owner") {
                *held.entry(owner.split('/').next().unwrap().to_owned()).or_default() += 1;
            }
        }
        held
    }

    /// Waits until the leases are held so; how long that took.
    async fn until_held(&self, expected: &[(&str, usize)]) -> Duration {
        let expected = expected.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect();
        let began = Instant::now();
        loop {
            let held = self.held().await;
            if held == expected {
                return began.elapsed();
            }
            assert!(began.elapsed() < Duration::from_secs(90), "held {held:?}, expected {expected:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn until_rows(&self, count: usize) {
        let began = Instant::now();
        while self.rows() < count {
            assert!(began.elapsed() < Duration::from_secs(90), "{} rows, expected {count}", self.rows());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn rows(&self) -> usize {
        self.sink.lock().unwrap().rows.len()
    }

    fn conflicts(&self) -> usize {
        self.sink.lock().unwrap().conflicts
    }

    /// Every number once, those of each key in their order.
    fn check(&self, numbers: std::ops::Range<u32>) {
        check_order(&self.sink.lock().unwrap().rows, numbers);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_come_and_go_share_the_shards_evenly() {
    let Some(world) = World::new(6).await else { return };
    world.stream.put(0..40).await;
    let a = world.start("a", json!({}));
    world.until_held(&[("a", 6)]).await;
    let b = world.start("b", json!({}));
    // Shards change hands while records come.
    world.stream.put(40..80).await;
    world.until_held(&[("a", 3), ("b", 3)]).await;
    let c = world.start("c", json!({}));
    world.stream.put(80..120).await;
    world.until_held(&[("a", 2), ("b", 2), ("c", 2)]).await;
    b.close().await;
    world.stream.put(120..160).await;
    world.until_held(&[("a", 3), ("c", 3)]).await;
    world.until_rows(160).await;
    a.close().await;
    c.close().await;
    world.until_held(&[]).await;
    world.check(0..160);
    assert_eq!(world.conflicts(), 0, "a shard is handed over when what was given out of it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_dead_worker_held_is_taken_after_the_duration_and_what_a_closed_one_held_at_once() {
    let Some(world) = World::new(4).await else { return };
    world.stream.put(0..40).await;
    let a = world.start("a", json!({ "duration_s": 15 }));
    world.until_held(&[("a", 4)]).await;
    world.until_rows(40).await;
    a.close().await;
    assert_eq!(world.held().await, BTreeMap::new());
    let b = world.start("b", json!({ "duration_s": 15 }));
    assert!(world.until_held(&[("b", 4)]).await < Duration::from_secs(15));
    b.die().await;
    // A worker with a name takes up what it held.
    let b = world.start("b", json!({ "duration_s": 15 }));
    world.stream.put(40..60).await;
    let began = Instant::now();
    world.until_rows(60).await;
    assert!(began.elapsed() < Duration::from_secs(15));
    b.die().await;
    let c = world.start("c", json!({ "duration_s": 4 }));
    world.stream.put(60..80).await;
    let took = world.until_held(&[("c", 4)]).await;
    assert!(took > Duration::from_secs(3), "{took:?}");
    world.until_rows(80).await;
    c.close().await;
    world.check(0..80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_hand_over_loses_the_shard_after_the_duration() {
    let Some(world) = World::new(2).await else { return };
    world.stream.put(0..40).await;
    // Its sink hangs: it has batches under way, and renews its leases.
    let forever = SourceContext { once: false, ..context(Format::Json) };
    let a = world.start_in(json!({ "worker": "a" }), Duration::from_secs(3_600), &forever);
    world.until_held(&[("a", 2)]).await;
    let b = world.start("b", json!({}));
    world.until_held(&[("a", 1), ("b", 1)]).await;
    // It lives: the other shard stays with it.
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.until_held(&[("a", 1), ("b", 1)]).await;
    a.die().await;
    world.until_held(&[("b", 2)]).await;
    world.until_rows(40).await;
    b.close().await;
    world.check(0..40);
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_over_splits_merges_and_a_death() {
    let Some(world) = World::new(2).await else { return };
    world.stream.put(0..60).await;
    let (a, b) = (world.start("a", json!({})), world.start("b", json!({})));
    let open = world.stream.open_shards().await;
    world.stream.split(&open[0]).await;
    world.stream.put(60..120).await;
    world.until_rows(20).await;
    a.die().await;
    let mut open = world.stream.open_shards().await;
    open.sort_by_key(|shard| shard.hash_key_range().unwrap().starting_hash_key().parse::<u128>().unwrap());
    world.stream.merge(&open[1], &open[2]).await;
    let c = world.start("c", json!({}));
    world.stream.put(120..180).await;
    world.until_rows(180).await;
    world.until_held(&[("b", 1), ("c", 1)]).await;
    b.close().await;
    c.close().await;
    world.check(0..180);
    let ledger = world.sink.lock().unwrap().ledger.clone();
    assert_eq!(ledger.values().filter(|position| *position == "END").count(), 3, "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_throttles_and_fails_loses_and_doubles_nothing() {
    let Some(world) = World::new(3).await else { return };
    let pauses = Duration::from_millis(1)..Duration::from_millis(200);
    let plan = Plan::new(seed()).drop(0.05).cut(0.05).duplicate(0.05).status(0.1).delay(0.1, pauses);
    let proxy = FaultProxy::http(&dynamodb(), Plan::none());
    for operation in ["DescribeTable", "Query", "PutItem", "PutItem", "Query", "PutItem"] {
        proxy.next(Fault::Refuse(400, "ProvisionedThroughputExceededException"), operation);
    }
    // That there is no table yet is an answer too, and it can break off.
    proxy.next(Fault::Cut, "DescribeTable");
    // Whether it was written is not known.
    proxy.next(Fault::NoAnswer, "PutItem");
    let leases = json!({ "endpoint": proxy.url() });
    world.stream.put(0..40).await;
    let a = world.start("a", leases.clone());
    world.until_held(&[("a", 3)]).await;
    world.until_rows(40).await;
    assert_eq!(proxy.waiting(), 0, "{}", proxy.describe());
    proxy.set(plan);
    let b = world.start("b", leases.clone());
    let c = world.start("c", leases);
    for part in 1..8 {
        world.stream.put(part * 40..part * 40 + 40).await;
        if part == 4 {
            let open = world.stream.open_shards().await;
            world.stream.split(&open[0]).await;
        }
    }
    world.until_rows(320).await;
    b.die().await;
    world.stream.put(320..360).await;
    world.until_rows(360).await;
    a.close().await;
    c.close().await;
    world.check(0..360);
    assert!(proxy.injected().total() > 10, "{}", proxy.describe());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_away_is_waited_for_until_it_is_given_up() {
    let Some(world) = World::new(2).await else { return };
    let proxy = FaultProxy::http(&dynamodb(), Plan::none());
    let leases = json!({ "endpoint": proxy.url(), "duration_s": 2 });
    let a = world.start("a", leases.clone());
    world.until_held(&[("a", 2)]).await;
    // Longer than a lease lasts.
    proxy.set(Plan::new(1).drop(1.0));
    tokio::time::sleep(Duration::from_secs(4)).await;
    world.stream.put(0..20).await;
    world.until_rows(20).await;
    proxy.off();
    let b = world.start("b", leases.clone());
    world.until_held(&[("a", 1), ("b", 1)]).await;
    a.close().await;
    b.close().await;
    world.stream.put(20..40).await;

    let retry = RetryConfig { base_ms: 10, max_ms: 100, give_up_after_s: 3 };
    let mut source = world.source(leases, &SourceContext { once: false, retry, ..context(Format::Json) });
    let mut to = world.connection();
    source.open(&mut to).await.unwrap();
    let batch = source.next_batch(&mut to).await.unwrap().unwrap();
    assert!(to.write(&batch));
    source.settle(&batch.progress, &[]).await.unwrap();
    proxy.set(Plan::new(1).drop(1.0));
    let began = Instant::now();
    let error = loop {
        match source.next_batch(&mut to).await {
            Ok(Some(batch)) => {
                assert!(to.write(&batch));
                source.settle(&batch.progress, &[]).await.unwrap();
            }
            Ok(None) => panic!("it does not end"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.kind, error.message.contains("leases")), (ErrorKind::Unavailable, true), "{error}");
    assert!((2..20).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    source.close().await.unwrap();
    world.check(0..40);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_are_to_end_do_when_all_is_read_or_held_by_another() {
    let Some(world) = World::new(4).await else { return };
    world.stream.put(0..120).await;
    let lag = Duration::from_millis(20);
    let once = |name: &str| world.start_in(json!({ "worker": name }), lag, &context(Format::Json));
    let (a, b) = (once("a"), once("b"));
    let ended = async {
        a.task.await.unwrap();
        b.task.await.unwrap();
    };
    tokio::time::timeout(Duration::from_secs(60), ended).await.expect("they end");
    // The last to end answers for all.
    world.check(0..120);
    assert_eq!(world.held().await, BTreeMap::new());
    // One that goes on holds all it can: whoever is to end shares with it, and does end.
    let c = world.start("c", json!({}));
    world.until_held(&[("c", 4)]).await;
    world.stream.put(120..160).await;
    let d = once("d");
    tokio::time::timeout(Duration::from_secs(60), d.task).await.expect("it ends").unwrap();
    world.until_held(&[("c", 4)]).await;
    world.until_rows(160).await;
    c.close().await;
    world.check(0..160);
    // What is held by one that was killed just now is waited for.
    let e = world.start("e", json!({}));
    world.until_held(&[("e", 4)]).await;
    e.die().await;
    world.stream.put(160..200).await;
    let f = once("f");
    tokio::time::timeout(Duration::from_secs(60), f.task).await.expect("it ends").unwrap();
    world.check(0..200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said() {
    for leases in [
        "{table: ab}",
        "{table: 'a b c'}",
        "{table: abc, duration_s: 1}",
        "{table: abc, worker: 'a/b'}",
        "{table: abc, worker: ''}",
    ] {
        let config: Config = serde_saphyr::from_str(&format!("{{stream: x, leases: {leases}}}")).unwrap();
        let error = build(&config, &context(Format::Json)).err().expect(leases);
        assert_eq!((error.kind, error.message.contains("leases")), (ErrorKind::Configuration, true), "{leases}");
    }
    let Some(world) = World::new(1).await else { return };
    let said = world.source(json!({}), &context(Format::Json)).check().await.unwrap();
    assert!(said.ends_with(&format!("; table {} for leases will be made", world.table)), "{said}");
    let a = world.start("a", json!({}));
    world.until_held(&[("a", 1)]).await;
    let said = world.source(json!({}), &context(Format::Json)).check().await.unwrap();
    assert!(said.ends_with(&format!("; 1 leases held in table {}", world.table)), "{said}");
    a.close().await;

    // A table for something else.
    let other = format!("{}-other", world.table);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build().unwrap();
    let kind =
        AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build().unwrap();
    let call = world.client.create_table().table_name(&other).billing_mode(BillingMode::PayPerRequest);
    call.key_schema(key).attribute_definitions(kind).send().await.unwrap();
    let mut source = world.source(json!({ "table": other }), &context(Format::Json));
    let error = source.open(&mut world.connection()).await.err().unwrap();
    assert_eq!((error.kind, error.message.contains("is not for leases")), (ErrorKind::Configuration, true), "{error}");
}
