//! Context words: what stands near a value, or names its field, speaks for a rule or against it.
//!
//! A text is cut into words at everything that is no letter or digit, and inside identifiers (`cardNumber`, `SSNValue`,
//! `iban2`). Up to four neighbouring words are looked up as one, without what separates them, so the phrase `card number` is
//! also `card_number`, `cardNumber` and `cardnumber`. One look at a window answers for all rules.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

/// How far before a value context counts, in bytes.
pub(crate) const BEFORE: usize = 64;
/// How far behind it, in bytes.
pub(crate) const AFTER: usize = 32;
/// Words in a phrase.
const MAX_WORDS: usize = 4;
/// Bytes between two words of a phrase: `social  security`, `"card": "number"` are no phrase, `card - number` is.
const MAX_GAP: usize = 3;

/// All phrases of all rules.
pub(crate) struct ContextIndex {
    phrases: HashMap<u64, Vec<Vote>, BuildHasherDefault<AlreadyHashed>>,
    rules: usize,
}

#[derive(Clone, Copy)]
struct Vote {
    rule: u32,
    speaks_for: bool,
}

/// Which rules have a word for or against them in a window: one bit a rule.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hits {
    speaks_for: Vec<u64>,
    against: Vec<u64>,
}

impl Hits {
    pub(crate) fn clear(&mut self, rules: usize) {
        let words = rules.div_ceil(64);
        self.speaks_for.clear();
        self.speaks_for.resize(words, 0);
        self.against.clear();
        self.against.resize(words, 0);
    }

    pub(crate) fn speaks_for(&self, rule: usize) -> bool {
        bit(&self.speaks_for, rule)
    }

    pub(crate) fn against(&self, rule: usize) -> bool {
        bit(&self.against, rule)
    }
}

fn bit(bits: &[u64], index: usize) -> bool {
    bits.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
}

impl ContextIndex {
    /// Takes the phrases of each rule, for and against, in the order of the rules.
    pub(crate) fn new<'a, P>(rules: impl Iterator<Item = (P, P)>) -> Self
    where
        P: Iterator<Item = &'a str>,
    {
        let mut index = Self { phrases: HashMap::default(), rules: 0 };
        for (rule, (speaks_for, against)) in (0_u32..).zip(rules) {
            index.rules += 1;
            for (phrases, speaks_for) in [(&mut { speaks_for }, true), (&mut { against }, false)] {
                for phrase in phrases {
                    index.phrases.entry(phrase_key(phrase)).or_default().push(Vote { rule, speaks_for });
                }
            }
        }
        index
    }

    /// Adds what the words of a text say to `hits`.
    pub(crate) fn look(&self, text: &[u8], hits: &mut Hits) {
        let mut words: [Word; MAX_WORDS] = Default::default();
        for_each_word(text, |word| {
            words.rotate_left(1);
            words[MAX_WORDS - 1] = word;
            // The phrases that end with this word, shortest first.
            let mut key = 0_u64;
            let mut power = 1_u64;
            for back in (0..MAX_WORDS).rev() {
                let part = &words[back];
                if part.len == 0 || back + 1 < MAX_WORDS && words[back + 1].start > part.start + part.len + MAX_GAP {
                    break;
                }
                key = part.key.wrapping_mul(power).wrapping_add(key);
                power = power.wrapping_mul(part.power);
                if let Some(votes) = self.phrases.get(&finish(key)) {
                    for vote in votes {
                        let bits = if vote.speaks_for { &mut hits.speaks_for } else { &mut hits.against };
                        if let Some(word) = bits.get_mut(vote.rule as usize / 64) {
                            *word |= 1 << (vote.rule % 64);
                        }
                    }
                }
            }
        });
    }

    /// Number of rules it was made for.
    pub(crate) fn rules(&self) -> usize {
        self.rules
    }
}

/// The windows before and behind a span. They end at the ends of the span's line; where nothing stands before the span
/// in its line, the line above counts (`SSN:` and the number below it).
pub(crate) fn windows(text: &[u8], span: Range<usize>) -> (Range<usize>, Range<usize>) {
    let from = span.start.saturating_sub(BEFORE);
    let before = &text[from..span.start];
    let start = match memchr::memrchr(b'\n', before) {
        Some(line) if before[line + 1..].iter().all(|byte| byte.is_ascii_whitespace()) => {
            memchr::memrchr(b'\n', &before[..line]).map_or(from, |above| from + above + 1)
        }
        Some(line) => from + line + 1,
        None => from,
    };
    let to = (span.end + AFTER).min(text.len());
    let end = memchr::memchr(b'\n', &text[span.end..to]).map_or(to, |line| span.end + line);
    (start..span.start, span.end..end)
}

