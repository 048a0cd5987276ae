//! `cloakroom scan` on real files: positions in every encoding, what is read and in which order, formats, baselines,
//! allow lists, streams of messages, exit codes. And everywhere: no value in any output.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use common::{Finished, Room, Started, contains, files_below};
use serde_json::{Value, json};

const MAIL: &str = "canary.value@mail.example";
const CARD: &str = "4111 1111 1111 1111";
const SSN: &str = "536-22-8726";

/// No output holds a value, nor the middle of one.
#[track_caller]
fn no_leak(finished: &Finished) {
    for value in [MAIL, CARD, SSN, "canary", "1111 1111", "22-8726"] {
        assert!(!contains(&finished.stdout, value) && !contains(&finished.stderr, value), "{value} in\n{finished}");
    }
}

/// `cloakroom scan … --format jsonl`: its findings and exit code.
#[track_caller]
fn findings(room: &Room, arguments: &[&str]) -> (Vec<Value>, Finished) {
    let finished = room.run(&[&["scan", "--format", "jsonl"], arguments].concat());
    no_leak(&finished);
    (lines(&finished), finished)
}

#[track_caller]
fn lines(finished: &Finished) -> Vec<Value> {
    finished.out().lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
}

fn paths(findings: &[Value]) -> Vec<&str> {
    findings.iter().map(|finding| finding["path"].as_str().unwrap()).collect()
}

fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn positions_are_those_of_the_file_in_every_encoding() {
    let room = Room::new();
    let text = format!("erste Zeile\r\nGrüße 😀 an {MAIL} ...\n");
    let latin = text.replace('😀', "x");
    let latin: Vec<u8> = latin.chars().map(|letter| u8::try_from(letter as u32).unwrap()).collect();
    let marked = format!("\u{FEFF}{text}");
    let files: [(&str, Vec<u8>, usize, usize); 7] = [
        ("utf8.txt", text.clone().into_bytes(), 0, 1),
        ("bom.txt", marked.clone().into_bytes(), 3, 1),
        ("le.txt", utf16(&marked, u16::to_le_bytes), 2, 2),
        ("be.txt", utf16(&marked, u16::to_be_bytes), 2, 2),
        ("le-unmarked.txt", utf16(&text, u16::to_le_bytes), 0, 2),
        ("be-unmarked.txt", utf16(&text, u16::to_be_bytes), 0, 2),
        ("latin.txt", latin, 0, 1),
    ];
    for (name, bytes, mark, width) in files {
        let path = room.write(name, &bytes);
        let (found, finished) = findings(&room, &[&path]);
        finished.expect_code(1);
        let [one] = found.as_slice() else { panic!("{name}: {finished}") };
        let (start, end) = (one["start"].as_u64().unwrap() as usize, one["end"].as_u64().unwrap() as usize);
        let value: Vec<u8> = bytes[start..end].iter().copied().filter(|byte| *byte != 0).collect();
        assert_eq!(value, MAIL.as_bytes(), "{name}");
        assert_eq!((end - start, start >= mark), (MAIL.len() * width, true), "{name}");
        // Characters and UTF-16 units are those of the text, whatever it is stored in.
        let before = &text[..text.find(MAIL).unwrap()];
        let surrogate = u64::from(name != "latin.txt");
        assert_eq!(one["start_character"].as_u64().unwrap(), before.chars().count() as u64, "{name}");
        assert_eq!(one["start_utf16"].as_u64().unwrap(), before.chars().count() as u64 + surrogate, "{name}");
        assert_eq!((one["line"].as_u64(), one["column"].as_u64()), (Some(2), Some(12)), "{name}");
    }
}

