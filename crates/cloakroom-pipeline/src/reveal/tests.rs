use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use cloakroom_core::decode::parse_json_object;
use cloakroom_core::{IngestTime, Payload, Place, PolicyConfig, RecordId};
use cloakroom_crypto::{ApproverKey, KeyRing, RootKey};
use serde::Deserialize;
use tempfile::TempDir;

use super::approval::Asked;
use super::*;
use crate::audit::entries;
use crate::config::PipelineFile;
use crate::keys::Keys;
use crate::keys::subjects::SubjectFiles;

#[derive(Clone, Debug, Deserialize)]
enum Nothing {}

/// A policy, its keys, its log, and a clock that the test turns.
struct House {
    folder: TempDir,
    keys: Keys,
    config: PolicyConfig,
    clock: Arc<AtomicI64>,
}

const FIELDS: &str = "subject: id\nfields:\n  card: { protect: encrypt, class: payment }\n  mail: { protect: encrypt }\n  ip: { protect: hmac }\n";

impl House {
    fn new(reveal: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ring = KeyRing::new(vec![RootKey::generate("2026-01-01T00:00:00Z").unwrap()]).unwrap();
        let files = SubjectFiles::beside(&folder.path().join("keys.json"));
        let keys = Keys::new(ring, "a test".to_owned(), Some(files)).unwrap();
        let file = PipelineFile::<Nothing, Nothing, Nothing>::parse(&format!("{FIELDS}{reveal}"), "p.yaml").unwrap();
        let config = file.policy("p").unwrap();
        Self { folder, keys, config, clock: Arc::new(AtomicI64::new(1_800_000_000)) }
    }

    fn cloak(&self) -> Cloak {
        Cloak::new(Arc::new(Policy::compile(&self.config, Some(&self.keys.provider)).unwrap()))
    }

