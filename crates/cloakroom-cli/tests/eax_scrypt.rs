//! Documents of the format `eax-scrypt`: written by a policy, read by `reveal` and by Python, moved by `migrate`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::fmt::Write as _;
use std::io::Write;
use std::process::{Command, Stdio};

use common::{Finished, Room, count, root};
use serde_json::{Value, json};

const MASTER: &str = "a master key: clé";

const POLICY: &str = "fields:
  id: {}
  username: { type: string }
  credit_card_num: { type: string, as: cc }
  ccv: {}
  cuenta_numero: {}
envelope:
  eax_scrypt:
    user: username
    master_key: \"${CLOAKROOM_MASTER_KEY}\"
    fields: { cc: cc, ccv: ccv, cuenta_numero: cuenta }
";

fn room() -> Room {
    let mut room = Room::new();
    room.set("CLOAKROOM_MASTER_KEY", MASTER);
    room
}

/// Plain records as `reveal` gives them.
fn plain(number: usize) -> Value {
    let names = ["ada.lovelace", "Žofie Nováková", "x"];
    json!({
        "id": number, "username": format!("{}{number}", names[number % 3]), "cc": format!("4242-4242-4242-{number:04}"),
        "ccv": format!("{:03}", number % 1000), "cuenta_numero": "AR\"ñ\\", "color": "añil", "n": 1.50, "none": null,
    })
}

fn lines(records: impl Iterator<Item = Value>) -> String {
    records.fold(String::new(), |mut text, record| {
        writeln!(text, "{record}").unwrap();
        text
    })
}

fn parsed(text: &[u8]) -> Vec<Value> {
    std::str::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Documents that a policy has written.
fn documents(room: &Room, number: usize) -> Vec<Value> {
    let input = lines((0..number).map(plain)).replace("\"cc\"", "\"credit_card_num\"");
    let policy = room.write("policy.yaml", POLICY);
    let written = room.run_with_input(&["protect", "--policy", &policy], input.as_bytes());
    parsed(&written.expect_code(0).stdout)
}

fn reveal(room: &Room, documents: &str) -> Finished {
    let arguments = ["reveal", "--jsonl", "-", "--format", "eax-scrypt", "--reason", "a test"];
    room.run_with_input(&arguments, documents.as_bytes())
}

/// The Python that `make test` brings, with pycryptodome and scrypt.
fn python(work: &str, input: &str) -> Vec<Value> {
    let variable =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name}; run the tests with `make test`"));
    let mut child = Command::new(variable("CLOAKROOM_TEST_PYTHON"))
        .arg(root().join("crates/cloakroom-cli/tests/eax_scrypt/twin.py"))
        .arg(work)
        .env("PYTHONPATH", variable("CLOAKROOM_TEST_PYTHONPATH"))
        .env("PYTHONIOENCODING", "utf-8")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CLOAKROOM_MASTER_KEY", MASTER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    parsed(&output.stdout)
}

#[test]
fn python_reads_what_we_write_and_we_read_what_python_writes() {
    let room = room();
    let ours = documents(&room, 20);
    assert!(ours.iter().all(|document| document["cc"].as_str().unwrap().len() % 4 == 0));
    let expected: Vec<Value> = (0..20).map(plain).collect();
    assert_eq!(python("read", &lines(ours.into_iter())), expected);
    let theirs = python("write", &lines((0..20).map(plain)));
    let opened = reveal(&room, &lines(theirs.into_iter()));
    assert_eq!(parsed(&opened.expect_code(0).stdout), expected);
}

#[test]
fn documents_come_back_in_order_with_a_line_for_each() {
    let room = room();
    let mut all = documents(&room, 150);
    all[3] = json!({ "_index": "user", "_id": "3", "_source": all[3] });
    all[70]["cc_tag"] = all[71]["cc_tag"].clone();
    all[80].as_object_mut().unwrap().remove("ccv_nonce");
    all[90]["username"] = "another".into();
    all[100]["kek_salt"] = "AA".into();
    let text = lines(all.into_iter()).replacen("{\"id\":110,", "{\"id\":110 ", 1);
    let opened = reveal(&room, &text);
    let found = parsed(&opened.expect_code(1).stdout);
    assert_eq!(found.len(), 150);
    for (number, line) in found.iter().enumerate() {
        let error = match number {
            70 => "not authentic (`cc` does not open",
            80 => "missing field (`ccv_nonce` is missing",
            90 => "key not available (the document's key does not open",
            100 => "invalid format (`kek_salt` is not base64",
            110 => "invalid format",
            _ => {
                assert_eq!(*line, plain(number));
                continue;
            }
        };
        let members = line.as_object().unwrap();
        assert!(members.len() == 1 && members["error"].as_str().unwrap().starts_with(error), "{line}");
    }
    // From a file, with the key from a file, and numbers keep their digits.
    room.write("documents.jsonl", lines(documents(&room, 1).into_iter()).replace("1.5,", "1.500,"));
    let key = room.write("master.key", format!("{MASTER}\n"));
    let mut command = room.command(&[
        "reveal",
        "--jsonl",
        "documents.jsonl",
        "--format",
        "eax-scrypt",
        "--reason",
        "a test",
        "--master-key-file",
        &key,
    ]);
    command.env_remove("CLOAKROOM_MASTER_KEY");
    let refused = command.output().unwrap();
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("chmod 600"));
    #[cfg(unix)]
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let opened = command.output().unwrap();
    assert!(opened.status.success());
    assert!(String::from_utf8_lossy(&opened.stdout).contains("1.500"));
}

