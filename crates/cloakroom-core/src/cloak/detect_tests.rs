use bytes::Bytes;

use super::tests::{compile, id, is, refused, run};
use super::*;

/// A rule of one's own that needs a context word, and one that does not.
const RULES: &str = "
  rules:
    - { id: badge, entity: BADGE, description: Badge, regex: '\\bB-\\d{3}\\b', confidence: 0.9 }
    - { id: locker, entity: LOCKER, description: Locker, regex: '\\b[1-9]\\d{6}\\b', confidence: 0.2, with_context: 0.8, context: [locker] }
";

/// A section with these rules and two of the catalogue (all of it would take its time in each test), and more lines.
fn own(everywhere: &str, more: &str) -> String {
    let only = if more.contains("only:") { "" } else { "\n  only: [BADGE, LOCKER, EMAIL_ADDRESS, CREDIT_CARD]" };
    format!("detect:\n  everywhere: {everywhere}{only}{more}{RULES}")
}

/// Path, entity and span of everything found.
fn found(yaml: &str, json: &str) -> Vec<(String, String, std::ops::Range<usize>)> {
    let payload = Payload::Json(Bytes::copy_from_slice(json.as_bytes()));
    let record = compile(yaml).unwrap().process(id(), &payload, IngestTime::from_unix_seconds(0)).unwrap();
    record.findings().iter().map(|f| (f.path.clone(), f.entity.to_string(), f.span.clone())).collect()
}

fn one(path: &str, entity: &str, span: std::ops::Range<usize>) -> (String, String, std::ops::Range<usize>) {
    (path.to_owned(), entity.to_owned(), span)
}

