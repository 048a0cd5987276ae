//! Context words: what stands near a value, or names its field, speaks for a rule or against it.
//!
//! A text is cut into words of two letters and more at everything that is no letter, and inside identifiers (`cardNumber`,
//! `SSNValue`, `iban2`). Up to six neighbouring words are looked up as one, without what separates them, so the phrase `card number` is
//! also `card_number`, `cardNumber` and `cardnumber`. One look at a window answers for all rules.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use cloakroom_prefilter::Letters;

/// How far before a value context counts, in bytes.
pub(crate) const BEFORE: usize = 64;
/// How far behind it, in bytes.
pub(crate) const AFTER: usize = 32;
/// How far before a window reading begins, so that one a little further back needs no second reading.
const HEAD_START: usize = 64;
/// Bytes between two words of a phrase: `card - number` is one, `card, your number` is none.
const MAX_GAP: usize = 3;
/// Words in a phrase.
const MAX_WORDS: usize = 6;

/// All phrases of all rules: a tree over words.
pub(crate) struct ContextIndex {
    /// Two bits for some bits of a word's hash, [`FIRST`] and [`LATER`]: most words of a text are in no phrase, and end here.
    known: Box<[u64]>,
    /// From a node and the hash of the next word to a node. Node 0 is the root.
    next: HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>,
    nodes: Vec<Node>,
}

/// Places in `known` for each word: one unknown word in eight gets by, and what is small stays in the cache.
const SPARSE: usize = 8;
/// A word begins a phrase.
const FIRST: u64 = 0b01;
/// A word goes on with one.
const LATER: u64 = 0b10;

#[derive(Default)]
struct Node {
    /// Rules whose phrases end here, in order.
    speaks_for: Vec<u32>,
    against: Vec<u32>,
    /// Whether longer phrases go on from here.
    goes_on: bool,
}

/// A phrase in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) node: u32,
}

impl ContextIndex {
    /// Takes the phrases of each rule, for and against, in the order of the rules.
    pub(crate) fn new<'a, P>(rules: impl Iterator<Item = (P, P)>) -> Self
    where
        P: Iterator<Item = &'a str>,
    {
        let mut index = Self { known: Box::default(), next: HashMap::default(), nodes: vec![Node::default()] };
        let mut words = Vec::new();
        for (rule, (speaks_for, against)) in (0_u32..).zip(rules) {
            for phrase in speaks_for {
                index.add(phrase, &mut words, |node| node.speaks_for.push(rule));
            }
            for phrase in against {
                index.add(phrase, &mut words, |node| node.against.push(rule));
            }
        }
        words.sort_unstable();
        words.dedup();
        index.known = vec![0; (SPARSE * words.len() / 32).next_power_of_two()].into_boxed_slice();
        for (key, bits) in words {
            let (word, shift) = index.place(key);
            index.known[word] |= bits << shift;
        }
        index
    }

    /// Where a word has its bits in `known`.
    #[inline]
    fn place(&self, key: u64) -> (usize, u64) {
        // The length is a power of two.
        ((key >> 5) as usize & (self.known.len() - 1), 2 * (key % 32))
    }

    /// Adds a phrase in all ways in which its words may be written together: `social security number`,
    /// `socialsecurity number`, `social securitynumber`, `socialsecuritynumber`.
    fn add(&mut self, phrase: &str, words_of_phrases: &mut Vec<(u64, u64)>, mut vote: impl FnMut(&mut Node)) {
        let bytes = &phrase.as_bytes()[..phrase.len().min(64)];
        let mut words: Vec<Range<usize>> = Vec::new();
        for_each_word(Letters::at(bytes, 0), bytes.len(), |word| words.push(word));
        words.truncate(MAX_WORDS);
        let mut text: Vec<u8> = Vec::with_capacity(64);
        for joined in 0..1_u32 << words.len().saturating_sub(1) {
            let mut at = 0_u32;
            for (number, word) in words.iter().enumerate() {
                text.extend_from_slice(&bytes[word.clone()]);
                if number + 1 < words.len() && joined >> number & 1 == 1 {
                    continue;
                }
                let key = word_key(&text, 0, text.len());
                text.clear();
                words_of_phrases.push((key, if at == 0 { FIRST } else { LATER }));
                let fresh = self.nodes.len() as u32;
                let node = *self.next.entry(edge(at, key)).or_insert(fresh);
                if node == fresh {
                    self.nodes.push(Node::default());
                    self.nodes[at as usize].goes_on = true;
                }
                at = node;
            }
            if at != 0 {
                vote(&mut self.nodes[at as usize]);
            }
        }
    }

    /// The rules that a phrase speaks for.
    pub(crate) fn rules_for(&self, node: u32) -> &[u32] {
        &self.nodes[node as usize].speaks_for
    }

