//! Vault Transit. The server is a stand-in that takes nothing but what the interface of Vault describes, and encrypts
//! for real; with `CLOAKROOM_TEST_VAULT_URL` and `CLOAKROOM_TEST_VAULT_TOKEN` (of root, Transit mounted at `transit`) a real
//! Vault or OpenBao is asked as well.

use std::sync::{Arc, Mutex};

use cloakroom_crypto::{SecretKey, WrappingKey};
use serde_json::{Value, json};

use super::server::{Request, Response, Server, send};
use super::{Room, key_file, protect, refused, secret, token};

const TOKEN: &str = "root-token";

/// How the stand-in feels.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Well,
    Sealed,
    /// For so many requests.
    Throttles(u32),
    Denies,
    KeyDeleted,
    NoMount,
    /// As before associated data was known.
    IgnoresAssociatedData,
    GivesOtherKeys,
    Redirects,
    Rambles,
}

struct State {
    mood: Mood,
    key: WrappingKey,
    /// `encrypt` and `decrypt`, as they came.
    calls: Vec<&'static str>,
    /// What was not as the interface has it.
    wrong: Vec<String>,
}

struct Vault {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl Vault {
    fn start() -> Self {
        let key = WrappingKey::from_secret(&SecretKey::generate().unwrap()).unwrap();
        let state = Arc::new(Mutex::new(State { mood: Mood::Well, key, calls: Vec::new(), wrong: Vec::new() }));
        let shared = Arc::clone(&state);
        let server = Server::start(move |request| answer(&mut shared.lock().unwrap(), request));
        Self { server, state }
    }

    fn is(&self, mood: Mood) {
        self.state.lock().unwrap().mood = mood;
    }

    /// The calls since it was asked last.
    fn calls(&self) -> Vec<&'static str> {
        let mut state = self.state.lock().unwrap();
        assert!(state.wrong.is_empty(), "{:?}", state.wrong);
        std::mem::take(&mut state.calls)
    }
}

fn errors(status: u16, text: &str) -> Response {
    Response::json(status, &json!({ "errors": [text] }))
}

fn answer(state: &mut State, request: &Request) -> Response {
    let operation = match request.path.as_str() {
        "/v1/transit/encrypt/cloakroom" => "encrypt",
        "/v1/transit/decrypt/cloakroom" => "decrypt",
        other => {
            state.wrong.push(format!("path {other}"));
            return errors(404, "no handler for route");
        }
    };
    for (name, expected) in [
        ("x-vault-token", TOKEN),
        ("x-vault-request", "true"),
        ("x-vault-namespace", "team/a"),
        ("content-type", "application/json"),
    ] {
        let given = request.headers.get(name).map(String::as_str);
        if given != Some(expected) && state.mood != Mood::Denies {
            state.wrong.push(format!("header {name}: {given:?}"));
        }
    }
    if request.method != "POST" {
        state.wrong.push(format!("method {}", request.method));
    }
    let expected =
        if operation == "encrypt" { ["associated_data", "plaintext"] } else { ["associated_data", "ciphertext"] };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let mut members: Vec<_> = body.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    members.sort_unstable();
    if members != expected {
        state.wrong.push(format!("members {members:?}"));
    }
    state.calls.push(operation);
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let mut bound_to = unbase64(text("associated_data"));
    match state.mood {
        Mood::Well | Mood::GivesOtherKeys => {}
        Mood::IgnoresAssociatedData => bound_to.clear(),
        Mood::Sealed => return errors(503, "Vault is sealed"),
        Mood::Throttles(0) => state.mood = Mood::Well,
        Mood::Throttles(left) => {
            state.mood = Mood::Throttles(left - 1);
            return errors(429, "request path \"transit\": rate limit quota exceeded");
        }
        Mood::Denies => return errors(403, "permission denied"),
        Mood::KeyDeleted => return errors(400, "encryption key not found"),
        Mood::NoMount => return errors(404, "no handler for route"),
        Mood::Redirects => {
            let location = ("location", "https://active.example/v1/transit/encrypt/cloakroom".to_owned());
            return Response { headers: vec![location], ..errors(307, "standby") };
        }
        Mood::Rambles => return Response { status: 200, headers: Vec::new(), body: vec![b'['; 1 << 20] },
    }
    if operation == "encrypt" {
        let plaintext = unbase64(text("plaintext"));
        let wrapped = state.key.wrap(&SecretKey::from_slice(&plaintext).unwrap(), &[&bound_to]).unwrap();
        return Response::json(
            200,
            &json!({ "data": { "ciphertext": format!("vault:v1:{}", base64(&wrapped)), "key_version": 1 } }),
        );
    }
    let Some(wrapped) = text("ciphertext").strip_prefix("vault:v1:") else {
        return errors(400, "invalid ciphertext: no prefix");
    };
    let opened = unbase64(wrapped).try_into().ok().and_then(|wrapped| state.key.unwrap(&wrapped, &[&bound_to]).ok());
    match opened {
        Some(_) if state.mood == Mood::GivesOtherKeys => {
            Response::json(200, &json!({ "data": { "plaintext": base64(&[7; 32]) } }))
        }
        Some(key) => Response::json(200, &json!({ "data": { "plaintext": base64(key.expose()) } })),
        None => errors(400, "cipher: message authentication failed"),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// RFC 4648, section 4, so that the other side is held against something else than itself.
fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let sextet = bits >> (18 - 6 * at) & 63;
            text.push(if at <= three.len() { char::from(ALPHABET[sextet as usize]) } else { '=' });
        }
    }
    text
}

