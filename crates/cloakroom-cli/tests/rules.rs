//! `cloakroom rules`: list, show, test, bench, and mistakes in rule files.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::Room;

const BADGE: &str = r"rules:
  - id: badge
    entity: BADGE_NUMBER
    description: Number on an employee's badge
    regex: '\bBX-\d{4}\b'
    confidence: 0.3
    with_context: 0.9
    context: [badge]
    examples: ['badge [[BX-1234]]']
    counter_examples: ['part BX-1234']
";

#[test]
fn rules_are_listed_for_people_and_programs() {
    let room = Room::without_keys();
    let table = room.run(&["rules", "list"]);
    assert!(table.expect_code(0).out().lines().any(|line| line.starts_with("CREDIT_CARD") && line.contains("card")));
    let all = room.run(&["rules", "list", "--all", "--format", "json"]);
    let all = all.expect_code(0).json();
    let all = all.as_array().unwrap();
    assert!(all.len() >= 4);
    for rule in all {
        for name in ["id", "entity", "description", "regex"] {
            assert!(rule[name].is_string(), "{rule}");
        }
        assert!(rule["confidence"].is_number() && rule["examples"].is_array(), "{rule}");
    }
    let some = room.run(&["rules", "list", "--entity", "EMAIL_ADDRESS", "--all", "--format", "json"]).json();
    assert!(!some.as_array().unwrap().is_empty());
    assert!(some.as_array().unwrap().iter().all(|rule| rule["entity"] == "EMAIL_ADDRESS"));
    let wrong = room.run(&["rules", "list", "--entity", "EMAIL_ADRESS"]);
    assert!(wrong.expect_code(2).err().contains("did you mean `EMAIL_ADDRESS`"), "{wrong}");
}

#[test]
fn a_rule_is_shown_whole() {
    let room = Room::without_keys();
    let shown = room.run(&["rules", "show", "us-ssn"]);
    let text = shown.expect_code(0).out();
    for part in ["us-ssn", "US_SSN", "regex", "confidence", "examples", "references"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(room.run(&["rules", "show", "us-ssn", "--format", "json"]).expect_code(0).json()["id"], "us-ssn");
    let wrong = room.run(&["rules", "show", "us-sn"]);
    assert!(wrong.expect_code(2).err().contains("did you mean `us-ssn`"), "{wrong}");
    let entity = room.run(&["rules", "show", "US_SSN"]);
    assert!(entity.expect_code(2).err().contains("us-ssn"), "{entity}");
    let badge = room.write("badge.yaml", BADGE);
    assert!(room.run(&["rules", "show", "badge", "--rules", &badge]).expect_code(0).out().contains("BX-"));
}

#[test]
fn the_built_in_rules_pass_their_test() {
    let room = Room::without_keys();
    let tested = room.run(&["rules", "test"]);
    assert!(tested.expect_code(0).stdout.is_empty(), "{tested}");
    assert!(tested.err().contains(" 0 rules fail"), "{tested}");
}

#[test]
fn own_rules_are_tested_and_failures_say_what_is_wrong() {
    let room = Room::without_keys();
    let good = room.write("badge.yaml", BADGE);
    room.run(&["rules", "test", &good]).expect_code(0);

    let bad = BADGE.replace("badge [[BX-1234]]", "badge [[BX-123]]4").replace("part BX", "badge BX");
    let bad = room.write("bad.yaml", bad);
    let tested = room.run(&["rules", "test", &bad]);
    let text = tested.expect_code(1).out();
    assert!(text.contains("badge: example 1: found 6..13; 6..12 is marked"), "{text}");
    assert!(text.contains("badge: counter-example 1: found 6..13 with confidence 0.9"), "{text}");

    // A folder stands for its files.
    std::fs::create_dir(room.path("mine")).unwrap();
    room.write("mine/badge.yaml", BADGE);
    room.write("mine/notes.txt", "no rules");
    room.run(&["rules", "test", &room.name("mine")]).expect_code(0);
}

#[test]
fn mistakes_in_rule_files_name_file_line_and_rule() {
    let room = Room::without_keys();
    for (from, to, expected) in [
        ("confidence: 0.3", "confidence: 1.3", "rules.yaml:2:5: rule `badge`: `confidence` must be between 0 and 1"),
        ("confidence: 0.3", "confidenc: 0.3", "rules.yaml:6:5: unknown field `confidenc`; did you mean `confidence`"),
        (r"\bBX-\d{4}\b", r"\bBX-(\d{4}\b", "rules.yaml:2:5: rule `badge`"),
        ("context: [badge]", "context: [badge]\n    validate: [lun]", "did you mean `luhn`"),
        ("id: badge", "id: us-ssn", "rules.yaml:2:5: rule `us-ssn`: the id is taken by a built-in rule"),
        ("id: badge", "id: Badge", "rules.yaml:2:5:"),
        ("rules:", "rule:", "rules.yaml:1:1: unknown field `rule`; did you mean `rules`"),
    ] {
        let text = BADGE.replace(from, to);
        assert_ne!(text, BADGE);
        let file = room.write("rules.yaml", text);
        for arguments in [&["rules", "test", &file][..], &["scan", "--rules", &file, &file]] {
            let refused = room.run(arguments);
            assert!(refused.expect_code(2).err().contains(expected), "{expected}\n{refused}");
        }
    }
    let missing = room.run(&["rules", "test", "nowhere.yaml"]);
    assert!(missing.expect_code(2).err().contains("nowhere.yaml"), "{missing}");
}

#[test]
fn rules_are_measured() {
    let room = Room::without_keys();
    let text = room.write("app.log", "user alice@mail.example paid with 4111 1111 1111 1111\n".repeat(200));
    let measured = room.run(&["rules", "bench", &text, "--format", "json"]).expect_code(0).json();
    assert_eq!(measured["bytes"], std::fs::metadata(&text).unwrap().len());
    let rules = measured["rules"].as_array().unwrap();
    let speeds: Vec<f64> = rules.iter().map(|rule| rule["megabytes_per_second"].as_f64().unwrap()).collect();
    assert!(speeds.is_sorted() && speeds.len() >= 4, "{measured}");
    let mail = rules.iter().find(|rule| rule["rule"] == "email-address").unwrap();
    assert_eq!(mail["findings"], 200);
    let badge = room.write("badge.yaml", BADGE);
    let own = room.run(&["rules", "bench", "--rules", &badge, &text]);
    assert!(own.expect_code(0).out().contains("badge") && !own.out().contains("us-ssn"), "{own}");
}
