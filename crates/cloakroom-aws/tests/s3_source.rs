//! The S3 source on a real server of S3 and SQS: LocalStack.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Event, NotificationConfiguration, QueueConfiguration};
use aws_sdk_sqs::types::QueueAttributeName;
use cloakroom_aws::s3::{Config, build};
use cloakroom_core::{Format, Payload};
use cloakroom_faults::{Fault, FaultProxy, Plan, seed};
use cloakroom_pipeline::contract::{self, MemoryLedger};
use cloakroom_pipeline::error::ErrorKind;
use cloakroom_pipeline::source::{Batch, Outcome, Progress, Source};
use common::{address, context, localstack};
use serde_json::json;

/// A bucket of the test's own, and a queue for its notifications where that is wanted.
struct Bucket {
    s3: Client,
    sqs: aws_sdk_sqs::Client,
    name: String,
}

impl Bucket {
    /// `None` where there is no LocalStack.
    async fn new() -> Option<Self> {
        let sdk = localstack().await?;
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let config = aws_sdk_s3::config::Builder::from(&sdk).force_path_style(true).build();
        let bucket = Self { s3: Client::from_conf(config), sqs: aws_sdk_sqs::Client::new(&sdk), name };
        bucket.s3.create_bucket().bucket(&bucket.name).send().await.unwrap();
        Some(bucket)
    }

    async fn put(&self, key: &str, content: impl Into<Vec<u8>>) {
        let body = content.into().into();
        self.s3.put_object().bucket(&self.name).key(key).body(body).send().await.unwrap();
    }

    async fn remove(&self, key: &str) {
        self.s3.delete_object().bucket(&self.name).key(key).send().await.unwrap();
    }

    /// A queue that gets a notification for each object that is made from now on.
    async fn queue(&self) -> String {
        let queue =
            self.sqs.create_queue().queue_name(&self.name).attributes(QueueAttributeName::VisibilityTimeout, "3");
        let url = queue.send().await.unwrap().queue_url.unwrap();
        let arn = format!("arn:aws:sqs:us-east-1:000000000000:{}", self.name);
        let created = QueueConfiguration::builder().queue_arn(arn).events(Event::from("s3:ObjectCreated:*")).build();
        let config = NotificationConfiguration::builder().queue_configurations(created.unwrap()).build();
        let call = self.s3.put_bucket_notification_configuration().bucket(&self.name);
        call.notification_configuration(config).send().await.unwrap();
        url
    }

    /// Tells about an object as somebody else does, who does not say what it was: that has to be asked first.
    async fn announce(&self, url: &str, key: &str) {
        let object = json!({ "bucket": { "name": self.name }, "object": { "key": key } });
        let event = json!({ "Records": [{ "eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": object }] });
        self.sqs.send_message().queue_url(url).message_body(event.to_string()).send().await.unwrap();
    }

    /// Messages that can be had or are held by somebody.
    async fn messages(&self, url: &str) -> u64 {
        let call = self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        let attributes = call.send().await.unwrap().attributes.unwrap();
        let number = |name| attributes.get(&name).map_or(0, |text: &String| text.parse::<u64>().unwrap());
        number(QueueAttributeName::ApproximateNumberOfMessages)
            + number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
    }

    fn source(&self, more: serde_json::Value) -> Box<dyn Source> {
        self.source_of(more, Format::Json)
    }

    fn source_of(&self, more: serde_json::Value, format: Format) -> Box<dyn Source> {
        let mut config = json!({ "endpoint": address(), "region": "us-east-1" });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let config: Config = serde_saphyr::from_str(&config.to_string()).unwrap();
        build(&config, &context(format)).unwrap()
    }
}

fn lines(from: usize, to: usize) -> String {
    (from..to).map(|number| format!("{{\"n\":{number}}}\n")).collect()
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
    if let Progress::Position { partition, position } = &batch.progress {
        ledger.0.insert(partition.to_string(), position.clone());
    }
    source.settle(&batch.progress, &vec![Outcome::Delivered; batch.deliveries.len()]).await.unwrap();
}

/// Records of each partition without its entity tag, as text; dead letters by their reason.
fn by_object(batches: &[Batch]) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for delivery in batches.iter().flat_map(|batch| &batch.deliveries) {
        let partition = delivery.id.partition.rsplit_once('@').map_or(&*delivery.id.partition, |(name, _)| name);
        all.entry(partition.to_owned()).or_default().push(text(&delivery.payload));
    }
    all
}

