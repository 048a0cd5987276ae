//! Cuts text into words.

use std::ops::Range;

use cloakroom_prefilter::Letters;

/// Bytes that are looked at for words together.
pub(super) const WINDOW: usize = 64;

/// The words of two letters and more that lie within 64 bytes from a place on, as ranges of the text; the place is taken for the
/// beginning of a word if a letter stands there. A word that ends behind the 64 bytes is not among them.
pub(super) struct Words {
    at: usize,
    /// Where words begin, in places from there on.
    pub(super) begins: u64,
    /// Where a word that began before ends.
    stops: u64,
}

impl Words {
    #[inline]
    pub(super) fn at(text: &[u8], at: usize) -> Self {
        let letters = Letters::at(text, at);
        let Letters { small, capital, beyond } = letters;
        let within = small | capital | beyond;
        // A word begins behind what is no letter, at the capital of `cardNumber`, at the last capital of `SSNValue`.
        let goes_on = within << 1 & !(small << 1 & capital) & !(capital << 1 & capital & small >> 1);
        let begins = within & !goes_on;
        let stops = begins | !within;
        // Single letters are no words: hexadecimal numbers are full of them.
        Self { at, begins: begins & !(stops >> 1), stops }
    }

    /// Where a word that begins at one of the 64 places ends: at 64 when it does not end before.
    #[inline]
    pub(super) fn end_of(&self, start: usize) -> usize {
        (self.stops & (u64::MAX << start << 1)).trailing_zeros() as usize
    }
}

impl Iterator for Words {
    type Item = Range<usize>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let start = self.begins.trailing_zeros() as usize;
        if start == WINDOW {
            return None;
        }
        let end = self.end_of(start);
        self.begins &= self.begins - 1;
        (end < WINDOW).then(|| self.at + start..self.at + end)
    }
}

/// True when a word can begin at a place: what a reader that comes from before would say.
#[inline]
pub(super) fn begins_at(text: &[u8], at: usize) -> bool {
    let Some(before) = at.checked_sub(1).map(|before| text[before]) else { return true };
    if before.is_ascii_lowercase() {
        return text[at].is_ascii_uppercase();
    }
    if before.is_ascii_uppercase() {
        return text[at].is_ascii_uppercase() && text.get(at + 1).is_some_and(u8::is_ascii_lowercase);
    }
    before.is_ascii()
}

/// A hash of a word in small letters. Setting bit 5 makes ASCII capitals small, and those of Latin-1 in UTF-8, too (É is C3 89, é is
/// C3 A9); what else it does, it does to phrases and texts alike.
#[inline]
pub(super) fn key(text: &[u8], start: usize, length: usize) -> u64 {
    // Most words have at most sixteen letters: no branch tells those of eight from the others.
    let (first, second) = match text[start..].first_chunk::<16>() {
        Some(chunk) => {
            let chunk = u128::from_le_bytes(*chunk);
            (chunk as u64, (chunk >> 64) as u64)
        }
        None => (eight(text, start), eight(text, start + 8)),
    };
    let mut key = mix((length as u64) << 57, first, length);
    key = mix(key, second, length.saturating_sub(8));
    let mut done = 16;
    while done < length {
        key = mix(key, eight(text, start + done), length - done);
        done += 8;
    }
    key ^ key >> 32
}

/// Takes up to eight letters into a hash.
#[inline]
fn mix(key: u64, letters: u64, count: usize) -> u64 {
    const SMALL: u64 = 0x2020_2020_2020_2020;
    let all = if count < 8 { (1 << (8 * count)) - 1 } else { u64::MAX };
    (key ^ key >> 29 ^ (letters | SMALL) & all).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// Eight bytes, with zeros behind the end of the text.
#[cold]
fn eight(text: &[u8], at: usize) -> u64 {
    let rest = text.get(at..).unwrap_or_default();
    rest.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}
