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

use super::Detection;
use super::compiled::CompiledRule;
use super::context::ContextIndex;
use super::judge::Judge;
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
    rest: Option<(Vec<u32>, Vec<bool>, Reference)>,
    /// The bits of shapes some rule of which reports without a context word.
    free: Box<[u64]>,
    /// By phrase: the bits of shapes that it speaks for.
    bits_of_nodes: Vec<Box<[u16]>>,
    /// The longest match of a shape that needs a context word, in bytes.
    longest_in_context: usize,
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
    pub(crate) fn new(rules: &[CompiledRule], context: &ContextIndex, kernel: Option<Kernel>) -> Result<Self, String> {
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
            if compiled.rule.try_shorter {
                shapes[index].0.try_shorter.push(number);
            }
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
            let chosen: Vec<&CompiledRule> = rest_rules.iter().map(|rule| &rules[*rule as usize]).collect();
            let try_shorter = chosen.iter().map(|rule| rule.rule.try_shorter).collect();
            let reference = Reference::new(chosen.iter().map(|rule| rule.rule.regex.as_ref()))?;
            Some((rest_rules, try_shorter, reference))
        };
        let shapes: Vec<Shape> = shapes.into_iter().map(|(shape, _)| shape).take(starts + anywheres).collect();
        let first_anywhere = live.first_anywhere();
        let bit = |index: usize| if index < starts { index } else { index - starts + first_anywhere };
        let mut free = vec![0_u64; live.words()].into_boxed_slice();
        let mut bit_of_rule = vec![None; rules.len()];
        let mut longest_in_context = 0;
        for (index, shape) in shapes.iter().enumerate() {
            // Where a group is the value, its surroundings are known only when it is.
            let is_free = |rule: &u32| !rules[*rule as usize].needs_context || rules[*rule as usize].has_group();
            if shape.rules.iter().any(is_free) {
                free[bit(index) / 64] |= 1 << (bit(index) % 64);
            } else {
                longest_in_context = longest_in_context.max(shape.longest());
            }
            shape.rules.iter().for_each(|rule| bit_of_rule[*rule as usize] = u16::try_from(bit(index)).ok());
        }
        let bits_of_node = |node: u32| {
            let mut bits: Vec<u16> = context.rules_for(node).iter().filter_map(|rule| bit_of_rule[*rule as usize]).collect();
            bits.sort_unstable();
            bits.dedup();
            bits.into_boxed_slice()
        };
        let bits_of_nodes = (0..context.nodes()).map(bits_of_node).collect();
        Ok(Self { prefilter, live, rest, starts, shapes, free, bits_of_nodes, longest_in_context })
    }

    /// Rules that nothing triggers.
    #[cfg(test)]
    pub(crate) fn untriggered(&self) -> &[u32] {
        self.rest.as_ref().map_or(&[], |(rules, _, _)| rules)
    }

    /// Emits every accepted match of every rule whose trigger stands in `from..to`. Matches of one rule come in order.
    #[inline]
    pub(crate) fn find(
        &self,
        judge: &mut Judge<'_, '_>,
        text: &[u8],
        from: usize,
        to: usize,
        ends: &mut Ends,
        mut emit: impl FnMut(Detection),
    ) {
        let mut allowed = Allowed::new(self, judge);
        let mut masks = [0_u64; WORDS];
        let mut at = from;
        'blocks: while at < to {
            let words = self.prefilter.candidates(text, at, &mut masks);
            for (word, mask) in masks[..words].iter().enumerate() {
                let mut mask = *mask;
                while mask != 0 {
                    let position = at + 64 * word + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    if position >= to {
                        break 'blocks;
                    }
                    self.candidate(judge, &mut allowed, text, position, ends, &mut emit);
                }
            }
            at += BLOCK;
        }
        self.find_rest(judge, text, from, to, ends, emit);
    }

    #[inline]
    fn candidate(
        &self,
        judge: &mut Judge<'_, '_>,
        allowed: &mut Allowed,
        text: &[u8],
        at: usize,
        ends: &mut Ends,
        emit: &mut impl FnMut(Detection),
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
        let first_anywhere = self.live.first_anywhere();
        self.live.for_each(bytes, begins, |word, mut live| {
            if live & !allowed.always[word] != 0 {
                live &= allowed.near(self, judge, text, at)[word];
            }
            while live != 0 {
                let bit = word * 64 + live.trailing_zeros() as usize;
                live &= live - 1;
                let index = if bit >= first_anywhere { bit - first_anywhere + self.starts } else { bit };
                let shape = &self.shapes[index];
                match &shape.inner {
                    None => walk_from(shape, judge, text, at, ends, emit),
                    Some(inner) => {
                        if inner.goes_on(text, at) {
                            for start in inner.first_start(text, at)..at {
                                if shape.rules.iter().any(|rule| ends.is_free(*rule, start)) {
                                    walk_from(shape, judge, text, start, ends, emit);
                                }
                            }
                        }
                    }
                }
            }
        });
    }

    fn find_rest(
        &self,
        judge: &mut Judge<'_, '_>,
        text: &[u8],
        from: usize,
        to: usize,
        ends: &mut Ends,
        mut emit: impl FnMut(Detection),
    ) {
        let Some((numbers, try_shorter, reference)) = &self.rest else { return };
        let mut found = Vec::new();
        let number = |index: usize| {
            let end = ends.ends[numbers[index] as usize].saturating_sub(ends.base);
            (numbers[index], from.max(usize::try_from(end).unwrap_or(usize::MAX)), try_shorter[index])
        };
        reference.find(judge, text, to, number, |detection| found.push(detection));
        for detection in found {
            ends.set(detection.rule, detection.end);
            emit(detection);
        }
    }
}