    /// Number of phrases and beginnings of phrases.
    pub(crate) fn nodes(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Whether one of these phrases speaks for a rule, or else against it.
    #[inline]
    pub(crate) fn vote(&self, mut nodes: impl Iterator<Item = u32> + Clone, rule: u32) -> Vote {
        if nodes.clone().any(|node| self.nodes[node as usize].speaks_for.binary_search(&rule).is_ok()) {
            Vote::For
        } else if nodes.any(|node| self.nodes[node as usize].against.binary_search(&rule).is_ok()) {
            Vote::Against
        } else {
            Vote::None
        }
    }
}

/// What context says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    For,
    Against,
    None,
}

/// Reads a text word by word, every part at most once and only where it is asked for.
#[derive(Default)]
pub(crate) struct ContextReader {
    /// What was read.
    from: usize,
    to: usize,
    marks: Vec<Mark>,
    /// Phrases that may go on: node, start, end of the last word.
    open: Vec<Mark>,
    /// The known words of a few bytes.
    words: [Word; 32],
    /// Counts words, known or not.
    number: u64,
    /// The number of the last known one.
    last: u64,
    /// The phrases in the names that belong to the text.
    pub(crate) names: Vec<u32>,
}

/// A word that is in some phrase.
#[derive(Clone, Copy, Default)]
struct Word {
    start: usize,
    end: usize,
    number: u64,
    key: u64,
    known: u64,
}

impl ContextReader {
    /// Begins a text of its own.
    pub(crate) fn begin(&mut self, index: &ContextIndex, names: &[&str]) {
        self.names.clear();
        for name in names {
            self.restart(0);
            self.read(index, name.as_bytes(), name.len());
            for mark in &self.marks {
                self.names.push(mark.node);
            }
        }
        self.restart(0);
    }

    /// The text has changed, or moved.
    pub(crate) fn restart(&mut self, at: usize) {
        self.from = at;
        self.to = at;
        self.marks.clear();
        self.open.clear();
    }

    /// The phrases that lie within a window.
    #[inline]
    pub(crate) fn within(&mut self, index: &ContextIndex, text: &[u8], window: Range<usize>) -> &[Mark] {
        let end = window.end.min(text.len());
        if window.start < self.from || window.start > self.to.saturating_add(HEAD_START) {
            self.restart(beginning_of_run(text, window.start.saturating_sub(HEAD_START)));
        }
        if self.to < end {
            self.read(index, text, end);
        }
        let first = self.marks.partition_point(|mark| mark.end <= window.start);
        let count = self.marks[first..].partition_point(|mark| mark.end <= window.end);
        &self.marks[first..first + count]
    }

    fn read(&mut self, index: &ContextIndex, text: &[u8], to: usize) {
        while self.to < to.min(text.len()) {
            let at = self.to;
            let letters = Letters::at(text, at);
            let mut length = (text.len() - at).min(64);
            if length == 64 && at + 64 < text.len() {
                // A run that goes on behind the block is read with the next one; one of 64 bytes and more is no word.
                let run = within(&letters).leading_ones() as usize;
                if run == 64 {
                    self.to = at + text[at..].iter().take_while(|byte| is_letter(**byte)).count();
                    self.open.clear();
                    continue;
                }
                length -= run;
            }
            // Known words first, without a branch for each, then what they mean.
            let mut count = 0;
            for_each_word(letters, length, |word| {
                let key = word_key(text, at + word.start, word.len());
                let (place, shift) = index.place(key);
                let known = index.known[place] >> shift & (FIRST | LATER);
                self.words[count] =
                    Word { start: at + word.start, end: at + word.end, number: self.number, key, known };
                self.number += 1;
                count += usize::from(known != 0);
            });
            for word in 0..count {
                self.take(index, word);
            }
            self.to = at + length;
        }
    }

    /// Goes on with the phrases that are open, or begins one.
    #[inline]
    fn take(&mut self, index: &ContextIndex, word: usize) {
        let Word { start, end, number, key, known } = self.words[word];
        let (marks, open) = (&mut self.marks, &mut self.open);
        if number != self.last + 1 {
            // An unknown word stands between.
            open.clear();
        }
        self.last = number;
        let count = open.len();
        if count == 0 && known & FIRST == 0 {
            return;
        }
        for slot in 0..if known & FIRST != 0 { count + 1 } else { count } {
            // The last one is the root.
            let before = if slot == count { Mark { start, end: start, node: 0 } } else { open[slot] };
            if start > before.end + MAX_GAP {
                continue;
            }
            if let Some(&node) = index.next.get(&edge(before.node, key)) {
                let mark = Mark { start: before.start, end, node };
                let found = &index.nodes[node as usize];
                if !found.speaks_for.is_empty() || !found.against.is_empty() {
                    marks.push(mark);
                }
                if found.goes_on {
                    open.push(mark);
                }
            }
        }
        open.drain(..count);
    }
}

