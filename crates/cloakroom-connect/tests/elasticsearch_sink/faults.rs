//! Faults that nodes make themselves, and those of the way to them.

use std::process::Command;
use std::time::Duration;

use cloakroom_faults::{FaultProxy, Plan, seed};

use super::*;

/// A node of its own with settings of its own, gone at the end.
pub(super) struct Node {
    kind: String,
    name: String,
    pub(super) url: String,
}

impl Node {
    fn script(arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/test-servers.sh");
        let output = Command::new(script).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(name: &str, settings: &[&str]) -> Self {
        Self::start_kind("opensearch", name, settings)
    }

    pub(super) fn start_kind(kind: &str, name: &str, settings: &[&str]) -> Self {
        let (kind, name) = (kind.to_owned(), format!("{name}-{}", std::process::id()));
        let said = Self::script(&[&[format!("{kind}-start").as_str(), name.as_str()], settings].concat());
        let url = said.lines().find_map(|line| line.strip_prefix("url=")).unwrap().to_owned();
        Self { kind, name, url }
    }

    /// A number of the node's statistics.
    async fn stat(&self, path: &str, pointer: &str) -> u64 {
        let stats = Index::on(self.url.clone()).get(&format!("_nodes/stats/{path}")).await;
        let node = stats["nodes"].as_object().unwrap().values().next().unwrap();
        node.pointer(pointer).and_then(serde_json::Value::as_u64).unwrap_or_else(|| panic!("{pointer} in {node}"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        Self::script(&[&format!("{}-stop", self.kind), &self.name]);
    }
}

#[tokio::test]
async fn closed_and_blocked_indices_stop_the_batch_and_lose_nothing() {
    for server in servers() {
        let index = Index::new(server);
        let records = numbered(50);
        let mut sink = index.sink("");
        sink.open().await.unwrap();
        sink.write(&batch(&numbered(1))).await.unwrap();
        index.setting("index.blocks.write", true.into()).await;
        let error = sink.write(&batch(&records)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{server}: {error}");
        index.setting("index.blocks.write", false.into()).await;
        index.ask(Method::POST, &format!("{}/_close", index.name), serde_json::Value::Null).await;
        let error = sink.write(&batch(&records)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable, "{server}: {error}");
        index.ask(Method::POST, &format!("{}/_open", index.name), serde_json::Value::Null).await;
        assert_eq!(count(&sink.write(&batch(&records)).await.unwrap(), &RowOutcome::Delivered), 50, "{server}");
        // Blocked as a full disk does it: every document gets a 429 until somebody makes room.
        index.setting("index.blocks.read_only_allow_delete", true.into()).await;
        let more = batch(&records);
        let writing = tokio::spawn(async move { (sink.write(&more).await, sink) });
        tokio::time::sleep(Duration::from_millis(1500)).await;
        index.setting("index.blocks.read_only_allow_delete", serde_json::Value::Null).await;
        let (outcomes, _) = writing.await.unwrap();
        assert_eq!(count(&outcomes.unwrap(), &RowOutcome::Delivered), 50, "{server}");
        assert_eq!(index.documents().await, 50);
    }
}

#[tokio::test]
async fn a_node_without_room_is_asked_again_for_single_documents() {
    // One thread and one place in the queue: documents of the other shards are refused one by one.
    let node = Node::start("narrow", &["thread_pool.write.size=1", "thread_pool.write.queue_size=1"]);
    let index = Index::on(node.url.clone());
    let mut sink = index.sink("shards: 4\nreplicas: 0\nconcurrency: 4\nmax_request_bytes: 20000");
    sink.open().await.unwrap();
    let records = numbered(3_000);
    let outcomes = sink.write(&batch(&records)).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 3_000);
    assert_eq!(index.documents().await, 3_000);
    let rejected = node.stat("thread_pool", "/thread_pool/write/rejected").await;
    assert!(rejected > 0, "the node had room for all; the test proves nothing");
}

#[tokio::test]
async fn a_node_short_of_memory_gets_smaller_requests() {
    for server in servers() {
        let node = Node::start_kind(&server.to_lowercase(), "pressed", &["indexing_pressure.memory.limit=500kb"]);
        let refused = || node.stat("indexing_pressure", "/indexing_pressure/memory/total/coordinating_rejections");
        let policy = policy("{}");
        let records_of = |first: usize, count: usize, long: Option<usize>| {
            records(
                &policy,
                (first..first + count).map(|n| {
                    let length = if Some(n) == long { 600_000 } else { 1_000 };
                    json!({ "id": n.to_string(), "text": "a ".repeat(length / 2) }).to_string()
                }),
            )
        };

        // Each request has room by itself, several at once have not: the whole request gets a 429.
        let index = Index::on(node.url.clone());
        let mut sink = index.sink("replicas: 0\non_existing: keep\nconcurrency: 8\nmax_request_bytes: 300000");
        sink.open().await.unwrap();
        let outcomes = sink.write(&batch(&records_of(0, 6_000, None))).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 6_000, "{server}: none is written twice");
        assert_eq!(index.documents().await, 6_000, "{server}");
        let before = refused().await;
        assert!(before > 0, "{server}: the node had room for all; the test proves nothing");

        // One request is more than there is for one: the only document that never has room is dead.
        let index = Index::on(node.url.clone());
        let mut sink = index.sink("replicas: 0\non_existing: keep\nconcurrency: 1");
        sink.open().await.unwrap();
        let outcomes = sink.write(&batch(&records_of(0, 3_000, Some(7)))).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 2_999, "{server}");
        assert!(matches!(&outcomes[7], RowOutcome::Dead(error) if error.kind == RecordErrorKind::TooLarge), "{server}");
        assert_eq!(index.documents().await, 2_999, "{server}");
        let between = refused().await;
        assert!(between > before, "{server}");
        // It is remembered.
        let outcomes = sink.write(&batch(&records_of(3_000, 300, None))).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 300, "{server}");
        assert_eq!(refused().await, between, "{server}: a request of the size that was refused");
    }
}

