//! System B: files of a bucket, whose notifications go to a queue (LocalStack), through the program into DynamoDB and SQLite.
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod common;
#[allow(dead_code)] // a server, which is not needed here
#[path = "protected_keys/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{Room, Started, count, eventually, root, sqlite_count};
use serde_json::{Value, json};
use server::{Request, Response, send};

fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable}; run the tests with `make test`"))
}

fn localstack() -> String {
    std::env::var("CLOAKROOM_TEST_LOCALSTACK_URL").unwrap_or_default()
}

fn ask(url: &str, method: &str, path: &str, target: Option<&str>, body: &[u8]) -> Response {
    // An emulator takes any signature, but wants one.
    let service = target.map_or("s3", |target| if target.starts_with("Amazon") { "sqs" } else { "dynamodb" });
    let credential = format!(
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let mut headers = BTreeMap::from([("authorization".to_owned(), credential)]);
    if let Some(target) = target {
        headers.insert("x-amz-target".to_owned(), target.to_owned());
        headers.insert("content-type".to_owned(), "application/x-amz-json-1.0".to_owned());
    }
    let answer = send(url, &Request { method: method.to_owned(), path: path.to_owned(), headers, body: body.to_vec() });
    assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    answer
}

fn sqs(action: &str, body: &Value) -> Value {
    let target = format!("AmazonSQS.{action}");
    let answer = ask(&localstack(), "POST", "/", Some(&target), body.to_string().as_bytes());
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// A bucket whose notifications go to a queue.
struct Bucket {
    name: String,
    queue: String,
}

impl Bucket {
    /// `None` where there is no LocalStack: it needs a Python that not every machine has.
    fn new() -> Option<Self> {
        if localstack().is_empty() {
            eprintln!(
                "not run: CLOAKROOM_TEST_LOCALSTACK_URL; run the tests with `make test`, which need Python 3.13 for it"
            );
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("objects-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        ask(&localstack(), "PUT", &format!("/{name}"), None, b"");
        let made = sqs("CreateQueue", &json!({ "QueueName": name, "Attributes": { "VisibilityTimeout": "3" } }));
        let notify = format!(
            "<NotificationConfiguration><QueueConfiguration><Id>all</Id>\
             <Queue>arn:aws:sqs:us-east-1:000000000000:{name}</Queue><Event>s3:ObjectCreated:*</Event>\
             </QueueConfiguration></NotificationConfiguration>"
        );
        ask(&localstack(), "PUT", &format!("/{name}?notification"), None, notify.as_bytes());
        Some(Self { queue: made["QueueUrl"].as_str().unwrap().to_owned(), name })
    }

    fn put(&self, key: &str, content: &[u8]) {
        ask(&localstack(), "PUT", &format!("/{}/{key}", self.name), None, content);
    }

    fn tell(&self, body: &str) {
        sqs("SendMessage", &json!({ "QueueUrl": self.queue, "MessageBody": body }));
    }

    /// Messages that are visible or in flight.
    fn left(&self) -> u64 {
        let asked = sqs("GetQueueAttributes", &json!({ "QueueUrl": self.queue, "AttributeNames": ["All"] }));
        let number = |name: &str| asked["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap();
        number("ApproximateNumberOfMessages") + number("ApproximateNumberOfMessagesNotVisible")
    }
}

fn user(number: u32) -> String {
    format!("user_id=u-{number}\nuser_name=Name {number}\nphone_number=+1-202-555-01{number:02}\n")
}

#[test]
fn user_data_by_notification_and_by_message() {
    let Some(bucket) = Bucket::new() else { return };
    let mut room = Room::new();
    let table = format!("user-data-{}", std::process::id());
    let dynamodb = address("CLOAKROOM_TEST_DYNAMODB_URL");
    for (name, value) in [
        ("QUEUE_URL", &bucket.queue),
        ("S3_ENDPOINT", &localstack()),
        ("TABLE", &table),
        ("DYNAMODB_ENDPOINT", &dynamodb),
    ] {
        room.set(name, value);
    }
    let example = root().join("examples/user-data.yaml").display().to_string();
    let run = || {
        let finished = room.run(&["run", &example, "--once", "--output", "json"]);
        let summary = finished.json();
        common::assert_reconciled(&summary);
        (["received", "delivered", "dead"].map(|name| count(&summary, name)), finished.code)
    };
    for number in 1..=3 {
        bucket.put(&format!("in/u-{number}.txt"), user(number).as_bytes());
    }
    bucket.put("in/missing%20id.txt", b"user_name=No Id\nphone_number=+1-202-555-0199\n");
    assert_eq!(run(), ([4, 3, 1], 1));
    assert_eq!(bucket.left(), 0);
    for number in 1..=3 {
        bucket.tell(&user(number));
    }
    bucket.tell("user_name=No Id\n");
    assert_eq!(run(), ([4, 3, 1], 1), "the same, sent to the queue");
    assert_eq!((bucket.left(), run()), (0, ([0, 0, 0], 0)));

    let scan = json!({ "TableName": table }).to_string();
    let found = ask(&dynamodb, "POST", "/", Some("DynamoDB_20120810.Scan"), scan.as_bytes());
    let found: Value = serde_json::from_slice(&found.body).unwrap();
    assert_eq!(found["Count"], 3);
    let stored = found.to_string();
    assert!(!stored.contains("Name 1") && !stored.contains("555-0101") && stored.contains("ck1."), "in clear");
    let letters = room.dead_letters(&example);
    assert_eq!(letters.len(), 2);
    assert!(letters.iter().all(|letter| letter["reason"] == "missing field"), "{letters:?}");
    assert!(letters.iter().any(|letter| letter["source"].as_str().unwrap().contains("/in/missing id.txt@")));
    let status = room.run(&["status", &example]);
    assert!(status.expect_code(0).out().contains("/in/u-1.txt@") && status.out().contains("done"), "{status}");
    let said = room.run(&["status", &example, "--connect"]);
    assert!(said.expect_code(0).out().contains("source: notifications from sqs/000000000000/objects-"), "{said}");
}

/// The most memory that a process has had, in MiB, as Linux tells it.
fn peak(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

#[test]
fn a_large_object_goes_on_where_a_killed_run_stopped() {
    const ROWS: u64 = 150_000;
    let Some(bucket) = Bucket::new() else { return };
    let room = Room::new();
    let line = |number: u64| format!("{{\"id\":{number},\"ip\":\"10.0.0.1\",\"text\":\"{}\"}}\n", "x".repeat(200));
    let content: String = (0..ROWS).map(line).collect();
    bucket.put("large.jsonl", content.as_bytes());
    let database = room.path("out.db");
    let pipeline = room.write(
        "large.yaml",
        format!(
            "source: {{ s3: {{ queue: {{ queue_url: '{}', wait_s: 1 }}, endpoint: '{}' }} }}
fields: {{ ip: {{ protect: hmac }} }}
sink: {{ sqlite: {{ path: '{}', table: t }} }}
batch: {{ records: 2000 }}
",
            bucket.queue,
            localstack(),
            database.display()
        ),
    );
    let rows = || if database.exists() { sqlite_count(&database, "SELECT count(*) FROM t") } else { 0 };
    let mut most = 0;
    for share in [5, 2] {
        let run = Started::new(room.command(&["run", &pipeline, "--output", "json"]).stdin(Stdio::null()));
        eventually("rows", || std::panic::catch_unwind(rows).unwrap_or(0) > ROWS / share);
        most = peak(run.id()).unwrap_or(0).max(most);
        run.signal("KILL");
        run.wait();
    }
    let before = rows();
    assert!(before < ROWS, "killed too late");
    // The notification is hidden for as long as the visibility timeout.
    std::thread::sleep(std::time::Duration::from_millis(3500));
    let finished = room.run(&["run", &pipeline, "--once", "--output", "json"]);
    let summary = finished.json();
    assert_eq!(
        (count(&summary, "received"), count(&summary, "delivered")),
        (ROWS - before, ROWS - before),
        "{finished}"
    );
    assert_eq!(sqlite_count(&database, "SELECT count(DISTINCT id) FROM t"), ROWS);
    assert_eq!((rows(), bucket.left()), (ROWS, 0));
    assert!(most < 150, "{most} MiB");
    println!("{} MB, peak {most} MiB", content.len() / 1_000_000);
}
