//! Users into DynamoDB Local: protected, once, whoever dies, and found again on record.
#![cfg(feature = "aws")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use cloakroom_faults::{FaultProxy, Plan, seed};
use common::{Room, contains, count};
use serde_json::{Value, json};

/// A table of the test's own.
struct Table {
    url: String,
    name: String,
}

impl Table {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let variable = "CLOAKROOM_TEST_DYNAMODB_URL";
        let url = std::env::var(variable).unwrap_or_else(|_| panic!("{variable}; run the tests with `make test`"));
        Self { url, name: format!("users-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)) }
    }

    /// One call: plain HTTP to this machine.
    fn ask(&self, action: &str, body: &Value) -> Option<Value> {
        let address = self.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        let body = body.to_string();
        write!(
            stream,
            "POST / HTTP/1.0\r\nHost: {address}\r\nContent-Type: application/x-amz-json-1.0\r\n\
             X-Amz-Target: DynamoDB_20120810.{action}\r\nContent-Length: {}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host, Signature=0\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let is_done = head.split(' ').nth(1) == Some("200");
        is_done.then(|| serde_json::from_str(body).unwrap())
    }

    /// All items by their key, as DynamoDB gives them; none when there is no table.
    fn items(&self) -> BTreeMap<String, Value> {
        let mut items = BTreeMap::new();
        let mut body = json!({ "TableName": self.name, "ConsistentRead": true });
        loop {
            let Some(page) = self.ask("Scan", &body) else { return items };
            for item in page["Items"].as_array().unwrap() {
                items.insert(item["user_id"]["S"].as_str().unwrap().to_owned(), item.clone());
            }
            if page["LastEvaluatedKey"].is_null() {
                return items;
            }
            body["ExclusiveStartKey"] = page["LastEvaluatedKey"].clone();
        }
    }

    /// A pipeline of users into it.
    fn pipeline(&self, room: &Room, more: &str) -> String {
        let Self { url, name } = self;
        let users = room.name("users.jsonl");
        let policy = format!(
            "name: users
subject: user_name
source: {{ file: {{ path: '{users}' }} }}
record: {{ require: [id, user_name, credit_card_num, cuenta_numero] }}
fields:
  id:              {{ type: string, nullable: false, as: user_id }}
  user_name:       {{ type: string, nullable: false, as: username }}
  credit_card_num: {{ protect: encrypt, index: {{ as: cc_index, normalize: [digits] }}, as: cc, class: payment }}
  credit_card_ccv: {{ protect: drop }}
  cuenta_numero:   {{ protect: encrypt, class: payment }}
  cantidad_compras_realizadas: {{ type: integer }}
  ip:              {{ protect: {{ mask: ip }} }}
reveal:
  allow:
    - {{ who: ['*'], purposes: [support], classes: [payment] }}
{more}
retry: {{ base_ms: 10 }}
sink: {{ dynamodb: {{ table: {name}, key: user_id, create_table: true, ledger_table: {name}-ledger, endpoint: '{url}' }} }}
"
        );
        room.write("users.yaml", policy)
    }
}

#[test]
fn users_reach_a_table_once_and_are_found_again() {
    let room = Room::new();
    let table = Table::new();
    let users = room.sample("users.jsonl", &["users", "--count", "100"]);
    let raw: Vec<Value> =
        std::fs::read_to_string(&users).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pipeline = table.pipeline(&room, "");
    let checked = room.run(&["check", &pipeline, "--connect"]);
    assert!(checked.expect_code(0).out().contains("will be made, key user_id"), "{checked}");
    let (summary, code) = room.summary(&pipeline);
    assert_eq!((count(&summary, "delivered"), code), (100, 0), "{summary}");

    let items = table.items();
    assert_eq!(items.len(), 100);
    let stored = serde_json::to_vec(&items).unwrap();
    for user in &raw {
        let item = &items[user["id"].as_str().unwrap()];
        assert_eq!(item["username"]["S"], user["user_name"]);
        let bought = user["cantidad_compras_realizadas"].to_string();
        assert_eq!(item["cantidad_compras_realizadas"]["N"], bought, "a number stays one");
        assert!(item["cc"]["S"].as_str().unwrap().starts_with("ck1.a."));
        assert!(item["credit_card_ccv"].is_null());
        assert!(!contains(&stored, user["credit_card_num"].as_str().unwrap()), "a card number in clear");
    }

    let (again, code) = room.summary(&pipeline);
    assert_eq!((count(&again, "received"), code), (0, 0), "{again}");
    assert_eq!(table.items(), items, "the second run changes nothing");
    let checked = room.run(&["check", &pipeline, "--connect"]);
    assert!(checked.expect_code(0).out().contains("is there, key user_id (string), on demand"), "{checked}");

    let (name, id) = (raw[3]["user_name"].as_str().unwrap(), raw[3]["id"].as_str().unwrap());
    let card = raw[3]["credit_card_num"].as_str().unwrap();
    for search in
        [["--subject", name], ["--record", &format!("id={id}")], ["--record", &format!("credit_card_num={card}")]]
    {
        let more = ["--purpose", "support", "--reason", "a test"];
        let revealed = room.run(&[&["reveal", "--policy", &pipeline], &search[..], &more].concat());
        let shown = revealed.expect_code(0).json();
        assert_eq!((&shown["username"], &shown["user_id"]), (&raw[3]["user_name"], &raw[3]["id"]), "{search:?}");
        let masked = shown["cc"].as_str().unwrap();
        assert!(masked.starts_with('*') && masked.ends_with(&card[card.len() - 4..]));
    }
}

#[test]
fn a_program_that_dies_in_the_middle_leaves_the_table_exact() {
    const USERS: usize = 5_000;
    let room = Room::new();
    let table = Table::new();
    let users = room.sample("users.jsonl", &["users", "--count", &USERS.to_string()]);
    // Every request waits a little: a fast machine, too, must be found in the middle.
    let pauses = Duration::from_millis(60)..Duration::from_millis(90);
    let slow = FaultProxy::http(&table.url, Plan::new(seed()).delay(1.0, pauses));
    let seen = Table { url: slow.url().to_owned(), name: table.name.clone() };
    let pipeline = seen.pipeline(&room, "batch: { records: 100 }");
    for part in 1..=3 {
        let mut run = room.command(&["run", &pipeline]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while table.items().len() < part * USERS / 5 {
            assert!(began.elapsed() < Duration::from_secs(100), "nothing arrives");
            assert!(run.try_wait().unwrap().is_none(), "it ended before it was killed; the test proves nothing");
            std::thread::sleep(Duration::from_millis(2));
        }
        run.kill().unwrap();
        run.wait().unwrap();
    }
    let before = table.items().len();
    assert!(before < USERS, "the kills came too late; the test proves nothing");
    slow.off();
    let (summary, code) = room.summary(&pipeline);
    assert_eq!(code, 0, "{summary}");
    // It goes on where the ledger stands, and writes again at most what was under way.
    assert!(count(&summary, "received") < USERS as u64 * 2 / 3, "{summary}");
    let items = table.items();
    assert_eq!(items.len(), USERS);
    for line in std::fs::read_to_string(users).unwrap().lines() {
        let user: Value = serde_json::from_str(line).unwrap();
        assert_eq!(items[user["id"].as_str().unwrap()]["username"]["S"], user["user_name"]);
    }
}
