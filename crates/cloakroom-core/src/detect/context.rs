//! Context words: what stands near a value, or names its field, speaks for a rule or against it.
//!
//! A text is cut into words of two letters and more at everything that is no letter, and inside identifiers (`cardNumber`,
//! `SSNValue`, `iban2`). Up to six neighbouring words are looked up as one, without what separates them, so the phrase `card number` is
//! also `card_number`, `cardNumber` and `cardnumber`. One look at a window answers for all rules.

mod beginnings;
mod reader;
mod words;

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::Range;

use super::compiled::CompiledRule;
use beginnings::Beginnings;
pub(crate) use reader::{ContextReader, Mark};
use words::Words;

/// How far before a value context counts, in bytes.
pub(crate) const BEFORE: usize = 64;
/// How far behind it, in bytes.
pub(crate) const AFTER: usize = 32;
/// Words in a phrase.
const MAX_WORDS: usize = 6;

/// All phrases of all rules: a tree over words.
pub(crate) struct ContextIndex {
    /// The first words of all phrases.
    all: Beginnings,
    /// Those of the phrases without which some rule does not report.
    needed: Beginnings,
    /// From a node and the hash of the next word to a node. Node 0 is the root.
    next: HashMap<u64, Step, BuildHasherDefault<AlreadyHashed>>,
    nodes: Vec<Node>,
}

/// The phrases of a rule.
struct Contexts<P> {
    speaks_for: P,
    against: P,
    /// The rule does not report without one that speaks for it.
    needed: bool,
}

#[derive(Default)]
struct Node {
    /// Rules whose phrases end here, in order.
    speaks_for: Vec<u32>,
    against: Vec<u32>,
    /// Whether longer phrases go on from here.
    goes_on: bool,
}

/// What a word leads to. What most words need to know of the node is here: one look less.
#[derive(Clone, Copy)]
struct Step {
    node: u32,
    /// A phrase ends there.
    ends: bool,
    /// Longer phrases go on from there.
    goes_on: bool,
}

impl ContextIndex {
    /// The phrases of these rules.
    pub(crate) fn of(rules: &[CompiledRule]) -> Self {
        Self::new(rules.iter().map(|compiled| Contexts {
            speaks_for: compiled.rule.context.iter().map(AsRef::as_ref),
            against: compiled.rule.not_context.iter().map(AsRef::as_ref),
            needed: compiled.needs_context,
        }))
    }

    /// Takes what is known of each rule, in the order of the rules.
    fn new<'a, P>(rules: impl Iterator<Item = Contexts<P>>) -> Self
    where
        P: Iterator<Item = &'a str>,
    {
        let (mut next, mut nodes) = (Next::default(), vec![Node::default()]);
        let mut words = FirstWords::default();
        for (rule, contexts) in (0_u32..).zip(rules) {
            for phrase in contexts.speaks_for {
                let vote = |node: &mut Node| node.speaks_for.push(rule);
                add(phrase, &mut next, &mut nodes, vote, |word, node| words.add(word, node, contexts.needed));
            }
            for phrase in contexts.against {
                let vote = |node: &mut Node| node.against.push(rule);
                add(phrase, &mut next, &mut nodes, vote, |word, node| words.add(word, node, false));
            }
        }
        let all: Vec<&[u8]> = words.words.iter().map(|(word, _)| &**word).collect();
        let needed: Vec<&[u8]> = words.words.iter().filter(|(_, needed)| *needed).map(|(word, _)| &**word).collect();
        let step = |node: u32| {
            let Node { speaks_for, against, goes_on } = &nodes[node as usize];
            Step { node, ends: !speaks_for.is_empty() || !against.is_empty(), goes_on: *goes_on }
        };
        let next = next.into_iter().map(|(key, node)| (key, step(node))).collect();
        Self { all: Beginnings::new(&all, false), needed: Beginnings::new(&needed, true), next, nodes }
    }

    /// Where a word leads from a node.
    #[inline]
    fn step(&self, node: u32, key: u64) -> Option<Step> {
        self.next.get(&edge(node, key)).copied()
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

/// The first words of phrases, and whether some rule needs one of them.
#[derive(Default)]
struct FirstWords {
    words: Vec<(Box<[u8]>, bool)>,
    /// By node: behind the place of its word.
    by_node: Vec<usize>,
}

impl FirstWords {
    fn add(&mut self, word: &[u8], node: u32, needed: bool) {
        let node = node as usize;
        if self.by_node.len() <= node {
            self.by_node.resize(node + 1, 0);
        }
        if self.by_node[node] == 0 {
            self.words.push((word.into(), false));
            self.by_node[node] = self.words.len();
        }
        self.words[self.by_node[node] - 1].1 |= needed;
    }
}

type Next = HashMap<u64, u32, BuildHasherDefault<AlreadyHashed>>;

/// Adds a phrase in all ways in which its words may be written together: `social security number`,
/// `socialsecurity number`, `social securitynumber`, `socialsecuritynumber`.
fn add(
    phrase: &str,
    next: &mut Next,
    nodes: &mut Vec<Node>,
    mut vote: impl FnMut(&mut Node),
    mut first: impl FnMut(&[u8], u32),
) {
    let bytes = phrase.as_bytes();
    let words: Vec<Range<usize>> = Words::at(bytes, 0).take(MAX_WORDS).collect();
    let mut text: Vec<u8> = Vec::with_capacity(64);
    for joined in 0..1_u32 << words.len().saturating_sub(1) {
        let mut at = 0_u32;
        for (number, word) in words.iter().enumerate() {
            text.extend_from_slice(&bytes[word.clone()]);
            if number + 1 < words.len() && joined >> number & 1 == 1 {
                continue;
            }
            let key = words::key(&text, 0, text.len());
            let fresh = nodes.len() as u32;
            let node = *next.entry(edge(at, key)).or_insert(fresh);
            if node == fresh {
                nodes.push(Node::default());
                nodes[at as usize].goes_on = true;
            }
            if at == 0 {
                first(&text, node);
            }
            text.clear();
            at = node;
        }
        if at != 0 {
            vote(&mut nodes[at as usize]);
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
        ContextIndex::new(rules.iter().map(|(speaks_for, against)| Contexts {
            speaks_for: speaks_for.iter().copied(),
            against: against.iter().copied(),
            needed: false,
        }))
    }

    fn votes(text: &str) -> [Vote; 3] {
        let (index, mut reader) = (index(), ContextReader::default());
        let marks = reader.all(&index, text.as_bytes(), 0..text.len()).to_vec();
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
            let marks = reader.all(&index, text.as_bytes(), start..start + 24).to_vec();
            let fresh = ContextReader::default().all(&index, text.as_bytes(), start..start + 24).to_vec();
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
