//! A stream cut anywhere gives the findings of the whole, and odd bytes never stop the scanner.
#![no_main]

use std::sync::LazyLock;

use cloakroom_core::detect::{Detector, Scanner, Scratch, Selection};
use libfuzzer_sys::fuzz_target;

static DETECTOR: LazyLock<Detector> =
    LazyLock::new(|| Detector::new(&Selection::default()).expect("the catalogue compiles"));

fuzz_target!(|data: &[u8]| {
    let Some((&[cut, times], text)) = data.split_first_chunk() else { return };
    // Long enough for the scanner to move its window.
    let text = text.repeat(1 + usize::from(times) * 8);
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    DETECTOR.find(&text, &[], &mut Scratch::default(), &mut found);
    let mut scanner = Scanner::new(&DETECTOR);
    for piece in text.chunks(usize::from(cut) * 97 + 1) {
        scanner.push(piece, &mut |found| seen.push((found.start.byte, found.end.byte, found.rule.id.clone())));
    }
    scanner.finish(&mut |found| seen.push((found.start.byte, found.end.byte, found.rule.id.clone())));
    let wanted: Vec<_> =
        found.iter().map(|d| (d.start as u64, d.end as u64, DETECTOR.rule(d.rule).id.clone())).collect();
    assert!(seen == wanted, "{} findings in the stream, {} in the whole", seen.len(), wanted.len());
});