    fn log(&self) -> AuditLog {
        let clock = Arc::clone(&self.clock);
        let now = move || IngestTime::from_unix_seconds(clock.load(Ordering::SeqCst));
        AuditLog::open(self.path(), &self.keys.ring, now).unwrap()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn later(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Protected records of these people.
    fn records(&self, people: &[&str]) -> Vec<Object> {
        let cloak = self.cloak();
        let batch = cloak.begin_keys();
        let protect = |person: &&str| {
            let json = format!(
                r#"{{"id":"{person}","card":"4111-1111-1111-1111","mail":"jo@mail.example","ip":"192.0.2.1"}}"#
            );
            let id = RecordId { partition: "t".into(), position: Place::Offset { byte: 0, number: 1 } };
            let record = cloak.process(id, &Payload::Json(json.into()), IngestTime::from_unix_seconds(0)).unwrap();
            let mut out = Vec::new();
            record.write_json(&mut out);
            parse_json_object(&out, 64).unwrap()
        };
        let records = people.iter().map(protect).collect();
        cloak.persist_keys(batch).unwrap();
        records
    }

    fn open(&self, demand: Demand, approval: Option<&Approval>) -> Result<Counter, String> {
        Counter::open(&self.cloak(), self.log(), demand, approval).map_err(words)
    }

    /// Opens records of these people in a run of its own; the answers in short.
    fn reveal(&self, demand: Demand, people: &[&str]) -> Result<Vec<String>, String> {
        let mut counter = self.open(demand, None)?;
        counter.hand_out(self.records(people)).map(|handed| handed.iter().map(short).collect()).map_err(words)
    }

    /// The last lines of the log: outcome, reason, paths, count.
    fn last(&self) -> String {
        let entry = self.entries().pop().unwrap();
        let why = entry.why.unwrap_or_default();
        format!("{} {} {why} {} {}", entry.action, entry.outcome, entry.path.join(","), entry.count)
    }

    fn entries(&self) -> Vec<Entry> {
        entries(Path::new(&self.path())).unwrap().map(Result::unwrap).collect()
    }
}

fn words(stopped: Stopped) -> String {
    match stopped {
        Stopped::Denied(why, text) => format!("{}: {text}", why.as_str()),
        Stopped::Failed(error) => format!("failed: {error}"),
    }
}

fn short(handed: &Handed) -> String {
    match handed {
        Handed::Record { record, closed } => {
            let text = |name| {
                record.get(name).and_then(|value| value.as_str()).unwrap_or("-").chars().take(20).collect::<String>()
            };
            format!(
                "{} {} {}",
                text("card"),
                if text("mail").starts_with("ck1.") { "closed".to_owned() } else { text("mail") },
                closed.len()
            )
        }
        Handed::Refused(why, _) => why.as_str().to_owned(),
        Handed::Others => "others".to_owned(),
    }
}

fn demand(who: &str, purpose: &str, level: RevealLevel) -> Demand {
    Demand {
        principal: AuditText::new("name", who).unwrap(),
        purpose: AuditText::new("purpose", purpose).unwrap(),
        reason: AuditText::new("reason", "ticket 1").unwrap(),
        level,
        fields: Vec::new(),
        classes: Vec::new(),
        subject: None,
    }
}

const ALLOW: &str = "reveal:\n  allow:\n  - { who: [ann], purposes: [support] }\n  - { who: [bob], purposes: [fraud], classes: [payment], level: full }\n";

#[test]
fn what_is_allowed_is_shown_and_all_else_is_refused_on_record() {
    let house = House::new(ALLOW);
    use RevealLevel::{Full, Masked};
    let masked = "****-****-****-1111 j***@mail.example 0";
    assert_eq!(house.reveal(demand("ann", "support", Masked), &["a"]), Ok(vec![masked.to_owned()]));
    assert_eq!(house.last(), "reveal allowed  card,mail 2");
    let entry = house.entries().pop().unwrap();
    assert!(entry.subject.unwrap().starts_with("ck1.t.") && entry.level.as_deref() == Some("masked"));
    assert_eq!(house.reveal(demand("ann", "support", Full), &["a"]), Ok(vec!["no_right".to_owned()]));
    assert_eq!(house.last(), "reveal refused no_right card,mail 2");
    assert_eq!(house.reveal(demand("bob", "fraud", Full), &["a"]), Ok(vec!["4111-1111-1111-1111 closed 0".to_owned()]));
    let of = |fields: &[&str], classes: &[&str]| {
        let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Demand { fields: owned(fields), classes: owned(classes), ..demand("bob", "fraud", Full) }
    };
    assert_eq!(house.reveal(of(&["card", "mail"], &[]), &["a"]), Ok(vec!["no_right".to_owned()]), "asked for by name");
    assert_eq!(house.reveal(of(&[], &["payment"]), &["a"]), Ok(vec!["4111-1111-1111-1111 closed 0".to_owned()]));
    for (who, purpose, expected) in
        [("bob", "support", "no_right: "), ("eve", "fraud", "no_right: "), ("ann", "curiosity", "no_purpose: ")]
    {
        let error = house.reveal(demand(who, purpose, Masked), &["a"]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
        assert!(house.last().starts_with(&format!("reveal refused {}", expected.trim_end_matches(": "))));
    }
    let error = House::new("").reveal(demand("ann", "support", Masked), &["a"]).unwrap_err();
    assert!(error.contains("`reveal:`"), "{error}");
}

#[test]
fn limits_hold_over_runs_and_for_an_hour() {
    let limits = "  limits: { values: 7, subjects: 3 }\n";
    let house = House::new(&format!("{ALLOW}{limits}"));
    let ann = || demand("ann", "support", RevealLevel::Masked);
    assert_eq!(house.reveal(ann(), &["a", "a", "b"]).unwrap().len(), 3);
    let error = house.reveal(ann(), &["c"]).unwrap_err();
    assert!(error.starts_with("rate_limited: the limit is 7 values"), "{error}");
    assert_eq!(house.last(), "reveal refused rate_limited  1");
    assert!(
        house.reveal(demand("bob", "fraud", RevealLevel::Full), &["c", "d", "e"]).is_ok(),
        "another person's limit"
    );
    let error = house.reveal(demand("bob", "fraud", RevealLevel::Full), &["f"]).unwrap_err();
    assert!(error.starts_with("rate_limited: the limit is 3 people"), "{error}");
    assert!(house.reveal(demand("bob", "fraud", RevealLevel::Full), &["c"]).is_ok(), "people seen already");
    house.later(WINDOW_SECONDS - 1);
    assert!(house.reveal(ann(), &["c"]).is_err());
    house.later(2);
    assert!(house.reveal(ann(), &["c"]).is_ok());
    // Within one run, batch by batch: what was handed out stays, what goes beyond does not come.
    house.later(2 * WINDOW_SECONDS);
    let mut counter = house.open(ann(), None).unwrap();
    assert!(counter.hand_out(house.records(&["a", "b", "c"])).is_ok());
    assert!(house.reveal(ann(), &["a"]).is_err(), "another process at the same time");
    assert!(words(counter.hand_out(house.records(&["a"])).err().unwrap()).starts_with("rate_limited"));
}

#[test]
fn so_many_people_need_a_second_person() {
    let carol = ApproverKey::generate().unwrap();
    let mallory = ApproverKey::generate().unwrap();
    let approval = format!(
        "  limits: {{ values: 4, subjects: 2 }}\n  approval: {{ above: 2, by: {{ carol: {}, ann: {} }} }}\n",
        carol.public_key(),
        mallory.public_key()
    );
    let house = House::new(&format!("{ALLOW}{approval}"));
    let people = ["a", "b", "c"];
    let ann = || demand("ann", "support", RevealLevel::Masked);
    let error = house.reveal(ann(), &people).unwrap_err();
    assert!(error.starts_with("no_approval: ") && error.contains("--request"), "{error}");
    assert_eq!(house.last(), "reveal refused no_approval  3");

    let policy = house.cloak().shared_policy();
    let asked = || Asked::new(&ann(), &policy, 3, house.log().time(0));
    let agreed = || Approval::sign(asked(), &carol).unwrap();
    let use_it = |demand: Demand, approval: &Approval, people: &[&str]| {
        let mut counter = house.open(demand, Some(approval))?;
        counter.hand_out(house.records(people)).map(|handed| handed.len()).map_err(words)
    };
    let good = agreed();
    let again = Approval::parse(&serde_json::to_string(&good).unwrap()).unwrap();
    assert_eq!(use_it(ann(), &again, &people), Ok(3));
    let approved = house.entries().into_iter().rev().find(|entry| entry.action == "approved").unwrap();
    assert_eq!((approved.approver.as_deref(), approved.request.as_ref()), (Some("carol"), Some(&good.request.id)));
    assert_eq!(house.entries().pop().unwrap().request.as_ref(), Some(&good.request.id));
    assert!(house.reveal(ann(), &["a", "b"]).is_ok(), "what was agreed to takes nothing from the limits");
    let refused = |result: Result<usize, String>, expected: &str| {
        let error = result.unwrap_err();
        assert!(error.starts_with("no_approval: ") && error.contains(expected), "{error}");
        assert_eq!(house.entries().pop().unwrap().why.as_deref(), Some("no_approval"));
    };
    refused(use_it(ann(), &good, &people), "used before");
    refused(use_it(ann(), &agreed(), &["a", "b", "c", "d"]), "more than the 3 people");
    refused(use_it(Demand { level: RevealLevel::Full, ..ann() }, &agreed(), &people), "something else");
    refused(use_it(Demand { fields: vec!["mail".to_owned()], ..ann() }, &agreed(), &people), "something else");
    let other = AuditText::new("reason", "another").unwrap();
    refused(use_it(Demand { reason: other, ..ann() }, &agreed(), &people), "something else");
    let mut more = agreed();
    more.request.subjects = 1_000;
    refused(use_it(ann(), &more, &people), "changed");
    refused(use_it(ann(), &Approval::sign(asked(), &ApproverKey::generate().unwrap()).unwrap(), &people), "nobody");
    refused(use_it(ann(), &Approval::sign(asked(), &mallory).unwrap(), &people), "for themselves");
    let old = agreed();
    house.later(VALID_SECONDS + 1);
    refused(use_it(ann(), &old, &people), "older than a day");
}

#[test]
fn erased_and_changed_values_are_refused_on_record() {
    let house = House::new(ALLOW);
    let mut records = house.records(&["a", "b", "c"]);
    let files = SubjectFiles::beside(&house.folder.path().join("keys.json"));
    let subjects = crate::keys::subjects::SubjectKeys::open(Arc::clone(&house.keys.ring), &files, false, || {
        IngestTime::from_unix_seconds(0)
    })
    .unwrap();
    subjects.erase("default", "a", &|_| Ok("receipt".to_owned())).unwrap().unwrap();
    let card = records[2].get("card").unwrap().clone();
    let moved: Vec<_> = records[1]
        .iter()
        .map(|(name, value)| (name.into(), if name == "card" { card.clone() } else { value.clone() }))
        .collect();
    records[1] = moved.into_iter().fold(Object::with_capacity(4), |mut record, (name, value)| {
        record.push(name, value);
        record
    });
    let mut counter = house.open(demand("ann", "support", RevealLevel::Masked), None).unwrap();
    let handed: Vec<_> = counter.hand_out(records).unwrap().iter().map(short).collect();
    assert_eq!(handed[0], "erased");
    assert!(handed[1].starts_with("ck1.a.") && handed[1].ends_with(" j***@mail.example 1"), "{}", handed[1]);
    assert_eq!(handed[2], "****-****-****-1111 j***@mail.example 0");
    let lines: Vec<_> =
        house.entries().iter().map(|entry| (entry.outcome.clone(), entry.why.clone(), entry.count)).collect();
    let refused = |why: &str, count| ("refused".to_owned(), Some(why.to_owned()), count);
    let allowed = |count| ("allowed".to_owned(), None, count);
    assert_eq!(lines[1..], [refused("erased", 2), refused("unknown_key", 1), allowed(1), allowed(2)]);
}

#[test]
fn one_persons_records_among_others() {
    let house = House::new(ALLOW);
    let of =
        |subject: &str| Demand { subject: Some(subject.to_owned()), ..demand("ann", "support", RevealLevel::Masked) };
    let answers = house.reveal(of("b"), &["a", "b", "c", "b"]).unwrap();
    assert_eq!(answers.iter().filter(|answer| *answer == "others").count(), 2);
    assert_eq!(
        house.entries().iter().filter(|entry| entry.outcome == "allowed" && entry.action == "reveal").count(),
        2
    );
    let hidden = |text: &str| text.replace("fields:\n", "fields:\n  id: { protect: drop }\n");
    let file =
        PipelineFile::<Nothing, Nothing, Nothing>::parse(&hidden(&format!("{FIELDS}{ALLOW}")), "p.yaml").unwrap();
    let house = House { config: file.policy("p").unwrap(), ..house };
    let answers = house.reveal(of("b"), &["a", "b"]).unwrap();
    assert_eq!(answers, ["others", "****-****-****-1111 j***@mail.example 0"]);
    let unknown = demand("ann", "support", RevealLevel::Masked);
    assert_eq!(house.reveal(unknown, &["a"]).unwrap(), ["not_found"]);
}