fn text(payload: &Payload) -> String {
    match payload {
        Payload::Unusable { error, .. } => format!("{}: {}", error.kind, error.detail),
        payload => {
            let object = payload.decode(cloakroom_core::Limits::default()).unwrap();
            let mut bytes = Vec::new();
            cloakroom_core::encode::write_object(&object, &mut bytes);
            String::from_utf8(bytes).unwrap()
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_objects_of_a_bucket_keep_the_contract() {
    let Some(bucket) = Bucket::new().await else { return };
    bucket.put("in/one.jsonl", lines(0, 30)).await;
    bucket.put("other/two.jsonl", lines(30, 40)).await;
    let make = async || bucket.source(json!({ "bucket": bucket.name, "prefix": "in/" }));
    contract::source(make, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_read_whatever_they_are_called_and_however_they_are_packed() {
    let Some(bucket) = Bucket::new().await else { return };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines(0, 20).as_bytes()).unwrap();
    bucket.put("a b+c/ü%20.jsonl.gz", gzip.finish().unwrap()).await;
    bucket.put("array.json", format!("[{}]", lines(20, 23).trim().replace('\n', ",\n"))).await;
    bucket.put("empty", "").await;
    bucket.put("folder/", "").await;
    bucket.put("z.zst", zstd::encode_all(lines(23, 40).as_bytes(), 1).unwrap()).await;
    let mut source = bucket.source(json!({ "bucket": bucket.name, "metadata": "s3" }));
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    let batches = drain(source.as_mut(), &mut ledger).await;
    let found = by_object(&batches);
    let count = |key: &str| found[&format!("s3/{}/{key}", bucket.name)].len();
    assert_eq!((count("a b+c/ü%20.jsonl.gz"), count("array.json"), count("z.zst")), (20, 3, 17));
    let first = &found[&format!("s3/{}/array.json", bucket.name)][0];
    assert!(
        first.starts_with("{\"n\":20,\"s3\":{\"bucket\":\"test-") && first.contains("\"key\":\"array.json\",\"etag\""),
        "{first}"
    );
    assert_eq!(ledger.0.values().filter(|position| *position == "done").count(), 4, "the empty object, too");

    let mut again = bucket.source(json!({ "bucket": bucket.name }));
    again.open(&mut ledger).await.unwrap();
    assert!(drain(again.as_mut(), &mut ledger).await.is_empty(), "all is done");
    // Another content under the same name is another object.
    bucket.put("array.json", "[{\"n\":99}]").await;
    let mut again = bucket.source(json!({ "bucket": bucket.name }));
    again.open(&mut ledger).await.unwrap();
    assert_eq!(drain(again.as_mut(), &mut ledger).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_blocks_are_read() {
    let Some(bucket) = Bucket::new().await else { return };
    bucket.put("t.csv", "a,b\n1,\"x\ny\"\n2,z\n").await;
    bucket.put("u.csv", "b,a\n3,4\n").await;
    let mut source = bucket.source_of(json!({ "bucket": bucket.name }), Format::Csv);
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    let found = by_object(&drain(source.as_mut(), &mut ledger).await);
    let table = &found[&format!("s3/{}/t.csv", bucket.name)];
    assert_eq!(table, &["{\"a\":\"1\",\"b\":\"x\\ny\"}", "{\"a\":\"2\",\"b\":\"z\"}"]);

    let Some(bucket) = Bucket::new().await else { return };
    bucket.put("u-1.txt", "user_id=u-1\nname=A\n").await;
    bucket.put("u-2.txt", "user_id=u-2\nname=B\n\nuser_id=u-3\n").await;
    let mut source = bucket.source_of(json!({ "bucket": bucket.name }), Format::KeyValue);
    source.open(&mut ledger).await.unwrap();
    let batches = drain(source.as_mut(), &mut ledger).await;
    assert_eq!(batches.iter().map(|batch| batch.deliveries.len()).sum::<usize>(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_or_gone_is_one_dead_letter_and_nothing_waits_for_it() {
    let Some(bucket) = Bucket::new().await else { return };
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    gzip.write_all(lines(0, 100).as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    bucket.put("a.jsonl", lines(0, 10)).await;
    bucket.put("b.jsonl.gz", &gzip[..gzip.len() / 2]).await;
    bucket.put("c.jsonl", lines(0, 1)).await;
    bucket.put("d.jsonl", lines(0, 1)).await;
    bucket.put("e.jsonl", lines(0, 3)).await;
    let mut zstd = zstd::encode_all(lines(0, 20).as_bytes(), 1).unwrap();
    zstd.extend(b"no frame");
    bucket.put("f.jsonl.zst", zstd).await;
    let mut source = bucket.source(json!({ "bucket": bucket.name, "objects": 1 }));
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    let first = source.next_batch(&mut ledger).await.unwrap().unwrap();
    settle(source.as_mut(), &mut ledger, &first).await;
    // They are listed by now.
    bucket.remove("c.jsonl").await;
    bucket.put("d.jsonl", lines(5, 9)).await;
    let mut batches = drain(source.as_mut(), &mut ledger).await;
    batches.insert(0, first);
    let found = by_object(&batches);
    let of = |key: &str| &found[&format!("s3/{}/{key}", bucket.name)];
    assert_eq!((of("a.jsonl").len(), of("e.jsonl").len()), (10, 3));
    let damaged = of("b.jsonl.gz");
    assert!(damaged.len() > 20 && damaged.last().unwrap().starts_with("source cannot be read: "), "{damaged:?}");
    assert!(damaged[..damaged.len() - 1].iter().all(|record| record.starts_with("{\"n\":")));
    let trailed = of("f.jsonl.zst");
    assert!(trailed.len() == 21 && trailed[20].starts_with("source cannot be read: "), "{trailed:?}");
    assert!(of("c.jsonl").len() == 1 && of("c.jsonl")[0].contains("was removed before"));
    assert!(of("d.jsonl").len() == 1 && of("d.jsonl")[0].contains("was replaced before"));
    assert_eq!(ledger.0.values().filter(|position| *position == "done").count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_is_deleted_when_its_object_is_done() {
    let Some(bucket) = Bucket::new().await else { return };
    let url = bucket.queue().await;
    for key in ["in/a b.jsonl", "in/ü+1.jsonl", "in/c.jsonl"] {
        bucket.put(key, lines(0, 10)).await;
    }
    // Not of S3.
    bucket.sqs.send_message().queue_url(&url).message_body("{\"hello\":1}").send().await.unwrap();
    let more = json!({ "queue": { "queue_url": url, "endpoint": address() } });
    let mut source = bucket.source(more.clone());
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    // Nothing is deleted before it is settled, however long that takes: three times the visibility timeout.
    let mut batches = Vec::new();
    while let Some(batch) = source.next_batch(&mut ledger).await.unwrap() {
        if batches.is_empty() {
            tokio::time::sleep(std::time::Duration::from_secs(9)).await;
            assert!(bucket.messages(&url).await >= 3, "held");
        }
        settle(source.as_mut(), &mut ledger, &batch).await;
        batches.push(batch);
    }
    source.close().await.unwrap();
    let found = by_object(&batches);
    for key in ["in/a b.jsonl", "in/ü+1.jsonl", "in/c.jsonl"] {
        assert_eq!(found[&format!("s3/{}/{key}", bucket.name)].len(), 10, "{key}, once");
    }
    let junk = &found[&format!("sqs/000000000000/{}", bucket.name)];
    assert_eq!(junk, &["invalid format: it is no notification of S3"]);
    assert_eq!(bucket.messages(&url).await, 0);

    // The same object once more: known by its content.
    bucket.put("in/c.jsonl", lines(0, 10)).await;
    let mut source = bucket.source(more);
    source.open(&mut ledger).await.unwrap();
    assert!(drain(source.as_mut(), &mut ledger).await.is_empty());
    source.close().await.unwrap();
    assert_eq!(bucket.messages(&url).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_settled_is_given_back_and_goes_on_where_it_was() {
    let Some(bucket) = Bucket::new().await else { return };
    let url = bucket.queue().await;
    bucket.put("big.jsonl", lines(0, 100)).await;
    let more = json!({ "queue": { "queue_url": url, "endpoint": address() } });
    let mut source = bucket.source(more.clone());
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    for _ in 0..3 {
        let batch = source.next_batch(&mut ledger).await.unwrap().unwrap();
        settle(source.as_mut(), &mut ledger, &batch).await;
    }
    let lost = source.next_batch(&mut ledger).await.unwrap().unwrap();
    assert_eq!(lost.deliveries.len(), 7);
    source.close().await.unwrap();
    drop(source);
    let mut source = bucket.source(more);
    source.open(&mut ledger).await.unwrap();
    let batches = drain(source.as_mut(), &mut ledger).await;
    let records = &by_object(&batches)[&format!("s3/{}/big.jsonl", bucket.name)];
    assert_eq!((records.len(), records[0].as_str()), (79, "{\"n\":21}"));
    source.close().await.unwrap();
    assert_eq!(bucket.messages(&url).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_run_at_the_same_object_is_left_alone() {
    let Some(bucket) = Bucket::new().await else { return };
    let url = bucket.queue().await;
    bucket.put("a.jsonl", lines(0, 30)).await;
    bucket.put("b.jsonl", lines(0, 30)).await;
    let mut source = bucket.source(json!({ "queue": { "queue_url": url, "endpoint": address() }, "objects": 1 }));
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    let first = source.next_batch(&mut ledger).await.unwrap().unwrap();
    let second = source.next_batch(&mut ledger).await.unwrap().unwrap();
    assert!(source.yield_to_other(&first.progress).await.unwrap());
    assert!(source.yield_to_other(&second.progress).await.unwrap(), "each batch of it");
    let batches = drain(source.as_mut(), &mut ledger).await;
    assert_eq!(by_object(&batches).into_values().map(|records| records.len()).collect::<Vec<_>>(), [30]);
    source.close().await.unwrap();
    assert_eq!(bucket.messages(&url).await, 1, "its notification is for the other to delete");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_break_are_opened_again_where_they_were() {
    let Some(bucket) = Bucket::new().await else { return };
    let content =
        (0..20_000).map(|number| format!("{{\"n\":{number},\"x\":\"{}\"}}\n", "y".repeat(90))).collect::<String>();
    bucket.put("plain.jsonl", content.as_bytes()).await;
    bucket.put("packed.zst", zstd::encode_all(content.as_bytes(), 1).unwrap()).await;
    let proxy = FaultProxy::http(&address(), Plan::new(seed()).drop(0.1).cut(0.5).status(0.1));
    let mut source = bucket.source(json!({ "bucket": bucket.name, "endpoint": proxy.url(), "path_style": true }));
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    for _ in 0..5 {
        // As often as the client tries by itself.
        proxy.next(Fault::Cut, "list-type=2");
        proxy.next(Fault::Cut, "plain.jsonl");
        proxy.next(Fault::Cut, "packed.zst");
    }
    let found = by_object(&drain(source.as_mut(), &mut ledger).await);
    for key in ["plain.jsonl", "packed.zst"] {
        let records = &found[&format!("s3/{}/{key}", bucket.name)];
        let numbers: Vec<String> = (0..20_000).map(|number| format!("{{\"n\":{number},")).collect();
        assert_eq!(records.len(), numbers.len(), "{}", proxy.describe());
        assert!(
            records.iter().zip(&numbers).all(|(record, number)| record.starts_with(number)),
            "{}",
            proxy.describe()
        );
    }
    assert!(proxy.injected().cut >= 15, "{}", proxy.describe());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_not_be_read_stays_in_the_queue_and_the_others_are_read() {
    let Some(bucket) = Bucket::new().await else { return };
    bucket.put("named.jsonl", lines(0, 10)).await;
    let url = bucket.queue().await;
    for key in ["closed.jsonl", "locked.jsonl", "open.jsonl"] {
        bucket.put(key, lines(0, 10)).await;
    }
    bucket.announce(&url, "named.jsonl").await;
    let proxy = FaultProxy::http(&address(), Plan::none());
    proxy.next(Fault::Refuse(403, "AccessDenied"), "closed.jsonl");
    proxy.next(Fault::Refuse(400, "KMS.DisabledException"), "locked.jsonl");
    proxy.next(Fault::Refuse(403, "AccessDenied"), "named.jsonl");
    // Longer than this run takes, however busy the machine is: none of them is to come again in it.
    let queue = json!({ "queue_url": url, "endpoint": address(), "visibility_timeout_s": 15 });
    let more = json!({ "queue": queue, "endpoint": proxy.url() });
    let mut source = bucket.source(more.clone());
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    let mut read = 0;
    let error = loop {
        match source.next_batch(&mut ledger).await {
            Ok(Some(batch)) => {
                read += batch.deliveries.len();
                settle(source.as_mut(), &mut ledger, &batch).await;
            }
            Ok(None) => panic!("it ended well"),
            Err(error) => break error,
        }
    };
    source.close().await.unwrap();
    assert_eq!((read, error.kind), (10, ErrorKind::Denied), "{error}");
    assert!(error.message.contains("3 objects were left"), "{error}");
    assert_eq!((bucket.messages(&url).await, proxy.waiting()), (3, 0));
    // Their time is over, and somebody has given the permission.
    tokio::time::sleep(std::time::Duration::from_secs(16)).await;
    let mut source = bucket.source(more);
    source.open(&mut ledger).await.unwrap();
    assert_eq!(by_object(&drain(source.as_mut(), &mut ledger).await).len(), 3);
    source.close().await.unwrap();
    assert_eq!(bucket.messages(&url).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_notification_does_not_say_is_asked_for_until_there_is_an_answer() {
    let Some(bucket) = Bucket::new().await else { return };
    bucket.put("named.jsonl", lines(0, 10)).await;
    let url = bucket.queue().await;
    bucket.announce(&url, "named.jsonl").await;
    let proxy = FaultProxy::http(&address(), Plan::none());
    for _ in 0..6 {
        // As often as the client tries by itself, and once more.
        proxy.next(Fault::Status(503), "named.jsonl");
    }
    let queue = json!({ "queue_url": url, "endpoint": address(), "visibility_timeout_s": 60 });
    let mut source = bucket.source(json!({ "queue": queue, "endpoint": proxy.url() }));
    let mut ledger = MemoryLedger::default();
    source.open(&mut ledger).await.unwrap();
    let found = by_object(&drain(source.as_mut(), &mut ledger).await);
    assert_eq!(found.into_values().map(|records| records.len()).collect::<Vec<_>>(), [10]);
    source.close().await.unwrap();
    assert_eq!((bucket.messages(&url).await, proxy.waiting()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_is_about_more_than_an_object_ends_the_run_and_nothing_is_done() {
    let Some(bucket) = Bucket::new().await else { return };
    let url = bucket.queue().await;
    bucket.put("a.jsonl", lines(0, 10)).await;
    let proxy = FaultProxy::http(&address(), Plan::none());
    let more = json!({ "queue": { "queue_url": url, "endpoint": address() }, "endpoint": proxy.url() });
    let mut ledger = MemoryLedger::default();
    for (status, code, kind) in [
        (301, "PermanentRedirect", ErrorKind::Configuration),
        (400, "AuthorizationHeaderMalformed", ErrorKind::Configuration),
        (404, "NoSuchBucket", ErrorKind::Configuration),
        (400, "SomethingNew", ErrorKind::Configuration),
        (400, "ExpiredToken", ErrorKind::Denied),
    ] {
        proxy.next(Fault::Refuse(status, code), "a.jsonl");
        let mut source = bucket.source(more.clone());
        source.open(&mut ledger).await.unwrap();
        let error = source.next_batch(&mut ledger).await.err().unwrap();
        source.close().await.unwrap();
        assert_eq!(error.kind, kind, "{code}: {error}");
        assert!(error.message.contains("a.jsonl"), "{error}");
    }
    assert!(ledger.0.is_empty());
    let mut source = bucket.source(more);
    source.open(&mut ledger).await.unwrap();
    let found = by_object(&drain(source.as_mut(), &mut ledger).await);
    assert_eq!(found.into_values().map(|records| records.len()).collect::<Vec<_>>(), [10]);
    source.close().await.unwrap();
    assert_eq!(bucket.messages(&url).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_says_so() {
    let Some(bucket) = Bucket::new().await else { return };
    let mut source = bucket.source(json!({ "bucket": "no-such-bucket-here" }));
    source.open(&mut MemoryLedger::default()).await.unwrap();
    let error = source.next_batch(&mut MemoryLedger::default()).await.err().unwrap();
    assert_eq!((error.kind, error.message.contains("no such bucket")), (ErrorKind::Configuration, true), "{error}");
    assert!(bucket.source(json!({ "bucket": "no-such-bucket-here" })).check().await.is_err());
    bucket.put("x", "").await;
    let said = bucket.source(json!({ "bucket": bucket.name })).check().await.unwrap();
    assert_eq!(said, format!("bucket {}: objects", bucket.name));
    let neither: Config = serde_saphyr::from_str("{}").unwrap();
    assert!(build(&neither, &context(Format::Json)).err().unwrap().message.contains("`queue`"));
}