/// A word by its hash: a polynomial over its lower-case bytes, so that hashes of neighbours join to the hash of both.
#[derive(Clone, Copy, Default)]
struct Word {
    start: usize,
    len: usize,
    key: u64,
    power: u64,
}

const BASE: u64 = 0x9E37_79B9_7F4A_7C15;

/// A hash table uses the low bits, in which a polynomial is weak.
fn finish(key: u64) -> u64 {
    (key ^ key >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93)
}

fn phrase_key(phrase: &str) -> u64 {
    let mut key = 0_u64;
    for_each_word(phrase.as_bytes(), |word| key = key.wrapping_mul(word.power).wrapping_add(word.key));
    finish(key)
}

fn for_each_word(text: &[u8], mut each: impl FnMut(Word)) {
    #[derive(PartialEq, Clone, Copy)]
    enum Kind {
        Lower,
        Upper,
        Digit,
        Other,
    }
    let kind = |byte: u8| match byte {
        b'a'..=b'z' | 0x80.. => Kind::Lower,
        b'A'..=b'Z' => Kind::Upper,
        b'0'..=b'9' => Kind::Digit,
        _ => Kind::Other,
    };
    let mut word = Word { power: 1, ..Word::default() };
    let mut previous = Kind::Other;
    for (at, &byte) in text.iter().enumerate() {
        let this = kind(byte);
        let begins = match (previous, this) {
            (Kind::Other, _) | (_, Kind::Other) => true,
            (Kind::Lower, Kind::Upper) => true,
            // `SSNValue`: the capital before a small letter begins a word.
            (Kind::Upper, Kind::Upper) => text.get(at + 1).is_some_and(|next| next.is_ascii_lowercase()),
            (Kind::Digit, Kind::Digit) => false,
            (Kind::Digit, _) | (_, Kind::Digit) => true,
            _ => false,
        };
        if begins && word.len > 0 {
            each(word);
            word = Word { power: 1, ..Word::default() };
        }
        if this != Kind::Other {
            if word.len == 0 {
                word.start = at;
            }
            word.len += 1;
            // Capitals of Latin-1 letters in UTF-8 (C3 80 to C3 9E) have their small ones 32 above.
            let latin = matches!(byte, 0x80..=0x9E) && at > 0 && text[at - 1] == 0xC3;
            let small = if latin { byte + 0x20 } else { byte.to_ascii_lowercase() };
            word.key = word.key.wrapping_mul(BASE).wrapping_add(u64::from(small) + 1);
            word.power = word.power.wrapping_mul(BASE);
        }
        previous = this;
    }
    if word.len > 0 {
        each(word);
    }
}

/// The keys are hashes already.
#[derive(Default)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(BASE).wrapping_add(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> ContextIndex {
        let rules: [(&[&str], &[&str]); 3] =
            [(&["card number", "pan"], &["order"]), (&["sin"], &[]), (&["führerschein", "iban2"], &[])];
        ContextIndex::new(rules.iter().map(|(a, b)| (a.iter().copied(), b.iter().copied())))
    }

    fn found(text: &str) -> Vec<usize> {
        let (index, mut hits) = (index(), Hits::default());
        hits.clear(index.rules());
        index.look(text.as_bytes(), &mut hits);
        (0..3).filter(|rule| hits.speaks_for(*rule)).collect()
    }

    #[test]
    fn phrases_in_every_way_of_writing() {
        for text in ["card number", "Card-Number:", "cardNumber", "CARD_NUMBER", "cardnumber", "userCardNumber2", "a pan b"] {
            assert_eq!(found(text), [0], "{text}");
        }
        assert_eq!(found("SIN"), [1]);
        assert_eq!(found("FÜHRERSCHEIN"), [2]);
        assert_eq!(found("myIban2"), [2]);
        for text in ["since", "company", "card", "number card", "card, the number", "basin"] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn words_against() {
        let (index, mut hits) = (index(), Hits::default());
        hits.clear(index.rules());
        index.look(b"order_id", &mut hits);
        assert!(hits.against(0) && !hits.against(1) && !hits.speaks_for(0));
    }

    #[test]
    fn windows_end_with_the_line() {
        let text = b"first\nssn: 123 x\nlast";
        assert_eq!(windows(text, 11..14), (6..11, 14..16));
        let text = b"above\nssn:\n  123\nlast";
        assert_eq!(windows(text, 13..16), (6..13, 16..16));
        assert_eq!(windows(b"123", 0..3), (0..0, 3..3));
    }
}
