//! The engine: finds the matches of several hundred regexes in one pass, at memory speed where nothing is.
//!
//! ```text
//! 64 positions an instruction ──prefilter──▶ candidates ──live table──▶ shapes that can begin there ──automaton──▶ matches
//! ```
//!
//! 1. The prefilter (`cloakroom-prefilter`) names positions where the first eight bytes fit one of 32 buckets of rules.
//! 2. [`LiveTable`](live::LiveTable) says which shapes (regexes, once each) their first twelve bytes really fit.
//! 3. The anchored automaton of each such shape walks on and gives the ends of its matches; the rules of the shape accept
//!    the longest, or a shorter one, or none.
//!
//! Regexes without a selective beginning but with a literal behind a bounded run (`@`, `://`) are looked for by the literal
//! and walked back from; what has neither is searched for by itself. Every regex has a longest match, and a start is
//! walked from once a shape, so the time is linear in the text.

mod beginning;
mod buckets;
mod comparison;
mod live;
mod shape;
mod trigger;

use std::collections::HashMap;

use cloakroom_prefilter::{ANYWHERE_BUCKETS, BLOCK, Kernel, Prefilter, START_BUCKETS, WORDS};

use super::compiled::{Accepted, CompiledRule};
use super::reference::Reference;
pub(crate) use comparison::Comparison;
use beginning::{Beginning, DEPTH, is_word};
use live::LiveTable;
use shape::Shape;
use trigger::{Trigger, parse};

/// How far behind a candidate the start of its match can be, in bytes: the longest run before an inner literal.
pub(crate) const LOOK_BEHIND: usize = 256;

/// The compiled regexes of a catalogue.
pub(crate) struct Engine {
    prefilter: Prefilter,
    live: LiveTable,
    /// By their bit in the live table.
    shapes: Vec<Shape>,
    /// How many of them are for word starts.
    starts: usize,
    /// Rules that nothing triggers.
    rest: Option<(Vec<CompiledRule>, Vec<u32>, Reference)>,
}

/// Where each rule's last accepted match ended, so that the next one starts behind it. Positions count on from text to text,
/// so nothing need be reset.
#[derive(Default)]
pub(crate) struct Ends {
    base: u64,
    ends: Vec<u64>,
}

impl Ends {
    /// For a text of its own: nothing in it was accepted yet.
    pub(crate) fn begin(&mut self, rules: usize) {
        if self.ends.len() < rules {
            self.ends.resize(rules, 0);
        }
    }

    /// The text, or this much of it, is done.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.base += bytes as u64;
    }

    #[inline]
    fn is_free(&self, rule: u32, start: usize) -> bool {
        self.ends[rule as usize] <= self.base + start as u64
    }

    #[inline]
    fn set(&mut self, rule: u32, end: usize) {
        self.ends[rule as usize] = self.base + end as u64;
    }
}

