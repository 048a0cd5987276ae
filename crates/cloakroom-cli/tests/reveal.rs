//! Protected values seen again: from files, SQLite and PostgreSQL, as far as the policy allows, every attempt on record.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use common::{Finished, Room, Schema};
use serde_json::{Value, json};

const FIELDS: &str = "subject: id
fields:
  id: { type: integer }
  name: {}
  card: { protect: encrypt, class: payment }
  mail: { protect: encrypt, index: { as: mail_index, normalize: [lowercase] } }
  ip: { protect: hmac }
  phone: { protect: { token: random } }
  member: { protect: { token: random-digits } }
  address.street: { protect: encrypt, class: contact }
reveal:
  allow:
    - { who: ['*'], purposes: [support] }
    - { who: ['*'], purposes: [fraud], classes: [payment], level: full }
    - { who: [nobody.here], purposes: [audit] }
";

fn person(number: u64) -> Value {
    json!({
        "id": number, "name": format!("person {number}"), "card": format!("4111-1111-1111-{number:04}"),
        "mail": format!("Jo{number}@mail.example"), "ip": "192.0.2.1",
        "phone": format!("+34 600 100 {number:03}"), "member": 1_000_000_000 + number, "address": { "street": format!("Elm Street {number}") },
    })
}

fn people(count: u64) -> String {
    (0..count).map(|number| format!("{}\n", person(number))).collect()
}

/// Runs a pipeline of these people into a sink; its file.
fn loaded(room: &Room, sink: &str, more: &str) -> String {
    let input = room.write("people.jsonl", people(5));
    let text = format!("name: people\n{FIELDS}{more}source: {{ file: {{ path: '{input}' }} }}\nsink: {sink}\n");
    let pipeline = room.write("people.yaml", text);
    room.run(&["run", &pipeline]).expect_code(0);
    pipeline
}

fn reveal(room: &Room, pipeline: &str, more: &[&str]) -> Finished {
    let arguments = [&["reveal", "--policy", pipeline, "--reason", "ticket 1"], more].concat();
    room.run(&arguments)
}

