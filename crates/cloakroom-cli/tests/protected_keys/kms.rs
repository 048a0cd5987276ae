//! AWS KMS, as moto has it, behind a proxy that counts, fails on demand, and heeds the state of a key, which moto only
//! keeps.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::server::{Request, Response, Server, send};
use super::{Finished, Room, key_file, protect, refused, secret, token};

const REGION: &str = "eu-west-1";

/// `http://127.0.0.1:…` of moto.
fn moto() -> String {
    std::env::var("CLOAKROOM_TEST_AWS_URL").expect("CLOAKROOM_TEST_AWS_URL; run the tests with `make test`")
}

/// One call of KMS. moto finds the service by the scope of the signature and does not check it.
fn call(action: &str, body: &Value) -> Response {
    let headers = BTreeMap::from([
        ("x-amz-target".to_owned(), format!("TrentService.{action}")),
        ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
        (
            "authorization".to_owned(),
            format!(
                "AWS4-HMAC-SHA256 Credential=test/20260101/{REGION}/kms/aws4_request, SignedHeaders=host, Signature=0"
            ),
        ),
    ]);
    let body = body.to_string().into_bytes();
    send(&moto(), &Request { method: "POST".to_owned(), path: "/".to_owned(), headers, body })
}

fn kms(action: &str, body: &Value) -> Value {
    let answer = call(action, body);
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!(answer.status, 200, "{action}: {text}");
    serde_json::from_str(&text).unwrap_or_default()
}

fn new_key() -> String {
    let made = kms("CreateKey", &json!({ "Description": "test" }));
    made["KeyMetadata"]["KeyId"].as_str().unwrap().to_owned()
}

