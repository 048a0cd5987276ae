//! System A with its queue: logins from SQS (ElasticMQ: CLOAKROOM_TEST_SQS_URL) through the program into PostgreSQL. Killed and
//! run again, stopped, with a queue that does not delete: every login is one row, and the queue is empty in the end.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;
#[path = "protected_keys/server.rs"]
mod server;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Room, Schema, Started, count, eventually};
use serde_json::{Value, json};
use server::{Request, Response, Server, send};

const TABLE: &str = "CREATE TABLE user_logins (
    user_id varchar(128), device_type varchar(32), masked_ip varchar(256), masked_device_id varchar(256),
    locale varchar(32), app_version varchar(10), create_date date)";

fn elasticmq() -> String {
    std::env::var("CLOAKROOM_TEST_SQS_URL").expect("CLOAKROOM_TEST_SQS_URL; run the tests with `make test`")
}

fn call(action: &str, body: &Value) -> Value {
    let headers = BTreeMap::from([
        ("x-amz-target".to_owned(), format!("AmazonSQS.{action}")),
        ("content-type".to_owned(), "application/x-amz-json-1.0".to_owned()),
    ]);
    let request =
        Request { method: "POST".to_owned(), path: "/".to_owned(), headers, body: body.to_string().into_bytes() };
    let answer = send(&elasticmq(), &request);
    assert_eq!(answer.status, 200, "{action}: {}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).unwrap_or_default()
}

/// Logins in a queue, a table for them, and a pipeline between them.
struct Queue {
    room: Room,
    schema: Schema,
    url: String,
    /// Logins that are as they should be, and those that are not.
    good: u64,
    wrong: u64,
}

impl Queue {
    fn new(logins: u64, visibility_s: u32) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("cli{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let attributes = json!({ "VisibilityTimeout": visibility_s.to_string() });
        let made = call("CreateQueue", &json!({ "QueueName": name, "Attributes": attributes }));
        let url = made["QueueUrl"].as_str().unwrap().to_owned();
        let (room, schema) = (Room::new(), Schema::new());
        schema.execute(TABLE);
        room.sample("logins.jsonl", &["logins", "--count", &logins.to_string(), "--wrong-shape"]);
        let text = String::from_utf8(room.read("logins.jsonl")).unwrap();
        let bodies: Vec<&str> = text.lines().collect();
        for ten in bodies.chunks(10) {
            let entry = |(index, body): (usize, &&str)| json!({ "Id": index.to_string(), "MessageBody": body });
            let entries: Vec<Value> = ten.iter().enumerate().map(entry).collect();
            call("SendMessageBatch", &json!({ "QueueUrl": url, "Entries": entries }));
        }
        // One of fifty has a wrong shape.
        let wrong = (logins + 17) / 50;
        Self { room, schema, url, good: logins - wrong, wrong }
    }

    fn pipeline(&self, source: &str, more: &str) -> String {
        let (queue, table) = (&self.url, &self.schema.url);
        self.room.write(
            "queue.yaml",
            format!(
                "source: {{ sqs: {{ queue_url: '{queue}', wait_s: 1, {source} }} }}
record: {{ require: [user_id, ip, device_id], unlisted: drop }}
fields:
  user_id:     {{ type: string, max_length: 128, nullable: false }}
  device_type: {{ type: string, max_length: 32 }}
  ip:          {{ protect: {{ hmac: {{ domain: ip }} }}, as: masked_ip }}
  device_id:   {{ protect: {{ hmac: {{ domain: device }} }}, as: masked_device_id }}
  locale:      {{ type: string, max_length: 32 }}
  app_version: {{ type: string, max_length: 10 }}
  create_date: {{ set: ingest_date }}
sink: {{ postgres: {{ url: '{table}', table: user_logins }} }}
{more}
"
            ),
        )
    }

    /// `cloakroom run --once`: the summary and the exit code.
    fn run_once(&self, pipeline: &str) -> (Value, i32) {
        let finished = self.room.run(&["run", pipeline, "--once", "--output", "json"]);
        let summary = finished.json();
        common::assert_reconciled(&summary);
        (summary, finished.code)
    }

    fn start(&self, arguments: &[&str]) -> Started {
        Started::new(self.room.command(arguments).stdin(Stdio::null()))
    }

    fn rows(&self) -> u64 {
        self.schema.count("SELECT count(*) FROM user_logins")
    }

    /// Messages that are visible, and in flight.
    fn left(&self) -> (u64, u64) {
        let asked = call("GetQueueAttributes", &json!({ "QueueUrl": self.url, "AttributeNames": ["All"] }));
        let number = |name: &str| asked["Attributes"][name].as_str().unwrap().parse().unwrap();
        (number("ApproximateNumberOfMessages"), number("ApproximateNumberOfMessagesNotVisible"))
    }

    fn assert_complete(&self, pipeline: &str) {
        assert_eq!(self.rows(), self.good);
        assert_eq!(self.schema.count("SELECT count(DISTINCT user_id) FROM user_logins"), self.good);
        assert_eq!(self.left(), (0, 0), "visible, in flight");
        let letters = self.room.dead_letters(pipeline);
        assert_eq!(letters.len() as u64, self.wrong);
        assert!(letters.iter().all(|letter| letter["source"].as_str().unwrap().starts_with("sqs/000000000000/cli")));
    }
}

/// What a proxy before the queue answers to an action instead of passing it on.
type Instead = Box<dyn FnMut(&str, &Value) -> Option<Response> + Send>;

fn proxy(mut instead: Instead) -> (Server, Arc<Mutex<Vec<String>>>) {
    let actions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&actions);
    let instead = Mutex::new(move |action: &str, body: &Value| instead(action, body));
    let server = Server::start(move |request| {
        let action = request.headers["x-amz-target"].trim_start_matches("AmazonSQS.").to_owned();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let answer = (*instead.lock().unwrap())(&action, &body);
        seen.lock().unwrap().push(action);
        answer.unwrap_or_else(|| send(&elasticmq(), request))
    });
    (server, actions)
}

