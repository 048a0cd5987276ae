use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;

use super::*;
use crate::decode::Format;
use crate::keys::{KeyProvider, LocalKeys};
use crate::policy::{DetectConfig, FieldConfig, PolicyConfig, RecordConfig};
use crate::{PolicyError, located::Located, located::OrderedMap};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    subject: Option<Located<String>>,
    #[serde(default)]
    record: RecordConfig,
    #[serde(default)]
    fields: OrderedMap<FieldConfig>,
    detect: Option<DetectConfig>,
}

pub(crate) fn compile(yaml: &str) -> Result<Cloak, PolicyError> {
    let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
    let keys: Arc<dyn KeyProvider> = Arc::new(LocalKeys::new(Arc::new(ring)).unwrap());
    compile_with(yaml, &keys)
}

fn compile_with(yaml: &str, keys: &Arc<dyn KeyProvider>) -> Result<Cloak, PolicyError> {
    let file: File = serde_saphyr::from_str(yaml).unwrap();
    let config = PolicyConfig {
        tenant: "t".to_owned(),
        collection: "c".to_owned(),
        subject: file.subject,
        record: file.record,
        fields: file.fields,
        detect: file.detect,
        reveal: None,
        envelope: None,
        tokens: None,
    };
    Policy::compile(&config, Some(keys)).map(|policy| Cloak::new(Arc::new(policy)))
}

#[path = "cloak/batch_tests.rs"]
mod batch_tests;

pub(crate) fn id() -> RecordId {
    RecordId { partition: "test".into(), position: crate::Place::Offset { byte: 0, number: 1 } }
}

pub(crate) fn run(yaml: &str, json: &str) -> Result<String, String> {
    let cloak = compile(yaml).unwrap();
    let bytes = Bytes::copy_from_slice(json.as_bytes());
    let payload = match cloak.policy().format() {
        Format::KeyValue => Payload::KeyValue(bytes),
        _ => Payload::Json(bytes),
    };
    let record = cloak.process(id(), &payload, IngestTime::from_unix_seconds(1_700_000_000));
    record.map_err(|error| error.to_string()).map(|record| {
        let mut out = Vec::new();
        record.write_json(&mut out);
        String::from_utf8(out).unwrap()
    })
}

pub(super) fn is(yaml: &str, json: &str, expected: &str) {
    assert_eq!(run(yaml, json).as_deref(), Ok(expected), "{yaml}");
}

pub(super) fn refused(yaml: &str, json: &str, reason: &str) {
    match run(yaml, json) {
        Ok(_) => panic!("accepted: {yaml}"),
        Err(error) => assert!(error.starts_with(reason), "{error}"),
    }
}

