//! Metrics of a run as the program publishes them: lines of the Embedded Metric Format, and CloudWatch (LocalStack).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs
)]

mod common;
#[cfg(feature = "aws")]
#[allow(dead_code)] // a server, which is not needed here
#[path = "protected_keys/server.rs"]
mod server;

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use common::{Room, Started, assert_reconciled, count, eventually};
use serde_json::Value;

const COUNTS: [&str; 8] = ["received", "delivered", "duplicate", "filtered", "dead", "returned", "bytes", "retries"];

fn pipeline(room: &Room, name: &str, source: &str, sink: &str, metrics: &str) -> String {
    let text = format!(
        "source: {{ file: {{ path: {source} }} }}
record: {{ require: [user_id, ip, device_id] }}
fields:
  ip: {{ protect: hmac }}
  device_id: {{ protect: {{ mask: last4 }} }}
sink: {{ {sink} }}
batch: {{ records: 50 }}
metrics: {{ {metrics} }}
"
    );
    room.write(&format!("{name}.yaml"), text)
}

/// The lines of a file, each held against the format.
fn lines(bytes: &[u8], pipeline: &str) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        assert!(line["_aws"]["Timestamp"].as_u64().unwrap() > 1_700_000_000_000, "{line}");
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        for name in directive["Dimensions"][0].as_array().unwrap() {
            assert!(line[name.as_str().unwrap()].is_string(), "{name} in {line}");
        }
        for metric in directive["Metrics"].as_array().unwrap() {
            let value = &line[metric["Name"].as_str().unwrap()];
            assert!(value.is_u64() || value.as_array().is_some_and(|values| !values.is_empty()), "{metric} in {line}");
        }
        assert_eq!(line["pipeline"], pipeline);
    }
    lines
}

/// Over all lines a count is what the summary says.
fn assert_adds_up(lines: &[Value], summary: &Value) {
    assert_reconciled(summary);
    for name in COUNTS {
        let sum: u64 = lines.iter().map(|line| count(line, name)).sum();
        assert_eq!(sum, count(summary, name), "{name}");
    }
    assert_eq!(summary["metrics"]["published"], lines.len() as u64);
    assert_eq!(summary["metrics"]["lost"], 0);
}

