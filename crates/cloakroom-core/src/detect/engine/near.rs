//! Where in a text context words stand, and which shapes they speak for: those are looked for near them only.

use std::ops::Range;

use super::live::chunk_bit;
use super::watch::{Gate, Watch};
use crate::detect::context::{AFTER, BEFORE, ContextIndex};
use crate::detect::judge::Judge;

/// Shapes with longer matches than this, in bytes, are looked for everywhere: what follows them would be far from where they begin.
pub(crate) const LONGEST: usize = 96;
/// A phrase that counts for a match begins and ends at most this far behind where the match begins.
pub(crate) const AHEAD: usize = LONGEST + AFTER;

/// By phrase: the bits in the live table of the shapes that it speaks for, by word.
pub(crate) struct Phrases {
    bits: Vec<Box<[(u16, u64)]>>,
    words: usize,
}

impl Phrases {
    pub(crate) fn new<'s>(
        context: &ContextIndex,
        watch: &Watch,
        rules_of_shapes: impl Iterator<Item = &'s [u32]>,
    ) -> Self {
        let mut bits_of_rule: Vec<Vec<usize>> = Vec::new();
        let mut rules: Vec<&[u32]> = rules_of_shapes.collect();
        rules.truncate(usize::from(u16::MAX));
        for (bit, shape) in watch.bits() {
            for rule in rules[usize::from(shape)].iter().map(|rule| *rule as usize) {
                bits_of_rule.resize_with(bits_of_rule.len().max(rule + 1), Vec::new);
                bits_of_rule[rule].push(bit);
            }
        }
        let bits_of = |node: u32| {
            let rules = context.rules_for(node).iter().filter_map(|rule| bits_of_rule.get(*rule as usize));
            let mut bits: Vec<(u16, u64)> = Vec::new();
            for bit in rules.flatten() {
                let word = (bit / 64) as u16;
                match bits.iter_mut().find(|(known, _)| *known == word) {
                    Some((_, bits)) => *bits |= 1 << (bit % 64),
                    None => bits.push((word, 1 << (bit % 64))),
                }
            }
            bits.into_boxed_slice()
        };
        Self { bits: (0..context.nodes()).map(bits_of).collect(), words: watch.words() }
    }
}

/// Some bits of the live table.
#[derive(Default)]
struct Bits {
    bits: Vec<u64>,
    /// The chunks that have any.
    chunks: u32,
}

impl Bits {
    #[inline]
    fn add(&mut self, bits: &[(u16, u64)]) {
        for (word, bits) in bits {
            self.bits[usize::from(*word)] |= bits;
            self.chunks |= chunk_bit(usize::from(*word));
        }
    }

    #[inline]
    fn copy(&mut self, other: &Self) {
        self.bits.clone_from(&other.bits);
        self.chunks = other.chunks;
    }
}

/// The phrases near the places of a block.
#[derive(Default)]
pub(crate) struct Near {
    /// The block.
    from: usize,
    to: usize,
    /// Where phrases end, and their nodes.
    marks: Vec<(usize, u32)>,
    /// Those before this one have had their range.
    next: usize,
    /// What the names of the text speak for, everywhere in it.
    always: Bits,
    /// What the phrases `seen` and the names speak for.
    here: Bits,
    seen: Range<usize>,
}

impl Near {
    /// For a text, with the phrases in its names.
    pub(crate) fn begin(&mut self, phrases: &Phrases, names: &[u32]) {
        if self.always.chunks != 0 || self.always.bits.len() != phrases.words {
            self.always.bits.clear();
            self.always.bits.resize(phrases.words, 0);
            self.always.chunks = 0;
        }
        for node in names {
            self.always.add(&phrases.bits[*node as usize]);
        }
    }

    /// Reads the phrases that count for a block.
    #[inline]
    pub(crate) fn read(&mut self, phrases: &Phrases, judge: &mut Judge<'_, '_>, text: &[u8], from: usize, to: usize) {
        (self.from, self.to, self.next, self.seen) = (from, to, 0, 0..0);
        self.marks.clear();
        self.here.copy(&self.always);
        for mark in judge.phrases(text, from.saturating_sub(BEFORE)..to + AHEAD) {
            if !phrases.bits[mark.node as usize].is_empty() {
                self.marks.push((mark.end, mark.node));
            }
        }
    }

    /// The next range of the block in which anything is looked for.
    #[inline]
    pub(crate) fn next_range(&mut self) -> Option<Range<usize>> {
        if self.always.chunks != 0 {
            let range = self.from..self.to;
            self.from = self.to;
            return (!range.is_empty()).then_some(range);
        }
        loop {
            let (end, _) = *self.marks.get(self.next)?;
            self.next += 1;
            let from = end.saturating_sub(AHEAD).max(self.from);
            let mut to = end + BEFORE;
            while let Some((end, _)) = self.marks.get(self.next)
                && end.saturating_sub(AHEAD) <= to
            {
                to = end + BEFORE;
                self.next += 1;
            }
            let to = to.min(self.to);
            if from < to {
                return Some(from..to);
            }
        }
    }

    /// For a range: what is looked for at its places.
    pub(crate) fn gate<'n>(&'n mut self, phrases: &'n Phrases) -> NearGate<'n> {
        NearGate { near: self, phrases }
    }
}

/// Lets through what phrases nearby speak for.
pub(crate) struct NearGate<'n> {
    near: &'n mut Near,
    phrases: &'n Phrases,
}

impl Gate for NearGate<'_> {
    #[inline]
    fn go_to(&mut self, at: usize) -> u32 {
        let Near { marks, seen, here, always, .. } = &mut *self.near;
        let is_behind = |mark: Option<&(usize, u32)>| mark.is_some_and(|(end, _)| end + BEFORE <= at);
        let is_reached = |mark: Option<&(usize, u32)>| mark.is_some_and(|(end, _)| *end <= at + AHEAD);
        if is_behind(marks.get(seen.start)) || is_reached(marks.get(seen.end)) {
            while is_behind(marks.get(seen.start)) {
                seen.start += 1;
            }
            seen.end = seen.end.max(seen.start);
            while is_reached(marks.get(seen.end)) {
                seen.end += 1;
            }
            here.copy(always);
            for (_, node) in &marks[seen.clone()] {
                here.add(&self.phrases.bits[*node as usize]);
            }
        }
        here.chunks
    }

    #[inline]
    fn bits(&self, word: usize) -> u64 {
        self.near.here.bits[word]
    }
}
