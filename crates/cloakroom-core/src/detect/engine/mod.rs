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

use cloakroom_prefilter::{
    ANYWHERE_BUCKETS, BLOCK, Kernel, LongRuns, Prefilter, Run, START_BUCKETS, WORDS, run_lengths as prefilter_lengths,
};

use super::Detection;
use super::compiled::CompiledRule;
use super::context::ContextIndex;
use super::edges::joined_before;
use super::judge::Judge;
use super::reference::Reference;
use super::rule::Edges;
use beginning::{Beginning, DEPTH, is_word};
pub(crate) use comparison::Comparison;
use live::LiveTable;
use shape::Shape;
use trigger::{Entry, MAX_COUNTED_RUN, Trigger, parse};

/// How far behind a candidate the start of its match can be, in bytes: the longest run before an inner literal.
pub(crate) const LOOK_BEHIND: usize = 256;

/// Shapes with longer matches than this, in bytes, are looked for even where no context word is near: it would be hard to say
/// what is near.
const LONGEST_IN_CONTEXT: usize = 96;

/// The compiled regexes of a catalogue.
pub(crate) struct Engine {
    prefilter: Prefilter,
    live: LiveTable,
    /// By bit in the live table: a number of `shapes`.
    shape_of_bit: Vec<u16>,
    shapes: Vec<Shape>,
    /// Rules that nothing triggers.
    rest: Option<(Vec<u32>, Vec<bool>, Reference)>,
    /// The bits of shapes some rule of which reports without a context word.
    free: Box<[u64]>,
    /// The bits of shapes all of whose rules want values that stand alone, and can say so before the match is known.
    alone: Box<[u64]>,
    /// By phrase: the bits of shapes that it speaks for.
    bits_of_nodes: Vec<Box<[u16]>>,
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
                    let (parsed, trigger) =
                        parsed.map_err(|error| format!("rule `{}`: regex: {error}", compiled.rule.id))?;
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
        // Ways to begin, with the number of their shape. Those that begin with the same kind of byte stand together, so that few words
        // of a row matter for a byte.
        let mut start: Vec<(&Entry, usize)> = Vec::new();
        let mut anywhere: Vec<(&Entry, usize)> = Vec::new();
        let mut rest_rules = Vec::new();
        for (number, (shape, trigger)) in shapes.iter().enumerate() {
            match trigger {
                Trigger::Start(entries) => start.extend(entries.iter().map(|entry| (entry, number))),
                Trigger::Anywhere(entries) => anywhere.extend(entries.iter().map(|entry| (entry, number))),
                Trigger::Inner { entry, .. } => anywhere.push((entry, number)),
                Trigger::Nothing => rest_rules.extend_from_slice(&shape.rules),
            }
        }
        start.sort_by_key(|(entry, _)| (entry.runs.is_some(), kind_of_first(&entry.beginning)));
        let live = LiveTable::new(&entries(&start), &entries(&anywhere));
        // Those with a long run at their beginning are found by it.
        let short = |list: &[(&Entry, usize)], buckets| {
            let beginnings: Vec<&Beginning> =
                list.iter().filter(|(entry, _)| entry.runs.is_none()).map(|(entry, _)| &entry.beginning).collect();
            buckets::share_out(&beginnings, buckets)
        };
        let (start_buckets, anywhere_buckets) = (short(&start, START_BUCKETS), short(&anywhere, ANYWHERE_BUCKETS));
        let stands_alone = |number: &usize| {
            let mut of_shape = shapes[*number].0.rules.iter().map(|rule| &rules[*rule as usize]);
            of_shape.all(|rule| rule.rule.edges == Edges::Token && !rule.has_group())
        };
        let mut long = start.iter().filter(|(entry, _)| entry.runs.is_some());
        let long_runs = match (long.clone().next(), long.all(|(_, number)| stands_alone(number))) {
            (None, _) => LongRuns::No,
            (_, true) => LongRuns::Alone,
            (_, false) => LongRuns::All,
        };
        let kernel = kernel.unwrap_or_else(|| Kernel::available()[0]);
        let prefilter = Prefilter::with_kernel(kernel, &start_buckets, &anywhere_buckets, long_runs);
        let mut shape_of_bit = vec![0_u16; 64 * live.words()];
        let bits = (0..).zip(&start).chain((live.first_anywhere()..).zip(&anywhere));
        for (bit, (_, shape)) in bits.clone() {
            shape_of_bit[bit] = u16::try_from(*shape).map_err(|_| "more than 65,535 regexes".to_owned())?;
        }
        let rest = if rest_rules.is_empty() {
            None
        } else {
            let chosen: Vec<&CompiledRule> = rest_rules.iter().map(|rule| &rules[*rule as usize]).collect();
            let try_shorter = chosen.iter().map(|rule| rule.rule.try_shorter).collect();
            let reference = Reference::new(chosen.iter().map(|rule| rule.rule.regex.as_ref()))?;
            Some((rest_rules, try_shorter, reference))
        };
        let mut free = vec![0_u64; live.words()].into_boxed_slice();
        let mut alone = vec![0_u64; live.words()].into_boxed_slice();
        let mut bits_of_rule: Vec<Vec<u16>> = vec![Vec::new(); rules.len()];
        for (bit, (_, number)) in bits {
            let shape = &shapes[*number].0;
            // Where a group is the value, its surroundings are known only when it is; where a match is long, so are they.
            let is_free = |rule: &u32| !rules[*rule as usize].needs_context || rules[*rule as usize].has_group();
            if shape.rules.iter().any(is_free) || shape.inner.is_some() || shape.longest() > LONGEST_IN_CONTEXT {
                free[bit / 64] |= 1 << (bit % 64);
            }
            if stands_alone(number) && shape.inner.is_none() {
                alone[bit / 64] |= 1 << (bit % 64);
            }
            shape.rules.iter().for_each(|rule| bits_of_rule[*rule as usize].push(bit as u16));
        }
        let bits_of_node = |node: u32| {
            let mut bits: Vec<u16> =
                context.rules_for(node).iter().flat_map(|rule| bits_of_rule[*rule as usize].iter().copied()).collect();
            bits.sort_unstable();
            bits.dedup();
            bits.into_boxed_slice()
        };
        let bits_of_nodes = (0..context.nodes()).map(bits_of_node).collect();
        let shapes = shapes.into_iter().map(|(shape, _)| shape).collect();
        Ok(Self { prefilter, live, shape_of_bit, rest, shapes, free, alone, bits_of_nodes })
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
        let (mut masks, mut runs) = ([0_u64; WORDS], [Run::default(); WORDS + 1]);
        let mut at = from;
        'blocks: while at < to {
            let words = self.prefilter.candidates(text, at, &mut masks, &mut runs);
            for (word, mask) in masks[..words].iter().enumerate() {
                let mut mask = *mask;
                while mask != 0 {
                    let position = at + 64 * word + mask.trailing_zeros() as usize;
                    mask &= mask - 1;
                    if position >= to {
                        break 'blocks;
                    }
                    let block = Block { text, start: at, runs: &runs[..words] };
                    self.candidate(judge, &mut allowed, &block, position, ends, &mut emit);
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
        block: &Block<'_>,
        at: usize,
        ends: &mut Ends,
        emit: &mut impl FnMut(Detection),
    ) {
        let text = block.text;
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
        let joined = joined_before(text, at);
        let lengths = || {
            let (word, token) =
                prefilter_lengths(block.runs, at - block.start).unwrap_or_else(|| live::run_lengths(&text[at..]));
            (word.min(MAX_COUNTED_RUN), token.min(MAX_COUNTED_RUN))
        };
        self.live.for_each(bytes, begins, lengths, |word, mut live| {
            if joined {
                live &= !self.alone[word];
            }
            if live & !allowed.always[word] != 0 {
                live &= allowed.near(self, judge, text, at)[word];
            }
            while live != 0 {
                let bit = word * 64 + live.trailing_zeros() as usize;
                live &= live - 1;
                let shape = &self.shapes[usize::from(self.shape_of_bit[bit])];
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

/// A part of a text that the prefilter has answered for.
struct Block<'t> {
    text: &'t [u8],
    start: usize,
    runs: &'t [Run],
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
            judge.nodes_near(text, at, LONGEST_IN_CONTEXT, |node| engine.allow(node, &mut self.near));
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

fn entries<'a>(list: &[(&'a Entry, usize)]) -> Vec<&'a Entry> {
    list.iter().map(|(entry, _)| *entry).collect()
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