#[test]
fn ninety_eight_logins_become_rows_two_become_dead_letters_and_the_queue_is_empty() {
    let queue = Queue::new(100, 30);
    let pipeline = queue.pipeline("", "");
    let (summary, code) = queue.run_once(&pipeline);
    let counts = ["received", "delivered", "dead", "duplicate", "returned"].map(|name| count(&summary, name));
    assert_eq!((counts, code), ([100, 98, 2, 0, 0], 1), "{summary}");
    queue.assert_complete(&pipeline);
    let (again, code) = queue.run_once(&pipeline);
    assert_eq!((count(&again, "received"), code), (0, 0), "{again}");
    let said = queue.room.run(&["check", &pipeline, "--connect"]);
    assert!(said.expect_code(0).out().contains(", standard, visibility timeout 30 s, about 0 messages"), "{said}");
}

#[test]
fn a_run_that_is_killed_again_and_again_leaves_every_login_once() {
    let queue = Queue::new(5000, 2);
    let pipeline = queue.pipeline("", "batch: { records: 100, wait_ms: 50 }");
    for rows in [400, 1200, 2400] {
        let run = queue.start(&["run", &pipeline, "--output", "json"]);
        eventually("rows", || queue.rows() >= rows);
        run.signal("KILL");
        run.wait();
        assert!(queue.rows() < queue.good, "killed too late");
    }
    // What the last one held is visible again after this.
    std::thread::sleep(Duration::from_millis(2500));
    let (summary, _) = queue.run_once(&pipeline);
    println!("the last run: {summary}");
    queue.assert_complete(&pipeline);
}

#[test]
fn a_stop_gives_the_messages_back_at_once() {
    let queue = Queue::new(3000, 300);
    let pipeline = queue.pipeline("receivers: 8", "batch: { records: 100 }");
    let run = queue.start(&["run", &pipeline, "--output", "json"]);
    eventually("rows", || queue.rows() >= 300);
    run.signal("TERM");
    let summary = run.wait_for(Duration::from_secs(30)).json();
    common::assert_reconciled(&summary);
    let settled = count(&summary, "delivered") + count(&summary, "dead");
    let (visible, in_flight) = queue.left();
    assert_eq!((visible, in_flight), (queue.good + queue.wrong - settled, 0), "{summary}");
    assert!(summary["end"] == "stopped" && visible > 0, "stopped too late: {summary}");
    let (rest, _) = queue.run_once(&pipeline);
    assert_eq!((count(&rest, "received"), count(&rest, "duplicate")), (visible, 0), "{rest}");
    queue.assert_complete(&pipeline);
}

#[test]
fn messages_that_cannot_be_deleted_come_again_and_are_duplicates() {
    let queue = Queue::new(32, 300);
    let (server, _) = proxy(Box::new(|action, _| {
        (action == "DeleteMessageBatch").then(|| Response::json(500, &json!({ "__type": "InternalError" })))
    }));
    let endpoint = format!("endpoint: '{}'", server.url);
    let failed = queue.room.run(&["run", &queue.pipeline(&endpoint, "retry: { give_up_after_s: 1 }"), "--once"]);
    assert!(failed.expect_code(3).err().contains("AWS answers 500"), "{failed}");
    assert_eq!((queue.rows(), queue.left()), (32, (32, 0)), "the rows are there, and the messages too");
    let pipeline = queue.pipeline("", "");
    let (summary, code) = queue.run_once(&pipeline);
    let counts = ["received", "delivered", "duplicate"].map(|name| count(&summary, name));
    assert_eq!((counts, code), ([32, 0, 32], 0), "{summary}");
    queue.assert_complete(&pipeline);
}