fn unbase64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for four in text.as_bytes().chunks(4) {
        let used = four.iter().take_while(|byte| **byte != b'=').count();
        let value = |byte: &u8| ALPHABET.iter().position(|known| known == byte).expect("standard base64") as u32;
        let bits = four[..used].iter().fold(0, |bits, byte| bits << 6 | value(byte)) << (6 * (4 - used));
        bytes.extend(&bits.to_be_bytes()[1..used]);
    }
    assert_eq!(base64(&bytes), text, "padded, in one way");
    bytes
}

fn init(room: &Room, url: &str) -> super::Finished {
    room.run(&[
        "keys",
        "init",
        "--protect",
        "vault-transit",
        "--vault-address",
        url,
        "--vault-key",
        "cloakroom",
        "--vault-namespace",
        "team/a",
    ])
}

#[test]
fn a_vault_protects_the_key_file() {
    let vault = Vault::start();
    let mut room = Room::without_keys();
    refused(&init(&room, &vault.server.url), &[2], "there is no token");
    refused(&init(&room, "http://vault.example:8200"), &[2], "https://");
    // As `vault login` leaves it.
    secret(&room, ".vault-token", &format!("{TOKEN}\n"));
    assert!(init(&room, &vault.server.url).expect_code(0).out().contains("transit/cloakroom of the Vault at"));
    assert_eq!(vault.calls(), ["encrypt", "decrypt", "decrypt"], "wrapped, bound, opens");
    std::fs::remove_file(room.path(".vault-token")).unwrap();
    room.set("VAULT_TOKEN", TOKEN);
    let file = key_file(&room);
    assert_eq!(
        file["protected_by"],
        json!({ "vault_transit": { "address": vault.server.url, "mount": "transit", "key": "cloakroom", "namespace": "team/a" } })
    );
    assert!(file["keys"][0]["wrapped"].as_str().unwrap().starts_with("vault:v1:"));

    // Each run is a start: one call for each root key, none for records and people.
    let first = token(&protect(&room));
    assert_eq!(vault.calls(), ["decrypt"]);
    room.run(&["keys", "rotate"]).expect_code(0);
    assert_eq!(vault.calls(), ["decrypt", "encrypt", "decrypt", "decrypt"], "the old key is not wrapped again");
    assert_eq!(key_file(&room)["keys"][1]["wrapped"], file["keys"][0]["wrapped"]);
    assert_eq!(token(&protect(&room)), first);
    assert_eq!(vault.calls(), ["decrypt", "decrypt"]);
    room.run(&["keys", "export-check"]).expect_code(0);
    let status = room.run(&["keys", "status"]).expect_code(0).out();
    assert!(status.contains("protected by: the Transit key transit/cloakroom"), "{status}");

    // To a passphrase and back: the Vault is asked for the old keys, then for the new wrapping.
    let new = secret(&room, "new.txt", super::RIGHT);
    vault.calls();
    room.run(&["keys", "rewrap", "--protect", "passphrase", "--new-passphrase-file", &new]).expect_code(0);
    assert_eq!(vault.calls(), ["decrypt", "decrypt"]);
    let back = [
        "keys",
        "rewrap",
        "--protect",
        "vault-transit",
        "--passphrase-file",
        &new,
        "--vault-address",
        &vault.server.url,
        "--vault-key",
        "cloakroom",
        "--vault-namespace",
        "team/a",
    ];
    room.run(&back).expect_code(0);
    assert_eq!(vault.calls(), ["encrypt", "decrypt", "decrypt", "encrypt", "decrypt", "decrypt"]);
    assert_eq!(token(&protect(&room)), first);
    room.run(&["audit", "verify"]).expect_code(0);
}

