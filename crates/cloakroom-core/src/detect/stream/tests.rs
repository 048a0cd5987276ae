//! Any cutting into pieces gives what the whole gives.

use proptest::prelude::*;

use super::*;
use crate::detect::{Selection, built_in};

type Seen = (String, u64, u64, u64, u64, u64, u64);

fn detector() -> &'static Detector {
    static DETECTOR: std::sync::OnceLock<Detector> = std::sync::OnceLock::new();
    DETECTOR.get_or_init(|| Detector::new(&Selection::default()).unwrap())
}

fn scan<'t>(pieces: impl IntoIterator<Item = &'t [u8]>) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut scanner = Scanner::new(detector());
    let mut see = |found: &Found<'_, '_>| {
        let (start, end) = (found.start, found.end);
        let id = found.rule.id.to_string();
        seen.push((id, start.byte, end.byte, start.character, end.utf16, start.line, start.column));
    };
    for piece in pieces {
        scanner.push(piece, &mut see);
    }
    scanner.finish(&mut see);
    seen
}

fn whole(text: &[u8]) -> Vec<Seen> {
    let mut found = Vec::new();
    detector().find(text, &[], &mut Scratch::default(), &mut found);
    let seen = |d: &Detection| {
        let (before, upto) = (String::from_utf8_lossy(&text[..d.start]), String::from_utf8_lossy(&text[..d.end]));
        let line = before.matches('\n').count() as u64 + 1;
        let column =
            before.rsplit('\n').next().unwrap_or_default().chars().filter(|c| !is_invisible(*c)).count() as u64 + 1;
        let id = detector().rule(d.rule).id.to_string();
        let (characters, utf16) = (before.chars().count() as u64, upto.encode_utf16().count() as u64);
        (id, d.start as u64, d.end as u64, characters, utf16, line, column)
    };
    found.iter().map(seen).collect()
}

/// Columns are counted as people see them.
fn is_invisible(character: char) -> bool {
    character == '\u{200b}'
}

fn long_text() -> String {
    let mut text = String::new();
    let examples: Vec<&str> = built_in().iter().flat_map(|rule| rule.examples.iter()).map(AsRef::as_ref).collect();
    for (number, example) in examples.iter().cycle().enumerate() {
        if text.len() > 400_000 {
            break;
        }
        text.push_str(&example.replace("[[", "").replace("]]", ""));
        text.push_str(["\n", " é, ", "; ４1\u{200b} ", "\n\n"][number % 4]);
        text.push_str(&"lorem ipsum 12 ".repeat(number * 37 % 90));
    }
    text
}

#[test]
fn every_cutting_of_a_long_text() {
    let text = long_text();
    let wanted = whole(text.as_bytes());
    assert!(text.len() > 300_000 && wanted.len() > 100);
    for size in [7_usize, 1000, 4096, 65_536, 100_003, usize::MAX] {
        assert!(scan(text.as_bytes().chunks(size.min(text.len()))) == wanted, "pieces of {size}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn every_cutting(cuts in proptest::collection::vec(1_usize..90_000, 1..40)) {
        let text = long_text();
        let mut rest = text.as_bytes();
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        prop_assert!(scan(pieces) == whole(text.as_bytes()));
    }
}

#[test]
fn a_scanner_is_as_new_when_finished() {
    let mut scanner = Scanner::new(detector());
    let mut places = Vec::new();
    for _ in 0..2 {
        scanner.push(b"x\n mail a@example.com", &mut |_| panic!("not certain yet"));
        scanner.finish(&mut |found| places.push((found.start.byte, found.start.line, found.start.column)));
    }
    assert_eq!(places, [(8, 2, 7); 2]);
}
