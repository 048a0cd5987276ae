//! Root keys that do not lie in clear in the key file: under a passphrase, Vault Transit, AWS KMS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "aws")]
mod kms;
mod server;
mod vault;

use common::{Finished, Room};
use serde_json::{Value, json};

const RIGHT: &str = "correct horse battery staple";

/// A file that only its owner can read.
fn secret(room: &Room, name: &str, text: &str) -> String {
    let path = room.write(name, text);
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    path
}

fn key_file(room: &Room) -> Value {
    serde_json::from_slice(&std::fs::read(room.home().join("keys.json")).unwrap()).unwrap()
}

/// A person's value under the key ring of the room.
fn protect(room: &Room) -> Finished {
    let policy =
        room.write("policy.yaml", "subject: user\nfields: { email: { protect: encrypt }, ip: { protect: hmac } }\n");
    let input = room.write("in.jsonl", r#"{"user":"ada","email":"ada@example.org","ip":"203.0.113.7"}"#);
    room.run(&["protect", "--policy", &policy, &input])
}

fn token(finished: &Finished) -> String {
    finished.expect_code(0).json()["ip"].as_str().unwrap().to_owned()
}

/// Ended with a code, printed nothing, and said why in words without a secret.
#[track_caller]
fn refused(finished: &Finished, codes: &[i32], words: &str) {
    assert!(codes.contains(&finished.code), "{finished}");
    assert!(finished.stdout.is_empty(), "{finished}");
    assert!(finished.err().contains(words), "no `{words}`: {finished}");
    for secret in [RIGHT, "root-token", "S3cretMarker"] {
        assert!(!finished.err().contains(secret), "{finished}");
    }
}

#[test]
fn a_passphrase_protects_the_key_file() {
    let mut room = Room::without_keys();
    let right = secret(&room, "right.txt", &format!("{RIGHT}\n"));
    let wrong = secret(&room, "wrong.txt", "quite another passphrase");
    let short = secret(&room, "short.txt", "short");

    let init =
        |passphrase: &str| room.run(&["keys", "init", "--protect", "passphrase", "--passphrase-file", passphrase]);
    refused(&room.run(&["keys", "init", "--protect", "passphrase"]), &[2], "a passphrase is needed");
    refused(&init(&short), &[2], "too short");
    // Settings of a protection without the word that asks for it: not a key in clear by mistake.
    refused(&room.run(&["keys", "init", "--kms-key", "alias/x"]), &[2], "--protect");
    refused(&room.run(&["keys", "init", "--vault-key", "x"]), &[2], "--protect");
    refused(&room.run(&["keys", "init", "--protect", "aws-kms"]), &[2], "--kms-key");
    assert!(!room.home().exists(), "nothing was made");
    assert!(init(&right).expect_code(0).out().contains("protected by a passphrase"));
    refused(&init(&right), &[2], "is there already");
    let file = key_file(&room);
    assert_eq!(file["version"], 2);
    assert_eq!(file["protected_by"]["passphrase"]["n"], 131_072);
    assert!(file["keys"][0].get("key").is_none() && file["keys"][0]["wrapped"].is_string());

    // Without it and with another one nothing happens, whoever asks.
    let before = common::files_below(&room.home());
    refused(&room.run(&["keys", "status"]), &[2], "a passphrase is needed");
    for command in [&["keys", "status"][..], &["keys", "rotate"], &["keys", "rewrap"], &["keys", "erase", "ada"]] {
        let finished = room.run(&[command, &["--passphrase-file", &wrong]].concat());
        refused(&finished, &[4], "the passphrase does not open this key file");
    }
    refused(&protect(&room), &[2], "a passphrase is needed");
    room.set("CLOAKROOM_PASSPHRASE", "quite another passphrase");
    refused(&protect(&room), &[4], "the passphrase does not open this key file");
    refused(&room.run(&["audit", "checkpoint"]), &[4], "the passphrase does not open this key file");
    assert!(before == common::files_below(&room.home()), "nothing was written");

    room.set("CLOAKROOM_PASSPHRASE", RIGHT);
    let first = token(&protect(&room));
    let status = room.run(&["keys", "status", "--output", "json"]).expect_code(0).json();
    assert_eq!(status["protected_by"], file["protected_by"]);
    assert!(room.run(&["keys", "status"]).expect_code(0).out().contains("protected by: a passphrase"));

    // A new key is wrapped like the first, and that one is left as it is.
    room.run(&["keys", "rotate"]).expect_code(0);
    let rotated = key_file(&room);
    assert_eq!(rotated["keys"][1]["wrapped"], file["keys"][0]["wrapped"]);
    assert_eq!(token(&protect(&room)), first, "pseudonyms still join");

    // Another passphrase: new salt, everything wrapped anew, the same keys.
    refused(&room.run(&["keys", "rewrap", "--protect", "passphrase"]), &[2], "CLOAKROOM_NEW_PASSPHRASE");
    room.run(&["keys", "rewrap", "--protect", "passphrase", "--new-passphrase-file", &wrong]).expect_code(0);
    let next = key_file(&room);
    assert_ne!(next["protected_by"], rotated["protected_by"]);
    assert_ne!(next["keys"][1]["wrapped"], rotated["keys"][1]["wrapped"]);
    assert_eq!(next["keys"][1]["kid"], rotated["keys"][1]["kid"]);
    refused(&protect(&room), &[4], "the passphrase does not open this key file");

    // Back to clear, on demand only, and wrapped again with the passphrase that was given for it.
    let open = room.run(&["keys", "rewrap", "--protect", "none", "--passphrase-file", &wrong, "--output", "json"]);
    assert_eq!(open.expect_code(0).json()["protected_by"], "none");
    assert_eq!(key_file(&room)["version"], 1);
    assert_eq!(token(&protect(&room)), first);
    room.run(&["keys", "rewrap", "--protect", "passphrase"]).expect_code(0);
    assert_eq!(key_file(&room)["version"], 2);
    assert_eq!(token(&protect(&room)), first);

    room.run(&["audit", "verify"]).expect_code(0);
    let log = room.run(&["audit", "list", "--action", "rewrap", "--output", "json"]).expect_code(0).json();
    let paths: Vec<_> = log.as_array().unwrap().iter().map(|event| event["path"].clone()).collect();
    let by = |provider| json!([format!("key_file.protected_by.{provider}")]);
    assert_eq!(paths, [by("passphrase"), by("none"), by("passphrase")]);
    for (path, content) in common::files_below(&room.home()) {
        assert!(!common::contains(&content, RIGHT), "{}", path.display());
    }
}

#[test]
fn a_pipeline_file_gives_the_passphrase() {
    let mut room = Room::without_keys();
    let right = secret(&room, "right.txt", RIGHT);
    let keys = room.name("ring.json");
    room.run(&["keys", "init", "--file", &keys, "--protect", "passphrase", "--passphrase-file", &right]).expect_code(0);
    let policy = room.write(
        "own.yaml",
        format!(
            "keys: {{ file: '{keys}', passphrase: '${{RING_PASSPHRASE}}' }}\nfields: {{ ip: {{ protect: hmac }} }}\n"
        ),
    );
    let input = room.write("in.jsonl", r#"{"ip":"203.0.113.7"}"#);
    let run = |room: &Room| room.run(&["protect", "--policy", &policy, &input]);
    refused(&run(&room), &[2], "RING_PASSPHRASE is not set");
    room.set("RING_PASSPHRASE", "quite another passphrase");
    refused(&run(&room), &[4], "the passphrase does not open this key file");
    room.set("RING_PASSPHRASE", RIGHT);
    run(&room).expect_code(0);
    #[cfg(unix)]
    {
        std::fs::set_permissions(&right, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        let status = room.run(&["keys", "status", "--file", &keys, "--passphrase-file", &right]);
        refused(&status, &[4], "chmod 600");
    }
}