impl Engine {
    /// # Errors
    /// A regex that the engine cannot run; names the rule.
    pub(crate) fn new(rules: &[CompiledRule], kernel: Option<Kernel>) -> Result<Self, String> {
        let mut by_regex: HashMap<&str, usize> = HashMap::with_capacity(rules.len());
        let mut shapes: Vec<(Shape, Trigger)> = Vec::with_capacity(rules.len());
        for (number, compiled) in (0_u32..).zip(rules) {
            let regex = compiled.rule.regex.as_ref();
            let index = match by_regex.get(regex) {
                Some(index) => *index,
                None => {
                    let parsed = parse(regex).and_then(|parsed| Trigger::of(&parsed).map(|trigger| (parsed, trigger)));
                    let (parsed, trigger) = parsed.map_err(|error| format!("rule `{}`: regex: {error}", compiled.rule.id))?;
                    by_regex.insert(regex, shapes.len());
                    shapes.push((Shape::new(parsed.hir, &trigger), trigger));
                    shapes.len() - 1
                }
            };
            shapes[index].0.rules.push(number);
            shapes[index].0.try_shorter |= compiled.rule.try_shorter;
        }
        // Shapes that begin with the same kind of byte stand together, so that few words of a row matter for a byte.
        shapes.sort_by_key(|(_, trigger)| match trigger {
            Trigger::Start(beginning) => (0, kind_of_first(beginning)),
            Trigger::Anywhere(_) | Trigger::Inner { .. } => (1, 0),
            Trigger::Nothing => (2, 0),
        });
        let start: Vec<&Beginning> = shapes.iter().filter_map(|(_, trigger)| trigger.start()).collect();
        let anywhere: Vec<&Beginning> = shapes.iter().filter_map(|(_, trigger)| trigger.anywhere()).collect();
        let live = LiveTable::new(&start, &anywhere);
        let (start_buckets, anywhere_buckets) =
            (buckets::share_out(&start, START_BUCKETS), buckets::share_out(&anywhere, ANYWHERE_BUCKETS));
        let prefilter = match kernel {
            Some(kernel) => Prefilter::with_kernel(kernel, &start_buckets, &anywhere_buckets),
            None => Prefilter::new(&start_buckets, &anywhere_buckets),
        };
        let (starts, anywheres) = (start.len(), anywhere.len());
        let rest_rules: Vec<u32> = shapes[starts + anywheres..].iter().flat_map(|(shape, _)| shape.rules.clone()).collect();
        let rest = if rest_rules.is_empty() {
            None
        } else {
            let compiled = rest_rules.iter().map(|rule| CompiledRule::new(&rules[*rule as usize].rule)).collect::<Result<Vec<_>, _>>()?;
            let reference = Reference::new(&compiled)?;
            Some((compiled, rest_rules, reference))
        };
        Ok(Self { prefilter, live, rest, starts, shapes: shapes.into_iter().map(|(shape, _)| shape).take(starts + anywheres).collect() })
    }

    /// Makes all automata now, to see that none is too large.
    ///
    /// # Errors
    /// Which regex is; names a rule.
    pub(crate) fn prepare(&self, rules: &[CompiledRule], from: usize) -> Result<(), String> {
        for shape in &self.shapes {
            if let Some(rule) = shape.rules.iter().find(|rule| **rule as usize >= from) {
                shape.prepare().map_err(|error| format!("rule `{}`: regex: {error}", rules[*rule as usize].rule.id))?;
            }
        }
        Ok(())
    }

    /// Rules that nothing triggers.
    #[cfg(test)]
    pub(crate) fn untriggered(&self) -> &[u32] {
        self.rest.as_ref().map_or(&[], |(_, rules, _)| rules)
    }

    /// Emits every accepted match of every rule whose trigger stands in `from..to`. Matches of one rule come in order.
    #[inline]
    pub(crate) fn find(
        &self,
        rules: &[CompiledRule],
        text: &[u8],
        from: usize,
        to: usize,
        ends: &mut Ends,
        mut emit: impl FnMut(usize, Accepted),
    ) {
        let mut masks = [0_u64; WORDS];
        let mut at = from;
        while at < to {
            let words = self.prefilter.candidates(text, at, &mut masks);
            for (word, mask) in masks[..words].iter().enumerate() {
                let mut mask = *mask;
                while mask != 0 {
                    let position = at + 64 * word + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    if position >= to {
                        return self.find_rest(text, from, to, ends, emit);
                    }
                    self.candidate(rules, text, position, ends, &mut emit);
                }
            }
            at += BLOCK;
        }
        self.find_rest(text, from, to, ends, emit);
    }