/// Which shapes need be looked for: those that report without a context word, and those that a phrase nearby speaks for.
struct Allowed {
    /// Everywhere in this text.
    always: Vec<u64>,
    /// At the place last asked for.
    near: Vec<u64>,
    at: usize,
}

impl Allowed {
    fn new(engine: &Engine, judge: &Judge<'_, '_>) -> Self {
        let mut always = engine.free.to_vec();
        for node in judge.names() {
            engine.allow(*node, &mut always);
        }
        Self { near: always.clone(), always, at: usize::MAX }
    }

    #[inline]
    fn near(&mut self, engine: &Engine, judge: &mut Judge<'_, '_>, text: &[u8], at: usize) -> &[u64] {
        if self.at != at {
            self.at = at;
            self.near.copy_from_slice(&self.always);
            // A match with an inner literal may begin before its trigger.
            judge.nodes_near(text, at, engine.longest_in_context, |node| engine.allow(node, &mut self.near));
        }
        &self.near
    }
}

impl Engine {
    fn allow(&self, node: u32, bits: &mut [u64]) {
        for bit in &*self.bits_of_nodes[node as usize] {
            bits[usize::from(*bit) / 64] |= 1 << (bit % 64);
        }
    }
}

/// Walks a shape's automaton from `start` and offers what it finds to the shape's rules.
#[inline]
fn walk_from(
    shape: &Shape,
    judge: &mut Judge<'_, '_>,
    text: &[u8],
    start: usize,
    ends: &mut Ends,
    emit: &mut impl FnMut(Detection),
) {
    if let [rule] = shape.rules[..]
        && !ends.is_free(rule, start)
    {
        return;
    }
    let Some(walker) = shape.walker() else { return };
    if shape.try_shorter.is_empty() {
        let Some(end) = walker.longest(text, start) else { return };
        for rule in &shape.rules {
            if ends.is_free(*rule, start) {
                offer(judge, *rule, text, start, &[end], ends, emit);
            }
        }
        return;
    }
    let mut all = Vec::new();
    walker.walk(text, start, |end| all.push(end));
    let Some(longest) = all.len().checked_sub(1) else { return };
    for rule in &shape.rules {
        if ends.is_free(*rule, start) {
            let first = if shape.try_shorter.contains(rule) { 0 } else { longest };
            offer(judge, *rule, text, start, &all[first..], ends, emit);
        }
    }
}

/// Offers the ends of a start to a rule, the longest first, until it accepts one.
#[inline]
fn offer(
    judge: &mut Judge<'_, '_>,
    rule: u32,
    text: &[u8],
    start: usize,
    all: &[usize],
    ends: &mut Ends,
    emit: &mut impl FnMut(Detection),
) {
    for end in all.iter().rev() {
        if let Some(detection) = judge.accept(text, rule, start..*end) {
            ends.set(rule, detection.end.max(*end));
            emit(detection);
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
