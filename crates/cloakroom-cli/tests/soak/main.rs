//! The whole way under everything that goes wrong: messages of a queue into PostgreSQL, DynamoDB and Elasticsearch, objects of
//! a bucket and records of a stream into PostgreSQL, through proxies that drop, cut, delay, double and refuse, while the program is killed
//! at random. In the end every record is once at the sink or in a dead letter, and the queue is empty.
//!
//! `CLOAKROOM_TEST_SOAK=200000` says how many records there are (default 2,000), `CLOAKROOM_TEST_SOAK_KILLS=20` how often the
//! program is killed (default 3 or 4), `CLOAKROOM_TEST_SOAK_OBJECT_MB=2048` how large one object is (default 16),
//! `CLOAKROOM_TEST_FAULT_SEED` repeats a run that failed.
#![cfg(feature = "aws")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

#[path = "../common/mod.rs"]
mod common;
mod objects;
mod queue;
#[allow(dead_code)] // a server, which is not needed here
#[path = "../protected_keys/server.rs"]
mod server;
mod stream;
mod targets;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use cloakroom_faults::{Plan, seed};
use common::{Finished, Room, Started};
use serde_json::{Value, json};
use server::{Request, send};

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable}; run the tests with `make test`"))
}

/// LocalStack's address; `None` where there is none: it needs a Python that not every machine has.
fn localstack() -> Option<String> {
    let url = std::env::var("CLOAKROOM_TEST_LOCALSTACK_URL").unwrap_or_default();
    if url.is_empty() {
        eprintln!(
            "not run: CLOAKROOM_TEST_LOCALSTACK_URL; run the tests with `make test`, which need Python 3.13 for it"
        );
    }
    Some(url).filter(|url| !url.is_empty())
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

/// The same of SQS.
fn sqs(url: &str, action: &str, body: &Value) -> Value {
    ask(url, "POST", "/", Some(&format!("AmazonSQS.{action}")), body)
}

/// Messages that are visible or in flight.
fn left(url: &str, queue: &str) -> u64 {
    let asked = sqs(url, "GetQueueAttributes", &json!({ "QueueUrl": queue, "AttributeNames": ["All"] }));
    let number = |name: &str| asked["Attributes"][name].as_str().unwrap().parse::<u64>().unwrap();
    number("ApproximateNumberOfMessages") + number("ApproximateNumberOfMessagesNotVisible")
}

fn faults() -> Plan {
    let pauses = Duration::from_millis(1)..Duration::from_millis(200);
    Plan::new(seed()).drop(0.02).cut(0.02).duplicate(0.02).status(0.03).partial(0.1).delay(0.1, pauses)
}

/// Runs a pipeline and kills it at random moments of its work, `kills` times, up to `longest` apart. Gives the most memory
/// that one of the runs had resident, in MB; 0 where the system does not say.
fn kill(room: &Room, pipeline: &str, kills: u64, longest: Duration) -> u64 {
    let mut memory = 0;
    // Whoever kills at random moments must be able to do it again.
    let mut random = seed();
    for kill in 0..kills {
        let run = Started::new(room.command(&["run", pipeline, "--output", "json"]).stdin(Stdio::null()));
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = u64::try_from(longest.as_millis()).unwrap();
        std::thread::sleep(Duration::from_millis(700 + (random >> 33) % most));
        memory = memory.max(resident(run.id()));
        run.signal("KILL");
        let ended = run.wait();
        assert_eq!(ended.code, -1, "run {kill} ended before it was killed: {ended}");
    }
    memory
}

/// The most memory that a process had resident so far, in MB, on Linux.
fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) * 1024 / 1_000_000
}

/// Takes what is left, again and again: what a killed run held is hidden for as long as its visibility timeout.
fn finish(room: &Room, pipeline: &str, url: &str, queue: &str) -> Vec<Finished> {
    let mut runs = Vec::new();
    for _ in 0..20 {
        let mut run = room.command(&["run", pipeline, "--once", "--output", "json"]);
        let run = Started::new(run.stdin(Stdio::null())).wait_for(Duration::from_secs(3_600));
        assert!(run.code <= 1, "{run}");
        common::assert_reconciled(&run.json());
        runs.push(run);
        if left(url, queue) == 0 {
            return runs;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    panic!("messages are left");
}

/// What `cloakroom status` counted of all runs; no alarm.
fn accounts(room: &Room, pipeline: &str) -> [u64; 4] {
    let status = room.run(&["status", pipeline, "--output", "json"]);
    assert_eq!(status.code, 0, "{status}");
    let account = &status.json()[0];
    assert_eq!(account["alarms"].as_array().unwrap().len(), 0, "{status}");
    ["received", "delivered", "duplicate", "dead"].map(|name| common::count(&account["counts"], name))
}
