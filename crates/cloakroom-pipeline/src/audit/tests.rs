//! Every way to change a log, and what the verifier says to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cloakroom_core::IngestTime;
use cloakroom_crypto::{KeyRing, KeyState, RootKey, SecretKey};
use tempfile::TempDir;

use super::*;

fn root(byte: u8) -> RootKey {
    RootKey::new(SecretKey::from_bytes([byte; 32]), "", KeyState::Active).unwrap()
}

fn ring(byte: u8) -> KeyRing {
    KeyRing::new(vec![root(byte)]).unwrap()
}

fn clock() -> IngestTime {
    IngestTime::from_unix_seconds(1_700_000_000)
}

fn text(text: &str) -> AuditText {
    AuditText::new("text", text).unwrap()
}

fn open(path: &Path, ring: &KeyRing) -> AuditLog {
    AuditLog::open(path, ring, clock).unwrap().with_checkpoint_every(4)
}

fn event(log: &AuditLog) -> Event {
    Event::new(text("alice"), Action::Reveal, Outcome::Allowed)
        .purpose(text("support"))
        .reason(text("ticket 42"))
        .paths(["cards[*].number"])
        .subject(log.subject("user-42").unwrap())
        .count(3)
        .level(Level::Masked)
}

/// A log of ten lines: `begin`, seven events, and checkpoints as lines 5 and 10.
struct Room {
    _folder: TempDir,
    path: PathBuf,
    ring: KeyRing,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let room = Self { path: folder.path().join("audit.jsonl"), _folder: folder, ring: ring(1) };
        let log = room.log();
        for number in 1..=7 {
            log.append(&event(&log).count(number)).unwrap();
        }
        assert_eq!(room.lines().len(), 10);
        room
    }

    fn log(&self) -> AuditLog {
        open(&self.path, &self.ring)
    }

    fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.path).unwrap().lines().map(str::to_owned).collect()
    }

    fn write(&self, lines: &[String]) {
        fs::write(&self.path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    }

    fn report(&self, kept: &[Checkpoint]) -> Report {
        verify(&self.path, Trust::Keys(&audit_keys(&self.ring).unwrap()), kept).unwrap()
    }

    fn checkpoints(&self) -> Vec<Checkpoint> {
        checkpoints(&self.path).unwrap()
    }

    /// Kind and line of the first fault.
    #[track_caller]
    fn fault(&self) -> (FaultKind, u64) {
        let fault = self.report(&[]).fault.expect("a fault");
        (fault.kind, fault.line)
    }

    #[track_caller]
    fn expect_good(&self, lines: u64) {
        let report = self.report(&[]);
        assert_eq!((report.fault, report.lines), (None, lines));
    }

    #[track_caller]
    fn expect_no_append(&self, why: &str) {
        let log = self.log();
        let before = fs::read(&self.path).unwrap_or_default();
        let error = log.append(&event(&log)).unwrap_err();
        assert!(error.message.contains(why), "{}", error.message);
        assert_eq!(fs::read(&self.path).unwrap_or_default(), before, "nothing was written");
    }
}

