//! The SQS source against a real server (ElasticMQ: CLOAKROOM_TEST_SQS_URL; `make test` starts it).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod queue;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use cloakroom_aws::sqs::{self, Config};
use cloakroom_core::policy::RecordConfig;
use cloakroom_core::{Cloak, Format, Limits, Object, Place, Policy, PolicyConfig, Value};
use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::contract::MemoryLedger;
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::run::Rejected;
use cloakroom_pipeline::{
    Batch, ConnectorError, Counters, Delivery, ErrorKind, Ledger, Outcome, Pipeline, RowOutcome, Sink, SinkBatch,
    Source, Summary,
};
use queue::TestQueue;
use tokio_util::sync::CancellationToken;

fn context(format: Format, once: bool) -> SourceContext {
    let record = RecordConfig { format, ..RecordConfig::default() };
    let policy = Policy::compile(&PolicyConfig { record, ..PolicyConfig::default() }, None).unwrap();
    let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
    SourceContext {
        pipeline: "test".to_owned(),
        policy: Arc::new(policy),
        batch: BatchConfig { records: 100, bytes: 1 << 20, wait_ms: 200 },
        retry: RetryConfig { base_ms: 50, max_ms: 200, give_up_after_s: 10 },
        fingerprint: Arc::new(ring.fingerprint_key("test").unwrap()),
        once,
    }
}

fn config(queue: &TestQueue, more: &str) -> Config {
    serde_saphyr::from_str(&format!("queue_url: '{}'\nwait_s: 1\n{more}", queue.url)).unwrap()
}

fn source(queue: &TestQueue, more: &str, once: bool) -> Box<dyn Source> {
    sqs::build(&config(queue, more), &context(Format::Json, once)).unwrap()
}

async fn open(queue: &TestQueue, more: &str, once: bool) -> Box<dyn Source> {
    let mut source = source(queue, more, once);
    source.open(&mut MemoryLedger::default()).await.unwrap();
    source
}

async fn next(source: &mut dyn Source) -> Batch {
    let mut ledger = MemoryLedger::default();
    let batch = tokio::time::timeout(Duration::from_secs(20), source.next_batch(&mut ledger));
    batch.await.expect("a batch in time").unwrap().expect("not the end")
}

async fn settle(source: &mut dyn Source, batch: &Batch) {
    let outcomes = vec![Outcome::Delivered; batch.deliveries.len()];
    source.settle(&batch.progress, &outcomes).await.unwrap();
}

/// Takes and settles everything until the end.
async fn drain(source: &mut dyn Source) -> Vec<Batch> {
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch(&mut MemoryLedger::default()).await.unwrap() {
        settle(source, &batch).await;
        batches.push(batch);
    }
    source.close().await.unwrap();
    batches
}

fn message_id(delivery: &Delivery) -> String {
    match &delivery.id.position {
        Place::Id(id) => id.to_string(),
        Place::Offset { .. } => panic!("a queue has no offsets"),
    }
}

fn ids(batches: &[Batch]) -> Vec<String> {
    batches.iter().flat_map(|batch| &batch.deliveries).map(message_id).collect()
}

fn decode(delivery: &Delivery) -> Object {
    delivery.payload.decode(Limits::default()).unwrap()
}

fn text(object: &Object, name: &str) -> String {
    match object.get(name) {
        Some(Value::String(text)) => text.to_string(),
        Some(Value::Number(number)) => number.as_str().to_owned(),
        _ => panic!("no {name}"),
    }
}

fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

/// A sink that remembers ids, and takes its time.
struct Slow {
    takes: Duration,
    seen: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Ledger for Slow {
    async fn position(&mut self, _: &str) -> Result<Option<String>, ConnectorError> {
        Ok(None)
    }
}

#[async_trait]
impl Sink for Slow {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        tokio::time::sleep(self.takes).await;
        self.seen.lock().unwrap().extend(batch.records.iter().map(|record| record.id().to_string()));
        Ok(vec![RowOutcome::Delivered; batch.records.len()])
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        Ok(String::new())
    }
}