fn lines(finished: &Finished) -> Vec<Value> {
    std::str::from_utf8(&finished.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a sink gives for person 3, by subject and by a protected field.
fn is_found(room: &Room, pipeline: &str) {
    for search in [
        ["--subject", "3"],
        ["--record", "mail=JO3@mail.example"],
        ["--record", "name=person 3"],
        ["--record", "phone=+34 600 100 003"],
        ["--record", "member=1000000003"],
    ] {
        let found = reveal(room, pipeline, &[&search[..], &["--purpose", "support"]].concat());
        found.expect_code(0);
        let found = lines(&found);
        assert_eq!(found.len(), 1, "{search:?}");
        assert_eq!((&found[0]["id"], &found[0]["card"]), (&3.into(), &"****-****-****-0003".into()), "{search:?}");
        assert_eq!(found[0]["mail"], "J***@mail.example");
        assert_eq!((&found[0]["phone"], &found[0]["member"]), (&"+** *** *** *03".into(), &"********03".into()));
        assert!(found[0].to_string().contains("E***") && !found[0].to_string().contains("Elm"), "{}", found[0]);
        assert!(found[0]["ip"].as_str().unwrap().starts_with("ck1.t."));
    }
    let full = ["--subject", "3", "--purpose", "fraud", "--level", "full"];
    let found = lines(reveal(room, pipeline, &full).expect_code(0));
    assert_eq!(found[0]["card"], "4111-1111-1111-0003");
    assert!(found[0]["mail"].as_str().unwrap().starts_with("ck1.a."), "no right to it, so it stays closed");
    let nothing = reveal(room, pipeline, &["--subject", "77", "--purpose", "support"]);
    nothing.expect_code(1);
    assert!(nothing.stdout.is_empty() && nothing.err().contains("no such record"), "{}", nothing.err());
    let wrong = reveal(room, pipeline, &["--record", "nmae=x", "--purpose", "support"]);
    wrong.expect_code(2);
    assert!(wrong.err().contains("nmae"), "{}", wrong.err());
    let unsearchable = reveal(room, pipeline, &["--record", "card=4111", "--purpose", "support"]);
    unsearchable.expect_code(2);
    assert!(unsearchable.err().contains("index:"), "{}", unsearchable.err());
}

#[test]
fn records_are_looked_up_in_sqlite() {
    let room = Room::new();
    let sink = format!("{{ sqlite: {{ path: '{}', table: people }} }}", room.name("people.db"));
    is_found(&room, &loaded(&room, &sink, ""));
}

#[test]
fn records_are_looked_up_in_postgresql() {
    let schema = Schema::new();
    let room = Room::new();
    let sink = format!("{{ postgres: {{ url: '{}', table: people, create_table: true }} }}", schema.url);
    let pipeline = loaded(&room, &sink, "");
    is_found(&room, &pipeline);
    // No number, so nobody's id.
    let nothing = reveal(&room, &pipeline, &["--subject", "x' OR 1=1", "--purpose", "support"]);
    nothing.expect_code(1);
    assert!(nothing.err().contains("no such record"), "{}", nothing.err());
}

#[test]
fn records_come_from_files_in_order() {
    let room = Room::new();
    let output = room.name("safe.jsonl");
    let pipeline = loaded(&room, &format!("{{ file: {{ path: '{output}' }} }}"), "");
    let found = reveal(&room, &pipeline, &["--subject", "2", "--purpose", "support"]);
    found.expect_code(0);
    assert_eq!(lines(&found)[0]["id"], 2);
    assert_eq!(lines(&found).len(), 1);
    let all = reveal(&room, &pipeline, &["--jsonl", &output, "--purpose", "support"]);
    all.expect_code(0);
    let ids: Vec<_> = lines(&all).iter().map(|line| line["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, [0, 1, 2, 3, 4]);
    let field = ["--jsonl", &output, "--purpose", "support", "--field", "address.*"];
    let only = lines(reveal(&room, &pipeline, &field).expect_code(0));
    assert_eq!(only[4]["address"]["street"], "E***");
    assert!(only[4]["card"].as_str().unwrap().starts_with("ck1.a."));
    // A line that is none, and a value that was moved: said in their place.
    let mut text = String::from_utf8(room.read("safe.jsonl")).unwrap();
    let protected: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let moved = protected[1]["card"].as_str().unwrap();
    text = text.replacen(protected[0]["card"].as_str().unwrap(), moved, 1);
    text.push_str("{broken\n");
    let input = room.write("changed.jsonl", text);
    let changed = reveal(&room, &pipeline, &["--jsonl", &input, "--purpose", "support"]);
    changed.expect_code(1);
    let shown = lines(&changed);
    assert_eq!((shown.len(), &shown[0]["card"], &shown[0]["mail"]), (6, &moved.into(), &"J***@mail.example".into()));
    assert!(changed.err().contains("record 1: card: "), "{}", changed.err());
    assert!(shown[5]["error"].as_str().unwrap().starts_with("invalid format"));
}

#[test]
fn refusals_are_on_record_with_exit_code_4() {
    let room = Room::new();
    let sink = format!("{{ sqlite: {{ path: '{}', table: people }} }}", room.name("people.db"));
    let pipeline = loaded(&room, &sink, "  limits: { values: 1000, subjects: 3 }\n");
    let all = "people.jsonl";
    let safe = room.name("safe.jsonl");
    room.run(&["protect", "--policy", &pipeline, &room.name(all), &safe]).expect_code(0);
    room.run(&["keys", "erase", "4"]).expect_code(0);
    let last = || {
        let list = room.run(&["audit", "list", "--output", "json"]);
        list.expect_code(0);
        let entry = list.json().as_array().unwrap().last().unwrap().clone();
        (entry["outcome"].as_str().unwrap().to_owned(), entry["why"].as_str().unwrap_or_default().to_owned())
    };
    let refused = |why: &str| ("refused".to_owned(), why.to_owned());
    let support = ["--subject", "3", "--purpose", "support"];
    for (arguments, why) in [
        (vec!["reveal", "--policy", &pipeline, "--subject", "3", "--purpose", "support"], "no_reason"),
        (vec!["reveal", "--policy", &pipeline, "--subject", "3", "--reason", "r"], "no_purpose"),
        (
            [&["reveal", "--policy", &pipeline, "--reason", "r"], &["--subject", "3", "--purpose", "fun"][..]].concat(),
            "no_purpose",
        ),
        (
            [&["reveal", "--policy", &pipeline, "--reason", "r"], &["--subject", "3", "--purpose", "audit"][..]]
                .concat(),
            "no_right",
        ),
        ([&["reveal", "--policy", &pipeline, "--reason", "r", "--level", "full"], &support[..]].concat(), "no_right"),
        (
            [&["reveal", "--policy", &pipeline, "--reason", "r"], &["--subject", "4", "--purpose", "support"][..]]
                .concat(),
            "erased",
        ),
        (
            [&["reveal", "--policy", &pipeline, "--reason", "r"], &["--jsonl", &safe, "--purpose", "support"][..]]
                .concat(),
            "rate_limited",
        ),
    ] {
        let finished = room.run(&arguments);
        finished.expect_code(4);
        assert_eq!(last(), refused(why), "{arguments:?}");
        let shown = finished.out() + &finished.err();
        for secret in ["4111", "mail.example", "Elm"] {
            assert!(!shown.contains(secret), "{arguments:?}");
        }
        assert!(lines(&finished).iter().all(|line| line.as_object().unwrap().keys().eq(["error"])), "{arguments:?}");
    }
    room.run(&["audit", "verify"]).expect_code(0);
}

#[test]
fn a_second_person_agrees() {
    let room = Room::new();
    let carol = room.name("carol.key");
    let public = room.run(&["approve", "--init", &carol]);
    public.expect_code(0);
    let public = public.out();
    assert_eq!(public.trim().len(), 43);
    room.run(&["approve", "--init", &carol]).expect_code(2);
    let output = room.name("safe.jsonl");
    let approval = format!("  approval: {{ above: 2, by: {{ carol: {} }} }}\n", public.trim());
    let pipeline = loaded(&room, &format!("{{ file: {{ path: '{output}' }} }}"), &approval);
    let all = ["--jsonl", &output, "--purpose", "support"];
    let refused = reveal(&room, &pipeline, &all);
    refused.expect_code(4);
    assert!(refused.stdout.is_empty() && refused.err().contains("--request"), "{}", refused.err());
    let request = room.name("request.json");
    let asked = reveal(&room, &pipeline, &["--purpose", "support", "--request", &request, "--people", "5"]);
    asked.expect_code(0);
    assert!(asked.stdout.is_empty() && asked.err().contains("cloakroom approve"), "{}", asked.err());
    let untold = room.run(&["approve", &request, "--key", &carol]);
    untold.expect_code(2);
    assert!(untold.err().contains("up to 5 people") && untold.err().contains("ticket 1"), "{}", untold.err());
    let agreed = room.run(&["approve", &request, "--key", &carol, "--yes"]);
    agreed.expect_code(0);
    let approval = room.write("approval.json", &agreed.stdout);
    let with = [&all[..], &["--approval", &approval]].concat();
    assert_eq!(lines(reveal(&room, &pipeline, &with).expect_code(0)).len(), 5);
    let again = reveal(&room, &pipeline, &with);
    again.expect_code(4);
    assert!(again.err().contains("used before"), "{}", again.err());
    let forged = agreed.out().replace("\"subjects\": 5", "\"subjects\": 9");
    let forged = room.write("forged.json", forged);
    let other = [&all[..], &["--approval", &forged]].concat();
    assert!(reveal(&room, &pipeline, &other).expect_code(4).err().contains("changed"));
    let list = room.run(&["audit", "list", "--action", "approved", "--output", "json"]);
    list.expect_code(0);
    assert_eq!(list.json()[0]["approver"], "carol");
}
