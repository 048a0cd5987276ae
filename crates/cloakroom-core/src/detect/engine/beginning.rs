//! How the matches of a regex begin: which bytes each of the first few positions may have, and whether a match can begin in the
//! middle of a word. Read off the regex's Thompson automaton by following all its paths side by side, with `\b` taken into
//! account: a path knows whether the byte before was a word character, and tries both kinds of byte to come.

use std::sync::OnceLock;

use cloakroom_prefilter::ByteSet;
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;
use regex_syntax::hir::{Hir, HirKind, Repetition};

use super::trigger::nfa;

/// How many bytes are looked at. The prefilter uses the first eight of them.
pub(crate) const DEPTH: usize = 12;

/// The beginning of a regex's matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The values of each byte; all of them from where a match may have ended. Behind the end of a text, byte 0 is assumed.
    pub(crate) sets: [ByteSet; DEPTH],
    /// The values of the first byte where no word character stands before it.
    pub(crate) apart: ByteSet,
    /// True when a match can begin with a word character behind a word character.
    pub(crate) inside_words: bool,
    /// True when the empty text matches.
    pub(crate) empty: bool,
}

impl Beginning {
    /// # Errors
    /// When the automaton would be too large.
    pub(crate) fn of(hir: &Hir) -> Result<Self, String> {
        let nfa = nfa(&head(hir, DEPTH))?;
        let sets = [ByteSet::EMPTY; DEPTH];
        let mut beginning = Self { sets, apart: ByteSet::EMPTY, inside_words: false, empty: false };
        first_bytes(&nfa, &mut beginning);
        Ok(beginning)
    }

    /// How much of ordinary text fits, roughly: the share of positions for `inside_words`, otherwise of beginnings of words.
    pub(crate) fn mass(&self) -> f64 {
        mass(&self.sets)
    }
}

/// The share of ordinary text that fits: of logs, JSON and chat in about equal parts. A byte is taken to depend on the kind of the
/// byte before it and on nothing else: behind a digit stands most likely a digit. Rough; it only decides which patterns share a
/// bucket, and which of two ways to look for one is taken.
pub(crate) fn mass(sets: &[ByteSet]) -> f64 {
    // Signs are seldom doubled, as in `::`.
    let is_doubled = |pair: &[ByteSet]| pair[0] == pair[1] && pair[0].len() == 1 && parts(&pair[0])[5] > 0.0;
    mass_of(sets.iter().map(parts)) * if sets.windows(2).any(is_doubled) { DOUBLED } else { 1.0 }
}

/// How much rarer a sign is behind itself than behind another.
const DOUBLED: f64 = 0.02;

/// The same, of the [`parts`] of the sets.
pub(crate) fn mass_of(parts: impl Iterator<Item = Parts>) -> f64 {
    let mut shares = KINDS;
    for (offset, within) in parts.enumerate() {
        let before = shares;
        for (kind, share) in shares.iter_mut().enumerate() {
            let reached = if offset == 0 {
                before[kind]
            } else {
                before.iter().zip(&FOLLOWS).map(|(share, follows)| share * follows[kind]).sum()
            };
            *share = reached * within[kind];
        }
    }
    shares.iter().sum()
}

/// How much of the text is small letters, capitals, digits, spaces, bytes from 128 on, and the rest.
const KINDS: [f64; 6] = [0.43, 0.05, 0.25, 0.06, 0.02, 0.19];
/// What follows each of them.
const FOLLOWS: [[f64; 6]; 6] = [
    [0.73, 0.01, 0.06, 0.07, 0.00, 0.13],
    [0.29, 0.44, 0.06, 0.10, 0.01, 0.10],
    [0.11, 0.02, 0.63, 0.04, 0.00, 0.20],
    [0.45, 0.16, 0.16, 0.04, 0.03, 0.16],
    [0.05, 0.00, 0.01, 0.07, 0.84, 0.03],
    [0.23, 0.05, 0.28, 0.09, 0.00, 0.35],
];
/// The commonest signs, and their shares of all; the others have what is left, in equal parts.
const SIGNS: [(u8, f64); 10] = [
    (b'"', 0.30),
    (b':', 0.15),
    (b',', 0.11),
    (b'.', 0.09),
    (b'-', 0.08),
    (b'/', 0.06),
    (b'\n', 0.04),
    (b'=', 0.02),
    (b'_', 0.02),
    (b'@', 0.002),
];

/// How much of each kind of byte is in a set.
pub(crate) type Parts = [f64; 6];

