//! The life of keys: made for each person, counted, wrapped under a new root, destroyed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use common::Room;
use serde_json::Value;

const POLICY: &str = "subject: user\nfields:\n  email: { protect: encrypt }\n  ip: { protect: hmac }\n";

fn protected(room: &Room, name: &str, people: &[&str]) -> Vec<Value> {
    let policy = room.write("policy.yaml", POLICY);
    let lines: Vec<String> = people
        .iter()
        .map(|user| serde_json::json!({"user": user, "email": "a@example.org", "ip": "203.0.113.7"}).to_string())
        .collect();
    let input = room.write("in.jsonl", lines.join("\n"));
    room.run(&["protect", "--policy", &policy, &input, &room.name(name)]).expect_code(0);
    String::from_utf8(room.read(name)).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kid(value: &Value) -> String {
    value.as_str().unwrap().split('.').nth(2).unwrap().to_owned()
}

#[test]
fn keys_of_people_are_made_counted_rotated_and_erased() {
    let room = Room::new();
    let first = protected(&room, "first.jsonl", &["ada", "bob", "ada"]);
    assert_eq!(kid(&first[0]["email"]), kid(&first[2]["email"]));
    assert_ne!(kid(&first[0]["email"]), kid(&first[1]["email"]));

    let status = |data: &str| room.run(&["keys", "status", "--output", "json", "--data", data]).expect_code(0).json();
    let before = status(&room.name("first.jsonl"));
    assert_eq!(before["people"], serde_json::json!({"subjects": 2, "keys": 2, "erased": 0}));
    assert_eq!(before["values_of_people"], serde_json::json!({"values": 3, "keys": 2}));
    assert_eq!(before["keys"][0]["values"], 3, "pseudonyms: {before}");

    let rotated = room.run(&["keys", "rotate", "--output", "json"]).expect_code(0).json();
    assert_eq!(rotated["rewrapped"], 4096);
    let second = protected(&room, "second.jsonl", &["ada", "cyd"]);
    assert_eq!(kid(&second[0]["email"]), kid(&first[0]["email"]), "a new root key changes no person's key");
    assert_eq!(second[0]["ip"], first[0]["ip"], "pseudonyms still join");
    let after = status(&room.name("second.jsonl"));
    assert_eq!((&after["keys"][0]["state"], &after["keys"][1]["state"]), (&"active".into(), &"retired".into()));
    assert_eq!(after["keys"][0]["uses"], serde_json::json!(["wraps the keys of people"]));
    assert_eq!(after["keys"][1]["uses"], serde_json::json!(["pseudonyms"]));
    room.run(&["keys", "rotate", "--pseudonyms"]).expect_code(0);
    assert_ne!(protected(&room, "third.jsonl", &["ada"])[0]["ip"], first[0]["ip"]);
    assert_eq!(room.run(&["keys", "rewrap", "--output", "json"]).expect_code(0).json()["rewrapped"], 4096);

    room.run(&["keys", "erase", "nobody"]).expect_code(1);
    let receipt = room.run(&["keys", "erase", "ada"]).expect_code(0).json();
    assert_eq!((&receipt["keys_destroyed"], &receipt["shard_key_destroyed"]), (&1.into(), &1.into()));
    assert_eq!(room.run(&["keys", "erase", "ada"]).expect_code(0).json(), receipt, "the receipt of the first time");
    let file = room.write("receipt.json", receipt.to_string());
    room.run(&["keys", "receipt", &file, "--subject", "ada"]).expect_code(0);
    room.run(&["keys", "receipt", &file, "--subject", "bob"]).expect_code(1);
    let forged = room.write("forged.json", receipt.to_string().replace("\"keys_destroyed\":1", "\"keys_destroyed\":2"));
    room.run(&["keys", "receipt", &forged]).expect_code(1);
    let other = Room::new().run(&["keys", "receipt", &file]);
    assert!(other.expect_code(1).out().contains("not by this key ring"), "{other}");
    let people = &status(&room.name("first.jsonl"))["people"];
    assert_eq!(*people, serde_json::json!({"subjects": 2, "keys": 2, "erased": 1}));
    room.run(&["keys", "export-check"]).expect_code(0);

    // All of it is on record, and nobody is named.
    room.run(&["audit", "verify"]).expect_code(0);
    let log = room.run(&["audit", "list", "--output", "json"]).expect_code(0).out();
    for action in ["rotate", "rewrap", "erase", "not_found"] {
        assert!(log.contains(action), "{action}: {log}");
    }
    assert!(!log.contains("\"ada\"") && !log.contains("nobody"), "{log}");

    // Whoever was erased gets no new key: an old message that comes once more must not bring them back.
    let policy = room.write("policy.yaml", POLICY);
    let input = room.write("in.jsonl", "{\"user\":\"ada\",\"email\":\"a@example.org\",\"ip\":\"x\"}");
    let refused = room.run(&["protect", "--policy", &policy, &input, &room.name("refused.jsonl")]);
    refused.expect_code(1);
    assert!(refused.err().contains("destroyed"), "{refused}");
    assert!(room.read("refused.jsonl").is_empty());
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let room = Room::new();
    protected(&room, "first.jsonl", &["ada"]);
    std::fs::remove_file(room.home().join("keys.shards")).unwrap();
    let policy = room.write("policy.yaml", POLICY);
    let input = room.write("in.jsonl", "{\"user\":\"ada\",\"email\":\"a@example.org\",\"ip\":\"x\"}");
    let refused = room.run(&["protect", "--policy", &policy, &input, &room.name("out.jsonl")]);
    refused.expect_code(3);
    assert!(refused.err().contains("belong together"), "{refused}");
    assert!(!room.exists("out.jsonl") || room.read("out.jsonl").is_empty());
    room.run(&["keys", "erase", "ada"]).expect_code(2);
}