/// Where the run of letters and digits around a place begins; behind it when it is too long to be a word.
fn beginning_of_run(text: &[u8], at: usize) -> usize {
    let back = text[..at].iter().rev().take(64).take_while(|byte| is_letter(**byte)).count();
    if back == 64 { at + text[at..].iter().take_while(|byte| is_letter(**byte)).count() } else { at - back }
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

/// What words are made of, as far as bytes tell.
fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte >= 0x80
}

fn within(letters: &Letters) -> u64 {
    letters.small | letters.capital | letters.beyond
}

/// Calls `each` with the place of every word that begins in the first `length` of 64 bytes.
#[inline]
fn for_each_word(letters: Letters, length: usize, mut each: impl FnMut(Range<usize>)) {
    let Letters { small, capital, .. } = letters;
    let within = within(&letters);
    // A word begins behind what is no letter, at the capital of `cardNumber`, at the last capital of `SSNValue`.
    let goes_on = within << 1 & !(small << 1 & capital) & !(capital << 1 & capital & small >> 1);
    let begins = within & !goes_on;
    let stops = begins | !within;
    // Single letters are no words: hexadecimal numbers are full of them.
    let mut long = begins & !(stops >> 1);
    if length < 64 {
        long &= (1 << length) - 1;
    }
    while long != 0 {
        let start = long.trailing_zeros();
        long &= long - 1;
        let behind = stops & (u64::MAX << start << 1);
        let end = behind.trailing_zeros() as usize;
        each(start as usize..end);
    }
}

/// A hash of a word in small letters. Setting bit 5 makes ASCII capitals small, and those of Latin-1 in UTF-8, too (É is C3 89, é is
/// C3 A9); what else it does, it does to phrases and texts alike.
#[inline]
fn word_key(text: &[u8], start: usize, length: usize) -> u64 {
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

fn edge(node: u32, key: u64) -> u64 {
    (key ^ u64::from(node).wrapping_mul(0xD6E8_FEB8_6659_FD93)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The keys are hashes already.
#[derive(Default)]
pub(crate) struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        // The table takes its slots from the low bits, in which a product is weak.
        self.0 ^ self.0 >> 32
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = edge(u32::from(*byte), self.0));
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
            [(&["card number", "pan"], &["order"]), (&["sin"], &[]), (&["führerschein", "iban"], &[])];
        ContextIndex::new(rules.iter().map(|(a, b)| (a.iter().copied(), b.iter().copied())))
    }

    fn votes(text: &str) -> [Vote; 3] {
        let (index, mut reader) = (index(), ContextReader::default());
        let marks = reader.within(&index, text.as_bytes(), 0..text.len()).to_vec();
        [0, 1, 2].map(|rule| index.vote(marks.iter().map(|mark| mark.node), rule))
    }

    fn found(text: &str) -> Vec<usize> {
        let votes = votes(text);
        (0..3).filter(|rule| votes[*rule] == Vote::For).collect()
    }

    #[test]
    fn phrases_in_every_way_of_writing() {
        for text in
            ["card number", "Card-Number:", "cardNumber", "CARD_NUMBER", "cardnumber", "userCardNumber2", "a pan b"]
        {
            assert_eq!(found(text), [0], "{text}");
        }
        assert_eq!(found("SIN"), [1]);
        assert_eq!(found("FÜHRERSCHEIN"), [2]);
        assert_eq!(found("myIban2"), [2]);
        for text in ["since", "company", "card", "number card", "card, the number", "basin", "cards numbers"] {
            assert!(found(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn phrases_over_the_seams_of_blocks_and_behind_long_runs() {
        for before in 0..130 {
            assert_eq!(found(&format!("{} card number x", "x ".repeat(before))), [0], "{before}");
            assert_eq!(found(&format!("{} cardNumber", "x".repeat(before))), [0], "{before}");
        }
    }

    #[test]
    fn reading_on_and_going_back_give_the_same() {
        let text = "pan 1 sin 2 ".repeat(90);
        let (index, mut reader) = (index(), ContextReader::default());
        for start in [0, 900, 890, 300, 1000, 4] {
            let marks = reader.within(&index, text.as_bytes(), start..start + 24).to_vec();
            let fresh = ContextReader::default().within(&index, text.as_bytes(), start..start + 24).to_vec();
            assert_eq!(marks, fresh);
            assert!((3..=5).contains(&marks.len()));
        }
    }

    #[test]
    fn words_against_and_names() {
        assert_eq!(votes("order_id"), [Vote::Against, Vote::None, Vote::None]);
        assert_eq!(votes("order: card number"), [Vote::For, Vote::None, Vote::None]);
        let (index, mut reader) = (index(), ContextReader::default());
        reader.begin(&index, &["a.long.path.to.the.place.where.nobody.else.ever.looks.for.the.user.cardNumber"]);
        assert_eq!(index.vote(reader.names.iter().copied(), 0), Vote::For);
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