/// Of a set.
pub(crate) fn parts(set: &ByteSet) -> Parts {
    static KINDS: OnceLock<[ByteSet; 5]> = OnceLock::new();
    let ranges = || [b'a'..=b'z', b'A'..=b'Z', b'0'..=b'9', b' '..=b' ', 0x80..=0xFF];
    let kinds = KINDS.get_or_init(|| ranges().map(|range| range.collect()));
    let [small, capital, digit, space, beyond] = kinds.map(|kind| set.intersection(&kind).len() as f64);
    let other = set.len() as f64 - small - capital - digit - space - beyond;
    let (mut signs, mut known, mut left) = (0.0, 0.0, 1.0);
    for (sign, share) in SIGNS {
        left -= share;
        if set.contains(sign) {
            signs += share;
            known += 1.0;
        }
    }
    let rest = signs + left * (other - known) / (65.0 - SIGNS.len() as f64);
    [small / 26.0, capital / 26.0, digit / 10.0, space, beyond / 128.0, rest]
}

/// A regex that begins as this one does for so many bytes, without what comes behind them: most automata would be large for nothing.
pub(crate) fn head(hir: &Hir, bytes: usize) -> Hir {
    match hir.kind() {
        HirKind::Concat(parts) => {
            let mut left = bytes;
            let mut heads = Vec::new();
            for part in parts {
                heads.push(head(part, left));
                left = left.saturating_sub(part.properties().minimum_len().unwrap_or(0));
                if left == 0 {
                    break;
                }
            }
            Hir::concat(heads)
        }
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(|branch| head(branch, bytes)).collect()),
        HirKind::Capture(capture) => head(&capture.sub, bytes),
        HirKind::Repetition(repeat) if repeat.sub.properties().minimum_len().is_some_and(|length| length > 0) => {
            // Each time takes a byte at least.
            let most = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
            Hir::repetition(Repetition {
                min: repeat.min.min(most),
                max: Some(repeat.max.unwrap_or(most).min(most)),
                greedy: repeat.greedy,
                sub: repeat.sub.clone(),
            })
        }
        _ => hir.clone(),
    }
}

/// Fills in what the automaton says.
fn first_bytes(nfa: &NFA, beginning: &mut Beginning) {
    let Beginning { sets, apart, inside_words, empty } = beginning;
    // States reached, by whether the byte before is a word character.
    let mut reached: [Vec<StateID>; 2] = [vec![nfa.start_anchored()], vec![nfa.start_anchored()]];
    let mut closure = Closure::new(nfa);
    let word: ByteSet = (0..=255).filter(|byte| is_word(*byte)).collect();
    let other: ByteSet = (0..=255).filter(|byte| !is_word(*byte)).collect();
    for offset in 0..sets.len() {
        let mut next: [Vec<StateID>; 2] = [Vec::new(), Vec::new()];
        let mut ended = false;
        for before in [false, true] {
            if reached[usize::from(before)].is_empty() {
                continue;
            }
            for coming in [false, true] {
                let kind = if coming { &word } else { &other };
                if closure.follow(nfa, &reached[usize::from(before)], before, coming) {
                    ended = true;
                    *empty |= offset == 0;
                    sets[offset] = sets[offset].union(kind);
                }
                for state in &closure.states {
                    for_each_range(nfa.state(*state), |from, to, target| {
                        let mut range = ByteSet::EMPTY;
                        range.insert_range(from..=to);
                        let range = range.intersection(kind);
                        if !range.is_empty() {
                            sets[offset] = sets[offset].union(&range);
                            *inside_words |= offset == 0 && before && coming;
                            if offset == 0 && !before {
                                *apart = apart.union(&range);
                            }
                            let list = &mut next[usize::from(coming)];
                            if !list.contains(&target) {
                                list.push(target);
                            }
                        }
                    });
                }
            }
        }
        if ended {
            sets[offset + 1..].fill(ByteSet::ALL);
            break;
        }
        reached = next;
    }
}