#[test]
fn without_the_right_key_or_a_reason_nothing_is_written() {
    let room = room();
    let text = lines(documents(&room, 9).into_iter());
    let mut other = Room::without_keys();
    let refused = |room: &Room, arguments: &[&str], code: i32, message: &str| {
        let finished = room.run_with_input(
            &[&["reveal", "--jsonl", "-", "--format", "eax-scrypt"], arguments].concat(),
            text.as_bytes(),
        );
        finished.expect_code(code);
        assert!(finished.stdout.is_empty(), "{finished}");
        assert!(finished.err().contains(message), "{finished}");
        assert!(!finished.err().contains(MASTER) && !finished.err().contains("4242"));
    };
    refused(&room, &[], 4, "--reason");
    refused(&room, &["--reason", " "], 4, "--reason");
    refused(&other, &["--reason", "a test"], 2, "CLOAKROOM_MASTER_KEY");
    refused(&room, &["--reason", "a test", "--master-key-file", "nowhere"], 2, "master key file nowhere");
    other.set("CLOAKROOM_MASTER_KEY", "");
    refused(&other, &["--reason", "a test"], 2, "the master key is empty");
    let mut wrong = Room::without_keys();
    wrong.set("CLOAKROOM_MASTER_KEY", "another");
    refused(&wrong, &["--reason", "a test"], 4, "the master key opens none of the first documents (9 tried)");
    // Every attempt is on record.
    let log = room.run(&["audit", "list", "--output", "json"]).expect_code(0).out();
    assert_eq!(log.matches("no_reason").count(), 2, "{log}");
    wrong.run(&["audit", "verify"]).expect_code(0);
    assert!(wrong.run(&["audit", "list", "--output", "json"]).out().contains("unknown_key"));
}

#[test]
fn documents_move_under_a_policy() {
    let room = room();
    let mut all = documents(&room, 70);
    all[5]["ccv"] = "AAAA".into();
    let input = room.write("documents.jsonl", lines(all.into_iter()));
    let policy = room.write(
        "new.yaml",
        "subject: username\nfields:\n  cc: { protect: encrypt }\n  ccv: { protect: drop }\n  cuenta_numero: { protect: hmac }\n",
    );
    let moved =
        room.run(&["migrate", "--from", "eax-scrypt", "--policy", &policy, &input, "safe.jsonl", "--output", "json"]);
    moved.expect_code(1);
    let summary = moved.err().lines().find_map(|line| serde_json::from_str::<Value>(line).ok()).unwrap();
    assert_eq!((count(&summary, "delivered"), count(&summary, "dead")), (69, 1));
    assert!(moved.err().contains("not authentic (`ccv` does not open"), "{moved}");
    let text = String::from_utf8(room.read("safe.jsonl")).unwrap();
    // Envelopes are random: now and then one holds such letters.
    let clear: Vec<&str> = text.split('"').filter(|part| !part.starts_with("ck1.")).collect();
    assert!(["4242", "ccv", "dek"].iter().all(|word| !clear.iter().any(|part| part.contains(word))));
    let first = &parsed(text.as_bytes())[0];
    assert!(first["cc"].as_str().unwrap().starts_with("ck1.a."));
    assert!(first["cuenta_numero"].as_str().unwrap().starts_with("ck1.t."));
    assert_eq!((&first["username"], &first["color"]), (&plain(0)["username"], &plain(0)["color"]));

    let mut wrong = Room::new();
    wrong.set("CLOAKROOM_MASTER_KEY", "another");
    let refused = wrong.run(&["migrate", "--from", "eax-scrypt", "--policy", &policy, &input, "safe.jsonl"]);
    refused.expect_code(4);
    assert!(!wrong.exists("safe.jsonl"));
}

/// The example of a system's users: bcrypt too, so only a few.
#[test]
fn the_example_writes_documents() {
    let room = room();
    let users = room.sample("users.jsonl", &["users", "--count", "3"]);
    let example = root().join("examples/users-eax-scrypt.yaml");
    let written = room.run(&["protect", "--policy", example.to_str().unwrap(), &users, "documents.jsonl"]);
    written.expect_code(0);
    let documents = parsed(&room.read("documents.jsonl"));
    assert!(documents.iter().all(|document| document["hash_ccv"].as_str().unwrap().starts_with("$2b$12$")));
    let opened = parsed(&reveal(&room, &lines(documents.into_iter())).expect_code(0).stdout);
    let users = parsed(&room.read("users.jsonl"));
    for (opened, user) in opened.iter().zip(&users) {
        assert_eq!(opened["cc"], user["credit_card_num"]);
        assert_eq!(opened["ccv"], user["credit_card_ccv"]);
        assert_eq!(opened["cuenta_numero"], user["cuenta_numero"]);
        assert!(opened.get("hash_ccv").is_none());
    }
}
