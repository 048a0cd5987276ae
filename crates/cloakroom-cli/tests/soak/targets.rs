//! Where records go in the end.

use std::time::Duration;

use cloakroom_faults::{FaultProxy, Plan, seed};
use serde_json::{Value, json};

use crate::common::Schema;
use crate::{address, ask, faults};

/// Where the logins go: what stands under `sink:`, a proxy before it, and the `user_id`s that it holds in the end.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) sink: String,
    pub(crate) proxy: FaultProxy,
    pub(crate) held: Box<dyn Fn() -> Vec<String>>,
}

pub(crate) fn postgres() -> Target {
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

pub(crate) fn dynamodb() -> Target {
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

pub(crate) fn elasticsearch() -> Target {
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
