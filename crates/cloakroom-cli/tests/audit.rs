//! `cloakroom audit`: the log from the command line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use common::{Room, Started};

/// A room whose log has `count` checkpoints; gives them as they were printed.
fn with_checkpoints(count: usize) -> (Room, Vec<String>) {
    let room = Room::new();
    let checkpoint = |_| room.run(&["audit", "checkpoint"]).expect_code(0).out();
    let printed = (0..count).map(checkpoint).collect();
    (room, printed)
}

#[test]
fn a_log_is_made_listed_verified_and_exported() {
    let (room, _) = with_checkpoints(2);
    let listed = room.run(&["audit", "list"]).expect_code(0).out();
    assert!(listed.starts_with("SEQ  TIME"), "{listed}");
    assert_eq!(listed.lines().count(), 5, "{listed}");
    assert!(["begin", "keys-init", "checkpoint"].iter().all(|action| listed.contains(action)), "{listed}");

    let json = room.run(&["audit", "list", "--action", "checkpoint", "--output", "json"]);
    let events = json.expect_code(0).json();
    assert_eq!(events.as_array().unwrap().len(), 2);
    let who = events[0]["principal"].as_str().unwrap().to_owned();
    let count = |arguments: &[&str]| {
        let finished = room.run(&[&["audit", "list", "--output", "json"], arguments].concat());
        finished.expect_code(0).json().as_array().unwrap().len()
    };
    assert_eq!(count(&["--principal", &who]), 3);
    assert_eq!(count(&["--principal", "cloakroom"]), 1);
    assert_eq!(count(&["--outcome", "refused"]), 0);
    assert_eq!(count(&["--since", "2020-01-01", "--until", "2999-01-01"]), 4);
    assert_eq!(count(&["--until", "2020-01-01T00:00:00Z"]), 0);
    assert_eq!(count(&["--limit", "1"]), 1);
    room.run(&["audit", "list", "--since", "yesterday"]).expect_code(2);

    let verified = room.run(&["audit", "verify"]).expect_code(0).out();
    assert!(verified.contains("as it was written"), "{verified}");
    assert_eq!(room.run(&["audit", "export"]).expect_code(0).stdout, room.read("home/audit.jsonl"));
    let csv = room.run(&["audit", "export", "--format", "csv"]).expect_code(0).out();
    assert!(csv.starts_with("seq,time,principal,action,"), "{csv}");
    assert_eq!(csv.lines().count(), 5);
}

#[test]
fn verify_names_the_first_bad_line_and_exits_with_1() {
    let (room, _) = with_checkpoints(3);
    let log = String::from_utf8(room.read("home/audit.jsonl")).unwrap();
    let edited = log.replacen("\"allowed\"", "\"refused\"", 3);
    room.write("home/audit.jsonl", edited);
    let finished = room.run(&["audit", "verify"]);
    assert!(finished.expect_code(1).out().contains("line 1: is not as it was written"), "{finished}");
    let report = room.run(&["audit", "verify", "--output", "json"]).expect_code(1).json();
    assert_eq!((report["ok"].as_bool(), report["report"]["fault"]["kind"].as_str()), (Some(false), Some("edited")));

    let lines: Vec<&str> = log.lines().collect();
    room.write("home/audit.jsonl", format!("{}\n{}\n", lines[0], lines[1]));
    let finished = room.run(&["audit", "verify"]);
    assert!(finished.expect_code(1).out().contains("line 3: is missing, and all up to line 5"), "{finished}");
    let refused = room.run(&["audit", "checkpoint"]);
    assert!(refused.expect_code(3).err().contains("lines are missing at its end"), "{refused}");
}

#[test]
fn kept_checkpoints_and_a_public_key_are_enough_for_others() {
    let (room, printed) = with_checkpoints(2);
    let kept = room.write("kept.jsonl", room.run(&["audit", "export", "--checkpoints"]).expect_code(0).out());
    assert_eq!(String::from_utf8(room.read("kept.jsonl")).unwrap(), printed.concat());
    let verify = |room: &Room, more: &[&str]| room.run(&[&["audit", "verify", "--checkpoints", &kept], more].concat());
    assert!(verify(&room, &[]).expect_code(0).out().contains("2 agree"));

    // Somebody without the key ring, with a copy of the log.
    let elsewhere = Room::without_keys();
    let copy = elsewhere.write("audit.jsonl", room.read("home/audit.jsonl"));
    let checkpoint: serde_json::Value = serde_json::from_str(&printed[0]).unwrap();
    let public = checkpoint["public_key"].as_str().unwrap();
    verify(&elsewhere, &["--file", &copy]).expect_code(2);
    let finished = verify(&elsewhere, &["--file", &copy, "--public-key", public]);
    assert!(finished.expect_code(0).out().contains("agrees with its checkpoints"), "{finished}");
    elsewhere.run(&["audit", "verify", "--file", &copy, "--public-key", "AAAA"]).expect_code(2);

    // Log and head rolled back together: only what was kept elsewhere tells.
    let (log, head) = (room.read("home/audit.jsonl"), room.read("home/audit.head"));
    let later = room.write("later.jsonl", room.run(&["audit", "checkpoint"]).expect_code(0).out());
    room.write("home/audit.jsonl", log);
    room.write("home/audit.head", head);
    room.run(&["audit", "verify"]).expect_code(0);
    let finished = room.run(&["audit", "verify", "--checkpoints", &later]);
    assert!(finished.expect_code(0).out().contains("1 agree"), "it covers lines up to 3, which are there: {finished}");
    room.run(&["audit", "checkpoint"]).expect_code(0);
    let newest = room.write("newest.jsonl", room.run(&["audit", "checkpoint"]).expect_code(0).out());
    let log = String::from_utf8(room.read("home/audit.jsonl")).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    elsewhere.write("audit.jsonl", lines[..3].join("\n") + "\n");
    let arguments = ["audit", "verify", "--file", &copy, "--checkpoints", &newest, "--public-key", public];
    let finished = elsewhere.run(&arguments);
    assert!(finished.expect_code(1).out().contains("line 4: is missing"), "{finished}");
}

#[test]
fn processes_append_one_after_the_other() {
    let room = Room::new();
    for _ in 0..5 {
        let run = || Started::new(room.command(&["audit", "checkpoint"]).stdin(std::process::Stdio::null()));
        let all: Vec<Started> = (0..4).map(|_| run()).collect();
        all.into_iter().for_each(|one| {
            one.wait().expect_code(0);
        });
    }
    let report = room.run(&["audit", "verify", "--output", "json"]).expect_code(0).json();
    assert_eq!(report["report"]["lines"], 22);
    assert_eq!(report["report"]["checkpoints"], 20);
}

#[test]
fn what_is_not_there_is_said() {
    let room = Room::without_keys();
    for command in ["list", "verify", "export"] {
        let finished = room.run(&["audit", command]);
        assert!(finished.expect_code(2).err().contains("there is no audit log at"), "{finished}");
    }
    let finished = room.run(&["audit", "checkpoint"]);
    assert!(finished.expect_code(2).err().contains("there is no key ring"), "{finished}");
    let file = room.write("other.jsonl", "{\"a\":1}\n");
    room.run(&["audit", "list", "--file", &file]).expect_code(3);
}