    #[inline]
    fn candidate(
        &self,
        rules: &[CompiledRule],
        text: &[u8],
        at: usize,
        ends: &mut Ends,
        emit: &mut impl FnMut(usize, Accepted),
    ) {
        let padded;
        let bytes: &[u8; DEPTH] = match text[at..].first_chunk() {
            Some(bytes) => bytes,
            None => {
                let mut copy = [0; DEPTH];
                copy[..text.len() - at].copy_from_slice(&text[at..]);
                padded = copy;
                &padded
            }
        };
        let begins = at == 0 || !(is_word(bytes[0]) && is_word(text[at - 1]));
        let (starts, first_anywhere) = (self.starts, self.live.first_anywhere());
        self.live.for_each(bytes, begins, |bit| {
            let index = if bit >= first_anywhere { bit - first_anywhere + starts } else { bit };
            let shape = &self.shapes[index];
            match &shape.inner {
                None => {
                    self.walk_from(shape, rules, text, at, ends, emit);
                }
                Some(inner) => {
                    if inner.goes_on(text, at) {
                        for start in inner.first_start(text, at)..at {
                            if shape.rules.iter().all(|rule| !ends.is_free(*rule, start)) {
                                continue;
                            }
                            self.walk_from(shape, rules, text, start, ends, emit);
                        }
                    }
                }
            }
        });
    }

    /// Walks a shape's automaton from `start` and offers what it finds to the shape's rules.
    #[inline]
    fn walk_from(
        &self,
        shape: &Shape,
        rules: &[CompiledRule],
        text: &[u8],
        start: usize,
        ends: &mut Ends,
        emit: &mut impl FnMut(usize, Accepted),
    ) {
        if let [rule] = shape.rules[..]
            && !ends.is_free(rule, start)
        {
            return;
        }
        let Some(walker) = shape.walker() else { return };
        if !shape.try_shorter {
            let Some(end) = walker.longest(text, start) else { return };
            for rule in &shape.rules {
                if ends.is_free(*rule, start) {
                    offer(rules, *rule, text, start, &[end], ends, emit);
                }
            }
            return;
        }
        let mut all = Vec::new();
        walker.walk(text, start, |end| all.push(end));
        if all.is_empty() {
            return;
        }
        for rule in &shape.rules {
            if ends.is_free(*rule, start) {
                let wanted = if rules[*rule as usize].rule.try_shorter { 0 } else { all.len() - 1 };
                offer(rules, *rule, text, start, &all[wanted..], ends, emit);
            }
        }
    }

    fn find_rest(
        &self,
        text: &[u8],
        from: usize,
        to: usize,
        ends: &mut Ends,
        mut emit: impl FnMut(usize, Accepted),
    ) {
        let Some((compiled, numbers, reference)) = &self.rest else { return };
        let mut found = Vec::new();
        let first = |index: usize| {
            let end = ends.ends[numbers[index] as usize].saturating_sub(ends.base);
            from.max(usize::try_from(end).unwrap_or(usize::MAX))
        };
        reference.find(compiled, text, to, first, |index, end, accepted| found.push((numbers[index], end, accepted)));
        for (rule, end, accepted) in found {
            ends.set(rule, end);
            emit(rule as usize, accepted);
        }
    }
}

/// Offers the ends of a start to a rule, the longest first, until it accepts one.
#[inline]
fn offer(
    rules: &[CompiledRule],
    rule: u32,
    text: &[u8],
    start: usize,
    all: &[usize],
    ends: &mut Ends,
    emit: &mut impl FnMut(usize, Accepted),
) {
    for end in all.iter().rev() {
        if let Some(accepted) = rules[rule as usize].accept(text, start..*end) {
            ends.set(rule, accepted.span.end.max(*end));
            emit(rule as usize, accepted);
            return;
        }
    }
}

/// Sorts beginnings by the kind of their first byte: digits, then small letters, then capitals, then the rest.
fn kind_of_first(beginning: &Beginning) -> u8 {
    let first = &beginning.sets[0];
    let any = |mut bytes: std::ops::RangeInclusive<u8>| bytes.any(|byte| first.contains(byte));
    match (any(b'0'..=b'9'), any(b'a'..=b'z'), any(b'A'..=b'Z')) {
        (true, false, false) => 0,
        (true, _, _) => 1,
        (false, true, true) => 2,
        (false, false, true) => 3,
        (false, true, false) => 4,
        (false, false, false) => 5,
    }
}

#[cfg(test)]
mod tests;