#[test]
fn a_log_is_good_and_holds_what_was_given() {
    let room = Room::new();
    let report = room.report(&room.checkpoints());
    assert_eq!(report.fault, None);
    assert_eq!((report.lines, report.checkpoints, report.kept_checkpoints), (10, 2, 2));
    assert_eq!(report.first.as_deref(), Some("2023-11-14T22:13:20Z"));
    let lines: Vec<Entry> = entries(&room.path).unwrap().map(Result::unwrap).collect();
    assert_eq!(lines.iter().map(|line| line.seq).collect::<Vec<_>>(), (1..=10).collect::<Vec<_>>());
    let Entry { principal, action, purpose, reason, path, subject, count, outcome, why, level, .. } = &lines[1];
    assert_eq!((principal.as_str(), action.as_str(), outcome.as_str(), why), ("alice", "reveal", "allowed", &None));
    assert_eq!(
        (purpose.as_deref(), reason.as_deref(), level.as_deref()),
        (Some("support"), Some("ticket 42"), Some("masked"))
    );
    assert_eq!((path.as_slice(), *count), (["cards[*].number".to_owned()].as_slice(), 1));
    assert!(subject.as_ref().unwrap().starts_with("ck1.t."));
    assert!(!fs::read_to_string(&room.path).unwrap().contains("user-42"));
    assert_eq!(lines[4].checkpoint.as_ref().map(|signed| (signed.seq, signed.count)), Some((4, 4)));
    #[cfg(unix)]
    for file in [&room.path, &head_file(&room.path)] {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn positions_and_refusals_are_as_in_the_log() {
    let room = Room::new();
    let log = room.log();
    let refused = Event::new(text("bob"), Action::Reveal, Outcome::Refused(Refusal::NoRight));
    let positions = log.append_all(&[refused.clone(), refused]).unwrap();
    let last = entries(&room.path).unwrap().last().unwrap().unwrap();
    assert_eq!((positions[0].seq, positions[1].seq), (11, 12));
    assert_eq!((last.mac, last.kid), (positions[1].mac.clone(), positions[1].kid.to_string()));
    assert_eq!((last.outcome.as_str(), last.why.as_deref()), ("refused", Some("no_right")));
    assert!(log.append_all(&[]).unwrap().is_empty());
    room.expect_good(12);
}

#[test]
fn an_edit_of_any_field_is_found() {
    let room = Room::new();
    let lines = room.lines();
    let edits = [
        ("\"seq\":3", "\"seq\":8"),
        ("\"seq\":3", "\"seq\":99"),
        ("22:13:20", "22:13:21"),
        ("\"alice\"", "\"mallory\""),
        ("\"reveal\"", "\"export\""),
        ("\"support\"", "\"billing\""),
        ("ticket 42", "ticket 43"),
        ("cards[*]", "cards[0]"),
        ("ck1.t.", "ck1.u."),
        ("\"count\":2", "\"count\":1"),
        ("\"allowed\"", "\"refused\""),
        ("\"masked\"", "\"full\""),
        ("\"level\"", "\"lebel\""),
        ("\"count\":2", "\"count\": 2"),
        ("{\"seq\"", "{ \"seq\""),
    ];
    for (from, to) in edits {
        let mut edited = lines.clone();
        assert!(edited[2].contains(from), "{from}");
        edited[2] = edited[2].replacen(from, to, 1);
        room.write(&edited);
        assert_eq!(room.fault(), (FaultKind::Edited, 3), "{from} to {to}");
    }
    for at in 0..lines[2].len() {
        let mut edited = lines.clone();
        let mut bytes = edited[2].clone().into_bytes();
        bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
        edited[2] = String::from_utf8(bytes).unwrap();
        room.write(&edited);
        let (_, line) = room.fault();
        assert_eq!(line, 3, "byte {at}");
    }
}

#[test]
fn an_edited_key_id_is_found() {
    let mut room = Room::new();
    let mut lines = room.lines();
    let kid = ring(1).active_kid().to_string();
    let begins = lines[2].rfind(&kid).unwrap();
    lines[2].replace_range(begins..begins + 8, "zzzzzzzz");
    room.write(&lines);
    assert_eq!(room.fault(), (FaultKind::UnknownKey, 3));
    // A key that the ring has, and that did not make this line.
    room.ring = ring(1).rotated(root(2)).unwrap();
    lines[2].replace_range(begins..begins + 8, room.ring.active_kid().as_str());
    room.write(&lines);
    assert_eq!(room.fault(), (FaultKind::Edited, 3));
    room.ring = ring(2);
    assert_eq!(room.fault(), (FaultKind::UnknownKey, 1));
}

#[test]
fn missing_lines_are_found() {
    let room = Room::new();
    let lines = room.lines();
    for (at, kind) in [(0, FaultKind::Missing), (4, FaultKind::Missing), (9, FaultKind::Truncated)] {
        let mut fewer = lines.clone();
        fewer.remove(at);
        room.write(&fewer);
        assert_eq!(room.fault(), (kind, at as u64 + 1), "line {}", at + 1);
    }
    let mut fewer = lines.clone();
    fewer.drain(3..6);
    room.write(&fewer);
    let fault = room.report(&[]).fault.unwrap();
    assert_eq!(fault.to_string(), "line 4: events 4 to 6 are missing before it");
    room.write(&[]);
    assert_eq!(room.fault(), (FaultKind::Truncated, 1));
}

#[test]
fn moved_and_doubled_lines_are_found() {
    let room = Room::new();
    let lines = room.lines();
    for (a, b) in [(2, 3), (2, 8), (0, 9)] {
        let mut swapped = lines.clone();
        swapped.swap(a, b);
        room.write(&swapped);
        assert_eq!(room.fault(), (FaultKind::OutOfOrder, a as u64 + 1), "{a} and {b}");
    }
    for (at, from) in [(4, 3), (9, 1), (10, 9)] {
        let mut doubled = lines.clone();
        doubled.insert(at, lines[from].clone());
        room.write(&doubled);
        assert_eq!(room.fault(), (FaultKind::Duplicate, at as u64 + 1), "{from} again");
    }
}

#[test]
fn lines_of_another_log_are_found() {
    let (room, other) = (Room::new(), Room::new());
    let theirs = other.lines();
    for at in 0..10 {
        let mut mixed = room.lines();
        mixed[at] = theirs[at].clone();
        let lines = room.lines();
        room.write(&mixed);
        // Its first line alone, or all but one, are a chain of their own up to there.
        let expected = if at == 0 { 2 } else { at as u64 + 1 };
        assert_eq!(room.fault(), (FaultKind::Edited, expected), "line {}", at + 1);
        room.write(&lines);
    }
    let kept = room.checkpoints();
    room.write(&theirs);
    assert_eq!(room.fault(), (FaultKind::BadHead, 11));
    fs::copy(head_file(&other.path), head_file(&room.path)).unwrap();
    room.expect_good(10);
    let fault = room.report(&kept).fault.unwrap();
    assert_eq!((fault.kind, fault.line), (FaultKind::OtherHistory, 4), "a kept checkpoint tells the two logs apart");
}

#[test]
fn truncation_is_found_with_the_head_file_and_told_without() {
    let room = Room::new();
    let (lines, kept) = (room.lines(), room.checkpoints());
    room.write(&lines[..7]);
    assert_eq!(room.fault(), (FaultKind::Truncated, 8));
    room.expect_no_append("lines are missing at its end");
    let whole = fs::read(&room.path).unwrap();
    fs::write(&room.path, &whole[..whole.len() - 30]).unwrap();
    assert_eq!(room.fault(), (FaultKind::Truncated, 7));

    room.write(&lines[..7]);
    let head = fs::read(head_file(&room.path)).unwrap();
    fs::remove_file(head_file(&room.path)).unwrap();
    assert_eq!(room.fault(), (FaultKind::NoHead, 8));
    room.expect_no_append("its head file");
    assert_eq!(room.report(&kept).fault.unwrap().kind, FaultKind::Truncated);

    let edited = String::from_utf8(head).unwrap().replacen("\"seq\":10", "\"seq\":7", 1);
    fs::write(head_file(&room.path), edited).unwrap();
    assert_eq!(room.fault(), (FaultKind::BadHead, 8));
    room.expect_no_append("not as it was written");

    // The whole log gone, its head file still there.
    room.write(&lines);
    fs::remove_file(&room.path).unwrap();
    let other = Room::new();
    fs::copy(head_file(&other.path), head_file(&room.path)).unwrap();
    room.expect_no_append("lines are missing at its end");
}

#[test]
fn a_log_rolled_back_with_its_head_is_found_by_kept_checkpoints_only() {
    let room = Room::new();
    let (log, head) = (fs::read(&room.path).unwrap(), fs::read(head_file(&room.path)).unwrap());
    let kept = room.log().checkpoint(text("alice")).unwrap();
    assert_eq!((kept.seq, kept.count), (10, 0));
    let log_now = room.log();
    log_now.append(&event(&log_now)).unwrap();
    let kept = [kept, room.log().checkpoint(text("alice")).unwrap()];
    assert_eq!((kept[1].seq, kept[1].count), (12, 1));
    assert_eq!(room.report(&kept).fault, None);
    fs::write(&room.path, log).unwrap();
    fs::write(head_file(&room.path), head).unwrap();
    room.expect_good(10);
    let fault = room.report(&kept).fault.unwrap();
    assert_eq!((fault.kind, fault.line), (FaultKind::Truncated, 11));
    // And what grows after the rollback is another history.
    for _ in 0..3 {
        let log = room.log();
        log.append(&event(&log)).unwrap();
    }
    let fault = room.report(&kept).fault.unwrap();
    assert_eq!((fault.kind, fault.line), (FaultKind::OtherHistory, 12));
}

#[test]
fn public_keys_alone_check_order_and_checkpoints() {
    let room = Room::new();
    let public = [room.ring.audit_key().unwrap().public_key()];
    let kept = room.checkpoints();
    let report = |kept: &[Checkpoint]| verify(&room.path, Trust::PublicKeys(&public), kept).unwrap();
    assert_eq!(report(&kept).fault, None);
    assert_eq!((report(&kept).lines, report(&kept).checkpoints, report(&kept).kept_checkpoints), (10, 2, 2));

    let other = [ring(2).audit_key().unwrap().public_key()];
    let fault = verify(&room.path, Trust::PublicKeys(&other), &[]).unwrap().fault.unwrap();
    assert_eq!((fault.kind, fault.line), (FaultKind::BadCheckpoint, 5));
    for change in 0..5 {
        let mut forged = kept[1].clone();
        match change {
            0 => forged.seq = 8,
            1 => forged.count += 1,
            2 => forged.mac.clone_from(&kept[0].mac),
            3 => forged.time = "2024-01-01T00:00:00Z".to_owned(),
            _ => forged.log = "0".repeat(32),
        }
        assert_eq!(report(&[forged]).fault.unwrap().kind, FaultKind::BadCheckpoint);
    }
    let lines = room.lines();
    room.write(&lines[..6]);
    assert_eq!(report(&kept).fault.unwrap().kind, FaultKind::Truncated);
    let mut fewer = lines;
    fewer.remove(2);
    room.write(&fewer);
    assert_eq!(report(&[]).fault.unwrap().kind, FaultKind::Missing);
}

#[test]
fn a_new_root_key_goes_on_with_the_chain_and_the_old_one_does_not_come_back() {
    let mut room = Room::new();
    room.ring = ring(1).rotated(root(2)).unwrap();
    let log = room.log();
    for _ in 0..5 {
        log.append(&event(&log)).unwrap();
    }
    room.expect_good(16);
    assert_eq!(room.report(&room.checkpoints()).kept_checkpoints, 3);
    let kids: Vec<String> = entries(&room.path).unwrap().map(|line| line.unwrap().kid).collect();
    assert_eq!((kids[9].as_str(), kids[10].as_str()), (ring(1).active_kid().as_str(), ring(2).active_kid().as_str()));

    // A process that still has the old ring only stops, and says why.
    let new_ring = std::mem::replace(&mut room.ring, ring(1));
    room.expect_no_append("which the key ring does not have");
    // Whoever got hold of the old key cannot go on with it: here the ring says that it is active again.
    let back =
        KeyRing::new(vec![root(1), RootKey::new(SecretKey::from_bytes([2; 32]), "", KeyState::Retired).unwrap()]);
    let log = open(&room.path, &back.unwrap());
    log.append(&event(&log)).unwrap();
    room.ring = new_ring;
    assert_eq!(room.fault(), (FaultKind::ReplacedKey, 17));
}

#[test]
fn a_torn_line_is_moved_aside_and_the_chain_goes_on() {
    let room = Room::new();
    let whole = room.lines();
    let torn = &whole[5][..whole[5].len() / 2];
    let mut file = fs::OpenOptions::new().append(true).open(&room.path).unwrap();
    std::io::Write::write_all(&mut file, torn.as_bytes()).unwrap();
    let report = room.report(&[]);
    assert_eq!((report.fault, report.lines, report.notes.len()), (None, 10, 1));
    assert_eq!(entries(&room.path).unwrap().count(), 10);

    let log = room.log();
    log.append(&event(&log)).unwrap();
    room.expect_good(12);
    let recovered = entries(&room.path).unwrap().nth(10).unwrap().unwrap();
    assert_eq!((recovered.action.as_str(), recovered.count), ("recovered", torn.len() as u64));
    assert_eq!(fs::read_to_string(room.path.with_extension("torn")).unwrap(), format!("{torn}\n"));
}

#[test]
fn lines_whose_head_was_not_written_any_more_are_taken_in() {
    let room = Room::new();
    let head = fs::read(head_file(&room.path)).unwrap();
    let log = room.log();
    log.append_all(&[event(&log), event(&log)]).unwrap();
    let with_two = fs::read(&room.path).unwrap();
    fs::write(head_file(&room.path), &head).unwrap();
    let report = room.report(&[]);
    assert_eq!((report.fault, report.lines, report.notes.len()), (None, 12, 1));
    log.append(&event(&log)).unwrap();
    room.expect_good(13);

    // Not so lines that the chain does not know.
    let edited = String::from_utf8(with_two).unwrap();
    let at = edited.rfind("ticket 42").unwrap();
    fs::write(&room.path, format!("{}ticket 43{}", &edited[..at], &edited[at + 9..])).unwrap();
    fs::write(head_file(&room.path), &head).unwrap();
    room.expect_no_append("line 12 is not as it was written");
}

#[test]
fn a_crash_at_the_very_beginning_leaves_no_knot() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room { path: folder.path().join("audit.jsonl"), _folder: folder, ring: ring(1) };
    let log = room.log();
    log.append(&event(&log)).unwrap();
    let bytes = fs::read(&room.path).unwrap();
    // The head of the empty log, and one byte of the first line.
    fs::remove_file(&room.path).unwrap();
    fs::remove_file(head_file(&room.path)).unwrap();
    drop(log.append(&event(&log)));
    let name = entries(&room.path).unwrap().next().unwrap().unwrap().log.unwrap();
    let start = super::head::Head::start(name, *room.ring.active_kid());
    start.write(&head_file(&room.path), &room.ring.audit_key().unwrap()).unwrap();
    fs::write(&room.path, &bytes[..1]).unwrap();
    let log = room.log();
    log.append(&event(&log)).unwrap();
    room.expect_good(3);
    let actions: Vec<String> = entries(&room.path).unwrap().map(|line| line.unwrap().action).collect();
    assert_eq!(actions, ["begin", "recovered", "reveal"]);
}

#[test]
fn the_last_line_cannot_be_changed_under_an_append() {
    let room = Room::new();
    let mut lines = room.lines();
    let last = lines.pop().unwrap();
    let (from, to) =
        (last.as_bytes()[last.len() - 10] as char, if last.as_bytes()[last.len() - 10] == b'A' { 'B' } else { 'A' });
    let mut changed = last.clone();
    changed.replace_range(last.len() - 10..last.len() - 9, &to.to_string());
    assert_ne!(from, to);
    lines.push(changed);
    room.write(&lines);
    room.expect_no_append("its last line is not as it was written");
}

#[test]
#[cfg(unix)]
fn a_log_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let room = Room::new();
    fs::set_permissions(&room.path, fs::Permissions::from_mode(0o640)).unwrap();
    room.expect_no_append("chmod 600");
}

