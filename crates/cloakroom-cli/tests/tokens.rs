//! Random tokens: given, found again, counted, kept over a new root key, erased.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use cloakroom_pipeline::keys::KeysConfig;
use common::Room;
use serde_json::{Value, json};

const POLICY: &str = "
subject: user
fields:
  card: { protect: { token: { format: random, domain: cards } }, type: integer }
  device: { protect: { token: uuid } }
  account: { protect: { token: random-digits } }
";

fn protect(room: &Room, policy: &str, records: &[Value]) -> Vec<Value> {
    let policy = room.write("policy.yaml", policy);
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    let input = room.write("in.jsonl", lines.join("\n"));
    room.run(&["protect", "--policy", &policy, &input, &room.name("out.jsonl")]).expect_code(0);
    String::from_utf8(room.read("out.jsonl")).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn record(user: &str) -> Value {
    json!({ "user": user, "card": 4_111_111_111_111_111_u64, "device": "d-1", "account": "0049 17-123456" })
}

#[test]
fn tokens_stay_are_counted_and_erased() {
    let room = Room::new();
    let first = protect(&room, POLICY, &[record("ada"), record("ada")]);
    assert_eq!(first[0], first[1]);
    let (card, device, account) = (&first[0]["card"], &first[0]["device"], &first[0]["account"]);
    assert!(card.as_str().unwrap().starts_with("tok_") && card.as_str().unwrap().len() == 30, "{card}");
    assert!(device.as_str().unwrap().len() == 36 && account.as_str().unwrap().len() == 14, "{device} {account}");
    assert_eq!(protect(&room, POLICY, &[record("ada")])[0], first[0], "another run");

    let policy = room.name("policy.yaml");
    let check = room.run(&["check", &policy]).expect_code(0).out();
    assert!(check.contains("token random domain: cards") && check.contains("string"), "{check}");
    let status = || room.run(&["keys", "status", "--output", "json"]).expect_code(0).json();
    assert_eq!(status()["tokens"], json!({ "cards": 1, "default": 2 }));

    let rotated = room.run(&["keys", "rotate", "--output", "json"]).expect_code(0).json();
    assert_eq!(rotated["rewrapped"], 2);
    assert_eq!(status()["keys"][0]["uses"], json!(["wraps the keys of the token vault"]));
    assert_eq!(protect(&room, POLICY, &[record("ada")])[0], first[0], "a new root key");

    // What a program gets that may open them.
    let keys = || {
        let file = room.home().join("keys.json").display().to_string();
        let config: KeysConfig = serde_json::from_value(json!({ "file": file })).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let access = cloakroom_pipeline::keys::protect::Access::new(&[]);
        runtime.block_on(cloakroom_pipeline::keys::load(&config, &access)).unwrap().unwrap()
    };
    let open =
        |domain: &str, token: &Value| keys().tokens.unwrap().detokenise(domain, token.as_str().unwrap()).unwrap();
    assert!(
        matches!(open("cards", card), Some(cloakroom_core::Value::Number(number)) if number.as_str() == "4111111111111111")
    );
    assert_eq!(open("default", device).unwrap().as_str(), Some("d-1"));
    assert!(open("default", card).is_none());

    // The device is of both, the rest of one.
    let bob = json!({ "user": "bob", "card": 5, "device": "d-1", "account": "0000000" });
    assert_eq!(&protect(&room, POLICY, &[bob])[0]["device"], device);
    let erased = room.run(&["keys", "erase", "ada"]);
    erased.expect_code(0);
    assert!(erased.err().contains("2 random tokens"), "{erased}");
    assert!(open("cards", card).is_none() && open("default", device).is_some());
    room.run(&["keys", "erase", "ada"]).expect_code(1);
    assert_eq!(status()["tokens"], json!({ "cards": 1, "default": 2 }));
}

#[test]
fn a_key_of_the_environment_needs_a_place_for_tokens() {
    let mut room = Room::new();
    room.set("TOKENS_KEY", &"0123456789abcdef".repeat(4));
    let policy = room.write("policy.yaml", format!("{POLICY}\nkeys: {{ env: TOKENS_KEY }}\n"));
    let with_key = |policy: &str, code: i32| {
        let input = room.write("in.jsonl", record("ada").to_string());
        let run = room.run(&["protect", "--policy", policy, &input, &room.name("out.jsonl")]);
        run.expect_code(code);
        run
    };
    assert!(with_key(&policy, 2).err().contains("keys: { tokens: tokens.db }"));
    let file = room.name("vault/tokens.db");
    let policy = room.write("policy.yaml", format!("{POLICY}\nkeys: {{ env: TOKENS_KEY, tokens: {file} }}\n"));
    with_key(&policy, 0);
    assert!(room.exists("vault/tokens.db"));
}

#[test]
fn plan_knows_random_tokens() {
    let room = Room::new();
    let old = room.write("old.yaml", "fields: { card: { protect: { token: random } } }\n");
    let sample = room.write("sample.jsonl", "{\"card\":\"4111111111111111\"}");
    let plan = |new: &str| room.run(&["plan", &old, &room.write("new.yaml", new), "--sample", &sample]);
    let digits = plan("fields: { card: { protect: { token: digits } } }\n");
    assert!(digits.expect_code(0).out().contains("changed"), "{digits}");
    assert!(plan("fields: { card: {} }\n").expect_code(1).out().contains("uncovered"));
    assert!(plan("fields: { card: { protect: { mask: last4 } } }\n").out().contains("weaker"));
    assert!(plan("fields: { card: { protect: { bcrypt: 12, allow_reversible: true } } }\n").out().contains("weaker"));
    assert!(!room.home().join("keys.tokens.db").exists(), "telling makes no vault");
}
