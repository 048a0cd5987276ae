//! How the matches of a regex begin: which bytes each of the first few positions may have, and whether a match can begin in the
//! middle of a word. Read off the regex's Thompson automaton by following all its paths side by side, with `\b` taken into
//! account: a path knows whether the byte before was a word character, and tries both kinds of byte to come.

use cloakroom_prefilter::ByteSet;
use regex_automata::nfa::thompson::{NFA, State};
use regex_automata::util::look::Look;
use regex_automata::util::primitives::StateID;

/// How many bytes are looked at. The prefilter uses the first eight of them.
pub(crate) const DEPTH: usize = 12;

/// The beginning of a regex's matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Beginning {
    /// The values of each byte; all of them from where a match may have ended. Behind the end of a text, byte 0 is assumed.
    pub(crate) sets: [ByteSet; DEPTH],
    /// True when a match can begin with a word character behind a word character.
    pub(crate) inside_words: bool,
    /// True when the empty text matches.
    pub(crate) empty: bool,
}

impl Beginning {
    pub(crate) fn of(nfa: &NFA) -> Self {
        let mut beginning = Self { sets: [ByteSet::EMPTY; DEPTH], inside_words: false, empty: false };
        // States reached, by whether the byte before is a word character.
        let mut reached: [Vec<StateID>; 2] = [vec![nfa.start_anchored()], vec![nfa.start_anchored()]];
        let mut closure = Closure { seen: vec![false; nfa.states().len()], states: Vec::new(), stack: Vec::new() };
        for offset in 0..DEPTH {
            let mut next: [Vec<StateID>; 2] = [Vec::new(), Vec::new()];
            let mut ended = false;
            for before in [false, true] {
                for coming in [false, true] {
                    if closure.follow(nfa, &reached[usize::from(before)], before, coming) {
                        ended = true;
                        beginning.empty |= offset == 0;
                        (0..=255).filter(|byte| is_word(*byte) == coming).for_each(|byte| beginning.sets[offset].insert(byte));
                    }
                    for state in &closure.states {
                        for_each_range(nfa.state(*state), |from, to, target| {
                            let mut any = false;
                            for byte in (from..=to).filter(|byte| is_word(*byte) == coming) {
                                beginning.sets[offset].insert(byte);
                                any = true;
                            }
                            if any {
                                beginning.inside_words |= offset == 0 && before && coming;
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
                beginning.sets[offset + 1..].fill(ByteSet::ALL);
                return beginning;
            }
            reached = next;
        }
        beginning
    }

    /// How much of ordinary text fits, roughly: the share of positions for `inside_words`, otherwise of beginnings of words.
    pub(crate) fn mass(&self) -> f64 {
        mass(&self.sets)
    }
}

/// The share of ordinary text that fits, taking bytes as independent of each other.
pub(crate) fn mass(sets: &[ByteSet]) -> f64 {
    sets.iter().map(share).product()
}

/// The share of a set's bytes in logs, JSON and chat. Rough: it only decides which patterns share a bucket.
fn share(set: &ByteSet) -> f64 {
    if *set == ByteSet::ALL {
        return 1.0;
    }
    set.iter()
        .map(|byte| match byte {
            b'a'..=b'z' => 0.50 / 26.0,
            b'0'..=b'9' => 0.22 / 10.0,
            b'A'..=b'Z' => 0.06 / 26.0,
            b' ' => 0.08,
            0x80.. => 0.01 / 128.0,
            _ => 0.13 / 65.0,
        })
        .sum()
}

struct Closure {
    seen: Vec<bool>,
    states: Vec<StateID>,
    stack: Vec<StateID>,
}

impl Closure {
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
    use crate::detect::compiled::syntax_config;

    fn beginning(pattern: &str) -> Beginning {
        Beginning::of(&NFA::compiler().syntax(syntax_config()).build(pattern).unwrap())
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
