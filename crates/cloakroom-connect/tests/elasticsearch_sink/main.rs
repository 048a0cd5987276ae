//! The Elasticsearch sink on real nodes of OpenSearch and Elasticsearch, with the faults that they make themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod doubt;
mod faults;
mod targets;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cloakroom_connect::sinks::elasticsearch::{Config, build};
use cloakroom_core::keys::{KeyProvider, LocalKeys};
use cloakroom_core::located::OrderedMap;
use cloakroom_core::policy::{FieldConfig, PolicyConfig};
use cloakroom_core::{Policy, ProtectedRecord, RecordErrorKind, Value};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::contract::{self, SinkUnderTest, records};
use cloakroom_pipeline::error::ErrorKind;
use cloakroom_pipeline::sink::{RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::source::Progress;
use reqwest::Method;
use serde_json::json;

/// The kinds of servers: OpenSearch 2, Elasticsearch 7, and OpenSearch 3 where there is a Java for it.
fn servers() -> Vec<&'static str> {
    let mut servers = vec!["OPENSEARCH", "ELASTICSEARCH"];
    match std::env::var_os("CLOAKROOM_TEST_OPENSEARCH3_URL") {
        Some(_) => servers.push("OPENSEARCH3"),
        None => eprintln!(
            "not run: CLOAKROOM_TEST_OPENSEARCH3_URL; run the tests with `make test`, which need a JDK of version 21 for it"
        ),
    }
    servers
}

/// One index on one server.
struct Index {
    url: String,
    name: String,
    client: reqwest::Client,
}

impl Index {
    fn on(url: String) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url, name, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    fn new(server: &str) -> Self {
        let variable = format!("CLOAKROOM_TEST_{server}_URL");
        Self::on(std::env::var(&variable).unwrap_or_else(|_| panic!("{variable}; run the tests with `make test`")))
    }