/// Which lengths the run of a class's bytes at the beginning of a match can have: bit `n` for a run of `n`, bit `most` for that and
/// every longer one. What follows a match belongs to its run.
pub(crate) fn first_runs(nfa: &NFA, class: &ByteSet, most: usize) -> u128 {
    let word: ByteSet = (0..=255).filter(|byte| is_word(*byte)).collect();
    let other: ByteSet = (0..=255).filter(|byte| !is_word(*byte)).collect();
    let outside: ByteSet = (0..=255).filter(|byte| !class.contains(*byte)).collect();
    let mut reached: [Vec<StateID>; 2] = [vec![nfa.start_anchored()], vec![nfa.start_anchored()]];
    let mut closure = Closure::new(nfa);
    let mut lengths = 0_u128;
    for length in 0..=most {
        let this_and_longer = u128::MAX << length & u128::MAX >> (127 - most);
        let mut next: [Vec<StateID>; 2] = [Vec::new(), Vec::new()];
        for before in [false, true] {
            for coming in [false, true] {
                let kind = if coming { &word } else { &other };
                if !reached[usize::from(before)].is_empty()
                    && closure.follow(nfa, &reached[usize::from(before)], before, coming)
                {
                    // The byte behind the match may be any of this kind.
                    lengths |= if kind.intersection(&outside).is_empty() { 0 } else { 1 << length };
                    lengths |= if kind.intersection(class).is_empty() { 0 } else { this_and_longer << 1 };
                }
                for state in closure.states.drain(..) {
                    closure.seen[state.as_usize()] = false;
                    for_each_range(nfa.state(state), |from, to, target| {
                        let mut range = ByteSet::EMPTY;
                        range.insert_range(from..=to);
                        let range = range.intersection(kind);
                        if !range.intersection(&outside).is_empty() {
                            lengths |= 1 << length;
                        }
                        let list = &mut next[usize::from(coming)];
                        if !range.intersection(class).is_empty() && !list.contains(&target) {
                            list.push(target);
                        }
                    });
                }
            }
        }
        if length == most && next.iter().any(|states| !states.is_empty()) {
            lengths |= 1 << most;
        }
        lengths &= u128::MAX >> (127 - most);
        reached = next;
        if reached.iter().all(Vec::is_empty) {
            break;
        }
    }
    lengths
}

struct Closure {
    seen: Vec<bool>,
    states: Vec<StateID>,
    stack: Vec<StateID>,
}

impl Closure {
    fn new(nfa: &NFA) -> Self {
        Self { seen: vec![false; nfa.states().len()], states: Vec::new(), stack: Vec::new() }
    }

    /// All states that `from` reaches without a byte, given the kinds of the bytes before and to come; true when a match is
    /// among them.
    fn follow(&mut self, nfa: &NFA, from: &[StateID], before: bool, coming: bool) -> bool {
        for state in self.states.drain(..) {
            self.seen[state.as_usize()] = false;
        }
        self.stack.extend_from_slice(from);
        let mut matched = false;
        while let Some(id) = self.stack.pop() {
            if std::mem::replace(&mut self.seen[id.as_usize()], true) {
                continue;
            }
            self.states.push(id);
            match nfa.state(id) {
                State::Look { look, next } if holds(*look, before, coming) => self.stack.push(*next),
                State::Union { alternates } => self.stack.extend_from_slice(alternates),
                State::BinaryUnion { alt1, alt2 } => self.stack.extend([*alt1, *alt2]),
                State::Capture { next, .. } => self.stack.push(*next),
                State::Match { .. } => matched = true,
                _ => {}
            }
        }
        matched
    }
}

/// Whether an assertion may hold. What depends on more than word characters may.
fn holds(look: Look, before: bool, coming: bool) -> bool {
    match look {
        Look::WordAscii => before != coming,
        Look::WordAsciiNegate => before == coming,
        Look::WordStartAscii => !before && coming,
        Look::WordEndAscii => before && !coming,
        Look::WordStartHalfAscii => !before,
        Look::WordEndHalfAscii => !coming,
        _ => true,
    }
}

fn for_each_range(state: &State, mut each: impl FnMut(u8, u8, StateID)) {
    match state {
        State::ByteRange { trans } => each(trans.start, trans.end, trans.next),
        State::Sparse(sparse) => sparse.transitions.iter().for_each(|trans| each(trans.start, trans.end, trans.next)),
        State::Dense(dense) => {
            for byte in 0..=255 {
                if let Some(next) = dense.matches_byte(byte) {
                    each(byte, byte, next);
                }
            }
        }
        _ => {}
    }
}

/// A word character as in `\b` of an ASCII regex.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::engine::trigger::parse;

    fn beginning(pattern: &str) -> Beginning {
        Beginning::of(&parse(pattern).unwrap()).unwrap()
    }

    fn set(bytes: impl IntoIterator<Item = u8>) -> ByteSet {
        bytes.into_iter().collect()
    }

    #[test]
    fn classes_then_a_word_boundary_then_anything() {
        let found = beginning(r"\b\d{2}[a-c]\b");
        assert_eq!(found.sets[0], set(b'0'..=b'9'));
        assert_eq!(found.sets[2], set(b'a'..=b'c'));
        assert_eq!(found.sets[3], set((0..=255).filter(|byte| !is_word(*byte))));
        assert_eq!(found.sets[4], ByteSet::ALL);
        assert!(!found.inside_words && !found.empty);
    }

    #[test]
    fn beginnings_inside_words() {
        assert!(beginning("secret").inside_words);
        assert!(!beginning(r"\+\d{3}").inside_words);
        assert!(!beginning(r"\b(?:ghp|gho)_\w{3}").inside_words);
        assert!(beginning(r"(?:\bab|cd)x").inside_words);
        assert!(beginning("a?").empty);
        assert_eq!(beginning("(?i)pw|k").sets[0], set(*b"pPkK"));
    }
}