#[test]
fn many_writers_make_one_chain() {
    let room = Room::new();
    let log = Arc::new(room.log());
    let threads: Vec<_> = (0..4)
        .map(|thread| {
            // Two share one log, the others have one of their own.
            let log = if thread < 2 { Arc::clone(&log) } else { Arc::new(room.log()) };
            std::thread::spawn(move || (0..25).for_each(|_| drop(log.append(&event(&log)).unwrap())))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let report = room.report(&[]);
    assert_eq!(report.fault, None);
    let reveals = entries(&room.path).unwrap().filter(|line| line.as_ref().unwrap().action == "reveal").count();
    assert_eq!(reveals, 107);
}

/// `cargo test --release -p cloakroom-pipeline -- --ignored speed`
#[test]
#[ignore = "a measurement; of an optimised build only"]
fn speed_of_the_verifier() {
    let folder = tempfile::tempdir().unwrap();
    let room = Room { path: folder.path().join("audit.jsonl"), _folder: folder, ring: ring(1) };
    let log = AuditLog::open(&room.path, &room.ring, clock).unwrap();
    let events = vec![event(&log); 1_000];
    for _ in 0..200 {
        log.append_all(&events).unwrap();
    }
    let begun = std::time::Instant::now();
    let report = room.report(&[]);
    let rate = report.lines as f64 / begun.elapsed().as_secs_f64();
    assert_eq!(report.fault, None);
    eprintln!("{rate:.0} lines a second");
    assert!(rate > 100_000.0);
}
