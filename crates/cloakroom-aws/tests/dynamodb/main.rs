//! The DynamoDB sink on Amazon's own DynamoDB Local. Faults that it does not make itself come from a proxy, which really
//! leaves out what it says that it left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod delivery;
mod faults;
mod proxy;
mod values;

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use cloakroom_aws::dynamodb::{Config, build};
use cloakroom_core::keys::{KeyProvider, LocalKeys};
use cloakroom_core::located::OrderedMap;
use cloakroom_core::policy::{FieldConfig, PolicyConfig};
use cloakroom_core::{Policy, ProtectedRecord, RecordErrorKind};
use cloakroom_pipeline::context::SinkContext;
use cloakroom_pipeline::contract::{self, SinkUnderTest};
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::sink::{RowOutcome, Sink, SinkBatch};
use cloakroom_pipeline::source::Progress;
use serde_json::{Value, json};

/// A table of the test's own.
struct Table {
    url: String,
    name: String,
    client: reqwest::Client,
}

impl Table {
    fn on(url: String) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { url, name, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    fn new() -> Self {
        let variable = "CLOAKROOM_TEST_DYNAMODB_URL";
        Self::on(std::env::var(variable).unwrap_or_else(|_| panic!("{variable}; run the tests with `make test`")))
    }

    /// A table that was made before, with a key of these types.
    async fn made(attributes: &[(&str, &str)]) -> Self {
        let table = Self::new();
        let schema: Vec<_> = attributes
            .iter()
            .zip(["HASH", "RANGE"])
            .map(|((name, _), role)| json!({ "AttributeName": name, "KeyType": role }))
            .collect();
        let types: Vec<_> =
            attributes.iter().map(|(name, kind)| json!({ "AttributeName": name, "AttributeType": kind })).collect();
        table
            .ask(
                "CreateTable",
                json!({ "TableName": table.name, "KeySchema": schema, "AttributeDefinitions": types,
                        "BillingMode": "PAY_PER_REQUEST" }),
            )
            .await;
        table
    }

    /// One call, past the client that is tested. DynamoDB Local looks at the key of the signature alone.
    async fn ask(&self, action: &str, body: Value) -> Value {
        let answer = self
            .client
            .post(&self.url)
            .header("x-amz-target", format!("DynamoDB_20120810.{action}"))
            .header("content-type", "application/x-amz-json-1.0")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, \
                 Signature=0",
            )
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert!(status.is_success(), "{action}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// The item with a key, as DynamoDB gives it.
    async fn item(&self, key: Value) -> Value {
        let answer = self.ask("GetItem", json!({ "TableName": self.name, "Key": key, "ConsistentRead": true })).await;
        answer["Item"].clone()
    }

    async fn items(&self) -> usize {
        let (mut count, mut from) = (0, Value::Null);
        loop {
            let mut body = json!({ "TableName": self.name, "Select": "COUNT", "ConsistentRead": true });
            if !from.is_null() {
                body["ExclusiveStartKey"] = from;
            }
            let page = self.ask("Scan", body).await;
            count += usize::try_from(page["Count"].as_u64().unwrap()).unwrap();
            from = page["LastEvaluatedKey"].clone();
            if from.is_null() {
                return count;
            }
        }
    }

    fn config(&self, more: &str) -> Config {
        let yaml = format!(
            "table: '{}'\nendpoint: '{}'\nregion: us-east-1\nledger_table: 'ledger-{}'\n{more}",
            self.name, self.url, self.name
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    fn build(&self, more: &str, policy: &Arc<Policy>) -> Result<Box<dyn Sink>, ConnectorError> {
        build(&self.config(more), &SinkContext { pipeline: "test".to_owned(), policy: Arc::clone(policy) })
    }

    /// A sink that makes the table, with the key `id`.
    fn sink(&self, more: &str) -> Box<dyn Sink> {
        self.build(&format!("key: id\ncreate_table: true\n{more}"), &policy("{}")).unwrap()
    }

    /// An open one.
    async fn open(&self, more: &str) -> Box<dyn Sink> {
        let mut sink = self.sink(more);
        sink.open().await.unwrap();
        sink
    }
}

#[async_trait]
impl SinkUnderTest for Table {
    fn is_shared(&self) -> bool {
        true
    }

    async fn make(&self) -> Box<dyn Sink> {
        self.sink("")
    }
    async fn count(&self) -> usize {
        self.items().await
    }
    fn bad(&self) -> Option<String> {
        Some(r#"{"id":"bad","n":1e400}"#.to_owned())
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

fn records(lines: impl IntoIterator<Item = String>) -> Arc<Vec<ProtectedRecord>> {
    contract::records(&policy("{}"), lines)
}

fn numbered(count: usize) -> Arc<Vec<ProtectedRecord>> {
    records((0..count).map(|n| format!(r#"{{"id":"row-{n}","n":{n}}}"#)))
}

fn batch(records: &Arc<Vec<ProtectedRecord>>) -> SinkBatch {
    SinkBatch { progress: Progress::Ids, records: Arc::clone(records) }
}

fn at(position: &str, records: &Arc<Vec<ProtectedRecord>>) -> SinkBatch {
    let progress = Progress::Position { partition: "p".into(), position: position.to_owned() };
    SinkBatch { progress, records: Arc::clone(records) }
}

fn count(outcomes: &[RowOutcome], wanted: &RowOutcome) -> usize {
    outcomes.iter().filter(|outcome| *outcome == wanted).count()
}

/// The reasons of those that are dead.
fn dead(outcomes: &[RowOutcome]) -> Vec<(usize, RecordErrorKind)> {
    let kind = |(at, outcome): (usize, &RowOutcome)| match outcome {
        RowOutcome::Dead(error) => Some((at, error.kind)),
        _ => None,
    };
    outcomes.iter().enumerate().filter_map(kind).collect()
}

/// A DynamoDB of its own, gone at the end.
struct Instance {
    name: String,
    url: String,
}

impl Instance {
    fn script(arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/test-servers.sh");
        let output = Command::new(script).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(name: &str) -> Self {
        let name = format!("{name}-{}", std::process::id());
        let said = Self::script(&["dynamodb-start", &name]);
        let url = said.lines().find_map(|line| line.strip_prefix("url=")).unwrap().to_owned();
        Self { name, url }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        Self::script(&["dynamodb-stop", &self.name]);
    }
}
