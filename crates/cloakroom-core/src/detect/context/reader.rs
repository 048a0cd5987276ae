//! Reads texts for phrases.

use std::ops::Range;

use super::beginnings::{Beginnings, FirstWord, Work};
use super::words::{self, WINDOW, Words};
use super::{ContextIndex, MAX_WORDS};

/// Bytes between two words of a phrase: `card - number` is one, `card, your number` is none.
const MAX_GAP: usize = 3;
/// When this many are known, those far behind are forgotten.
const MANY_MARKS: usize = 4096;

/// A phrase in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) node: u32,
}

/// Reads a text for phrases.
#[derive(Default)]
pub(crate) struct ContextReader {
    all: Reading,
    needed: Reading,
    /// The phrases in the names that belong to the text.
    pub(crate) names: Vec<u32>,
}

impl ContextReader {
    /// Begins a text of its own.
    pub(crate) fn begin(&mut self, index: &ContextIndex, names: &[&str]) {
        self.names.clear();
        for name in names {
            self.all.restart(0);
            let marks = self.all.within(index, &index.all, name.as_bytes(), 0..name.len());
            self.names.extend(marks.iter().map(|mark| mark.node));
        }
        self.restart();
    }

    /// The text has changed, or moved.
    pub(crate) fn restart(&mut self) {
        self.all.restart(0);
        self.needed.restart(0);
    }

    /// All phrases that end within a window.
    #[inline]
    pub(crate) fn all(&mut self, index: &ContextIndex, text: &[u8], window: Range<usize>) -> &[Mark] {
        self.all.within(index, &index.all, text, window)
    }

    /// Those without which some rule does not report, and perhaps others.
    #[inline]
    pub(crate) fn needed(&mut self, index: &ContextIndex, text: &[u8], window: Range<usize>) -> &[Mark] {
        self.needed.within(index, &index.needed, text, window)
    }
}

/// Reads for phrases with some first words, every part of a text at most once and only where it is asked for.
#[derive(Default)]
struct Reading {
    /// Phrases that begin in `from..to` are known.
    from: usize,
    to: usize,
    /// In the order of their ends.
    marks: Vec<Mark>,
    work: Work,
}

impl Reading {
    fn restart(&mut self, at: usize) {
        self.from = at;
        self.to = at;
        self.marks.clear();
    }

    #[inline]
    fn within(&mut self, index: &ContextIndex, beginnings: &Beginnings, text: &[u8], window: Range<usize>) -> &[Mark] {
        let end = window.end.min(text.len());
        // A phrase is shorter than `WINDOW`.
        let first = window.start.saturating_sub(WINDOW);
        if first < self.from || first > self.to {
            self.restart(first);
        }
        if self.to < end {
            if self.marks.len() > MANY_MARKS {
                self.marks.retain(|mark| mark.start >= first);
                self.from = first;
            }
            self.read(index, beginnings, text, end);
        }
        let first = self.marks.partition_point(|mark| mark.end <= window.start);
        let count = self.marks[first..].partition_point(|mark| mark.end <= window.end);
        &self.marks[first..first + count]
    }

    fn read(&mut self, index: &ContextIndex, beginnings: &Beginnings, text: &[u8], to: usize) {
        let Self { work, marks, .. } = self;
        while self.to < to {
            self.to = beginnings.find(text, self.to, to, work, |word| read_phrases(index, text, word, marks));
        }
    }
}

/// Adds the phrases that begin with a word.
#[inline]
fn read_phrases(index: &ContextIndex, text: &[u8], first: FirstWord, marks: &mut Vec<Mark>) {
    let Some(mut step) = index.step(0, first.key) else { return };
    if step.ends {
        add(marks, Mark { start: first.start, end: first.end, node: step.node });
    }
    if !step.goes_on {
        return;
    }
    let mut before = first.end;
    for word in Words::at(text, first.start).take(MAX_WORDS).skip(1) {
        if word.start > before + MAX_GAP {
            return;
        }
        let Some(next) = index.step(step.node, words::key(text, word.start, word.len())) else { return };
        (step, before) = (next, word.end);
        if step.ends {
            add(marks, Mark { start: first.start, end: word.end, node: step.node });
        }
        if !step.goes_on {
            return;
        }
    }
}