#[test]
fn deleting_in_part_is_tried_again_for_the_rest() {
    let queue = Queue::new(30, 300);
    let mut times = 0;
    let (server, actions) = proxy(Box::new(move |action, body| {
        if action != "DeleteMessageBatch" {
            return None;
        }
        times += 1;
        if times % 2 == 0 {
            return None;
        }
        let entries = body["Entries"].as_array().unwrap();
        let (pass, keep) = entries.split_at(entries.len() / 2);
        if !pass.is_empty() {
            call(action, &json!({ "QueueUrl": body["QueueUrl"], "Entries": pass }));
        }
        let done: Vec<Value> = pass.iter().map(|entry| json!({ "Id": entry["Id"] })).collect();
        let refused = |entry: &Value| json!({ "Id": entry["Id"], "Code": "InternalError", "SenderFault": false });
        let failed: Vec<Value> = keep.iter().map(refused).collect();
        Some(Response::json(200, &json!({ "Successful": done, "Failed": failed })))
    }));
    let pipeline = queue.pipeline(&format!("endpoint: '{}'", server.url), "");
    let (summary, code) = queue.run_once(&pipeline);
    assert_eq!((count(&summary, "delivered"), count(&summary, "duplicate"), code), (30, 0, 0), "{summary}");
    assert!(actions.lock().unwrap().iter().filter(|action| *action == "DeleteMessageBatch").count() > 3);
    queue.assert_complete(&pipeline);
}

/// Every seventh call is refused, and of every eleventh the answer is lost: messages that were received so come again when their
/// time has passed, and what was deleted so is deleted once more.
#[test]
fn calls_that_fail_now_and_then_lose_nothing_and_double_nothing() {
    let queue = Queue::new(800, 2);
    let mut calls = 0_u32;
    let (server, actions) = proxy(Box::new(move |action, body| {
        calls += 1;
        match calls {
            // The first asks for the queue's settings.
            1 => None,
            calls if calls % 7 == 0 => {
                Some(Response::json(400, &json!({ "__type": "com.amazonaws.sqs#RequestThrottled" })))
            }
            calls if calls % 11 == 0 => {
                call(action, body);
                Some(Response::json(500, &json!({ "__type": "InternalError" })))
            }
            _ => None,
        }
    }));
    let pipeline = queue.pipeline(&format!("endpoint: '{}'", server.url), "batch: { records: 50, wait_ms: 20 }");
    for _ in 0..5 {
        queue.run_once(&pipeline);
        std::thread::sleep(Duration::from_millis(2500));
        if queue.left() == (0, 0) {
            break;
        }
    }
    assert!(actions.lock().unwrap().len() > 160, "calls enough that many failed");
    queue.assert_complete(&pipeline);
}

#[test]
fn a_file_that_is_replaced_takes_no_message() {
    let queue = Queue::new(20, 30);
    let text = std::fs::read_to_string(queue.pipeline("", "")).unwrap();
    let at = text.find("sink:").unwrap();
    let sink = "sink: { file: { path: logins.parquet, format: parquet, replace: true } }\n";
    let pipeline = queue.room.write("replaced.yaml", format!("{}{sink}", &text[..at]));
    let refused = queue.room.run(&["run", &pipeline, "--once"]);
    assert!(refused.expect_code(2).err().contains("leave `replace` out, or set `rotate`"), "{refused}");
    assert_eq!(queue.left(), (20, 0), "visible, in flight");
    let rotated = sink.replace("replace: true", "rotate: { records: 1000 }");
    let pipeline = queue.room.write("rotated.yaml", format!("{}{rotated}", &text[..at]));
    let (summary, _) = queue.run_once(&pipeline);
    assert_eq!((count(&summary, "delivered"), queue.left()), (20, (0, 0)), "{summary}");
    assert!(queue.room.exists("logins-000001.parquet"));
}

#[test]
fn what_is_wrong_is_said_in_words_that_help() {
    let queue = Queue::new(1, 30);
    for (status, answer, code, words) in [
        (400, "com.amazonaws.sqs#QueueDoesNotExist", 2, "there is no such queue"),
        (400, "com.amazon.coral.service#ExpiredTokenException", 4, "does not accept the credentials"),
        (403, "AccessDeniedException", 4, "(it needs sqs:GetQueueAttributes)"),
        (400, "KmsAccessDenied", 4, "kms:Decrypt"),
    ] {
        let (server, _) = proxy(Box::new(move |_, _| {
            Some(Response::json(status, &json!({ "__type": answer, "message": "S3cretMarker" })))
        }));
        let pipeline = queue.pipeline(&format!("endpoint: '{}'", server.url), "");
        let said = queue.room.run(&["check", &pipeline, "--connect"]);
        assert!(said.expect_code(code).err().contains(words), "{said}");
        assert!(!said.err().contains("S3cretMarker"), "{said}");
    }
}