#[test]
fn lines_go_to_a_file_and_add_up() {
    let mut room = Room::new();
    room.set("STAGE", "test");
    room.sample("logins.jsonl", &["logins", "--count", "1000", "--wrong-shape"]);
    let emf = "emf: { path: '${OUT:-metrics.jsonl}', namespace: Logins, dimensions: { stage: '${STAGE}' } }";
    let file = pipeline(&room, "logins", "logins.jsonl", "sqlite: { path: out.db, table: logins }", emf);
    let checked = room.run(&["check", &file, "--connect"]).expect_code(0).out();
    assert!(checked.contains("metrics: lines to metrics.jsonl, which will be made"), "{checked}");
    assert!(!room.exists("metrics.jsonl"), "a check writes none");

    let (summary, code) = room.summary(&file);
    assert_eq!((code, count(&summary, "received"), count(&summary, "dead")), (1, 1000, 20));
    let first = lines(&room.read("metrics.jsonl"), "logins");
    assert_adds_up(&first, &summary);
    assert_eq!((&first[0]["stage"], &first[0]["failed"]), (&"test".into(), &0.into()));
    assert_eq!(first[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"], "Logins");
    let batches: usize = first.iter().map(|line| line["batch_latency"].as_array().unwrap().len()).sum();
    assert_eq!(batches, 20, "one of each batch");

    // The second run has nothing to count, and says so; its lines stand behind the others.
    let (summary, code) = room.summary(&file);
    let second = lines(&room.read("metrics.jsonl"), "logins").split_off(first.len());
    assert_eq!((code, count(&second[0], "received")), (0, 0));
    assert_adds_up(&second, &summary);
    assert!(second[0].get("batch_latency").is_none());

    // A replay of the dead letters is a run.
    let before = first.len() + second.len();
    let replayed = room.run(&["dead-letters", "replay", &file, "--output", "json"]).json();
    assert_adds_up(&lines(&room.read("metrics.jsonl"), "logins").split_off(before), &replayed);

    // A run that fails says that it did.
    let gone = pipeline(&room, "logins", "gone.jsonl", "sqlite: { path: out.db, table: logins }", emf);
    room.run(&["run", &gone]).expect_code(2);
    let last = lines(&room.read("metrics.jsonl"), "logins").pop().unwrap();
    assert_eq!((count(&last, "failed"), count(&last, "received")), (1, 0));
}

#[test]
fn standard_output_is_for_one_alone() {
    let room = Room::new();
    room.sample("logins.jsonl", &["logins", "--count", "100"]);
    let file = pipeline(&room, "logins", "logins.jsonl", "sqlite: { path: out.db, table: logins }", "emf: {}");
    let finished = room.run(&["run", &file, "--output", "json"]);
    let summary: Value = serde_json::from_slice(&finished.stderr).unwrap_or_else(|_| panic!("{finished}"));
    assert_adds_up(&lines(&finished.stdout, "logins"), &summary);
    let finished = room.run(&["run", &file]);
    assert_eq!(lines(&finished.stdout, "logins").len(), 1, "{finished}");

    let both = pipeline(&room, "both", "logins.jsonl", "file: { path: '-' }", "emf: {}");
    for command in [&["check", &both][..], &["run", &both]] {
        let refused = room.run(command);
        assert!(refused.expect_code(2).err().contains("give `metrics.emf.path` a file"), "{refused}");
        assert!(refused.stdout.is_empty());
    }
    let apart = pipeline(&room, "apart", "logins.jsonl", "file: { path: '-' }", "emf: { path: metrics.jsonl }");
    let finished = room.run(&["run", &apart]);
    assert_eq!(finished.expect_code(0).out().lines().count(), 100);
    assert_eq!(lines(&room.read("metrics.jsonl"), "apart").len(), 1);
}

#[test]
fn intervals_are_told_while_a_run_goes_on() {
    let room = Room::new();
    let sink = "sqlite: { path: out.db, table: logins }";
    let file = pipeline(&room, "slow", "'-'", sink, "emf: { path: metrics.jsonl, every_s: 1 }");
    let mut started = Started::new(room.command(&["run", &file, "--output", "json"]).stdin(Stdio::piped()));
    let mut stdin = started.stdin();
    for round in 1..=2 {
        for number in 0..200 {
            let login =
                format!("{{\"user_id\":\"u{number}\",\"ip\":\"10.0.0.1\",\"device_id\":\"{round}-{number}\"}}\n");
            stdin.write_all(login.as_bytes()).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1500));
    }
    eventually("a line", || room.exists("metrics.jsonl"));
    drop(stdin);
    let finished = started.wait();
    let summary = finished.expect_code(0).json();
    assert_eq!(count(&summary, "delivered"), 400);
    let written = lines(&room.read("metrics.jsonl"), "slow");
    assert!(written.len() >= 3, "{}", written.len());
    assert_adds_up(&written, &summary);
}

#[test]
fn what_cannot_be_published_is_told_and_ends_nothing() {
    let room = Room::new();
    room.sample("logins.jsonl", &["logins", "--count", "100"]);
    let sink = "sqlite: { path: out.db, table: logins }";
    let file = pipeline(&room, "logins", "logins.jsonl", sink, "emf: { path: no-folder/metrics.jsonl }");
    room.run(&["check", &file]).expect_code(0);
    let refused = room.run(&["check", &file, "--connect"]);
    assert!(refused.expect_code(2).err().contains("there is no such folder"), "{refused}");
    let finished = room.run(&["run", &file]);
    assert!(
        finished.expect_code(0).out().contains("metrics    0 intervals published, 1 lost; tries that failed: 1"),
        "{finished}"
    );
    assert_eq!(finished.err().matches("no-folder").count(), 1, "once in the log: {finished}");

    for (metrics, told) in [
        ("emf: { namespace: AWS/SQS }", "`namespace`"),
        ("emf: { every_s: 0 }", "`every_s` takes 1 to 3600"),
        ("emf: { dimensions: { pipeline: x } }", "is taken"),
        ("emf: { dimensions: { stage: '${NOT_SET_AT_ALL}' } }", "NOT_SET_AT_ALL is not set"),
        ("emf: { pth: x }", "unknown field `pth`; did you mean `path`?"),
        ("prometheus: {}", "unknown variant"),
    ] {
        let wrong = pipeline(&room, "wrong", "logins.jsonl", sink, metrics);
        for command in ["check", "run"] {
            let refused = room.run(&[command, &wrong]);
            assert!(refused.expect_code(2).err().contains(told), "{metrics}: {refused}");
        }
    }
}

#[cfg(feature = "aws")]
#[test]
fn cloudwatch_has_what_the_summary_says() {
    use std::collections::BTreeMap;

    let address = std::env::var("CLOAKROOM_TEST_LOCALSTACK_URL").unwrap_or_default();
    if address.is_empty() {
        eprintln!(
            "not run: CLOAKROOM_TEST_LOCALSTACK_URL; run the tests with `make test`, which need Python 3.13 for it"
        );
        return;
    }
    let room = Room::new();
    room.sample("logins.jsonl", &["logins", "--count", "1000", "--wrong-shape"]);
    let namespace = format!("cli-{}", std::process::id());
    let metrics =
        format!("cloudwatch: {{ namespace: {namespace}, endpoint: '{address}', dimensions: {{ stage: test }} }}");
    let file = pipeline(&room, "logins", "logins.jsonl", "sqlite: { path: out.db, table: logins }", &metrics);
    let checked = room.run(&["check", &file, "--connect"]).expect_code(0).out();
    assert!(checked.contains(&format!("metrics: CloudWatch takes them, namespace {namespace}")), "{checked}");
    let (summary, _) = room.summary(&file);
    assert_eq!((count(&summary, "received"), &summary["metrics"]["lost"]), (1000, &0.into()), "{summary}");

    let credential =
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/monitoring/aws4_request, SignedHeaders=host, Signature=0";
    let headers = BTreeMap::from([
        ("authorization".to_owned(), credential.to_owned()),
        ("x-amz-target".to_owned(), "GraniteServiceVersion20100801.GetMetricStatistics".to_owned()),
        ("content-type".to_owned(), "application/x-amz-json-1.0".to_owned()),
    ]);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for name in COUNTS {
        let body = serde_json::json!({
            "Namespace": namespace, "MetricName": name, "Period": 60, "Statistics": ["Sum"],
            "StartTime": now - 900, "EndTime": now + 120,
            "Dimensions": [{ "Name": "pipeline", "Value": "logins" }, { "Name": "stage", "Value": "test" }]
        });
        let (method, path) = ("POST".to_owned(), "/".to_owned());
        let body = body.to_string().into_bytes();
        let answer = server::send(&address, &server::Request { method, path, headers: headers.clone(), body });
        let text = String::from_utf8_lossy(&answer.body);
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{} {text}", answer.status));
        let points = answer["Datapoints"].as_array().unwrap_or_else(|| panic!("{text}"));
        let sum: f64 = points.iter().map(|point| point["Sum"].as_f64().unwrap()).sum();
        assert_eq!(sum, count(&summary, name) as f64, "{name}: {text}");
    }
}