#[tokio::test]
async fn requests_that_are_too_large_are_halved() {
    let node = Node::start("small", &["http.max_content_length=100kb"]);
    let index = Index::on(node.url.clone());
    let mut sink = index.sink("replicas: 0");
    sink.open().await.unwrap();
    let policy = policy("{}");
    let line = |n: usize| {
        let length = if n == 7 { 200_000 } else { 5_000 };
        json!({ "id": n.to_string(), "text": "a ".repeat(length / 2) }).to_string()
    };
    let records = records(&policy, (0..100).map(line));
    let outcomes = sink.write(&batch(&records)).await.unwrap();
    assert_eq!(count(&outcomes, &RowOutcome::Delivered), 99);
    assert!(matches!(&outcomes[7], RowOutcome::Dead(error) if error.kind == RecordErrorKind::TooLarge));
    assert_eq!(index.documents().await, 99);
}

#[tokio::test]
async fn a_node_that_dies_in_the_middle_gets_the_rest_when_it_is_back() {
    let node = Node::start("mortal", &[]);
    let index = Index::on(node.url.clone());
    let mut sink = index.sink("replicas: 0\nmax_request_bytes: 5000\nconcurrency: 1\non_existing: keep");
    sink.open().await.unwrap();
    let records = numbered(20_000);
    let (name, all) = (node.name.clone(), batch(&records));
    let killer = tokio::task::spawn_blocking(move || {
        std::thread::sleep(Duration::from_millis(400));
        Node::script(&["opensearch-kill", &name]);
    });
    let mut failures = 0;
    let outcomes = loop {
        match sink.write(&all).await {
            Ok(outcomes) => break outcomes,
            Err(error) => {
                assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
                failures += 1;
                assert!(failures < 600, "it must come to an end");
                if failures == 1 {
                    let name = node.name.clone();
                    tokio::task::spawn_blocking(move || Node::script(&["opensearch-start", &name])).await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    killer.await.unwrap();
    assert!(failures > 0, "the node was not missed; the test proves nothing");
    // A request whose answer was lost is known as duplicates; nothing else is.
    assert!(count(&outcomes, &RowOutcome::Duplicate) <= 200, "{}", count(&outcomes, &RowOutcome::Duplicate));
    sink.commit().await.unwrap();
    assert_eq!(index.documents().await, 20_000);
}

#[tokio::test]
async fn every_document_arrives_once_whatever_becomes_of_requests() {
    for server in servers() {
        let index = Index::new(server);
        let faults = Plan::new(seed()).drop(0.1).cut(0.15).duplicate(0.1).status(0.1).partial(0.3);
        let proxy = FaultProxy::http(&index.url, faults);
        proxy.only(|request| request.is("/_bulk"));
        let config = "replicas: 0\nmax_request_bytes: 2000\ncompress: true";
        let through = Index { url: proxy.url().to_owned(), name: index.name.clone(), client: index.client.clone() };
        let mut sink = through.sink(config);
        sink.open().await.unwrap();
        let records = numbered(2_000);
        let mut tries = 0;
        let outcomes = loop {
            match sink.write(&batch(&records)).await {
                Ok(outcomes) => break outcomes,
                Err(error) => {
                    assert_eq!(error.kind, ErrorKind::Unavailable, "{error}");
                    tries += 1;
                    assert!(tries < 500, "it must come to an end: {}", proxy.describe());
                }
            }
        };
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 2_000);
        sink.commit().await.unwrap();
        assert_eq!(index.documents().await, 2_000);
        let injected = proxy.injected();
        assert!(tries > 0 && injected.entries > 0 && injected.duplicated > 0, "{}", proxy.describe());
    }
}

#[tokio::test]
async fn a_commit_that_fails_costs_no_outcome() {
    for server in servers() {
        let index = Index::new(server);
        let proxy = FaultProxy::http(&index.url, Plan::new(seed()).status(1.0));
        proxy.only(|request| request.is("/cloakroom_ledger/") && request.method == "PUT");
        let through = Index { url: proxy.url().to_owned(), name: index.name.clone(), client: index.client.clone() };
        let mut sink = through.sink("replicas: 0\non_existing: keep");
        sink.open().await.unwrap();
        let progress = Progress::Position { partition: index.name.as_str().into(), position: "1".to_owned() };
        let batch = SinkBatch { progress, records: numbered(10) };
        let delivered = vec![RowOutcome::Delivered; 10];
        for _ in 0..3 {
            assert_eq!(sink.write(&batch).await.unwrap(), delivered, "{server}: not duplicates of its own");
            assert_eq!(sink.commit().await.unwrap_err().kind, ErrorKind::Unavailable, "{server}");
        }
        proxy.off();
        assert_eq!(sink.write(&batch).await.unwrap(), delivered, "{server}");
        sink.commit().await.unwrap();
        assert_eq!(sink.write(&batch).await.unwrap(), vec![RowOutcome::Duplicate; 10], "{server}");
        assert_eq!(index.documents().await, 10, "{server}");
    }
}