#[test]
fn an_empty_policy_keeps_the_record_as_it_is() {
    is("{}", r#"{"b":1.50,"a":[null,{"x":"é"}]}"#, r#"{"b":1.50,"a":[null,{"x":"é"}]}"#);
}

#[test]
fn fields_are_renamed_protected_and_set_in_order() {
    let yaml = "
fields:
  ip: { protect: { mask: ip }, as: masked_ip }
  gone: { protect: drop }
  day: { set: ingest_date }
  at: { set: ingest_time }
  kind: { set: { constant: login } }
  n: { set: { constant: 7 } }
";
    is(
        yaml,
        r#"{"ip":"192.0.2.7","gone":1,"day":"late","x":true}"#,
        r#"{"masked_ip":"192.0.2.0/24","x":true,"day":"2023-11-14","at":"2023-11-14T22:13:20Z","kind":"login","n":7}"#,
    );
}

#[test]
fn a_bare_null_is_the_protection_of_that_name() {
    for null in ["null", "~", "\"null\"", ""] {
        is(&format!("fields:\n  a:\n    protect: {null}\n"), r#"{"a":"x"}"#, r#"{"a":null}"#);
    }
}

#[test]
fn paths_of_ciphertexts_are_those_of_the_protected_record() {
    use cloakroom_crypto::envelope::{Place as Where, open_any_type};
    let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
    let key = ring.data_key(crate::keys::VALUE_PURPOSE).unwrap();
    let opens = |yaml: &str, json: &str, path: &str| {
        let record: serde_json::Value = serde_json::from_str(&run(yaml, json).unwrap()).unwrap();
        let sealed = record.to_string();
        let sealed = &sealed[sealed.find("ck1.").unwrap()..];
        let sealed = &sealed[..sealed.find('"').unwrap()];
        let place = Where { tenant: "t", collection: "c", path, subject: "" };
        assert!(open_any_type(&key, &place, sealed).is_ok(), "{yaml}");
    };
    opens("fields: { a: { protect: encrypt, as: b } }", r#"{"a":1}"#, "b");
    opens("fields: { 'l[0]': { protect: drop }, 'l[1]': { protect: encrypt } }", r#"{"l":[1,2]}"#, "l[0]");
    opens("record: { flatten: _ }\nfields: { a.b: { protect: encrypt } }", r#"{"a":{"b":1}}"#, "a_b");
    opens("fields: { a: { flatten: '-' }, a.b: { protect: encrypt } }", r#"{"a":{"b":1}}"#, "a-b");
}

#[test]
fn a_blind_index_stands_beside_what_is_encrypted() {
    let index = |yaml: &str, json: &str, name: &str| {
        let record: serde_json::Value = serde_json::from_str(&run(yaml, json).unwrap()).unwrap();
        assert!(!record.to_string().contains("Ana@"), "{record}");
        record.pointer(name).cloned().unwrap_or(serde_json::Value::Null)
    };
    let yaml = "fields: { email: { protect: encrypt, index: email_bidx } }";
    let one = index(yaml, r#"{"email":"Ana@example.com","x":1}"#, "/email_bidx");
    assert_eq!(one.as_str().map(str::len), Some(22), "128 bits");
    assert_eq!(index(yaml, r#"{"email":"Ana@example.com"}"#, "/email_bidx"), one, "equal values are found");
    assert_ne!(index(yaml, r#"{"email":"ana@example.com"}"#, "/email_bidx"), one);
    assert_eq!(index(yaml, r#"{"email":null}"#, "/email_bidx"), serde_json::Value::Null);
    assert_eq!(run(yaml, r#"{"x":1}"#).as_deref(), Ok(r#"{"x":1}"#), "no value, no index");
    refused(yaml, r#"{"email":"a","email_bidx":"b"}"#, "name conflict");
    refused(yaml, r#"{"email":["a"]}"#, "protection failed: email (");

    let even = "fields: { email: { protect: drop, index: { as: i, bits: 256, domain: email, normalize: [trim, lowercase] } } }";
    let of = |text: &str| index(even, &format!("{{\"email\":\"{text}\"}}"), "/i");
    assert_eq!(of(" Ana@Example.com "), of("ana@example.com"));
    assert!(of("ana@example.com").as_str().unwrap().len() == 43);
    assert_eq!(of("  "), serde_json::Value::Null);
    let digits = "fields: { tel: { protect: encrypt, index: { as: i, normalize: [digits] } } }";
    assert_eq!(index(digits, r#"{"tel":"+34 600-123"}"#, "/i"), index(digits, r#"{"tel":34600123}"#, "/i"));
    assert_ne!(index(digits, r#"{"tel":"1"}"#, "/i"), index(&digits.replace("tel", "fax"), r#"{"fax":"1"}"#, "/i"));
}

#[test]
fn a_blind_index_goes_where_its_value_goes() {
    for (yaml, json, expected) in [
        (
            "fields: { 'l[*].n': { protect: drop, index: i } }",
            r#"{"l":[{"n":1},{"n":1,"m":2}]}"#,
            r#"{"l":[{"i":@},{"m":2,"i":@}]}"#,
        ),
        (
            "record: { flatten: _ }\nfields: { a.n: { protect: drop, index: { as: i, domain: 'l[*].n' } } }",
            r#"{"a":{"n":1}}"#,
            r#"{"a_i":@}"#,
        ),
        (
            "fields: { a: { flatten: '-' }, a.n: { protect: drop, index: { as: i, domain: 'l[*].n' } } }",
            r#"{"a":{"n":1}}"#,
            r#"{"a-i":@}"#,
        ),
        (
            "record: { unlisted: drop }\nfields: { n: { protect: redact, as: m, index: { as: i, domain: 'l[*].n' } } }",
            r#"{"n":1}"#,
            r#"{"m":"[REDACTED]","i":@}"#,
        ),
    ] {
        is(yaml, json, &expected.replace('@', "\"@\"").replace('@', &index_of_one()));
    }
    let columns: Vec<_> =
        compile("fields: { email: { protect: encrypt, index: { as: i, bits: 40 }, required: true, nullable: false } }")
            .unwrap()
            .policy()
            .columns()
            .iter()
            .map(|c| (c.name.clone(), c.column_type.map(FieldType::name), c.fixed_length, c.never_null))
            .collect();
    assert_eq!(columns, [("email".into(), Some("string"), None, true), ("i".into(), Some("string"), Some(7), false)]);
}

/// The index of `1` in the domain `l[*].n`.
fn index_of_one() -> String {
    let ring = cloakroom_crypto::keyring_from_env_value(&"0123456789abcdef".repeat(4)).unwrap();
    let mut index = String::new();
    ring.index_key("l[*].n").unwrap().index(b"1", 128, &mut index).unwrap();
    index
}

#[test]
fn what_is_protected_already_is_refused_with_its_field_or_passes() {
    let once = run("fields: { a: { protect: encrypt } }", r#"{"a":7}"#).unwrap();
    refused("fields: { a: { protect: hmac } }", &once, "protection failed: a (it is a ck1 envelope or token already");
    let keep = "fields: { a: { protect: { encrypt: { on_protected: keep } }, index: i } }";
    assert_eq!(run(keep, &once), Ok(once.clone()), "and an envelope has no index");
    assert!(run(keep, r#"{"a":7}"#).unwrap().contains("\"i\":\""));
}

#[test]
fn a_set_uuid_belongs_to_the_record() {
    let once = run("fields: { id: { set: uuid } }", "{}").unwrap();
    assert_eq!(run("fields: { id: { set: uuid } }", "{}").unwrap(), once);
    assert_ne!(
        run("fields: { id: { set: uuid } }", r#"{"x":1}"#).unwrap()[..45],
        once[..],
        "another content, another one"
    );
    assert!(once.len() == 45 && once.as_bytes()[21] == b'8', "{once}");
}

#[test]
fn required_fields_and_subjects_must_be_there() {
    let yaml = "record: { require: [ip, a.b] }";
    is(yaml, r#"{"ip":null,"a":{"b":1}}"#, r#"{"ip":null,"a":{"b":1}}"#);
    refused(yaml, r#"{"a":{"b":1}}"#, "missing field: ip");
    refused(yaml, r#"{"ip":1,"a":{}}"#, "missing field: a.b");
    refused(yaml, r#"{"ip":1,"a":7}"#, "missing field: a.b");
    refused("fields: { 'c[*].n': { required: true } }", r#"{"c":[{"n":1},{}]}"#, "missing field: c[*].n");
    refused("subject: who", r#"{"who":null}"#, "missing field: who");
    is("subject: who", r#"{"who":5}"#, r#"{"who":5}"#);
}

#[test]
fn types_are_strict() {
    for (kind, good, bad) in [
        ("string", "\"x\"", "1"),
        ("integer", "12345678901234567890123", "1.0"),
        ("number", "1e5", "\"1\""),
        ("boolean", "true", "\"true\""),
        ("date", "\"2024-02-29\"", "\"2023-02-29\""),
        ("timestamp", "\"2024-02-29T10:00:00Z\"", "\"2024-02-29\""),
        ("object", "{}", "[]"),
        ("array", "[]", "{}"),
    ] {
        let yaml = format!("fields: {{ v: {{ type: {kind} }} }}");
        assert!(run(&yaml, &format!("{{\"v\":{good}}}")).is_ok(), "{kind}");
        assert!(run(&yaml, "{\"v\":null}").is_ok(), "null is allowed for {kind}");
        refused(&yaml, &format!("{{\"v\":{bad}}}"), "wrong type: v");
        refused(&format!("fields: {{ v: {{ type: {kind}, nullable: false }} }}"), "{\"v\":null}", "wrong type: v");
    }
    refused("fields: { v: { max_length: 3 } }", "{\"v\":\"ñandú\"}", "text too long: v (5 characters");
    is("fields: { v: { max_length: 5 } }", "{\"v\":\"ñandú\"}", "{\"v\":\"ñandú\"}");
}

#[test]
fn textual_formats_are_read_by_type() {
    let yaml = "
record: { format: key_value }
fields: { n: { type: integer }, b: { type: boolean }, d: { type: date } }
";
    is(yaml, "n=70\nb=true\nd=\ns=5", r#"{"n":70,"b":true,"d":null,"s":"5"}"#);
    is(yaml, "n=\nb=\nd=2024-02-29", r#"{"n":null,"b":null,"d":"2024-02-29"}"#);
    refused(yaml, "n=seven", "wrong type: n");
    refused(yaml, "n=007", "wrong type: n");
}

#[test]
fn dates_in_several_formats_become_one() {
    let yaml = "fields: { d: { date: { from: [iso8601, '%d/%m/%Y'] } } }";
    is(yaml, r#"{"d":"2021-07-31T00:11:06.741Z"}"#, r#"{"d":"2021-07-31 00:11:06"}"#);
    is(yaml, r#"{"d":"11/01/2022"}"#, r#"{"d":"2022-01-11 00:00:00"}"#);
    is(yaml, r#"{"d":null}"#, r#"{"d":null}"#);
    refused(yaml, r#"{"d":"yesterday"}"#, "invalid date: d");
    refused(yaml, r#"{"d":20210731}"#, "invalid date: d");
}

#[test]
fn wildcards_reach_everything_and_the_more_exact_rule_wins() {
    let yaml = "
fields:
  cards[*].number: { protect: { mask: pan } }
  cards[0].number: { protect: redact }
  '*.ssn': { protect: redact }
  home.ssn: { protect: drop }
  home.city: { type: string }
";
    is(
        yaml,
        r#"{"cards":[{"number":"4111111111111111"},{"number":"4111111111111111","x":1}],"work":{"ssn":"1"},"home":{"ssn":"1","city":"M"}}"#,
        r#"{"cards":[{"number":"[REDACTED]"},{"number":"************1111","x":1}],"work":{"ssn":"[REDACTED]"},"home":{"city":"M"}}"#,
    );
}

#[test]
fn unlisted_fields_are_kept_dropped_or_reason_to_reject() {
    let fields = "fields: { a: {}, b.c: {}, 'l[*].n': {} }";
    let json = r#"{"a":{"in":1},"b":{"c":1,"d":2},"l":[{"n":1,"m":2},3],"z":{"y":1}}"#;
    is(fields, json, json);
    is(&format!("record: {{ unlisted: drop }}\n{fields}"), json, r#"{"a":{"in":1},"b":{"c":1},"l":[{"n":1}]}"#);
    let reject = format!("record: {{ unlisted: reject }}\n{fields}");
    refused(&reject, json, "unlisted field: b.d");
    refused(&reject, r#"{"a":1,"secret@example.com":2}"#, "unlisted field: ? (");
    refused(&reject, r#"{"b":"not an object"}"#, "unlisted field: b");
    is(&reject, r#"{"a":1,"b":{"c":2}}"#, r#"{"a":1,"b":{"c":2}}"#);
}

#[test]
fn flattening_joins_names_and_sees_conflicts() {
    is("record: { flatten: _ }", r#"{"a":{"b":{"c":1},"d":[{"e":1}]}}"#, r#"{"a_b_c":1,"a_d":[{"e":1}]}"#);
    refused("record: { flatten: _ }", r#"{"a":{"b":1},"a_b":2}"#, "name conflict");
    is("fields: { a: { flatten: '.' } }", r#"{"a":{"b":{"c":1}},"x":{"y":2}}"#, r#"{"x":{"y":2},"a.b.c":1}"#);
    is(
        "fields: { a.b: { protect: redact, as: q } }\nrecord: { flatten: _ }",
        r#"{"a":{"b":7}}"#,
        r#"{"a_q":"[REDACTED]"}"#,
    );
    refused("fields: { a: { as: b } }", r#"{"a":1,"b":2}"#, "name conflict");
    refused("fields: { a: { as: b } }", r#"{"b":1,"a":2}"#, "name conflict");
    is("fields: { a: { as: b }, b: { as: a } }", r#"{"a":1,"b":2}"#, r#"{"b":1,"a":2}"#);
}

#[test]
fn a_protection_error_rejects_the_record() {
    refused(
        "fields: { ip: { protect: { mask: ip } } }",
        r#"{"ip":"not an address"}"#,
        "protection failed: ip (not an IP",
    );
    refused("fields: { a: { protect: hmac } }", r#"{"a":{}}"#, "protection failed: a");
    refused("fields: { a: { protect: block } }", r#"{"a":1}"#, "blocked by policy: a");
}

#[test]
fn mistakes_are_found_when_the_policy_is_compiled() {
    for (yaml, expected, line) in [
        ("fields:\n  a..b: {}\n", "no field path", 2),
        ("fields:\n  a: { as: x }\n  x: {}\n", "would both become `x`", 3),
        ("fields:\n  a: { set: uuid, protect: redact }\n", "`set` replaces", 2),
        ("fields:\n  'a[*]': { set: uuid }\n", "not a wildcard", 2),
        ("fields:\n  a:\n    protect: { hash: md5 }\n", "allow_reversible", 3),
        ("fields:\n  a: { protect: { date_shift: 5 } }\n", "subject", 2),
        ("fields:\n  a: { date: { from: [iso8610] } }\n", "did you mean `iso8601`", 2),
        ("fields:\n  a: { index: i }\n", "beside a protected value", 2),
        ("fields:\n  a: { protect: encrypt, index: a }\n", "would both become `a`", 2),
        ("fields:\n  'a[*]': { protect: encrypt, index: i }\n", "a field with a name", 2),
        ("fields:\n  a: { protect: encrypt, index: { as: i, bits: 16 } }\n", "32 to 256", 2),
        ("subject: '*.id'\n", "must name one field", 1),
        ("record:\n  require: [a, '']\n", "no field path", 2),
    ] {
        let error = compile(yaml).err().unwrap();
        assert!(error.message.contains(expected), "{}", error.message);
        assert_eq!(error.at.map(|at| at.line), Some(line), "{yaml}");
    }
    let file: File = serde_saphyr::from_str("fields: { a: { protect: hmac } }").unwrap();
    let config = PolicyConfig { fields: file.fields, ..PolicyConfig::default() };
    assert!(Policy::compile(&config, None).err().unwrap().message.contains("keys init"));
}

#[test]
fn columns_say_what_a_table_will_have() {
    let cloak = compile(
        "
record: { require: [id] }
fields:
  id: { type: string, nullable: false, max_length: 128 }
  ip: { protect: hmac, as: masked_ip }
  x: { protect: drop }
  d: { set: ingest_date }
  a.b: {}
",
    )
    .unwrap();
    let columns: Vec<_> = cloak
        .policy()
        .columns()
        .iter()
        .map(|c| (c.name.as_str(), c.column_type.map(FieldType::name), c.max_length, c.never_null))
        .collect();
    assert_eq!(
        columns,
        [
            ("id", Some("string"), Some(128), true),
            ("masked_ip", Some("string"), None, false),
            ("x", Some("string"), None, false),
            ("d", Some("date"), None, true),
        ]
    );
}
