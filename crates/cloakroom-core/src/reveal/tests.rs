use super::*;
use crate::cloak::tests::{compile, run};
use crate::decode::parse_json_object;

/// Protects a record and gives what stands in the sink, and what opens it.
fn protected(yaml: &str, json: &str) -> (Revealer, Object) {
    let record = run(yaml, json).unwrap();
    (revealer(yaml), parse_json_object(record.as_bytes(), 64).unwrap())
}

fn revealer(yaml: &str) -> Revealer {
    compile(yaml).unwrap().revealer()
}

fn json(record: Object) -> String {
    to_json_string(&Value::Object(record))
}

/// Opens everything.
fn open_all(yaml: &str, record: &str, subject: &str) -> (String, Seen) {
    let (revealer, mut record) = protected(yaml, record);
    let seen = revealer.open(&mut record, subject, &mut |_, _| Some(RevealLevel::Full));
    (json(record), seen)
}

#[test]
fn what_was_encrypted_comes_back_wherever_it_stands() {
    for (yaml, record, expected) in [
        ("fields: { a: { protect: encrypt } }", r#"{"a":7,"b":"x"}"#, None),
        (
            "fields: { a: { protect: encrypt, as: z } }",
            r#"{"a":{"n":[1,null]},"b":"x"}"#,
            Some(r#"{"z":{"n":[1,null]},"b":"x"}"#),
        ),
        (
            "fields: { 'a.b': { protect: { encrypt: { pad: 16 } } }, a: { as: z } }",
            r#"{"a":{"b":true}}"#,
            Some(r#"{"z":{"b":true}}"#),
        ),
        (
            "fields: { 'c[*].n': { protect: { encrypt: { algorithm: aes-256-gcm-siv } } } }",
            r#"{"c":[{"n":"1"},{"n":2}]}"#,
            None,
        ),
        (
            "fields: { 'c[0]': { protect: drop }, 'c[*]': { protect: encrypt } }",
            r#"{"c":["x","y","z"]}"#,
            Some(r#"{"c":["y","z"]}"#),
        ),
        ("fields: { '*.ssn': { protect: { encrypt: deterministic } } }", r#"{"p":{"ssn":"078-05-1120"}}"#, None),
        (
            "fields: { a.b: { protect: { encrypt: { mode: deterministic, domain: d } } }, a: { flatten: '-' } }",
            r#"{"a":{"b":"s","c":1}}"#,
            Some(r#"{"a-b":"s","a-c":1}"#),
        ),
        (
            "record: { flatten: _ }\nfields: { a.b.c: { protect: { encrypt: { mode: deterministic, domain: d } }, as: q } }",
            r#"{"a":{"b":{"c":"s"}}}"#,
            Some(r#"{"a_b_q":"s"}"#),
        ),
        ("fields: { a: { protect: { token: digits } } }", r#"{"a":"4111-1111-1111-1111","b":1}"#, None),
        ("fields: { a: { protect: { token: digits } } }", r#"{"a":4111111111111111,"b":1}"#, None),
        ("fields: { a: { protect: { encrypt: { on_protected: keep } } } }", r#"{"a":"ck1.a"}"#, None),
    ] {
        for subject in ["", "subject: id\n"] {
            let record = record.replacen('{', r#"{"id":"p","#, 1);
            let expected = expected.map_or(record.clone(), |json| json.replacen('{', r#"{"id":"p","#, 1));
            let whose = if subject.is_empty() { "" } else { "p" };
            let (opened, seen) = open_all(&format!("{subject}{yaml}"), &record, whose);
            assert_eq!(opened, expected, "{yaml}");
            assert!(!seen.opened.is_empty() && seen.closed.is_empty() && seen.failed.is_empty());
        }
    }
}

#[test]
fn what_detection_has_replaced_comes_back() {
    let yaml = "detect: { everywhere: encrypt }";
    for record in [
        r#"{"text":"card 4111111111111111, mail jo.smith@mail.example-foo.org, end"}"#,
        r#"{"text":"ck1. and ck1.a. and 4111111111111111"}"#,
        r#"{"text":"{\"mail\":\"jo@mail.example.org\",\"n\":[\"4111111111111111\"]}"}"#,
        r#"{"card":"4111111111111111"}"#,
    ] {
        let (revealer, mut sealed) = protected(yaml, record);
        assert!(json(protected(yaml, record).1).contains("ck1.a."));
        let seen = revealer.open(&mut sealed, "", &mut |_, _| Some(RevealLevel::Full));
        assert_eq!(json(sealed), record);
        assert!(!seen.opened.is_empty() && seen.failed.is_empty());
    }
}

#[test]
fn only_what_is_chosen_opens_and_masked_is_masked() {
    let yaml = "fields: { card: { protect: encrypt, class: payment }, user.mail: { protect: encrypt }, ip: { protect: hmac } }";
    let record = r#"{"card":"4111-1111-1111-1111","user":{"mail":"jo@mail.example"},"ip":"192.0.2.1"}"#;
    let (revealer, mut sealed) = protected(yaml, record);
    let mut asked = Vec::new();
    let seen = revealer.open(&mut sealed, "", &mut |path, class| {
        asked.push((path.to_owned(), class.map(str::to_owned)));
        class.map(|_| RevealLevel::Masked)
    });
    assert_eq!(asked, [("card".to_owned(), Some("payment".to_owned())), ("user.mail".to_owned(), None)]);
    assert_eq!((seen.opened, seen.closed), (vec!["card".to_owned()], vec!["user.mail".to_owned()]));
    let opened = json(sealed);
    assert!(opened.starts_with(r#"{"card":"****-****-****-1111","user":{"mail":"ck1.a."#), "{opened}");
}

#[test]
fn a_value_that_was_moved_or_changed_stays_closed() {
    let yaml = "subject: id\nfields: { a: { protect: encrypt }, b: { protect: encrypt } }";
    let (revealer, record) = protected(yaml, r#"{"id":"p","a":"1","b":"2"}"#);
    let all = |record: &Object, subject: &str| {
        let mut record = record.clone();
        let seen = revealer.open(&mut record, subject, &mut |_, _| Some(RevealLevel::Full));
        let failed: Vec<_> = seen.failed.iter().map(|error| (error.path.clone(), error.error.clone())).collect();
        (seen.opened.len(), failed, record)
    };
    let failed = |path: &str| (path.to_owned(), CryptoError::Authentication);
    assert_eq!(all(&record, "p").0, 2);
    let (opened, errors, stays) = all(&record, "q");
    assert_eq!((opened, errors), (0, vec![failed("a"), failed("b")]));
    assert!(stays == record);
    let mut copied = record.clone();
    copied.members_mut()[2].1 = record.get("a").unwrap().clone();
    let (opened, errors, _) = all(&copied, "p");
    assert_eq!((opened, errors), (1, vec![failed("b")]));
    // Envelopes that somebody wrote into a text are no reason to keep the rest closed.
    let mut text = record.clone();
    let made_up = format!("see ck1.a.aaaaaaaa.{} there", "A".repeat(60));
    text.push("c".into(), Value::string(&made_up));
    let (opened, errors, record) = all(&text, "p");
    assert_eq!((opened, errors[0].0.as_str(), errors.len()), (2, "c", 1));
    assert_eq!(record.get("c").unwrap().as_str(), Some(&*made_up));
}

#[test]
fn whose_a_record_is() {
    let known = |yaml: &str, record: &str| {
        let (revealer, record) = protected(yaml, record);
        let text = match revealer.whose(&record) {
            Whose::Known(text) => text.to_string(),
            Whose::Nobodys => "nobody's".to_owned(),
            Whose::Unknown => "unknown".to_owned(),
        };
        (text, revealer.is_of(&record, "7"), revealer.is_of(&record, "8"))
    };
    let of = |text: &str, seven, eight| (text.to_owned(), seven, eight);
    assert_eq!(known("fields: {}", r#"{"id":"7"}"#), of("nobody's", None, None));
    assert_eq!(known("subject: id", r#"{"id":"7"}"#), of("7", Some(true), Some(false)));
    assert_eq!(known("subject: id\nfields: { id: { as: who } }", r#"{"id":7}"#), of("7", Some(true), Some(false)));
    assert_eq!(known("subject: u.id\nrecord: { flatten: _ }", r#"{"u":{"id":7}}"#), of("7", Some(true), Some(false)));
    let deterministic = "subject: id\nfields: { id: { protect: { encrypt: deterministic } } }";
    assert_eq!(known(deterministic, r#"{"id":7}"#), of("7", Some(true), Some(false)));
    let hashed = "subject: id\nfields: { id: { protect: hmac } }";
    assert_eq!(known(hashed, r#"{"id":"7"}"#), of("unknown", Some(true), Some(false)));
    for yaml in ["subject: id\nfields: { id: { protect: encrypt } }", "subject: id\nfields: { id: { protect: drop } }"]
    {
        assert_eq!(known(yaml, r#"{"id":"7"}"#), of("unknown", None, None), "{yaml}");
    }
}

#[test]
fn where_a_value_is_found() {
    let term = |yaml: &str, field: &str| {
        let revealer = revealer(yaml);
        let (path, values) = revealer.where_is(&FieldPath::parse(field).unwrap(), "7")?;
        Ok::<_, String>((path.to_string(), values.iter().map(to_json_string).collect::<Vec<_>>()))
    };
    assert_eq!(term("fields: { a: { as: z } }", "a"), Ok(("z".to_owned(), vec!["\"7\"".to_owned(), "7".to_owned()])));
    let (path, values) = term("fields: { a: { protect: encrypt, index: a_index } }", "a").unwrap();
    assert_eq!(path, "a_index");
    let stored = protected("fields: { a: { protect: encrypt, index: a_index } }", r#"{"a":"7"}"#).1;
    assert_eq!(values, [to_json_string(stored.get("a_index").unwrap())]);
    let stored = protected("fields: { a: { protect: hmac } }", r#"{"a":"7"}"#).1;
    let (path, values) = term("fields: { a: { protect: hmac } }", "a").unwrap();
    assert!(path == "a" && values.contains(&to_json_string(stored.get("a").unwrap())));
    assert!(term("fields: { a: { protect: encrypt } }", "a").unwrap_err().contains("index:"));
}