/// Runs a pipeline that keeps everything until the queue is empty; gives the summary, what arrived, what was rejected.
async fn run(queue: &TestQueue, takes: Duration) -> (Summary, Vec<String>, Vec<String>) {
    let (seen, rejected) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let told = Arc::clone(&rejected);
    let policy = Policy::compile(&PolicyConfig::default(), None).unwrap();
    let pipeline = Pipeline {
        accounts: None,
        metrics: None,
        name: "test".to_owned(),
        source: source(queue, "", true),
        cloak: Cloak::new(Arc::new(policy)),
        sink: Box::new(Slow { takes, seen: Arc::clone(&seen) }),
        rejected: Rejected::Reported(Box::new(move |delivery, _| told.lock().unwrap().push(delivery.id.to_string()))),
        retry: RetryConfig::default(),
        parallel: 2,
        whole: false,
    };
    let summary = cloakroom_pipeline::run(pipeline, &Counters::default(), &CancellationToken::new()).await.unwrap();
    let take = |list: &Mutex<Vec<String>>| std::mem::take(&mut *list.lock().unwrap());
    (summary, take(&seen), take(&rejected))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_messages_come_once_each_and_are_deleted() {
    let queue = TestQueue::new(&[]).await;
    let sent = queue.send((0..1000).map(|number| format!("{{\"n\":{number}}}"))).await;
    let mut source = open(&queue, "", true).await;
    let batches = drain(source.as_mut()).await;
    assert!(batches.iter().all(|batch| batch.deliveries.len() <= 100), "batch.records");
    assert!(batches.len() < 60, "batches of some size: {}", batches.len());
    assert_eq!(sorted(ids(&batches)), sorted(sent), "the ids are those that SQS gave, each once");
    let id = batches[0].deliveries[0].id.to_string();
    assert!(id.starts_with(&format!("sqs/000000000000/{}#", queue.name)), "{id}");
    assert_eq!(queue.counts().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_back_comes_again_under_the_same_id_at_once() {
    let queue = TestQueue::new(&[("VisibilityTimeout", "300")]).await;
    let sent = sorted(queue.send((0..25).map(|number| format!("{{\"n\":{number}}}"))).await);
    let mut source = open(&queue, "", false).await;
    let mut taken = 0;
    while taken < 25 {
        taken += next(source.as_mut()).await.deliveries.len();
    }
    assert!(queue.receive_all(Duration::from_millis(100)).await.is_empty(), "they are held");
    let began = Instant::now();
    source.close().await.unwrap();
    let again = queue.receive_all(Duration::from_millis(500)).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(sorted(again), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_gives_back_what_waits_and_what_arrives_late() {
    let queue = TestQueue::new(&[("VisibilityTimeout", "300")]).await;
    let mut source = open(&queue, "receivers: 8", false).await;
    let sent = sorted(queue.send((0..200).map(|number| format!("{{\"n\":{number}}}"))).await);
    // Some were handed out, some wait, and calls are under way.
    next(source.as_mut()).await;
    source.close().await.unwrap();
    assert_eq!(queue.counts().await, (200, 0), "visible, in flight");
    assert_eq!(sorted(queue.receive_all(Duration::from_millis(500)).await), sent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_held_for_as_long_as_the_sink_takes() {
    let queue = TestQueue::new(&[("VisibilityTimeout", "2")]).await;
    let sent = queue.send((0..12).map(|number| format!("{{\"n\":{number}}}"))).await;
    let others = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        queue.receive_all(Duration::from_secs(5)).await
    };
    let ((summary, seen, _), others) = tokio::join!(run(&queue, Duration::from_secs(6)), others);
    assert!(others.is_empty(), "nobody else may have them meanwhile");
    assert_eq!((summary.received, summary.delivered, summary.duplicate), (12, 12, 0));
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), sent.len());
    assert_eq!(queue.counts().await, (0, 0));
}

/// The runtime has one thread, which is made to sleep: heartbeats stop, and the messages' time passes.
#[tokio::test]
async fn a_message_that_comes_again_while_it_is_held_is_handed_out_once_and_deleted() {
    let queue = TestQueue::new(&[("VisibilityTimeout", "1")]).await;
    queue.send((0..10).map(|number| format!("{{\"n\":{number}}}"))).await;
    let mut source = open(&queue, "", false).await;
    let mut batches = Vec::new();
    while ids(&batches).len() < 10 {
        batches.push(next(source.as_mut()).await);
    }
    std::thread::sleep(Duration::from_millis(2500));
    let mut ledger = MemoryLedger::default();
    let more = tokio::time::timeout(Duration::from_secs(2), source.next_batch(&mut ledger)).await;
    assert!(more.is_err(), "nothing is handed out twice");
    for batch in &batches {
        settle(source.as_mut(), batch).await;
    }
    source.close().await.unwrap();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    assert_eq!(queue.counts().await, (0, 0), "the newest receipts deleted them");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_message_is_one_rejection_and_its_neighbours_arrive() {
    let queue = TestQueue::new(&[]).await;
    let bodies = (0..10).map(|number| if number == 4 { "{\"n\":".to_owned() } else { format!("{{\"n\":{number}}}") });
    let sent = queue.send(bodies).await;
    let (summary, seen, rejected) = run(&queue, Duration::ZERO).await;
    assert_eq!((summary.received, summary.delivered, summary.dead), (10, 9, 1));
    assert!(rejected.len() == 1 && rejected[0].ends_with(&sent[4]) && seen.len() == 9);
    assert_eq!(queue.counts().await, (0, 0), "a dead letter is deleted too");
}

#[tokio::test(flavor = "multi_thread")]
async fn order_is_kept_within_the_groups_of_a_fifo_queue() {
    let queue = TestQueue::new(&[("FifoQueue", "true"), ("VisibilityTimeout", "30")]).await;
    for number in 0..40 {
        for group in 0..5 {
            queue.send_to_group(&format!("g{group}"), &format!("{{\"group\":\"g{group}\",\"n\":{number}}}")).await;
        }
    }
    let (before, batches) = {
        // What is given back is received again in its order.
        let mut source = open(&queue, "receivers: 3", false).await;
        let before = next(source.as_mut()).await.deliveries.len();
        source.close().await.unwrap();
        (before, drain(open(&queue, "receivers: 3\nmetadata: queue", true).await.as_mut()).await)
    };
    assert!(before > 0);
    let mut next_of: HashMap<String, u32> = HashMap::new();
    for delivery in batches.iter().flat_map(|batch| &batch.deliveries) {
        let record = decode(delivery);
        let next = next_of.entry(text(&record, "group")).or_default();
        assert_eq!(text(&record, "n"), next.to_string(), "in the order in which they were sent");
        *next += 1;
        let Some(Value::Object(about)) = record.get("queue") else { panic!("no metadata") };
        assert_eq!(text(about, "group_id"), text(&record, "group"));
        assert!(!text(about, "sequence_number").is_empty());
    }
    assert!(next_of.len() == 5 && next_of.values().all(|count| *count == 40), "{next_of:?}");
    assert_eq!(queue.counts().await, (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn attributes_become_a_member_and_bodies_may_be_key_value_blocks() {
    let queue = TestQueue::new(&[]).await;
    let sent = queue.send_with_attributes("user_id=u1\nip=192.0.2.7\n").await;
    let mut source = sqs::build(&config(&queue, "metadata: about"), &context(Format::KeyValue, true)).unwrap();
    source.open(&mut MemoryLedger::default()).await.unwrap();
    let batches = drain(source.as_mut()).await;
    let record = decode(&batches[0].deliveries[0]);
    assert_eq!((text(&record, "user_id"), text(&record, "ip")), ("u1".to_owned(), "192.0.2.7".to_owned()));
    let Some(Value::Object(about)) = record.get("about") else { panic!("no metadata") };
    assert_eq!(text(about, "message_id"), sent);
    assert_eq!(text(about, "receive_count"), "1");
    assert!(text(about, "sent_timestamp").len() >= 13);
    let Some(Value::Object(given)) = about.get("attributes") else { panic!("no attributes") };
    assert_eq!((text(given, "tenant"), text(given, "weight")), ("a\"b".to_owned(), "12.50".to_owned()));
    assert!(matches!(given.get("weight"), Some(Value::Number(_))));
    assert_eq!(text(given, "raw"), "AP8=");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_what_is_there_ends_on_an_empty_queue() {
    let queue = TestQueue::new(&[]).await;
    let began = Instant::now();
    assert!(drain(open(&queue, "", true).await.as_mut()).await.is_empty());
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_says_what_the_queue_is() {
    let dead = TestQueue::new(&[]).await;
    let policy = format!("{{\"deadLetterTargetArn\":\"{}\",\"maxReceiveCount\":3}}", dead.arn().await);
    let queue = TestQueue::new(&[("VisibilityTimeout", "7"), ("RedrivePolicy", &policy)]).await;
    queue.send(["{}".to_owned()].into_iter()).await;
    let said = source(&queue, "", false).check().await.unwrap();
    let name = &queue.name;
    assert_eq!(
        said,
        format!(
            "sqs/000000000000/{name}, standard, visibility timeout 7 s, about 1 messages waiting, 0 in flight, 0 delayed, \
             to a dead-letter queue after 3 receives"
        )
    );
    let fifo = TestQueue::new(&[("FifoQueue", "true")]).await;
    let said = source(&fifo, "visibility_timeout_s: 40", false).check().await.unwrap();
    assert!(said.contains(", FIFO, visibility timeout 40 s (the queue's own is 30 s), "), "{said}");
    assert!(said.ends_with("no dead-letter queue"), "{said}");
    assert_eq!(queue.counts().await, (1, 0), "nothing was taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn mistakes_have_a_kind_and_words() {
    let queue = TestQueue::new(&[]).await;
    let url = queue.url.replace(&queue.name, "no-such-queue");
    let missing: Config = serde_saphyr::from_str(&format!("queue_url: '{url}'")).unwrap();
    let mut missing = sqs::build(&missing, &context(Format::Json, false)).unwrap();
    let error = missing.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Configuration, "{error}");
    assert!(error.message.starts_with("sqs/000000000000/no-such-queue: there is no such queue"), "{error}");

    let nobody: Config = serde_saphyr::from_str("queue_url: 'http://127.0.0.1:9/0/q'").unwrap();
    let error = sqs::build(&nobody, &context(Format::Json, false)).unwrap().check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");

    for (more, words) in [
        ("wait_s: 21", "`wait_s` must be 1 to 20"),
        ("wait_s: 0", "`wait_s` must be 1 to 20"),
        ("receivers: 0", "`receivers` must be 1 to 64"),
        ("visibility_timeout_s: 43201", "`visibility_timeout_s` must be 1 to 43200"),
        ("metadata: ''", "`metadata` is the name of a member"),
    ] {
        let config = serde_saphyr::from_str(&format!("queue_url: 'http://127.0.0.1:9/0/q'\n{more}")).unwrap();
        let error = sqs::build(&config, &context(Format::Json, false)).err().unwrap();
        assert!(error.message.starts_with(words) && error.kind == ErrorKind::Configuration, "{error}");
    }
    let error = sqs::build(&config(&queue, ""), &context(Format::Csv, false)).err().unwrap();
    assert!(error.message.contains("`json` or `key_value`"), "{error}");
}