#[test]
fn detection_looks_where_no_rule_does() {
    let yaml = "
fields: { kept: {}, asked: { detect: true }, sealed: { protect: { mask: last4 } } }
detect: { everywhere: redact, entities: { CREDIT_CARD: { mask: pan } } }
";
    let text = "a@example.com, 4111 1111 1111 1111 and b@example.org";
    let hidden = "[EMAIL_ADDRESS], **** **** **** 1111 and [EMAIL_ADDRESS]";
    is(
        yaml,
        &format!(r#"{{"kept":"{text}","asked":["{text}"],"free":{{"x":["{text}"]}}}}"#),
        &format!(r#"{{"kept":"{text}","asked":["{hidden}"],"free":{{"x":["{hidden}"]}}}}"#),
    );
    let expected = |path: &str| {
        [(0..13, "EMAIL_ADDRESS"), (15..34, "CREDIT_CARD"), (39..52, "EMAIL_ADDRESS")]
            .map(|(span, entity)| one(path, entity, span))
    };
    assert_eq!(found(yaml, &format!(r#"{{"free":["{text}"]}}"#)), expected("free[0]"));
    assert_eq!(found(yaml, &format!(r#"{{"asked":[1,["{text}"]]}}"#)), expected("asked[1][0]"));
    refused("detect: { everywhere: block }", &format!(r#"{{"t":"{text}"}}"#), "blocked by policy: t");
}

#[test]
fn a_policy_without_detection_touches_nothing() {
    let json = r#"{"a@example.com":"b@example.com","n":4111111111111111,"j":"{ \"x\": \"c@example.com\" }"}"#;
    is("{}", json, json);
    is("fields: { n: { detect: false } }", json, json);
}

#[test]
fn each_entity_has_its_own_action() {
    let yaml =
        own("redact", "\n  entities: { EMAIL_ADDRESS: keep, CREDIT_CARD: { mask: pan }, BADGE: { redact: hidden } }");
    let json = r#"{"t":"a@example.com 4111 1111 1111 1111 B-123","locker":"1234567"}"#;
    is(&yaml, json, r#"{"t":"a@example.com **** **** **** 1111 hidden","locker":"[LOCKER]"}"#);
    let all = found(&yaml, json);
    assert_eq!(all[0], one("t", "EMAIL_ADDRESS", 0..13), "what is kept is reported");
    assert_eq!(all.len(), 4);
    let blocking = own("redact", "\n  entities: { BADGE: block }");
    is(&blocking, r#"{"t":"a@example.com"}"#, r#"{"t":"[EMAIL_ADDRESS]"}"#);
    refused(&blocking, r#"{"t":"a@example.com B-123"}"#, "blocked by policy: t");
}

#[test]
fn without_everywhere_only_the_named_entities_change() {
    let yaml = "detect: { entities: { EMAIL_ADDRESS: redact } }";
    let json = r#"{"t":"a@example.com 4111 1111 1111 1111"}"#;
    is(yaml, json, r#"{"t":"[EMAIL_ADDRESS] 4111 1111 1111 1111"}"#);
    assert_eq!(found(yaml, json).len(), 2);
    let keep = "detect: { everywhere: keep }";
    is(keep, json, json);
    assert_eq!(found(keep, json), found(yaml, json));
}

#[test]
fn a_field_can_have_actions_of_its_own() {
    let fields = "
fields:
  body: { detect: { everywhere: { mask: { last: 2 } }, entities: { EMAIL_ADDRESS: keep } } }
  body.inner: {}
  body.as_usual: { detect: true }
  head: { detect: { entities: { EMAIL_ADDRESS: keep } } }
  'l[*].x': { detect: { everywhere: keep } }
  off: { detect: false }
  off.but: { detect: true }
";
    let yaml = own("redact", "\n  entities: { CREDIT_CARD: block }") + fields;
    is(
        &yaml,
        r#"{"body":{"x":["a@example.com B-123"],"inner":"B-123","as_usual":"B-123"},"free":"B-123","head":"a@example.com B-123"}"#,
        r#"{"body":{"x":["a@example.com ***23"],"inner":"B-123","as_usual":"[BADGE]"},"free":"[BADGE]","head":"a@example.com [BADGE]"}"#,
    );
    is(&yaml, r#"{"body":"4111 1111 1111 1111 B-123"}"#, r#"{"body":"*****************11 ***23"}"#);
    refused(&yaml, r#"{"head":{"deep":"4111 1111 1111 1111"}}"#, "blocked by policy: head.deep");
    is(&yaml, r#"{"l":[{"x":"B-123","y":"B-123"}]}"#, r#"{"l":[{"x":"B-123","y":"[BADGE]"}]}"#);
    is(&yaml, r#"{"off":{"x":"B-123","but":"B-123"}}"#, r#"{"off":{"x":"B-123","but":"[BADGE]"}}"#);
    is(&yaml, r#"{"off":"B-123"}"#, r#"{"off":"B-123"}"#);
}

#[test]
fn a_field_can_ask_alone() {
    let alone = "fields: { body: { detect: { everywhere: redact } } }";
    let json = r#"{"body":"a@example.com","free":"a@example.com"}"#;
    is(alone, json, r#"{"body":"[EMAIL_ADDRESS]","free":"a@example.com"}"#);
    let selected = format!("{alone}\ndetect: {{ only: [CREDIT_CARD] }}");
    is(&selected, json, json);
    assert!(found(&selected, json).is_empty());
}

#[test]
fn switches_say_what_the_section_says() {
    let section = "detect: { everywhere: redact, entities: { CREDIT_CARD: { mask: pan } } }\n";
    let json = r#"{"a":{"b":"a@example.com 4111 1111 1111 1111"}}"#;
    let unnamed = run(section, json);
    for field in [
        "a: { detect: true }",
        "a.b: { detect: true }",
        "a: { detect: { everywhere: redact, entities: { CREDIT_CARD: { mask: pan } } } }",
        "a: { detect: { entities: { EMAIL_ADDRESS: redact } } }",
    ] {
        assert_eq!(run(&format!("{section}fields: {{ {field} }}"), json), unnamed, "{field}");
    }
    is(&format!("{section}fields: {{ a: {{ detect: false }} }}"), json, json);
    is(&format!("{section}fields: {{ a: {{}} }}"), json, json);
}

#[test]
fn the_selection_says_what_is_looked_for() {
    let json = r#"{"t":"a@example.com 4111 1111 1111 1111 B-123"}"#;
    is(&own("redact", "\n  only: [BADGE]"), json, r#"{"t":"a@example.com 4111 1111 1111 1111 [BADGE]"}"#);
    let two = own("redact", "\n  only: [BADGE]\n  also: [EMAIL_ADDRESS]");
    is(&two, json, r#"{"t":"[EMAIL_ADDRESS] 4111 1111 1111 1111 [BADGE]"}"#);
    for without in ["[EMAIL_ADDRESS, badge]", "[email-address, BADGE]"] {
        let yaml = own("redact", &format!("\n  without: {without}"));
        is(&yaml, json, r#"{"t":"a@example.com [CREDIT_CARD] B-123"}"#);
    }
    let opt_in = RULES.replace("confidence: 0.9", "confidence: 0.9, opt_in: true");
    let badge = r#"{"t":"B-123"}"#;
    is(&format!("detect:\n  everywhere: redact{opt_in}"), badge, badge);
    for words in ["also: [BADGE]", "only: [BADGE]"] {
        is(&format!("detect:\n  everywhere: redact\n  {words}{opt_in}"), badge, r#"{"t":"[BADGE]"}"#);
    }
}

#[test]
fn thresholds_are_general_and_by_entity() {
    let json = r#"{"locker":"1234567","x":"1234567","t":"B-123"}"#;
    is(&own("redact", ""), json, r#"{"locker":"[LOCKER]","x":"1234567","t":"[BADGE]"}"#);
    is(&own("redact", "\n  threshold: 0.85"), json, r#"{"locker":"1234567","x":"1234567","t":"[BADGE]"}"#);
    let low = own("redact", "\n  threshold: 1\n  thresholds: { LOCKER: 0.1 }");
    is(&low, json, r#"{"locker":"[LOCKER]","x":"[LOCKER]","t":"B-123"}"#);
}

#[test]
fn numbers_are_looked_into_and_stay_numbers() {
    let yaml = "detect: { everywhere: { mask: pan }, only: [CREDIT_CARD] }";
    is(yaml, r#"{"n":4111111111111111,"m":4111111111111112}"#, r#"{"n":"************1111","m":4111111111111112}"#);
    let yaml = own("redact", "\n  only: [LOCKER]");
    is(&yaml, r#"{"locker":1234567,"x":1234567}"#, r#"{"locker":"[LOCKER]","x":1234567}"#);
    is(&yaml, r#"{"locker":[{"v":1234567}]}"#, r#"{"locker":[{"v":"[LOCKER]"}]}"#);
    is(&own("keep", "\n  only: [LOCKER]"), r#"{"locker":1234567}"#, r#"{"locker":1234567}"#);
    assert_eq!(found(&own("keep", ""), r#"{"locker":1234567}"#), [one("locker", "LOCKER", 0..7)]);
}

#[test]
fn a_value_is_searched_with_its_name_in_front() {
    let yaml = r#"
detect:
  everywhere: redact
  only: [PASS, PLAIN]
  rules:
    - { id: pass, entity: PASS, description: P, regex: '\bpass\w{0,9}["\x27]?[:=] ?["\x27]?(?P<value>\w{6,20})', confidence: 0.9, edges: word }
    - { id: plain, entity: PLAIN, description: P, regex: '\bplain": "\w{3,9}"', confidence: 0.9, edges: word }
"#;
    is(yaml, r#"{"password":"hunter22","x":"hunter22"}"#, r#"{"password":"[PASS]","x":"hunter22"}"#);
    is(yaml, r#"{"pass":[{"x":"hunter22"},"hunter22"]}"#, r#"{"pass":[{"x":"hunter22"},"hunter22"]}"#);
    is(yaml, r#"{"pass":"é hunter22","t":"pass=hunter22"}"#, r#"{"pass":"é hunter22","t":"pass=[PASS]"}"#);
    is(yaml, r#"{"pass":12345678}"#, r#"{"pass":"[PASS]"}"#);
    is(yaml, r#"{"plain":"abc"}"#, r#"{"plain":"[PLAIN]"}"#);
    assert_eq!(found(yaml, r#"{"a":{"password":"hunter22"}}"#), [one("a.password", "PASS", 0..8)]);
    assert_eq!(found(yaml, r#"{"plain":"abc"}"#), [one("plain", "PLAIN", 0..3)], "cut to the value");
    let within = format!("{{\"p\":{}}}", quoted(r#"{"password": "hunter22"}"#));
    assert_eq!(found(yaml, &within), [one("p.password", "PASS", 0..8)]);
}

#[test]
fn columns_of_text_formats_have_their_name_as_context() {
    let yaml = own("redact", "\n  only: [LOCKER]") + "record: { format: key_value }";
    is(&yaml, "locker=1234567\nx=1234567", r#"{"locker":"[LOCKER]","x":"1234567"}"#);
}

#[test]
fn several_findings_in_text_of_all_scripts() {
    let yaml = own("redact", "");
    is(
        &yaml,
        r#"{"t":"Ñandú 🦜 B-123，身份 B-456 – a@example.com é"}"#,
        r#"{"t":"Ñandú 🦜 [BADGE]，身份 [BADGE] – [EMAIL_ADDRESS] é"}"#,
    );
    let longer = own("{ redact: '«𝟗𝟗𝟗𝟗»' }", "\n  only: [BADGE]");
    is(&longer, r#"{"t":"éB-1 B-123B-456 B-789"}"#, r#"{"t":"éB-1 B-123B-456 «𝟗𝟗𝟗𝟗»"}"#);
    is(&longer, r#"{"t":"B-123"}"#, r#"{"t":"«𝟗𝟗𝟗𝟗»"}"#);
    // A rule that ends inside a character takes the whole of it.
    let cut = r"
detect:
  everywhere: redact
  only: [CUT]
  rules: [{ id: cut, entity: CUT, description: Cut, regex: '\bid:[\x80-\xff]{1,3}', confidence: 0.9, edges: word }]
";
    is(cut, r#"{"t":"id:éé!"}"#, r#"{"t":"[CUT]!"}"#);
    assert_eq!(found(cut, r#"{"t":"id:éé!"}"#), [one("t", "CUT", 0..7)]);
}

/// A text as a JSON string.
fn quoted(text: &str) -> String {
    crate::encode::to_json_string(&Value::string(text))
}

#[test]
fn json_inside_a_text_is_walked_as_a_structure() {
    let yaml = own("redact", "\n  entities: { EMAIL_ADDRESS: keep }");
    let within = |text: &str, expected: &str| {
        is(&yaml, &format!("{{\"p\":{}}}", quoted(text)), &format!("{{\"p\":{}}}", quoted(expected)));
    };
    within(r#" { "card" : "4111 1111 1111 1111", "n": 1.50 } "#, r#"{"card":"[CREDIT_CARD]","n":1.50}"#);
    within(r#"["x", {"locker": 1234567, "other": 1234567}]"#, r#"["x",{"locker":"[LOCKER]","other":1234567}]"#);
    within(r#"{"e":"\u0042\u002d123 \u00e9"}"#, r#"{"e":"[BADGE] é"}"#);
    within(r#"{"a":1,"a":"B-\u003123"}"#, r#"{"a":1,"a":"B-123"}"#.replace("B-123", "[BADGE]").as_str());
    for unchanged in
        [r#" { "nothing" : [ 1.0 , "\u00e9" ] }  "#, r#"{ "kept": "a@example.com" }"#, "{", "[not json", "{}", "  "]
    {
        within(unchanged, unchanged);
    }
    within(r#"{"broken": "B-123""#, r#"{"broken": "[BADGE]""#);
    within("[4111 1111 1111 1111] is it", "[[CREDIT_CARD]] is it");
    within("{\"a\":1} B-123", "{\"a\":1} [BADGE]");
    let json = format!("{{\"p\":[{}]}}", quoted(r#"{"q":[0,{"e":"\u00e9 B-123"}]}"#));
    assert_eq!(found(&yaml, &json), [one("p[0].q[1].e", "BADGE", 3..8)], "the span is that in the decoded text");
    refused(&own("block", ""), &json, "blocked by policy: p[0].q[1].e");
}

#[test]
fn json_within_json_is_opened_to_a_small_depth() {
    let yaml = own("redact", "");
    let nested = |levels: usize, inner: &str| {
        (0..levels).fold(inner.to_owned(), |text, _| format!("{{\"v\":{}}}", quoted(&text)))
    };
    for levels in 1..=4 {
        let expected = nested(levels, r#"{"v":"[BADGE]"}"#);
        is(&yaml, &nested(levels, r#"{ "v": "B-12\u0033" }"#), &expected);
    }
    let deepest = nested(5, r#"{ "v": "B-12\u0033" }"#);
    is(&yaml, &deepest, &deepest);
    is(&yaml, &nested(5, r#"{ "v": "B-123" }"#), &nested(5, r#"{ "v": "[BADGE]" }"#));
    // The limit on a record's depth holds for both together; beyond it there is text.
    let shallow = format!("record: {{ max_depth: 3 }}\n{yaml}");
    is(&shallow, &nested(1, r#"[["B-123"] ]"#), &nested(1, r#"[["[BADGE]"]]"#));
    is(&shallow, &nested(1, r#"[[["B-123"] ]]"#), &nested(1, r#"[[["[BADGE]"] ]]"#));
}

#[test]
fn names_that_no_rule_gives_are_searched() {
    let yaml = own("redact", "") + "fields: { 'users.*.age': { type: integer }, B-777: {} }";
    let json = r#"{"B-777":1,"m":{"a@example.com":{"t":"B-123"},"n":2},"users":{"b@example.com":{"age":7}}}"#;
    is(
        &yaml,
        json,
        r#"{"B-777":1,"m":{"[EMAIL_ADDRESS]":{"t":"[BADGE]"},"n":2},"users":{"[EMAIL_ADDRESS]":{"age":7}}}"#,
    );
    let (mail, badge) = ("EMAIL_ADDRESS", "BADGE");
    assert_eq!(
        found(&yaml, json),
        [one("m.?", mail, 0..13), one("m.?", badge, 0..5), one("users.?", mail, 0..13)],
        "a name that something was found in is not shown"
    );
    is(&yaml, r#"{"B-123":1}"#, r#"{"[BADGE]":1}"#);
    refused(&yaml, r#"{"B-123":1,"B-456":2}"#, "name conflict");
    refused(&yaml, r#"{"m":{"x":{"B-123":1,"[BADGE]":2}}}"#, "name conflict: m.x");
    refused(&yaml, r#"{"users":{"B-123":{},"B-456":{}}}"#, "name conflict: users");
    refused(&yaml, r#"{"users":{"B-123":{"age":"x"}}}"#, "wrong type: users.? (");
    let context = own("{ redact: { pseudonym: true } }", "\n  only: [LOCKER, BADGE]");
    let out = run(&context, r#"{"locker":{"1234567":1,"1234568":2},"x":{"1234567":1}}"#).unwrap();
    assert!(out.matches("[LOCKER_").count() == 2 && out.ends_with(r#""x":{"1234567":1}}"#), "{out}");
    let kept = own("keep", "");
    is(&kept, r#"{"B-123":{"t":"B-123"}}"#, r#"{"B-123":{"t":"B-123"}}"#);
    assert_eq!(found(&kept, r#"{"B-123":{"t":"B-123"}}"#), [one("?", badge, 0..5), one("?", badge, 0..5)]);
    refused(&own("block", ""), r#"{"m":{"B-123":1}}"#, "blocked by policy: m.?");
    is(&format!("record: {{ unlisted: drop }}\n{}", own("block", "")), r#"{"B-123":1}"#, "{}");
    let text = quoted(r#"{"B-123": {"B-456": 1}}"#);
    is(&yaml, &format!("{{\"p\":{text}}}"), &format!("{{\"p\":{}}}", quoted(r#"{"[BADGE]":{"[BADGE]":1}}"#)));
}

#[test]
fn pseudonyms_join_across_records_and_not_across_domains() {
    let of = |yaml: &str, text: &str| run(yaml, &format!("{{\"t\":\"{text}\"}}")).unwrap();
    let yaml = "detect: { everywhere: { redact: { pseudonym: true } } }";
    let first = of(yaml, "a@example.com and b@example.com, a@example.com");
    let parts: Vec<&str> = first.split("[EMAIL_ADDRESS_").collect();
    assert!(parts.len() == 4 && parts[1][..11] == parts[3][..11] && parts[1][..10] != parts[2][..10], "{first}");
    let again = of(yaml, "it was a@example.com");
    assert!(again.ends_with(&format!("[EMAIL_ADDRESS_{}\"}}", &parts[1][..11])), "{again}");
    let other = of("detect: { everywhere: { redact: { domain: other } } }", "a@example.com");
    assert!(other.contains("[EMAIL_ADDRESS_") && !other.contains(&parts[1][..10]), "{other}");
}

#[test]
fn mistakes_name_their_line_and_the_nearest_word() {
    let rule = "id: x, entity: X, description: X, regex: 'xx\\d{4}', confidence: 0.9";
    let own = |rule: &str| format!("detect:\n  everywhere: redact\n  rules:\n    - {{ {rule} }}\n");
    let twice = format!("{}    - {{ {rule} }}\n", own(rule));
    for (yaml, expected, line) in [
        ("detect:\n  everywhere: drop\n", "works on whole fields", 2),
        ("detect:\n  entities: { EMAIL_ADDRESS: null }\n", "works on whole fields", 2),
        ("detect:\n  everywhere: redact\n  entities: { EMAIL_ADRESS: redact }\n", "did you mean `EMAIL_ADDRESS`", 3),
        ("detect:\n  everywhere: keep\n  only:\n    - EMAIL_ADRESS\n", "did you mean `EMAIL_ADDRESS`", 4),
        ("detect:\n  everywhere: keep\n  also: [CREDIT_CRAD]\n", "did you mean `CREDIT_CARD`", 3),
        ("detect:\n  everywhere: keep\n  without: [email-adress]\n", "did you mean `email-address`", 3),
        ("detect:\n  everywhere: keep\n  thresholds:\n    CREDIT_CRAD: 0.7\n", "did you mean `CREDIT_CARD`", 4),
        ("detect:\n  everywhere: keep\n  thresholds:\n    CREDIT_CARD: 7\n", "between 0 and 1", 4),
        ("detect:\n  everywhere: keep\n  threshold: -1\n", "between 0 and 1", 3),
        ("detect:\n  everywhere: keep\n  only: []\n", "`only` is empty", 3),
        ("detect:\n  only: [CREDIT_CARD]\n", "does not say what is done", 2),
        ("detect:\n  only: [CREDIT_CARD]\n  entities:\n    EMAIL_ADDRESS: hmac\n", "is not looked for", 4),
        ("fields:\n  a: { detect: true }\n", "there is none", 2),
        ("fields:\n  a: {}\n  b: { detect: {} }\n", "an empty `detect`", 3),
        ("fields:\n  b: { detect: { entities: { EMAIL_ADRESS: hmac } } }\n", "did you mean `EMAIL_ADDRESS`", 2),
        ("fields:\n  b:\n    detect: { everywhere: bucket }\n", "works on whole fields", 3),
        ("fields:\n  b: { protect: redact, detect: { everywhere: redact } }\n", "does not go with `protect`", 2),
        (&own(&rule.replace("id: x", "id: X")), "must be made of a-z", 4),
        (&own(&rule.replace("id: x", "id: email-address")), "a rule `email-address` already", 4),
        (&own(&rule.replace("{4}", "{4")), "rule `x`: regex", 4),
        (&own(&format!("{rule}, validate: [lunh]")), "did you mean `luhn`", 4),
        (&twice, "a rule `x` already", 5),
    ] {
        let error = compile(yaml).err().unwrap_or_else(|| panic!("accepted: {yaml}"));
        assert!(error.message.contains(expected), "{yaml}: {}", error.message);
        assert_eq!(error.at.map(|at| at.line), Some(line), "{yaml}: {}", error.message);
    }
    assert!(compile("detect: {}").is_err());
    // Words that the reader of the file refuses.
    for (yaml, expected) in [
        ("everywhere: kep", "did you mean `keep`"),
        ("everywhere: redcat", "did you mean `redact`"),
        ("everywhere: zzzzz", "redact, token, keep"),
        ("everywhere: { mask: { frst: 1 }, hmac: {} }", "one protection a field"),
        ("everywere: redact", "everywere"),
        ("rules: [{ id: x }]", "entity"),
    ] {
        let error = serde_saphyr::from_str::<crate::policy::DetectConfig>(yaml).err().unwrap();
        assert!(error.without_snippet().to_string().contains(expected), "{yaml}");
    }
    assert!(serde_saphyr::from_str::<crate::policy::FieldConfig>("protect: keep").is_err(), "only of findings");
}

#[test]
fn actions_are_described_for_people() {
    let section: crate::policy::DetectConfig = serde_saphyr::from_str(
        &format!("everywhere: redact\nentities: {{ BADGE: keep }}\nwithout: [URL]\nthreshold: 0.7{RULES}")
            .replace("\n  rules", "\nrules"),
    )
    .unwrap();
    assert_eq!(section.describe().as_deref(), Some("BADGE: keep; others: redact"));
    assert_eq!(
        section.describe_selection(),
        "the catalogue, without URL, own rules badge, locker, confidence from 0.7"
    );
    let field = |yaml: &str| {
        let field: crate::policy::FieldConfig = serde_saphyr::from_str(&format!("detect: {yaml}")).unwrap();
        field.detect.unwrap().describe(Some(&section))
    };
    assert_eq!(field("false"), "not looked for");
    assert_eq!(field("true"), "BADGE: keep; others: redact");
    assert_eq!(field("{ everywhere: { mask: pan } }"), "mask pan");
}