    async fn ask(&self, method: Method, path: &str, body: serde_json::Value) -> serde_json::Value {
        let request = self.client.request(method, format!("{}/{path}", self.url));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    async fn get(&self, path: &str) -> serde_json::Value {
        self.ask(Method::GET, path, serde_json::Value::Null).await
    }

    async fn setting(&self, name: &str, value: serde_json::Value) {
        let answer = self.ask(Method::PUT, &format!("{}/_settings", self.name), json!({ name: value })).await;
        assert_eq!(answer["acknowledged"], true, "{answer}");
    }

    fn config(&self, more: &str) -> Config {
        let yaml = format!("url: '{}'\nindex: '{}'\nid: id\n{more}", self.url, self.name);
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn sink(&self, more: &str) -> Box<dyn Sink> {
        self.sink_of(more, &policy("{}"))
    }

    fn sink_of(&self, more: &str, policy: &Arc<Policy>) -> Box<dyn Sink> {
        build(&self.config(more), &SinkContext { pipeline: "test".to_owned(), policy: Arc::clone(policy) }).unwrap()
    }

    async fn documents(&self) -> usize {
        self.ask(Method::POST, &format!("{}/_refresh", self.name), serde_json::Value::Null).await;
        usize::try_from(self.get(&format!("{}/_count", self.name)).await["count"].as_u64().unwrap_or(0)).unwrap()
    }
}

#[async_trait]
impl SinkUnderTest for Index {
    fn is_shared(&self) -> bool {
        true
    }

    async fn make(&self) -> Box<dyn Sink> {
        self.sink("")
    }
    async fn count(&self) -> usize {
        self.documents().await
    }
    fn bad(&self) -> Option<String> {
        Some(r#"{"id":"bad","n":"no number"}"#.to_owned())
    }
    fn is_transactional(&self) -> bool {
        false
    }
}

fn policy(fields: &str) -> Arc<Policy> {
    let fields: OrderedMap<FieldConfig> = serde_saphyr::from_str(fields).unwrap();
    let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
    let keys: Arc<dyn KeyProvider> = Arc::new(LocalKeys::new(Arc::new(ring)).unwrap());
    Arc::new(Policy::compile(&PolicyConfig { fields, ..PolicyConfig::default() }, Some(&keys)).unwrap())
}

fn numbered(count: usize) -> Arc<Vec<ProtectedRecord>> {
    records(&policy("{}"), (0..count).map(|n| format!(r#"{{"id":"row-{n}","n":{n}}}"#)))
}

fn batch(records: &Arc<Vec<ProtectedRecord>>) -> SinkBatch {
    SinkBatch { progress: Progress::Ids, records: Arc::clone(records) }
}

fn count(outcomes: &[RowOutcome], wanted: &RowOutcome) -> usize {
    outcomes.iter().filter(|outcome| *outcome == wanted).count()
}

#[tokio::test]
async fn it_keeps_the_contract_of_sinks() {
    for server in servers() {
        contract::sink(&Index::new(server)).await;
    }
}

#[tokio::test]
async fn what_is_encrypted_is_kept_and_not_searched() {
    let policy = policy(
        "id: {}\nname: { type: string }\ncard: { protect: encrypt, index: card_index }\nip: { protect: hmac }\n\
         a.street: { protect: encrypt }\n'tags[*].key': { protect: encrypt }\nday: { type: date }\n",
    );
    for server in servers() {
        let index = Index::new(server);
        let mut sink = index.sink_of("replicas: 0", &policy);
        assert!(sink.check().await.unwrap().contains("will be made"));
        sink.open().await.unwrap();
        let lines = (0..20).map(|n| {
            json!({ "id": n, "name": format!("Person {n}"), "card": format!("4111-{n}"), "ip": "192.0.2.1", "day": "2026-01-31",
                    "a": { "street": "Elm" }, "tags": [{ "key": "k" }], "other": "o".repeat(300) })
            .to_string()
        });
        let records = records(&policy, lines);
        let outcomes = sink.write(&batch(&records)).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 20, "{server}: {outcomes:?}");
        sink.commit().await.unwrap();
        sink.close().await.unwrap();
        let mapping = &index.get(&format!("{}/_mapping", index.name)).await[&index.name]["mappings"]["properties"];
        for field in [&mapping["card"], &mapping["a"]["properties"]["street"], &mapping["tags"]["properties"]["key"]] {
            assert_eq!(*field, json!({ "type": "keyword", "index": false, "doc_values": false }), "{server}");
        }
        let find = async |query: serde_json::Value| {
            let path = format!("{}/_search", index.name);
            index.ask(Method::POST, &path, json!({ "query": query, "size": 100 })).await
        };
        assert_eq!(find(json!({ "match": { "name": "person" } })).await["hits"]["hits"].as_array().unwrap().len(), 20);
        let token = records[0].get("ip").unwrap().as_str().unwrap();
        assert_eq!(find(json!({ "term": { "ip": token } })).await["hits"]["hits"].as_array().unwrap().len(), 20);
        let refused = find(json!({ "term": { "card": "4111" } })).await;
        assert!(refused["error"].is_object(), "{server}: not indexed, so not searchable");
        // The way back looks documents up by id, name as a whole, and blind index.
        let card_index = records[3].get("card_index").unwrap().clone();
        for (member, value) in [("name", Value::string("Person 3")), ("card_index", card_index)] {
            let found = sink.find(member, &[value], 10).await.unwrap();
            assert_eq!(found.len(), 1, "{server} {member}");
            assert_eq!(
                found[0].get("id").and_then(|id| match id {
                    Value::Number(n) => n.as_i64(),
                    _ => None,
                }),
                Some(3)
            );
        }
        assert!(sink.find("name", &[Value::string("nobody")], 10).await.unwrap().is_empty());
        // A policy that grows adds its fields.
        let grown = self::policy("id: {}\nnew: { protect: encrypt }");
        index.sink_of("", &grown).open().await.unwrap();
        let mapping = &index.get(&format!("{}/_mapping", index.name)).await[&index.name]["mappings"]["properties"];
        assert_eq!(mapping["new"]["index"], false, "{server}");
    }
}

#[tokio::test]
async fn bad_documents_cost_only_themselves() {
    for server in servers() {
        let index = Index::new(server);
        let policy = policy("n: { type: integer }\nday: {}");
        let mut sink = index.sink_of("on_existing: keep\nmax_request_bytes: 2000\ncompress: true", &policy);
        sink.open().await.unwrap();
        let line = |n: usize| match n {
            10 => r#"{"id":"ten","n":99999999999999999999999}"#.to_owned(),
            20 => r#"{"n":20}"#.to_owned(),
            30 => format!(r#"{{"id":"{}","n":30}}"#, "x".repeat(513)),
            31 => format!(r#"{{"id":"{}","n":31}}"#, "x".repeat(512)),
            40 => r#"{"id":"row-39","n":40}"#.to_owned(),
            50 => r#"{"id":null,"n":50}"#.to_owned(),
            n => format!(r#"{{"id":"row-{n}","n":{n}}}"#),
        };
        let records = records(&policy, (0..200).map(line));
        let outcomes = sink.write(&batch(&records)).await.unwrap();
        let kinds: Vec<_> = outcomes
            .iter()
            .enumerate()
            .filter_map(|(at, outcome)| match outcome {
                RowOutcome::Dead(error) => Some((at, error.kind)),
                RowOutcome::Duplicate => Some((at, RecordErrorKind::DuplicateKey)),
                RowOutcome::Delivered | RowOutcome::Filtered => None,
            })
            .collect();
        assert_eq!(
            kinds,
            [
                (10, RecordErrorKind::Database),
                (20, RecordErrorKind::MissingField),
                (30, RecordErrorKind::TooLong),
                (40, RecordErrorKind::DuplicateKey),
                (50, RecordErrorKind::MissingField),
            ],
            "{server}"
        );
        assert!(outcomes.iter().all(|outcome| !format!("{outcome:?}").contains("9999999")), "no value in an error");
        sink.commit().await.unwrap();
        assert_eq!(index.documents().await, 195, "{server}");
        let again = sink.write(&batch(&records)).await.unwrap();
        assert_eq!(count(&again, &RowOutcome::Duplicate), 196, "{server}: all that is there stays");
    }
}

#[tokio::test]
async fn two_runs_of_one_pipeline_do_not_move_one_ledger() {
    let index = Index::new("OPENSEARCH");
    let at = |position: &str| Progress::Position { partition: "p".into(), position: position.to_owned() };
    let records = numbered(3);
    let batch = |position: &str| SinkBatch { progress: at(position), records: Arc::clone(&records) };
    let (mut one, mut other) = (index.sink(""), index.sink(""));
    one.open().await.unwrap();
    other.open().await.unwrap();
    assert_eq!((one.position("p").await.unwrap(), other.position("p").await.unwrap()), (None, None));
    one.write(&batch("1")).await.unwrap();
    one.commit().await.unwrap();
    other.write(&batch("1")).await.unwrap();
    assert_eq!(other.commit().await.unwrap_err().kind, ErrorKind::Conflict);
    // A run that looks again sees where the other stands.
    assert_eq!(other.position("p").await.unwrap().as_deref(), Some("1"));
    assert_eq!(other.write(&batch("1")).await.unwrap(), vec![RowOutcome::Duplicate; 3]);
}

#[tokio::test]
async fn templates_aliases_and_credentials() {
    for server in servers() {
        let index = Index::new(server);
        let policy = policy("card: { protect: encrypt }");
        let mut sink = index.sink_of("create: template\nauth: { api_key: abc }", &policy);
        sink.open().await.unwrap();
        let records = records(&policy, std::iter::once(r#"{"id":1,"card":"4111"}"#.to_owned()));
        sink.write(&batch(&records)).await.unwrap();
        let mapping = &index.get(&format!("{}/_mapping", index.name)).await[&index.name]["mappings"]["properties"];
        assert_eq!(mapping["card"]["index"], false, "{server}");
        index.ask(Method::DELETE, &format!("_index_template/cloakroom-{}", index.name), serde_json::Value::Null).await;
        let missing = Index::new(server);
        let error = missing.sink("create: none").open().await.unwrap_err();
        assert!(error.kind == ErrorKind::Configuration && error.message.contains("there is no index"), "{error}");
    }
    let refused = |yaml: &str| {
        let config: Config = serde_saphyr::from_str(yaml).unwrap();
        let context = SinkContext { pipeline: "t".to_owned(), policy: policy("{}") };
        build(&config, &context).err().unwrap().message
    };
    assert!(refused("url: 'http://127.0.0.1:9'\nindex: Users\nid: id").contains("small letters"));
    assert!(refused("url: 'http://u:secret@127.0.0.1:9'\nindex: users\nid: id").contains("`auth`"));
    let far = |scheme: &str| {
        format!(
            "url: '{scheme}://search.example:9200'\nindex: users\nid: id\nauth: {{ basic: {{ user: u, password: secret }} }}"
        )
    };
    let clear = refused(&far("http"));
    assert!(clear.contains("TLS only") && clear.contains("https://") && !clear.contains("secret"), "{clear}");
    let config: Config = serde_saphyr::from_str(&far("https")).unwrap();
    assert!(build(&config, &SinkContext { pipeline: "t".to_owned(), policy: policy("{}") }).is_ok());
    assert!(refused("url: '127.0.0.1'\nindex: users\nid: id").contains("address"));
    assert!(refused("url: 'http://127.0.0.1:9'\nindex: users\nid: ''").contains("`id`"));
    assert!(refused("url: 'http://127.0.0.1:9'\nindex: users\nid: id\nconcurrency: 0").contains("concurrency"));
}