#[test]
fn what_is_read_is_what_ripgrep_would_read() {
    let room = Room::new();
    let tree = |name: &str, content: &[u8]| {
        let path = room.path("tree").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let text = format!("to {MAIL}\n");
    for name in ["b.txt", "a/z.txt", "a/b/c.txt", ".hidden", "ignored.log", "a/skip.txt", "mine.txt", "c/.git.txt"] {
        tree(name, text.as_bytes());
    }
    tree(".gitignore", b"*.log\n");
    tree("a/.ignore", b"skip.txt\n");
    tree(".cloakroomignore", b"mine.txt\n");
    tree("image.png", &[b"\x89PNG\0\0", text.as_bytes()].concat());
    let (found, finished) = findings(&room, &["tree"]);
    assert_eq!(paths(&found), ["tree/a/b/c.txt", "tree/a/z.txt", "tree/b.txt"]);
    assert!(finished.expect_code(1).err().contains("1 binary, not read"), "{finished}");
    let (found, _) = findings(&room, &["tree", "--no-ignore"]);
    let all = ["tree/a/b/c.txt", "tree/a/skip.txt", "tree/a/z.txt", "tree/b.txt", "tree/ignored.log", "tree/mine.txt"];
    assert_eq!(paths(&found), all);
    let (found, _) = findings(&room, &["tree", "--hidden"]);
    assert_eq!(paths(&found), ["tree/.hidden", "tree/a/b/c.txt", "tree/a/z.txt", "tree/b.txt", "tree/c/.git.txt"]);
    // What is named is read.
    let (found, _) = findings(&room, &["tree/ignored.log", "tree/.hidden"]);
    assert_eq!(paths(&found), ["tree/ignored.log", "tree/.hidden"]);
}

#[test]
fn many_files_come_in_the_order_of_their_names_every_time() {
    let room = Room::new();
    for number in 0..1500 {
        let folder = room.path(&format!("many/{:02}", number % 37));
        std::fs::create_dir_all(&folder).unwrap();
        // Some hold more than their channel does, so that workers have to wait for their turn.
        let count = if number % 100 == 7 { 400 } else { number % 3 };
        std::fs::write(folder.join(format!("{number:04}.txt")), format!("{MAIL}\n").repeat(count)).unwrap();
    }
    let (first, finished) = findings(&room, &["many"]);
    finished.expect_code(1);
    let names = paths(&first);
    assert!(names.is_sorted(), "sorted by path");
    assert_eq!(names.len(), (0..1500).map(|n| if n % 100 == 7 { 400 } else { n % 3 }).sum::<usize>());
    for threads in ["1", "2", "16"] {
        let again = room.run(&["scan", "--format", "jsonl", "--threads", threads, "many"]);
        assert!(again.stdout == finished.stdout, "other output with {threads} threads");
    }
}

#[test]
fn a_columns_header_counts_as_context() {
    let room = Room::new();
    // Nine digits and nothing else: only the column's name makes them a Canadian number.
    let rows = "Ärger,193456787,\"a, b\"\nx,130692544,193456787\n";
    room.write("people.csv", format!("name,social insurance number,note\n{rows}"));
    room.write("parts.csv", format!("name,part,note\n{rows}"));
    let (found, _) = findings(&room, &["people.csv", "--entities", "CA_SIN"]);
    let spans: Vec<_> = found.iter().map(|f| (f["line"].as_u64().unwrap(), f["column"].as_u64().unwrap())).collect();
    assert_eq!(spans, [(2, 7), (3, 3)]);
    let file = room.read("people.csv");
    for one in &found {
        let value = &file[one["start"].as_u64().unwrap() as usize..one["end"].as_u64().unwrap() as usize];
        assert!(value == b"193456787" || value == b"130692544");
    }
    let (found, finished) = findings(&room, &["parts.csv", "--entities", "CA_SIN"]);
    assert!(found.is_empty(), "{finished}");
    finished.expect_code(0);
    // Quoted cells with line ends, semicolons, tabs, names and values in two columns.
    room.write("q.csv", "id;social insurance number\r\n1;\"130692544\"\r\n2;\"x\r\n\r\ny 193456787\"\r\n");
    let (found, _) = findings(&room, &["q.csv", "--entities", "CA_SIN"]);
    let lines: Vec<_> = found.iter().map(|f| (f["line"].as_u64().unwrap(), f["column"].as_u64().unwrap())).collect();
    assert_eq!(lines, [(2, 4), (5, 3)]);
    room.write("t.tsv", "id\tsin\n1\t130692544\n");
    room.write("pairs.csv", "key,content\nsin,130692544\ncolour,red\n");
    let (found, _) = findings(&room, &["t.tsv", "pairs.csv", "--entities", "CA_SIN"]);
    assert_eq!(paths(&found), ["t.tsv", "pairs.csv"]);
}

#[test]
fn a_quote_that_nobody_closes_hides_nothing() {
    let room = Room::new();
    let filler = "word ".repeat(300_000);
    room.write("open.csv", format!("a,b\n1,\"{filler}\nline {MAIL}\n"));
    let (found, _) = findings(&room, &["open.csv"]);
    assert_eq!(found.len(), 1);
    let file = room.read("open.csv");
    let at = found[0]["start"].as_u64().unwrap() as usize;
    assert_eq!(&file[at..at + MAIL.len()], MAIL.as_bytes());
    assert_eq!((found[0]["line"].as_u64(), found[0]["column"].as_u64()), (Some(3), Some(6)));
}

#[test]
fn lines_for_people_show_no_value() {
    let room = Room::without_keys();
    let text = format!("first {MAIL} then {CARD} and ssn {SSN} end\n  password = {CARD}\n");
    let path = room.write("a.txt", &text);
    let finished = room.run(&["scan", &path]);
    no_leak(&finished);
    let out = finished.expect_code(1).out();
    assert!(!out.contains('\u{1b}'), "no colours in a file");
    assert!(out.contains("a.txt:1:7: EMAIL_ADDRESS") && out.contains("CREDIT_CARD") && out.contains("US_SSN"), "{out}");
    assert!(finished.err().contains("4 findings in 1 file") && finished.err().contains("CREDIT_CARD: 2"), "{finished}");
    // Kinds that were not asked for, and those below the confidence, are masked as well.
    for more in [&["--entities", "CREDIT_CARD"][..], &["--exclude", "EMAIL_ADDRESS"], &["--min-confidence", "1"]] {
        no_leak(&room.run(&[&["scan", &path], more].concat()));
    }
}

#[test]
fn standard_input_is_read() {
    let room = Room::new();
    for arguments in [&["scan", "--format", "jsonl"][..], &["scan", "--format", "jsonl", "-"]] {
        let finished = room.run_with_input(arguments, format!("x\nto {MAIL}\n").as_bytes());
        let found = lines(finished.expect_code(1));
        assert_eq!(
            (&found[0]["path"], &found[0]["line"], &found[0]["start"]),
            (&json!("<stdin>"), &json!(2), &json!(5))
        );
        no_leak(&finished);
    }
    assert!(room.run_with_input(&["scan"], b"nothing here\n").expect_code(0).stdout.is_empty());
}

#[test]
fn exit_codes_and_what_cannot_be_read() {
    let room = Room::new();
    room.write("clean.txt", "nothing\n");
    room.write("mail.txt", format!("{MAIL}\n"));
    findings(&room, &["clean.txt"]).1.expect_code(0);
    findings(&room, &["mail.txt"]).1.expect_code(1);
    let (found, finished) = findings(&room, &["nowhere.txt", "mail.txt"]);
    assert_eq!(found.len(), 1, "the rest is scanned");
    assert!(finished.expect_code(2).err().contains("nowhere.txt"), "{finished}");
    findings(&room, &["nowhere.txt", "clean.txt"]).1.expect_code(2);
    for wrong in [
        &["scan", "--min-confidence", "2", "clean.txt"][..],
        &["scan", "--entities", "EMAIL", "clean.txt"],
        &["scan", "--exclude", "no-such-rule", "clean.txt"],
        &["scan", "--rules", "nowhere.yaml", "clean.txt"],
        &["scan", "--allow", "nowhere.yaml", "clean.txt"],
        &["scan", "--baseline", "nowhere.json", "clean.txt"],
        &["scan", "--jsonl", "--format", "sarif"],
        &["scan", "--jsonl", "clean.txt", "mail.txt"],
        &["scan", "--text-field", "x", "clean.txt"],
    ] {
        let finished = room.run(wrong);
        assert!(finished.expect_code(2).stdout.is_empty() && !finished.stderr.is_empty(), "{wrong:?}: {finished}");
    }
}

#[test]
fn selection_and_limits() {
    let room = Room::new();
    room.write("a.txt", format!("{MAIL} {CARD}\n").repeat(50));
    let entity = |found: &[Value], name: &str| found.iter().all(|finding| finding["entity"] == name);
    let (found, _) = findings(&room, &["a.txt", "--entities", "CREDIT_CARD"]);
    assert!(found.len() == 50 && entity(&found, "CREDIT_CARD"));
    assert!(found.iter().all(|finding| finding["validated"] == true));
    let (found, _) = findings(&room, &["a.txt", "--exclude", "credit-card"]);
    assert!(found.len() == 50 && entity(&found, "EMAIL_ADDRESS"));
    let (found, finished) = findings(&room, &["a.txt", "--max-findings", "7"]);
    assert_eq!(found.len(), 7);
    assert!(finished.expect_code(1).err().contains("--max-findings"), "{finished}");
    let (found, _) = findings(&room, &["a.txt", "--max-findings", "100"]);
    assert_eq!(found.len(), 100);
    let rule = r"{rules: [{id: badge, entity: BADGE, description: A badge, regex: '\bBX-\d{4}\b', confidence: 0.7}]}";
    let rules = room.write("rules.yaml", rule);
    room.write("b.txt", "BX-1234");
    let (found, _) = findings(&room, &["b.txt", "--rules", &rules]);
    assert!(found.len() == 1 && entity(&found, "BADGE") && found[0]["confidence"] == 0.7);
    findings(&room, &["b.txt", "--rules", &rules, "--min-confidence", "0.71"]).1.expect_code(0);
}

#[test]
fn fingerprints_follow_the_value_not_its_place() {
    let room = Room::new();
    room.write("a.txt", format!("{MAIL}\n"));
    room.write("b.txt", format!("\n\n  moved: {MAIL} and other@mail.example\n"));
    let (found, _) = findings(&room, &["a.txt", "b.txt"]);
    let prints: Vec<&str> = found.iter().map(|finding| finding["fingerprint"].as_str().unwrap()).collect();
    assert!(prints[0] == prints[1] && prints[1] != prints[2], "{prints:?}");
    // Another key, other fingerprints: nobody can try values out.
    room.run(&["keys", "init", "--file", "other.json"]).expect_code(0);
    let (other, _) = findings(&room, &["a.txt", "--fingerprint-key", "other.json"]);
    assert_ne!(other[0]["fingerprint"], found[0]["fingerprint"]);
    // Without any key there are none, and what needs them says so.
    let bare = Room::without_keys();
    bare.write("a.txt", format!("{MAIL}\n"));
    let (found, finished) = findings(&bare, &["a.txt"]);
    assert!(found[0]["fingerprint"].is_null() && finished.err().contains("keys init"), "{finished}");
    let refused = bare.run(&["scan", "a.txt", "--write-baseline", "known.json"]);
    assert!(refused.expect_code(2).err().contains("keys init") && !bare.exists("known.json"), "{refused}");
    assert!(!bare.exists("home"), "a scan makes no keys");
}

#[test]
fn a_baseline_leaves_only_what_is_new() {
    let room = Room::new();
    room.write("a.txt", format!("{MAIL} {CARD}\n"));
    room.run(&["scan", "a.txt", "--write-baseline", "known.json"]).expect_code(1);
    let written = room.read("known.json");
    assert!(!contains(&written, "canary") && !contains(&written, "1111"));
    let (found, finished) = findings(&room, &["a.txt", "--baseline", "known.json"]);
    assert!(found.is_empty() && finished.expect_code(0).err().contains("2 in the baseline"), "{finished}");
    // Moved, they stay known; one more is new.
    room.write("b.txt", format!("\n{CARD}\n{MAIL}\n{SSN}\n"));
    let (found, finished) = findings(&room, &["b.txt", "--baseline", "known.json"]);
    assert_eq!((found.len(), finished.code), (1, 1), "{finished}");
    assert_eq!(found[0]["entity"], "US_SSN");
    // Written again from the same, it is the same file.
    room.run(&["scan", "a.txt", "--baseline", "known.json", "--write-baseline", "again.json"]).expect_code(0);
    assert_eq!(room.read("again.json"), written);
    // Under another key nothing could be compared.
    room.run(&["keys", "init", "--file", "other.json"]).expect_code(0);
    let refused = room.run(&["scan", "a.txt", "--baseline", "known.json", "--fingerprint-key", "other.json"]);
    assert!(refused.expect_code(2).err().contains("--fingerprint-key"), "{refused}");
    room.write("broken.json", "{");
    room.run(&["scan", "a.txt", "--baseline", "broken.json"]).expect_code(2);
}

#[test]
fn allow_lists_accept_what_they_name_until_their_day() {
    let room = Room::new();
    std::fs::create_dir(room.path("tests")).unwrap();
    room.write("tests/data.txt", format!("{CARD}\n"));
    room.write("a.txt", format!("{MAIL} {CARD}\n"));
    let (found, _) = findings(&room, &["a.txt", "--entities", "CREDIT_CARD"]);
    let fingerprint = found[0]["fingerprint"].as_str().unwrap();
    for (list, left) in [
        ("- path: tests/**".to_owned(), 2),
        (format!("- value: {MAIL}"), 2),
        ("- { regex: '[a-z.]+@mail\\.example', rule: email-address }".to_owned(), 2),
        (format!("- {{ fingerprint: {fingerprint}, reason: test card }}"), 1),
        (format!("- {{ fingerprint: {fingerprint}, path: tests/ }}"), 2),
        ("- { path: '*.txt', entity: US_SSN }".to_owned(), 3),
        ("- { path: '*.txt', expires: 2099-12-31 }".to_owned(), 0),
        ("- { path: '*.txt', expires: 2020-01-31, reason: old }".to_owned(), 3),
        ("# nothing yet\n".to_owned(), 3),
    ] {
        room.write("allow.yaml", &list);
        let (found, finished) = findings(&room, &["a.txt", "tests", "--allow", "allow.yaml"]);
        assert_eq!(found.len(), left, "{list}\n{finished}");
        assert_eq!(finished.code, i32::from(left > 0), "{list}");
        let expired =
            finished.err().contains("allow.yaml:1: this entry expired on 2020-01-31 and does not apply (old)");
        assert_eq!(expired, list.contains("2020"), "{finished}");
    }
    // The one in the current folder is read without being named.
    room.write(".cloakroom-allow.yaml", "- path: '*.txt'\n");
    findings(&room, &["a.txt"]).1.expect_code(0);
    for (list, expected) in [
        ("- { pth: a }", "broken.yaml:1:5: unknown field `pth`; did you mean `path`"),
        ("- { path: a }\n- { reason: x }", "broken.yaml:2:3: an entry needs one of"),
        ("- { value: a, expires: soon }", "broken.yaml:1:3: `expires` must be a day"),
    ] {
        room.write("broken.yaml", list);
        let refused = room.run(&["scan", "a.txt", "--allow", "broken.yaml"]);
        assert!(refused.expect_code(2).err().contains(expected), "{expected}\n{refused}");
    }
}

#[test]
fn sarif_is_whole_precise_and_the_same_each_time() {
    let room = Room::new();
    std::fs::create_dir(room.path("src dir")).unwrap();
    let text = format!("é {MAIL}\nno\n  {CARD}");
    room.write("src dir/ä.txt", &text);
    room.write("z.txt", format!("{MAIL}\n"));
    let scan = || {
        let finished = room.run(&["scan", "src dir", "z.txt", "--format", "sarif"]);
        no_leak(&finished);
        finished
    };
    let finished = scan();
    assert_eq!(finished.stdout, scan().stdout);
    let sarif = finished.expect_code(1).json();
    assert_eq!(sarif["version"], "2.1.0");
    assert!(sarif["$schema"].as_str().unwrap().contains("sarif-2.1.0"));
    let run = &sarif["runs"][0];
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    assert_eq!(run["invocations"][0]["executionSuccessful"], true);
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert_eq!(run["tool"]["driver"]["name"], "Cloakroom");
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let rule = &rules[result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        assert!(
            rule["shortDescription"]["text"].is_string() && rule["helpUri"].as_str().unwrap().starts_with("https://")
        );
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        assert!((0.0..=100.0).contains(&result["rank"].as_f64().unwrap()));
        assert!(result["message"]["text"].is_string() && result["partialFingerprints"]["cloakroom/v1"].is_string());
    }
    assert_eq!(results[0]["partialFingerprints"], results[2]["partialFingerprints"]);
    let place = &results[1]["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "src%20dir/%C3%A4.txt");
    let at = text.find(CARD).unwrap();
    let expected = json!({
        "startLine": 3, "startColumn": 3, "endLine": 3, "endColumn": 3 + CARD.len(),
        "charOffset": at - 1, "charLength": CARD.len(), "byteOffset": at, "byteLength": CARD.len(),
    });
    assert_eq!(place["region"], expected);
    // Nothing found is a whole document as well.
    room.write("clean.txt", "nothing");
    let clean = room.run(&["scan", "clean.txt", "--format", "sarif"]).expect_code(0).json();
    assert_eq!(clean["runs"][0]["results"], json!([]));
}

#[test]
fn a_stream_of_messages_is_answered_line_by_line() {
    let room = Room::new();
    let text = format!("Grüße 😀 {MAIL} \\u0041 \\\"{CARD}\\\"");
    let input = [
        format!(r#"{{"id": "a", "text": "{text}"}}"#),
        format!(r#"{{"text": "{MAIL}", "other": {{"id": 3}}, "id": {{"n": [1.50, null]}}}}"#),
        r#"{"text": "nothing"}"#.to_owned(),
        r#"{"id": 12345678901234567890, "text": null}"#.to_owned(),
        r#"{"id": null}"#.to_owned(),
        "{\"id\": 1, \"text\": \"CANARY".to_owned(),
        String::new(),
        r#"[1]"#.to_owned(),
        r#"{"id": 7, "text": 5}"#.to_owned(),
        r#"{"id": 8, "text": "a", "text": "b"}"#.to_owned(),
        format!(r#"{{"id": 9, "text": "{CARD}"}}"#),
    ]
    .join("\n");
    let finished = room.run_with_input(&["scan", "--jsonl"], input.as_bytes());
    no_leak(&finished);
    assert!(!contains(&finished.stdout, "CANARY"));
    let answers = lines(finished.expect_code(2));
    let ids: Vec<String> = answers.iter().map(|answer| answer["id"].to_string()).collect();
    let expected =
        ["\"a\"", r#"{"n":[1.50,null]}"#, "null", "12345678901234567890", "null", "null", "null", "7", "null", "9"];
    assert_eq!(ids.len(), expected.len(), "{finished}");
    assert!(finished.out().contains(r#"{"id":{"n": [1.50, null]},"findings":[{"#), "as it came: {finished}");
    for (number, (id, expected)) in ids.iter().zip(expected).enumerate() {
        assert!(number == 1 || id == expected, "{number}: {id}");
    }
    let decoded: String = serde_json::from_str(&format!("\"{text}\"")).unwrap();
    let found = answers[0]["findings"].as_array().unwrap();
    let values: Vec<&str> = found
        .iter()
        .map(|f| &decoded[f["start"].as_u64().unwrap() as usize..f["end"].as_u64().unwrap() as usize])
        .collect();
    assert_eq!(values, [MAIL, CARD]);
    assert_eq!(found[1]["entity"], "CREDIT_CARD");
    assert_eq!(found[1]["rule"], "credit-card");
    assert_eq!(found[1]["validated"], true);
    assert!(found[1]["confidence"].as_f64().unwrap() > 0.5);
    for number in [2, 3, 4] {
        assert_eq!(answers[number]["findings"], json!([]));
    }
    for (number, line) in [(5, 6), (6, 8), (7, 9), (8, 10)] {
        assert!(answers[number]["error"].is_string() && answers[number].get("findings").is_none(), "{finished}");
        assert_eq!(answers[number]["line"], line);
    }

    let clean = room.run_with_input(&["scan", "--jsonl", "-"], b"{\"id\":1,\"text\":\"fine\"}\n");
    assert_eq!(clean.expect_code(0).out(), "{\"id\":1,\"findings\":[]}\n");
    let file = room.write("m.jsonl", format!("{{\"a\":{{\"b\":\"{MAIL}\"}},\"id\":1}}\n{{\"a\":null}}\n"));
    let nested = room.run(&["scan", "--jsonl", &file, "--text-field", "a.b"]);
    let answers = lines(nested.expect_code(1));
    assert_eq!(answers[0]["findings"][0]["end"], MAIL.len());
    assert_eq!(answers[1]["findings"], json!([]));
    room.run(&["scan", "--jsonl", &file, "--text-field", "a"]).expect_code(2);
    room.run(&["scan", "--jsonl", &file, "--text-field", "a..b"]).expect_code(2);
    let none = room.run(&["scan", "--jsonl", &file, "--text-field", "a.b", "--min-confidence", "1"]);
    none.expect_code(0);
}

#[test]
fn many_messages_keep_their_order() {
    let room = Room::new();
    let line = |number: usize| match number % 3 {
        0 => format!("{{\"id\":{number},\"text\":\"{} {MAIL}\"}}\n", "é".repeat(number % 50)),
        _ => format!("{{\"id\":{number},\"text\":\"nothing at all in here\"}}\n"),
    };
    let input: String = (0..40_000).map(line).collect();
    let file = room.write("many.jsonl", input);
    for threads in ["1", "4"] {
        let finished = room.run(&["scan", "--jsonl", &file, "--threads", threads]);
        let answers = lines(finished.expect_code(1));
        assert_eq!(answers.len(), 40_000);
        for (number, answer) in answers.iter().enumerate() {
            assert_eq!(answer["id"], number);
            match number % 3 {
                0 => assert_eq!(answer["findings"][0]["start"], 2 * (number % 50) + 1),
                _ => assert_eq!(answer["findings"], json!([])),
            }
        }
    }
}

#[test]
fn an_answer_does_not_wait_for_the_next_question() {
    let room = Room::new();
    let mut command = room.command(&["scan", "--jsonl"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    for number in 0..5 {
        writeln!(stdin, "{{\"id\":{number},\"text\":\"x\"}}").unwrap();
        stdin.flush().unwrap();
        assert_eq!(answers.next().unwrap().unwrap(), format!("{{\"id\":{number},\"findings\":[]}}"));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_line_without_end_is_an_error_and_no_memory() {
    let room = Room::new();
    let mut started = Started::new(room.command(&["scan", "--jsonl"]).stdin(Stdio::piped()));
    let mut stdin = started.stdin();
    let long = vec![b'x'; 1024 * 1024];
    for _ in 0..40 {
        stdin.write_all(&long).unwrap();
    }
    stdin.write_all(b"\n{\"id\":2,\"text\":\"x\"}\n").unwrap();
    drop(stdin);
    let finished = started.wait();
    let answers = lines(finished.expect_code(2));
    assert_eq!(answers.len(), 2, "{finished}");
    assert_eq!((&answers[0]["line"], &answers[1]["id"]), (&json!(1), &json!(2)));
}

#[test]
fn nothing_is_left_behind() {
    let room = Room::new();
    room.write("a.txt", format!("{MAIL} {CARD} {SSN}\n"));
    for format in ["human", "jsonl", "sarif"] {
        no_leak(&room.run(&["--log", "debug", "scan", "a.txt", "--format", format, "--write-baseline", "known.json"]));
    }
    for (path, content) in files_below(room.folder()) {
        assert!(path.ends_with("a.txt") || !contains(&content, "canary"), "{path:?}");
    }
}
