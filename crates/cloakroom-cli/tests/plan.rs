//! `cloakroom plan`: two policies on sample data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use common::{Finished, Room, root};
use serde_json::Value;

/// A policy of the examples, with texts replaced.
fn policy(room: &Room, example: &str, name: &str, replace: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(root().join("examples").join(example)).unwrap();
    for (from, to) in replace {
        assert!(text.contains(from), "{example} has no `{from}`");
        text = text.replace(from, to);
    }
    room.write(name, text)
}

fn plan(room: &Room, old: &str, new: &str, sample: &str) -> Finished {
    room.run(&["plan", old, new, "--sample", sample, "--output", "json"])
}

/// Change, field, what was found, records and values.
fn changes(finished: &Finished) -> Vec<(String, String, String, u64, u64)> {
    let json = finished.json();
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let number = |row: &Value, name: &str| row[name].as_u64().unwrap();
    let rows = json["changes"].as_array().unwrap();
    let row = |row: &Value| {
        let (change, field, found) = (text(row, "change"), text(row, "field"), text(row, "found"));
        (change, field, found, number(row, "records"), number(row, "values"))
    };
    rows.iter().map(row).collect()
}

fn is(change: &str, field: &str, found: &str, count: u64) -> (String, String, String, u64, u64) {
    (change.to_owned(), field.to_owned(), found.to_owned(), count, count)
}

#[test]
fn fields_are_compared_and_no_value_is_printed() {
    let room = Room::new();
    let sample = room.sample("customers.jsonl", &["customers", "--count", "50"]);
    let old = policy(&room, "customers.yaml", "old.yaml", &[]);
    let new = policy(
        &room,
        "customers.yaml",
        "new.yaml",
        &[
            ("{ mask: { first: 1 } }", "redact"),
            ("{ mask: pan }", "{ mask: last4 }"),
            ("{ hmac: { domain: email } }", "{ hash: md5, allow_reversible: true }"),
            ("  ssn:   { protect: encrypt }\n", "  created_by: { protect: drop }\n"),
        ],
    );
    let finished = plan(&room, &old, &new, &sample);
    finished.expect_code(1);
    assert_eq!(
        changes(&finished),
        [
            is("uncovered", "ssn", "-", 50),
            is("weaker", "email", "-", 50),
            is("changed", "card", "-", 50),
            is("stronger", "name", "-", 50),
        ]
    );
    let human = room.run(&["plan", &old, &new, "--sample", &sample]);
    let table = human.expect_code(1).out();
    assert!(table.contains("CHANGE") && table.contains("uncovered"), "{table}");
    for line in String::from_utf8(room.read("customers.jsonl")).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        for name in ["ssn", "email", "card", "name"] {
            let value = record[name].as_str().unwrap();
            assert!(!table.contains(value) && !finished.out().contains(value) && !human.err().contains(value));
        }
    }

    let back = plan(&room, &new, &old, &sample);
    back.expect_code(0);
    assert_eq!(changes(&back).last().unwrap(), &is("covered", "ssn", "-", 50));
    let same = room.run(&["plan", &old, &old, "--sample", &sample]);
    assert!(same.expect_code(0).out().contains("nothing that is covered changes"), "{same}");
}

#[test]
fn what_an_envelope_seals_is_covered() {
    let mut room = Room::new();
    room.set("CLOAKROOM_MASTER_KEY", "a key for tests");
    let sample = room.sample("users.jsonl", &["users", "--count", "20"]);
    let old = policy(&room, "users.yaml", "old.yaml", &[]);
    let new = policy(&room, "users-eax-scrypt.yaml", "new.yaml", &[]);
    let finished = plan(&room, &old, &new, &sample);
    // The other example leaves addresses as they are.
    let changes = changes(finished.expect_code(1));
    assert!(changes.contains(&is("uncovered", "ip", "-", 20)), "{changes:?}");
    for field in ["credit_card_num", "credit_card_ccv", "cuenta_numero"] {
        let of_field: Vec<_> =
            changes.iter().filter(|change| change.1 == field).map(|change| change.0.as_str()).collect();
        assert_eq!(of_field, ["changed"], "{field}: {changes:?}");
    }
}

