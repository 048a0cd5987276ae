//! A shape: a regex, once, for all rules that have it. Eleven bare digits are the shape of a dozen countries' numbers: the
//! automaton runs once, and each rule's validators look at what it found.

use std::sync::{Mutex, OnceLock};

use cloakroom_prefilter::ByteSet;
use regex_automata::Anchored;
use regex_automata::dfa::{Automaton, dense};
use regex_automata::hybrid::dfa as hybrid;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_syntax::hir::Hir;

use super::trigger::{Trigger, automaton, lazy_automaton};
use crate::detect::compiled::MAX_MATCH;

/// A regex and the rules that have it.
pub(crate) struct Shape {
    /// Numbers of its rules.
    pub(crate) rules: Vec<u32>,
    /// Those of them that want shorter matches, too.
    pub(crate) try_shorter: Vec<u32>,
    hir: Hir,
    walker: OnceLock<Option<Walker>>,
    /// For shapes with an inner literal.
    pub(crate) inner: Option<Inner>,
}

/// What stands before an inner literal.
pub(crate) struct Inner {
    class: ByteSet,
    most: usize,
    last: ByteSet,
    rest: Hir,
    walker: OnceLock<Option<Walker>>,
}

/// An anchored automaton.
#[allow(clippy::large_enum_variant, reason = "there are some hundreds, made once and never moved")]
pub(crate) enum Walker {
    /// All its states, made at once: small and fast.
    Dense {
        dfa: dense::DFA<Vec<u32>>,
        /// Start states by the byte before.
        starts: Box<[StateID; 256]>,
        start_of_text: StateID,
    },
    /// Where all would be too many, those that texts lead to, made on the way.
    Lazy {
        dfa: Box<hybrid::DFA>,
        /// States made so far; each search under way has one of these.
        caches: Mutex<Vec<hybrid::Cache>>,
    },
}

impl Shape {
    pub(crate) fn new(hir: Hir, trigger: &Trigger) -> Self {
        let inner = match trigger {
            Trigger::Inner { class, most, last, rest, .. } => {
                Some(Inner { class: *class, most: *most, last: *last, rest: rest.clone(), walker: OnceLock::new() })
            }
            _ => None,
        };
        Self { rules: Vec::new(), try_shorter: Vec::new(), hir, walker: OnceLock::new(), inner }
    }

    /// Bytes of its longest match.
    pub(crate) fn longest(&self) -> usize {
        self.hir.properties().maximum_len().unwrap_or(MAX_MATCH)
    }

    /// Its automaton, made when it is first needed: most shapes never are.
    pub(crate) fn walker(&self) -> Option<&Walker> {
        self.walker.get_or_init(|| Walker::new(&self.hir).ok()).as_ref()
    }
}

impl Inner {
    /// True when the byte before the literal at `at` may be, and what follows from the literal on matches.
    pub(crate) fn goes_on(&self, text: &[u8], at: usize) -> bool {
        if at == 0 || !self.last.contains(text[at - 1]) {
            return false;
        }
        let walker = self.walker.get_or_init(|| Walker::new(&self.rest).ok()).as_ref();
        walker.is_some_and(|walker| walker.longest(text, at).is_some())
    }

    /// The first position from which a match could reach the literal at `at`.
    pub(crate) fn first_start(&self, text: &[u8], at: usize) -> usize {
        let lowest = at.saturating_sub(self.most);
        let run = text[lowest..at].iter().rev().take_while(|byte| self.class.contains(**byte)).count();
        at - run
    }
}

impl Walker {
    fn new(hir: &Hir) -> Result<Self, String> {
        let Ok(dfa) = automaton(hir) else {
            let dfa = Box::new(lazy_automaton(hir)?);
            return Ok(Self::Lazy { dfa, caches: Mutex::new(Vec::new()) });
        };
        let start = |before: Option<u8>| {
            let config = start::Config::new().anchored(Anchored::Yes).look_behind(before);
            // Quit bytes and unanchored starts, the ways to fail, were not asked for.
            dfa.start_state(&config).map_err(|error| error.to_string())
        };
        let start_of_text = start(None)?;
        let mut starts = Box::new([start_of_text; 256]);
        for byte in 0..=255 {
            starts[usize::from(byte)] = start(Some(byte))?;
        }
        Ok(Self::Dense { dfa, starts, start_of_text })
    }

    /// The end of the longest match that starts at `at`.
    #[inline]
    pub(crate) fn longest(&self, text: &[u8], at: usize) -> Option<usize> {
        let mut longest = None;
        self.walk(text, at, |end| longest = Some(end));
        longest
    }

    /// Calls `each` with the end of every match that starts at `at`, in order. Ends when no longer match is possible.
    #[inline]
    pub(crate) fn walk(&self, text: &[u8], at: usize, mut each: impl FnMut(usize)) {
        match self {
            Self::Dense { dfa, starts, start_of_text } => {
                let mut state = match at {
                    0 => *start_of_text,
                    _ => starts[usize::from(text[at - 1])],
                };
                // A match shows one byte late: only then is known whether a `\b` behind it holds.
                for (offset, byte) in text[at..].iter().enumerate() {
                    state = dfa.next_state(state, *byte);
                    if dfa.is_special_state(state) {
                        if dfa.is_match_state(state) {
                            each(at + offset);
                        } else if dfa.is_dead_state(state) {
                            return;
                        }
                    }
                }
                if dfa.is_match_state(dfa.next_eoi_state(state)) {
                    each(text.len());
                }
            }
            Self::Lazy { dfa, caches } => {
                let taken = caches.lock().ok().and_then(|mut caches| caches.pop());
                let mut cache = taken.unwrap_or_else(|| dfa.create_cache());
                // The cache is emptied when it is full, as often as need be: there is no other way to fail.
                let _ = walk_lazily(dfa, &mut cache, text, at, each);
                if let Ok(mut caches) = caches.lock() {
                    caches.push(cache);
                }
            }
        }
    }
}

fn walk_lazily(
    dfa: &hybrid::DFA,
    cache: &mut hybrid::Cache,
    text: &[u8],
    at: usize,
    mut each: impl FnMut(usize),
) -> Result<(), String> {
    let before = at.checked_sub(1).map(|before| text[before]);
    let config = start::Config::new().anchored(Anchored::Yes).look_behind(before);
    let mut state = dfa.start_state(cache, &config).map_err(|error| error.to_string())?;
    for (offset, byte) in text[at..].iter().enumerate() {
        state = dfa.next_state(cache, state, *byte).map_err(|error| error.to_string())?;
        if state.is_tagged() {
            if state.is_match() {
                each(at + offset);
            } else if state.is_dead() {
                return Ok(());
            }
        }
    }
    if dfa.next_eoi_state(cache, state).map_err(|error| error.to_string())?.is_match() {
        each(text.len());
    }
    Ok(())
}