/// Phrases come in the order of their beginnings, and are kept in that of their ends.
fn add(marks: &mut Vec<Mark>, mark: Mark) {
    let later = marks.iter().rev().take_while(|other| other.end > mark.end).count();
    marks.insert(marks.len() - later, mark);
}

#[cfg(test)]
mod tests {
    use std::sync::OnceLock;

    use proptest::prelude::*;

    use super::*;
    use crate::detect::compiled::CompiledRule;
    use crate::detect::context::Vote;
    use crate::detect::rule::built_in;

    fn catalogue() -> &'static (ContextIndex, Vec<CompiledRule>) {
        static CATALOGUE: OnceLock<(ContextIndex, Vec<CompiledRule>)> = OnceLock::new();
        CATALOGUE.get_or_init(|| {
            let rules: Vec<CompiledRule> =
                built_in().iter().map(|rule| CompiledRule::new(rule, 0.5).unwrap()).collect();
            (ContextIndex::of(&rules), rules)
        })
    }

    /// Every word of the text is looked up.
    fn plainly(index: &ContextIndex, text: &[u8]) -> Vec<Mark> {
        let mut marks = Vec::new();
        for at in (0..text.len()).filter(|at| words::begins_at(text, *at)) {
            if let Some(word) = Words::at(text, at).next().filter(|word| word.start == at) {
                let key = words::key(text, at, word.len());
                read_phrases(index, text, FirstWord { start: at, end: word.end, key }, &mut marks);
            }
        }
        marks
    }

    fn piece() -> impl Strategy<Value = String> {
        let phrases: Vec<&str> = built_in()
            .iter()
            .flat_map(|rule| rule.context.iter().chain(&*rule.not_context))
            .map(AsRef::as_ref)
            .collect();
        prop_oneof![
            3 => proptest::sample::select(phrases.clone()).prop_map(ToOwned::to_owned),
            1 => proptest::sample::select(phrases).prop_map(str::to_uppercase),
            1 => "[A-Z]?[a-zé]{1,9}",
            3 => "[ _.:,0-9-]{0,4}",
            1 => "[a-z]{50,80}",
        ]
    }

    proptest! {
        #[test]
        fn filters_lose_no_phrase(pieces in proptest::collection::vec(piece(), 0..60), first in 0_usize..40, length in 0_usize..900) {
            let (index, rules) = catalogue();
            let text = pieces.concat();
            let text = text.as_bytes();
            let window = first.min(text.len())..(first + length).min(text.len());
            let mut wanted = plainly(index, text);
            wanted.retain(|mark| mark.end > window.start && mark.end <= window.end);
            let sorted = |marks: &[Mark]| {
                let mut marks: Vec<_> = marks.iter().map(|mark| (mark.end, mark.start, mark.node)).collect();
                prop_assert!(marks.is_sorted_by_key(|mark| mark.0));
                marks.sort_unstable();
                Ok(marks)
            };
            wanted.sort_by_key(|mark| mark.end);
            let mut reader = ContextReader::default();
            prop_assert_eq!(sorted(reader.all(index, text, window.clone()))?, sorted(&wanted)?);
            let needed: Vec<Mark> = reader.needed(index, text, window).to_vec();
            for mark in &wanted {
                let is_needed = |rule: &&u32| rules[**rule as usize].needs_context;
                if let Some(rule) = index.rules_for(mark.node).iter().find(is_needed) {
                    prop_assert!(needed.contains(mark));
                    prop_assert_eq!(index.vote([mark.node].into_iter(), *rule), Vote::For);
                }
            }
        }
    }
}