#[test]
fn findings_inside_texts_are_compared() {
    let room = Room::new();
    let sample = room.sample("messages.jsonl", &["messages", "--count", "200"]);
    let old = policy(&room, "demo.yaml", "old.yaml", &[]);
    let keep = policy(&room, "demo.yaml", "keep.yaml", &[("CREDIT_CARD: { mask: pan }", "EMAIL_ADDRESS: keep")]);
    let finished = plan(&room, &old, &keep, &sample);
    finished.expect_code(1);
    let found = changes(&finished);
    let of = |entity: &str| found.iter().filter(|row| row.2 == entity).collect::<Vec<_>>();
    assert!(
        of("EMAIL_ADDRESS").iter().all(|row| row.0 == "uncovered" && row.1 == "text" && row.4 >= row.3),
        "{found:?}"
    );
    assert!(of("CREDIT_CARD").iter().all(|row| row.0 == "stronger"), "{found:?}");
    assert_eq!((of("EMAIL_ADDRESS").len(), of("CREDIT_CARD").len()), (1, 1), "{found:?}");

    // What the policy finds is what `protect` counts.
    let summary = room.run(&["protect", "--policy", &old, &sample, &room.name("safe.jsonl"), "--output", "json"]);
    let summary: Value = serde_json::from_str(summary.expect_code(0).err().trim()).unwrap();
    assert_eq!(summary["findings"]["EMAIL_ADDRESS"].as_u64(), Some(of("EMAIL_ADDRESS")[0].4));

    // The whole text covered, and a text that nobody searches.
    let sealed =
        policy(&room, "demo.yaml", "sealed.yaml", &[("  channel:", "  text: { protect: encrypt }\n  channel:")]);
    let covered = plan(&room, &old, &sealed, &sample);
    assert_eq!(changes(&covered).last().unwrap(), &is("covered", "text", "-", 200));
    plan(&room, &sealed, &old, &sample).expect_code(1);
    let silent = policy(&room, "demo.yaml", "silent.yaml", &[("  channel:", "  text: {}\n  channel:")]);
    let finished = plan(&room, &old, &silent, &sample);
    assert!(changes(&finished).iter().all(|row| row.0 == "uncovered"), "{finished}");
    finished.expect_code(1);
}

#[test]
fn fields_come_and_go_and_records_are_rejected() {
    let room = Room::new();
    let sample = room.sample("logins.jsonl", &["logins", "--count", "100", "--wrong-shape"]);
    let old = policy(&room, "logins.yaml", "old.yaml", &[]);
    let new = policy(
        &room,
        "logins.yaml",
        "new.yaml",
        &[
            ("  unlisted: drop ", "  unlisted: keep "),
            (", as: masked_ip }\n  device_id", ", as: ip_token }\n  device_id"),
            ("max_length: 10 }", "max_length: 5 }"),
        ],
    );
    let finished = plan(&room, &old, &new, &sample);
    let json = finished.expect_code(0).json();
    assert_eq!(json["fields"]["gone"][0]["field"], "masked_ip");
    assert_eq!(json["fields"]["new"][0]["field"], "ip_token");
    assert_eq!(json["records"]["read"], 100);
    assert_eq!(json["records"]["rejected_by_both"], 2);
    assert!(json["records"]["rejected_by_new_only"].as_u64().unwrap() > 0, "{finished}");
    assert_eq!(json["records"]["rejected_by_old_only"], 0);
}

#[test]
fn what_a_policy_leaves_out_and_another_keeps_is_uncovered() {
    let room = Room::new();
    let sample = room.write("s.jsonl", "{\"a\":\"x\",\"more\":{\"b\":[1,2],\"c\":null}}\n{\"a\":\"y\"}\n");
    let drop = room.write("drop.yaml", "record: { unlisted: drop }\nfields: { a: {} }\n");
    let keep = room.write("keep.yaml", "fields: { a: {} }\n");
    let reject = room.write("reject.yaml", "record: { unlisted: reject }\nfields: { a: {} }\n");
    let whole = room.write("whole.yaml", "fields: { a: {}, more: { protect: encrypt } }\n");
    let rows = |old: &str, new: &str| changes(&plan(&room, old, new, &sample));
    let values = |old: &str, new: &str| -> Vec<_> {
        rows(old, new).into_iter().map(|row| (row.0, row.1, row.3, row.4)).collect()
    };
    let expected = [("uncovered".to_owned(), "more.b[*]".to_owned(), 1, 2)];
    for old in [&drop, &reject, &whole] {
        let found = values(old, &keep);
        assert!(found.contains(&expected[0]), "{found:?}");
        assert!(found.iter().all(|row| row.0 == "uncovered"), "{found:?}");
    }
    assert!(values(&drop, &whole).iter().all(|row| row.0 == "weaker"), "{:?}", values(&drop, &whole));
    assert!(values(&keep, &reject).iter().all(|row| row.0 == "covered"));
}

#[test]
fn what_cannot_be_read_is_exit_code_2() {
    let room = Room::new();
    let policy = room.write("p.yaml", "fields: { a: {} }\n");
    let sample = room.write("s.jsonl", "{\"a\":1}\n");
    let empty = room.write("empty.jsonl", "");
    let broken = room.write("broken.yaml", "fields: { a: { protect: hmca } }\n");
    for (old, new, sample) in [
        (&policy, &policy, &room.name("missing.jsonl")),
        (&policy, &policy, &empty),
        (&policy, &broken, &sample),
        (&room.name("missing.yaml"), &policy, &sample),
    ] {
        let finished = plan(&room, old, new, sample);
        assert!(!finished.expect_code(2).err().is_empty(), "{finished}");
    }
    plan(&room, &policy, &policy, &sample).expect_code(0);
}
