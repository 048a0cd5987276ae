#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use cloakroom_crypto::eax_scrypt::MasterKey;

use super::*;
use crate::decode::parse_json_object;
use crate::value::{Object, Value};

const RECORD: &str =
    r#"{"id":7,"username":"ada","cc":"4242-4242-4242-4242","ccv":"123","cuenta_numero":"10000001","x":[1.50]}"#;

fn object(json: &str) -> Object {
    parse_json_object(json.as_bytes(), 8).unwrap_or_else(|error| unreachable!("{error}"))
}

fn json(object: &Object) -> String {
    let mut out = Vec::new();
    crate::encode::write_object(object, &mut out);
    String::from_utf8(out).unwrap()
}

fn sealer(layout: Layout) -> Sealer {
    Sealer::new(Arc::new(MasterKey::new("master").unwrap()), layout)
}

fn without_hash() -> Layout {
    Layout { hashes: Vec::new(), ..Layout::original() }
}

fn document() -> Object {
    let mut sealed = sealer(without_hash()).seal(vec![object(RECORD)]);
    sealed.pop().unwrap().unwrap_or_else(|error| unreachable!("{error}"))
}

fn open(master: &str, document: Object) -> Result<Object, RecordError> {
    Opener::new(MasterKey::new(master).unwrap()).open(vec![document]).pop().unwrap()
}

fn error(document: Object) -> String {
    open("master", document).err().unwrap().to_string()
}

fn with(mut document: Object, name: &str, value: Option<Value>) -> Object {
    let members = document.members_mut();
    let at = members.iter().position(|(key, _)| key == name).unwrap();
    match value {
        Some(value) => members[at].1 = value,
        None => drop(members.remove(at)),
    }
    document
}

#[test]
fn a_record_comes_back_from_its_document() {
    let sealed = sealer(Layout::original()).seal(vec![object(RECORD)]).pop().unwrap();
    let sealed = sealed.unwrap_or_else(|error| unreachable!("{error}"));
    let names: Vec<&str> = sealed.iter().map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "id",
            "username",
            "cc",
            "cc_tag",
            "cc_nonce",
            "hash_ccv",
            "ccv",
            "ccv_tag",
            "ccv_nonce",
            "cuenta_numero",
            "cuenta_tag",
            "cuenta_nonce",
            "x",
            "dek",
            "dek_tag",
            "dek_nonce",
            "kek_salt"
        ]
    );
    assert!(!json(&sealed).contains("4242"));
    let mut wrapped = object(r#"{"_index":"user","_id":"7"}"#);
    wrapped.push("_source".into(), Value::Object(sealed.clone()));
    for document in [sealed, wrapped] {
        assert_eq!(open("master", document).map(|plain| json(&plain)).ok().as_deref(), Some(RECORD));
    }
}

#[test]
fn batches_keep_their_order_and_their_refusals() {
    let records = (0..20).map(|number| {
        let record =
            RECORD.replace("\"ada\"", &format!("\"user{number}\"")).replace("\"123\"", &format!("\"{number}\""));
        object(&if number == 5 { record.replace("\"ccv\"", "\"ccx\"") } else { record })
    });
    let sealed = sealer(without_hash()).seal(records.collect());
    assert_eq!(sealed.iter().filter(|document| document.is_err()).count(), 1);
    assert_eq!(sealed[5].as_ref().err().unwrap().to_string(), "missing field: ccv");
    let documents = sealed.into_iter().enumerate().map(|(at, document)| match document {
        Ok(document) if at != 9 => document,
        _ => Object::default(),
    });
    let opened = Opener::new(MasterKey::new("master").unwrap()).open(documents.collect());
    for (at, plain) in opened.iter().enumerate() {
        match plain {
            Ok(plain) => assert_eq!(plain.get("ccv").and_then(Value::as_str), Some(at.to_string().as_str())),
            Err(_) => assert!(at == 5 || at == 9, "{at}"),
        }
    }
}

#[test]
fn every_damage_has_its_own_message() {
    let text = |text: &str| Some(Value::string(text));
    for (name, value, message) in [
        ("username", text("adb"), "key not available (the document's key does not open"),
        ("username", None, "missing field (`username` is missing"),
        ("username", Some(Value::Null), "wrong type: username (a text was expected, not a null)"),
        ("dek", None, "missing field (`dek` is missing"),
        ("dek_nonce", None, "missing field (`dek_nonce` is missing"),
        ("kek_salt", None, "missing field (`kek_salt` is missing"),
        ("kek_salt", text("AAAA"), "invalid format (`kek_salt` does not have 32 bytes)"),
        ("dek_tag", text("AAECAwQFBgcICQoLDA0ODw=="), "key not available"),
        ("cc_tag", None, "missing field (`cc_tag` is missing"),
        ("cuenta_nonce", None, "missing field (`cuenta_nonce` is missing"),
        ("cc", None, "missing field (`cc` is missing"),
        ("cc_tag", text("AAECAwQFBgcICQoLDA0ODw=="), "not authentic (`cc` does not open"),
        ("ccv", text("AAAA"), "not authentic (`ccv` does not open"),
        ("ccv", text("AAA"), "invalid format (`ccv` is not base64"),
        ("cuenta_nonce", Some(Value::Bool(true)), "wrong type: cuenta_nonce (a text was expected, not a boolean)"),
    ] {
        let message_found = error(with(document(), name, value));
        assert!(message_found.starts_with(message), "{name}: {message_found}");
    }
    let wrong = open("mastes", document()).err().unwrap();
    assert_eq!(wrong.kind, RecordErrorKind::Key);
}

/// The format has no associated data. SECURITY.md says so; this holds it to what it says.
#[test]
fn two_fields_that_changed_places_are_not_noticed() {
    let swapped = json(&document()).replace("\"cc", "\"#").replace("\"#v", "\"cc").replace("\"#", "\"ccv");
    let plain = open("master", object(&swapped)).unwrap_or_else(|error| unreachable!("{error}"));
    assert_eq!(plain.get("cc").and_then(Value::as_str), Some("123"));
    // Of two documents, though, no field fits the other.
    let other = document();
    let foreign = with(document(), "cc", other.get("cc").cloned());
    assert!(error(foreign).starts_with("not authentic (`cc` does not open"));
}

#[test]
fn documents_without_a_field_open_and_records_without_one_are_not_written() {
    let mut less = document();
    less.members_mut().retain(|(name, _)| !name.starts_with("cuenta"));
    assert!(open("master", less).is_ok());
    for (record, message) in [
        (RECORD.replace("\"ada\"", "\"\""), "missing field: username"),
        (RECORD.replace("\"123\"", "123"), "wrong type: ccv (the document seals texts, and this is a number)"),
        (RECORD.replace("\"x\"", "\"dek\""), "name conflict: dek"),
        (RECORD.replace("\"x\"", "\"cuenta_tag\""), "name conflict: cuenta_tag"),
    ] {
        let found = sealer(without_hash()).seal(vec![object(&record)]).pop().unwrap().err().unwrap().to_string();
        assert!(found.starts_with(message), "{found}");
    }
}