#[test]
fn a_vault_that_does_not_answer_well_opens_and_writes_nothing() {
    let vault = Vault::start();
    let mut room = Room::without_keys();
    room.set("VAULT_TOKEN", TOKEN);
    for (mood, code, words) in [
        (Mood::IgnoresAssociatedData, 2, "does not bind associated data"),
        (Mood::Denies, 4, "denies it (403)"),
        (Mood::KeyDeleted, 2, "no Transit key of this name"),
        (Mood::NoMount, 2, "no Transit engine is mounted"),
        (Mood::Redirects, 2, "redirect, which is not followed"),
        (Mood::Rambles, 3, "not what Transit makes"),
        (Mood::GivesOtherKeys, 2, "does not bind associated data"),
    ] {
        vault.is(mood);
        if mood != Mood::GivesOtherKeys {
            refused(&init(&room, &vault.server.url), &[code], words);
            assert!(!room.home().join("keys.json").exists());
        }
    }
    vault.is(Mood::Well);
    init(&room, &vault.server.url).expect_code(0);
    protect(&room).expect_code(0);

    let before = common_files(&room);
    for (mood, code, words) in [
        (Mood::Denies, 4, "denies it (403)"),
        (Mood::KeyDeleted, 2, "no Transit key of this name"),
        (Mood::Sealed, 3, "sealed or in maintenance (503)"),
        (Mood::Throttles(u32::MAX), 3, "throttles (429)"),
        (Mood::GivesOtherKeys, 3, "does not match its key"),
        (Mood::Rambles, 3, "not what Transit makes"),
    ] {
        vault.is(mood);
        refused(&protect(&room), &[code], words);
        if code != 3 {
            refused(&room.run(&["keys", "rotate"]), &[code], words);
        }
        assert!(before == common_files(&room), "something was written: {words}");
    }
    // A few refusals are waited out.
    vault.is(Mood::Throttles(3));
    vault.calls();
    protect(&room).expect_code(0);
    assert_eq!(vault.calls().len(), 4);

    // Two keys in each other's place: each is bound to its name.
    room.run(&["keys", "rotate"]).expect_code(0);
    let good = key_file(&room);
    let mut swapped = good.clone();
    swapped["keys"][0]["wrapped"] = good["keys"][1]["wrapped"].clone();
    swapped["keys"][1]["wrapped"] = good["keys"][0]["wrapped"].clone();
    std::fs::write(room.home().join("keys.json"), swapped.to_string()).unwrap();
    refused(&protect(&room), &[3], "belongs to another name");
    std::fs::write(room.home().join("keys.json"), good.to_string()).unwrap();
    protect(&room).expect_code(0);

    drop(vault);
    refused(&protect(&room), &[3], "cannot connect");
}

fn common_files(room: &Room) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    super::common::files_below(&room.home())
}

/// The same against a real server, where there is one.
#[test]
fn a_real_vault_protects_the_key_file() {
    let (Ok(url), Ok(root)) = (std::env::var("CLOAKROOM_TEST_VAULT_URL"), std::env::var("CLOAKROOM_TEST_VAULT_TOKEN"))
    else {
        println!("no CLOAKROOM_TEST_VAULT_URL: not tried");
        return;
    };
    let api = |method: &str, path: &str, body: &Value| {
        let headers = [("x-vault-token".to_owned(), root.clone())].into();
        let body = body.to_string().into_bytes();
        let answer = send(&url, &Request { method: method.to_owned(), path: path.to_owned(), headers, body });
        assert!(answer.status < 300, "{path}: {}", String::from_utf8_lossy(&answer.body));
    };
    let key = format!("cloakroom-{}", std::process::id());
    api("POST", &format!("/v1/transit/keys/{key}"), &json!({ "type": "aes256-gcm96" }));
    let mut room = Room::without_keys();
    room.set("VAULT_TOKEN", &root);
    let init = |key: &str| {
        room.run(&["keys", "init", "--protect", "vault-transit", "--vault-address", &url, "--vault-key", key])
    };
    // A key that takes no associated data.
    api("POST", &format!("/v1/transit/keys/{key}-rsa"), &json!({ "type": "rsa-2048" }));
    refused(&init(&format!("{key}-rsa")), &[2], "AEAD");
    init(&key).expect_code(0);
    let first = token(&protect(&room));
    room.run(&["keys", "rotate"]).expect_code(0);
    assert_eq!(token(&protect(&room)), first);

    let good = key_file(&room);
    let mut swapped = good.clone();
    swapped["keys"][0]["wrapped"] = good["keys"][1]["wrapped"].clone();
    std::fs::write(room.home().join("keys.json"), swapped.to_string()).unwrap();
    refused(&protect(&room), &[3], "belongs to another name");
    std::fs::write(room.home().join("keys.json"), good.to_string()).unwrap();

    // A new version of the Transit key: what the old one wrapped opens until it may not.
    api("POST", &format!("/v1/transit/keys/{key}/rotate"), &json!({}));
    assert_eq!(token(&protect(&room)), first);
    api("POST", &format!("/v1/transit/keys/{key}/config"), &json!({ "min_decryption_version": 2 }));
    refused(&protect(&room), &[4], "min_decryption_version");
    api(
        "POST",
        &format!("/v1/transit/keys/{key}/config"),
        &json!({ "min_decryption_version": 1, "deletion_allowed": true }),
    );
    assert_eq!(token(&protect(&room)), first);

    room.set("VAULT_TOKEN", "hvs.not-a-token");
    refused(&protect(&room), &[4], "denies it (403)");
    room.set("VAULT_TOKEN", &root);
    api("DELETE", &format!("/v1/transit/keys/{key}"), &json!({}));
    refused(&protect(&room), &[2], "no Transit key of this name");
}
