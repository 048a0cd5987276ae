//! The whole way under everything that goes wrong: messages of a queue into PostgreSQL, DynamoDB and Elasticsearch, through
//! proxies that drop, cut, delay, double and refuse, while the program is killed at random. In the end every message is once
//! at the sink or in a dead letter, and the queue is empty.
//!
//! `CLOAKROOM_TEST_SOAK=200000` says how many messages there are (default 2,000), `CLOAKROOM_TEST_SOAK_KILLS=20` how often the
//! program is killed (default 4), `CLOAKROOM_TEST_FAULT_SEED` repeats a run that failed.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;
#[allow(dead_code)] // a server, which is not needed here
#[path = "protected_keys/server.rs"]
mod server;

use std::collections::{BTreeMap, HashSet};
use std::process::Stdio;
use std::time::{Duration, Instant};

use cloakroom_faults::{FaultProxy, Plan, seed};
use common::{Room, Schema, Started, count};
use serde_json::{Value, json};
use server::{Request, send};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable}; run the tests with `make test`"))
}

/// One request to a server of this machine.
fn ask(url: &str, method: &str, path: &str, target: Option<&str>, body: &Value) -> Value {
    let mut headers = BTreeMap::from([("content-type".to_owned(), "application/json".to_owned())]);
    if let Some(target) = target {
        headers.insert("x-amz-target".to_owned(), target.to_owned());
        headers.insert("content-type".to_owned(), "application/x-amz-json-1.0".to_owned());
        // An emulator takes any signature, but wants one.
        let credential =
            "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/any/aws4_request, SignedHeaders=host, Signature=0";
        headers.insert("authorization".to_owned(), credential.to_owned());
    }
    let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    let answer = send(url, &Request { method: method.to_owned(), path: path.to_owned(), headers, body });
    assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

fn sqs(action: &str, body: &Value) -> Value {
    ask(&address("CLOAKROOM_TEST_SQS_URL"), "POST", "/", Some(&format!("AmazonSQS.{action}")), body)
}

/// A queue full of logins.
struct Queue {
    name: String,
    url: String,
    /// The `user_id`s of logins that are as they should be.
    good: HashSet<String>,
    wrong: u64,
}

impl Queue {
    fn new(room: &Room, name: &str, messages: u64) -> Self {
        let name = format!("soak-{name}-{}", std::process::id());
        let made = sqs("CreateQueue", &json!({ "QueueName": name, "Attributes": { "VisibilityTimeout": "3" } }));
        let url = made["QueueUrl"].as_str().unwrap().to_owned();
        room.sample("logins.jsonl", &["logins", "--count", &messages.to_string(), "--wrong-shape"]);
        let text = String::from_utf8(room.read("logins.jsonl")).unwrap();
        let bodies: Vec<&str> = text.lines().collect();
        let send = |part: &[&str]| {
            for ten in part.chunks(10) {
                let entry = |(index, body): (usize, &&str)| json!({ "Id": index.to_string(), "MessageBody": body });
                let entries: Vec<Value> = ten.iter().enumerate().map(entry).collect();
                sqs("SendMessageBatch", &json!({ "QueueUrl": url, "Entries": entries }));
            }
        };
        std::thread::scope(|scope| {
            for part in bodies.chunks(bodies.len().div_ceil(4)) {
                scope.spawn(move || send(part));
            }
        });
        let id = |body: &&str| {
            let login: Value = serde_json::from_str(body).ok()?;
            let is_whole = ["user_id", "ip", "device_id"].iter().all(|field| login[field].is_string());
            is_whole.then(|| login["user_id"].as_str().unwrap().to_owned())
        };
        let good: HashSet<String> = bodies.iter().filter_map(id).collect();
        let wrong = messages - good.len() as u64;
        Self { name, url, good, wrong }
    }

    /// Messages that are visible or in flight.
    fn left(&self) -> u64 {
        let asked = sqs("GetQueueAttributes", &json!({ "QueueUrl": self.url, "AttributeNames": ["All"] }));
        let number = |name: &str| asked["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap();
        number("ApproximateNumberOfMessages") + number("ApproximateNumberOfMessagesNotVisible")
    }
}

/// Where the logins go: what stands under `sink:`, a proxy before it, and the `user_id`s that it holds in the end.
struct Target {
    name: &'static str,
    sink: String,
    proxy: FaultProxy,
    held: Box<dyn Fn() -> Vec<String>>,
}

fn faults() -> Plan {
    let pauses = Duration::from_millis(1)..Duration::from_millis(200);
    Plan::new(seed()).drop(0.02).cut(0.02).duplicate(0.02).status(0.03).partial(0.1).delay(0.1, pauses)
}

fn postgres() -> Target {
    let schema = Schema::new();
    schema.execute("CREATE TABLE logins (user_id text, masked_ip text, masked_device_id text)");
    // A connection carries a few thousand rows before it is cut.
    let proxy = FaultProxy::tcp(
        &schema.url,
        Plan::new(seed()).cut(0.5).cut_after(20_000..2_000_000).delay(0.1, Duration::ZERO..Duration::from_millis(200)),
    );
    let held = move || {
        let rows = schema.query("SELECT user_id FROM logins");
        rows.into_iter().map(|row| row.into_iter().next().unwrap().unwrap()).collect()
    };
    let sink = format!("postgres: {{ url: '{}', table: logins }}", proxy.url());
    Target { name: "postgres", sink, proxy, held: Box::new(held) }
}

fn dynamodb() -> Target {
    let url = address("CLOAKROOM_TEST_DYNAMODB_URL");
    let proxy = FaultProxy::http(&url, faults());
    let table = format!("soak-{}", std::process::id());
    let sink = format!(
        "dynamodb: {{ table: {table}, key: user_id, endpoint: '{}', region: us-east-1, create_table: true }}",
        proxy.url()
    );
    let held = move || {
        let (mut ids, mut from) = (Vec::new(), Value::Null);
        loop {
            let mut scan = json!({ "TableName": table, "ProjectionExpression": "user_id", "ConsistentRead": true });
            if !from.is_null() {
                scan["ExclusiveStartKey"] = from;
            }
            let page = ask(&url, "POST", "/", Some("DynamoDB_20120810.Scan"), &scan);
            ids.extend(
                page["Items"].as_array().unwrap().iter().map(|item| item["user_id"]["S"].as_str().unwrap().to_owned()),
            );
            from = page["LastEvaluatedKey"].clone();
            if from.is_null() {
                return ids;
            }
        }
    };
    Target { name: "dynamodb", sink, proxy, held: Box::new(held) }
}

fn elasticsearch() -> Target {
    let url = address("CLOAKROOM_TEST_OPENSEARCH_URL");
    let proxy = FaultProxy::http(&url, faults());
    let index = format!("soak-{}", std::process::id());
    let sink = format!("elasticsearch: {{ url: '{}', index: {index}, id: user_id }}", proxy.url());
    let held = move || {
        ask(&url, "POST", &format!("/{index}/_refresh"), None, &Value::Null);
        let mut ids: Vec<String> = Vec::new();
        let search = json!({ "size": 10_000, "sort": ["_doc"], "_source": false });
        let mut page = ask(&url, "POST", &format!("/{index}/_search?scroll=1m"), None, &search);
        loop {
            let hits = page["hits"]["hits"].as_array().unwrap();
            if hits.is_empty() {
                return ids;
            }
            ids.extend(hits.iter().map(|hit| hit["_id"].as_str().unwrap().to_owned()));
            let next = json!({ "scroll": "1m", "scroll_id": page["_scroll_id"] });
            page = ask(&url, "POST", "/_search/scroll", None, &next);
        }
    };
    Target { name: "elasticsearch", sink, proxy, held: Box::new(held) }
}

fn soak(target: &Target) {
    let (messages, kills) = (number("CLOAKROOM_TEST_SOAK", 2_000), number("CLOAKROOM_TEST_SOAK_KILLS", 4));
    let room = Room::new();
    let queue = Queue::new(&room, target.name, messages);
    let before_queue = FaultProxy::http(&address("CLOAKROOM_TEST_SQS_URL"), faults());
    let pipeline = room.write(
        "soak.yaml",
        format!(
            "name: {}
source: {{ sqs: {{ queue_url: '{}', endpoint: '{}', wait_s: 1 }} }}
record: {{ require: [user_id, ip, device_id], unlisted: drop }}
fields:
  user_id:   {{ type: string, nullable: false }}
  ip:        {{ protect: {{ hmac: {{ domain: ip }} }}, as: masked_ip }}
  device_id: {{ protect: {{ hmac: {{ domain: device }} }}, as: masked_device_id }}
sink: {{ {} }}
batch: {{ records: 500, wait_ms: 50 }}
retry: {{ base_ms: 20, max_ms: 500 }}
",
            queue.name,
            queue.url,
            before_queue.url(),
            target.sink
        ),
    );
    let began = Instant::now();
    // Whoever kills at random moments must be able to do it again.
    let mut random = seed();
    for kill in 0..kills {
        let run = Started::new(room.command(&["run", &pipeline, "--output", "json"]).stdin(Stdio::null()));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(700 + (random >> 33) % 2_500));
        run.signal("KILL");
        let ended = run.wait();
        assert_eq!(ended.code, -1, "run {kill} ended before it was killed: {ended}\n{}", target.proxy.describe());
    }
    let finish = || room.run(&["run", &pipeline, "--once", "--output", "json"]);
    let mut last = finish();
    // What a killed run held is hidden for as long as its visibility timeout.
    for _ in 0..20 {
        assert!(last.code <= 1, "{last}\n{}\n{}", target.proxy.describe(), before_queue.describe());
        common::assert_reconciled(&last.json());
        if queue.left() == 0 {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
        last = finish();
    }
    let context = format!("{}\n{}", target.proxy.describe(), before_queue.describe());
    assert_eq!(queue.left(), 0, "{context}");
    let held = (target.held)();
    let distinct: HashSet<&String> = held.iter().collect();
    assert_eq!((held.len(), distinct.len()), (queue.good.len(), queue.good.len()), "{context}");
    assert!(distinct.into_iter().all(|id| queue.good.contains(id)), "{context}");
    assert_eq!(room.dead_letters(&pipeline).len() as u64, queue.wrong, "{context}");
    let status = room.run(&["status", &pipeline, "--output", "json"]);
    assert_eq!(status.code, 0, "{status}");
    let account = &status.json()[0];
    let counts = ["received", "delivered", "duplicate", "dead"].map(|name| count(&account["counts"], name));
    assert_eq!(account["alarms"].as_array().unwrap().len(), 0, "{status}");
    let (here, there) = (target.proxy.injected().total(), before_queue.injected().total());
    assert!(here + there > 0, "nothing went wrong");
    println!(
        "{}: {messages} messages, {kills} kills, {there} faults before the queue and {here} before the sink, {:.0} s; \
         received, delivered, duplicate, dead as counted: {counts:?}",
        target.name,
        began.elapsed().as_secs_f64()
    );
}

#[test]
fn a_queue_into_postgresql() {
    soak(&postgres());
}

#[test]
fn a_queue_into_dynamodb() {
    soak(&dynamodb());
}

#[test]
fn a_queue_into_elasticsearch() {
    soak(&elasticsearch());
}