/// What the proxy answers instead of passing on.
#[derive(Default)]
struct Faults {
    /// Status and code of the next answers.
    next: Vec<(u16, &'static str)>,
    /// Calls that pass before anything else.
    pass: usize,
    /// After those, for ever.
    always: Option<(u16, &'static str)>,
    /// Action and body of what was passed on.
    calls: Vec<(String, Value)>,
}

struct Proxy {
    server: Server,
    faults: Arc<Mutex<Faults>>,
}

impl Proxy {
    fn start() -> Self {
        let faults = Arc::new(Mutex::new(Faults::default()));
        let shared = Arc::clone(&faults);
        let server = Server::start(move |request| {
            let mut faults = shared.lock().unwrap();
            let passes = faults.pass > 0;
            faults.pass = faults.pass.saturating_sub(1);
            let next = if passes { None } else { faults.next.pop().or(faults.always) };
            if let Some((status, code)) = next {
                return Response::json(status, &json!({ "__type": code, "message": "S3cretMarker" }));
            }
            let action = request.headers["x-amz-target"].trim_start_matches("TrentService.").to_owned();
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let state = call("DescribeKey", &json!({ "KeyId": body["KeyId"] }));
            let state: Value = serde_json::from_slice(&state.body).unwrap_or_default();
            match state["KeyMetadata"]["KeyState"].as_str() {
                Some("Disabled") => return Response::json(400, &json!({ "__type": "DisabledException" })),
                Some("PendingDeletion") => {
                    return Response::json(400, &json!({ "__type": "KMSInvalidStateException" }));
                }
                _ => {}
            }
            faults.calls.push((action, body));
            send(&moto(), request)
        });
        Self { server, faults }
    }

    fn fails(&self, next: &[(u16, &'static str)], always: Option<(u16, &'static str)>) {
        let mut faults = self.faults.lock().unwrap();
        faults.next = next.to_vec();
        faults.always = always;
    }

    fn fails_after(&self, calls: usize, always: (u16, &'static str)) {
        let mut faults = self.faults.lock().unwrap();
        (faults.pass, faults.always) = (calls, Some(always));
    }

    /// The actions since it was asked last.
    fn calls(&self) -> Vec<String> {
        self.bodies().into_iter().map(|(action, _)| action).collect()
    }

    fn bodies(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.faults.lock().unwrap().calls)
    }
}

/// With credentials that moto takes, and no machine to ask for others.
fn room() -> Room {
    let mut room = Room::without_keys();
    room.set("AWS_ACCESS_KEY_ID", "test");
    room.set("AWS_SECRET_ACCESS_KEY", "test");
    room.set("AWS_EC2_METADATA_DISABLED", "true");
    room
}

fn init(room: &Room, proxy: &Proxy, key: &str) -> Finished {
    room.run(&[
        "keys",
        "init",
        "--protect",
        "aws-kms",
        "--kms-key",
        key,
        "--kms-region",
        REGION,
        "--kms-endpoint",
        &proxy.server.url,
    ])
}

#[test]
fn kms_protects_the_key_file() {
    let (proxy, mut room) = (Proxy::start(), room());
    let key = new_key();
    let alias = format!("alias/cloakroom-{key}");
    kms("CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": key }));

    assert!(init(&room, &proxy, &alias).expect_code(0).out().contains(&format!("the KMS key {alias} in {REGION}")));
    let calls = proxy.bodies();
    let file = key_file(&room);
    let kid = file["keys"][0]["kid"].as_str().unwrap();
    assert_eq!(calls.iter().map(|(action, _)| action.as_str()).collect::<Vec<_>>(), ["Encrypt", "Decrypt"]);
    for (_, body) in &calls {
        assert_eq!(body["EncryptionContext"], json!({ "purpose": "cloakroom-root-key", "kid": kid }));
        assert_eq!(body["KeyId"], json!(alias));
    }
    let expected = json!({ "aws_kms": { "key": alias, "region": REGION, "endpoint": proxy.server.url } });
    assert_eq!(file["protected_by"], expected);

    // Each run is a start: one call for each root key, none for records and people.
    let first = token(&protect(&room));
    assert_eq!(proxy.calls(), ["Decrypt"]);
    room.run(&["keys", "rotate"]).expect_code(0);
    assert_eq!(proxy.calls(), ["Decrypt", "Encrypt", "Decrypt"], "the old key is not wrapped again");
    assert_eq!(key_file(&room)["keys"][1]["wrapped"], file["keys"][0]["wrapped"]);
    assert_eq!(token(&protect(&room)), first, "pseudonyms still join");
    assert_eq!(proxy.calls(), ["Decrypt", "Decrypt"]);
    room.run(&["keys", "export-check"]).expect_code(0);
    let status = room.run(&["keys", "status", "--output", "json"]).expect_code(0).json();
    assert_eq!(status["protected_by"], expected);

    // Under a passphrase, under another KMS key, in clear.
    let new = secret(&room, "new.txt", super::RIGHT);
    room.run(&["keys", "rewrap", "--protect", "passphrase", "--new-passphrase-file", &new]).expect_code(0);
    room.set("CLOAKROOM_PASSPHRASE", super::RIGHT);
    assert_eq!(token(&protect(&room)), first);
    let other = new_key();
    proxy.calls();
    room.set("AWS_REGION", REGION);
    room.run(&["keys", "rewrap", "--protect", "aws-kms", "--kms-key", &other, "--kms-endpoint", &proxy.server.url])
        .expect_code(0);
    assert_eq!(proxy.calls(), ["Encrypt", "Decrypt", "Encrypt", "Decrypt"]);
    assert_eq!(key_file(&room)["protected_by"]["aws_kms"]["region"], REGION, "kept, wherever the next program runs");
    room.set("AWS_REGION", "us-east-1");
    assert_eq!(token(&protect(&room)), first);
    room.run(&["keys", "rewrap", "--protect", "none"]).expect_code(0);
    proxy.calls();
    assert_eq!(token(&protect(&room)), first);
    assert!(proxy.calls().is_empty());
    room.run(&["audit", "verify"]).expect_code(0);
}

#[test]
fn throttling_is_waited_out_and_not_for_ever() {
    let (proxy, room) = (Proxy::start(), room());
    let key = new_key();
    init(&room, &proxy, &key).expect_code(0);
    let first = token(&protect(&room));
    for code in [(400, "ThrottlingException"), (500, "KMSInternalException"), (503, "ServiceUnavailable")] {
        proxy.fails(&[code; 3], None);
        assert_eq!(token(&protect(&room)), first, "{code:?}");
    }
    let before = super::common::files_below(&room.home());
    for (code, words) in [
        ((400, "ThrottlingException"), "AWS throttles (ThrottlingException)"),
        ((503, "ServiceUnavailable"), "AWS answers 503"),
        ((500, "KeyUnavailableException"), "KMS cannot use the key now"),
    ] {
        proxy.fails(&[], Some(code));
        for finished in [protect(&room), room.run(&["keys", "rotate"])] {
            refused(&finished, &[3], words);
            assert!(!finished.err().contains("S3cretMarker"), "{finished}");
        }
        assert!(before == super::common::files_below(&room.home()), "something was written: {words}");
    }
    // Opened, and then throttled when the new key is to be wrapped, or when what was wrapped is tried.
    for passed in [1, 2] {
        proxy.fails_after(passed, (400, "ThrottlingException"));
        refused(&room.run(&["keys", "rotate"]), &[3], "AWS throttles");
        assert!(before == super::common::files_below(&room.home()), "something was written after {passed} calls");
    }
    proxy.fails(&[], None);
    assert_eq!(token(&protect(&room)), first);
}

#[test]
fn a_key_that_may_not_be_used_opens_and_writes_nothing() {
    let (proxy, mut room) = (Proxy::start(), room());
    let key = new_key();
    let id = json!({ "KeyId": key });
    refused(&init(&room, &proxy, "00000000-0000-0000-0000-000000000000"), &[2], "no such KMS key");
    refused(&init(&room, &proxy, "not a key"), &[2], "a KMS key is named by");
    assert!(!room.home().exists());
    init(&room, &proxy, &key).expect_code(0);
    let first = token(&protect(&room));
    let before = super::common::files_below(&room.home());
    let nothing_goes = |room: &Room, code: i32, words: &str| {
        for finished in
            [protect(room), room.run(&["keys", "rotate"]), room.run(&["keys", "rewrap", "--protect", "none"])]
        {
            refused(&finished, &[code], words);
        }
        assert!(before == super::common::files_below(&room.home()), "something was written: {words}");
    };

    // moto keeps the state of a key and goes on to use it; the proxy refuses as KMS does.
    kms("DisableKey", &id);
    nothing_goes(&room, 4, "the KMS key is disabled");
    kms("EnableKey", &id);
    assert_eq!(token(&protect(&room)), first);

    proxy.fails(&[], Some((400, "AccessDeniedException")));
    nothing_goes(&room, 4, "AWS denies it (AccessDeniedException)");
    proxy.fails(&[], Some((400, "ExpiredTokenException")));
    nothing_goes(&room, 4, "does not accept the credentials");
    proxy.fails(&[], None);

    room.set("AWS_ACCESS_KEY_ID", "");
    room.set("AWS_SECRET_ACCESS_KEY", "");
    nothing_goes(&room, 4, "no credentials for AWS");
    room.set("AWS_ACCESS_KEY_ID", "test");
    room.set("AWS_SECRET_ACCESS_KEY", "test");

    kms("ScheduleKeyDeletion", &json!({ "KeyId": key, "PendingWindowInDays": 7 }));
    nothing_goes(&room, 4, "waits to be deleted");
    kms("CancelKeyDeletion", &id);
    kms("EnableKey", &id);
    assert_eq!(token(&protect(&room)), first);

    drop(proxy);
    nothing_goes(&room, 3, "AWS cannot be reached");
}

#[test]
fn each_key_is_bound_to_its_name() {
    let (proxy, room) = (Proxy::start(), room());
    init(&room, &proxy, &new_key()).expect_code(0);
    room.run(&["keys", "rotate"]).expect_code(0);
    let good = key_file(&room);

    // KMS itself refuses another context, and none.
    let entry = &good["keys"][0];
    let decrypt = |context: Value| {
        let answer = call("Decrypt", &json!({ "CiphertextBlob": entry["wrapped"], "EncryptionContext": context }));
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    assert_eq!(decrypt(json!({ "purpose": "cloakroom-root-key", "kid": entry["kid"] })).0, 200);
    for wrong in [
        json!({ "purpose": "cloakroom-root-key", "kid": good["keys"][1]["kid"] }),
        json!({ "purpose": "another", "kid": entry["kid"] }),
        json!({ "kid": entry["kid"] }),
        json!({}),
    ] {
        let (status, body) = decrypt(wrong);
        assert!(status == 400 && body.contains("InvalidCiphertextException"), "{status} {body}");
    }

    let put = |file: &Value| std::fs::write(room.home().join("keys.json"), file.to_string()).unwrap();
    let mut swapped = good.clone();
    swapped["keys"][0]["wrapped"] = good["keys"][1]["wrapped"].clone();
    swapped["keys"][1]["wrapped"] = good["keys"][0]["wrapped"].clone();
    put(&swapped);
    refused(&protect(&room), &[3], "belongs to another name");
    for text in ["", "AAAA", "no base64", &"A".repeat(9000)] {
        let mut broken = good.clone();
        broken["keys"][0]["wrapped"] = json!(text);
        put(&broken);
        refused(&protect(&room), &[3], "key");
    }
    put(&good);
    protect(&room).expect_code(0);
}
