//! The engine finds for every rule what the reference finds, whatever the text and whichever kernel.
#![no_main]

use std::sync::LazyLock;

use cloakroom_core::detect::{Detector, Selection, built_in};
use libfuzzer_sys::fuzz_target;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    let also = built_in().iter().filter(|rule| rule.opt_in).map(|rule| rule.entity.to_string()).collect();
    Detector::new(&Selection { also, ..Selection::default() }).expect("the catalogue compiles")
});

static PIECES: LazyLock<Vec<&'static [u8]>> = LazyLock::new(|| {
    let examples = built_in().iter().flat_map(|rule| rule.examples.iter().chain(&*rule.counter_examples));
    examples.map(|text| text.as_bytes()).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((kind, rest)) = data.split_first() else { return };
    let text = if kind & 1 == 0 { rest.to_vec() } else { compose(rest) };
    if let Err(difference) = DETECTOR.compare_with_reference(&text) {
        panic!("{difference}");
    }
});

/// Joins pieces of examples and bytes of the input: random bytes alone seldom come near a card number.
fn compose(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut rest = data;
    while let [low, high, how, after @ ..] = rest {
        let piece = PIECES[usize::from(u16::from_le_bytes([*low, *high])) % PIECES.len()];
        let cut = usize::from(*how >> 1) % (piece.len() + 1);
        text.extend_from_slice(if how & 1 == 0 { &piece[cut..] } else { &piece[..cut] });
        let taken = after.len().min(usize::from(*how % 5));
        text.extend_from_slice(&after[..taken]);
        rest = &after[taken..];
    }
    text
}
