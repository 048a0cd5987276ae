//! The engine: finds the matches of several hundred regexes in one pass, at memory speed where nothing is.
//!
//! ```text
//! 64 positions an instruction ──prefilter──▶ candidates ──live table──▶ shapes that can begin there ──automaton──▶ matches
//! ```
//!
//! 1. The prefilter (`cloakroom-prefilter`) names positions where the first eight bytes fit one of 64 buckets of rules.
//! 2. [`LiveTable`](live::LiveTable) says which shapes (regexes, once each) their first twelve bytes really fit.
//! 3. The anchored automaton of each such shape walks on and gives the ends of its matches; the rules of the shape accept
//!    the longest, or a shorter one, or none.
//!
//! Half of all rules report only where a context word is near. Their shapes are looked for near those words and nowhere else
//! ([`Near`]).
//!
//! Regexes without a selective beginning but with a literal behind a bounded run (`@`, `://`) are looked for by the literal
//! and walked back from; what has neither is searched for by itself. Every regex has a longest match, and a start is
//! walked from once a shape, so the time is linear in the text.

mod beginning;
mod buckets;
mod comparison;
mod live;
mod near;
mod shape;
mod trigger;
mod watch;

use std::collections::HashMap;

use cloakroom_prefilter::{BLOCK, Buffers, ByteSet, Kernel};

use super::Detection;
use super::compiled::CompiledRule;
use super::context::ContextIndex;
use super::judge::Judge;
use super::reference::Reference;
use super::rule::Edges;
pub(crate) use comparison::Comparison;
use near::{Near, Phrases};
use shape::Shape;
use trigger::{Trigger, parse};
use watch::{Open, Watch, Way};

/// How far behind a candidate the start of its match can be, in bytes: the longest run before an inner literal.
pub(crate) const LOOK_BEHIND: usize = 256;

/// The compiled regexes of a catalogue.
pub(crate) struct Engine {
    shapes: Vec<Shape>,
    /// Shapes that are looked for everywhere.
    free: Watch,
    /// Shapes none of whose rules reports without a context word: looked for near those only.
    gated: Watch,
    phrases: Phrases,
    /// Rules that nothing triggers.
    rest: Option<(Vec<u32>, Vec<bool>, Reference)>,
}

/// What a search needs to remember, kept from text to text.
#[derive(Default)]
pub(crate) struct Work {
    ends: Ends,
    buffers: Box<Buffers>,
    near: Near,
}

impl Work {
    /// For a text of its own: nothing in it was accepted yet.
    pub(crate) fn begin(&mut self, rules: usize) {
        if self.ends.ends.len() < rules {
            self.ends.ends.resize(rules, 0);
            // There are no more shapes than rules.
            self.ends.walked.resize(rules, 0);
        }
    }

    /// The text, or this much of it, is done.
    pub(crate) fn advance(&mut self, bytes: usize) {
        self.ends.base += bytes as u64;
    }
}

/// Where each rule's last accepted match ended, so that the next one starts behind it. Positions count on from text to text,
/// so nothing need be reset.
#[derive(Default)]
struct Ends {
    base: u64,
    ends: Vec<u64>,
    /// By shape: behind the last place from which it was walked. Several ways to begin may fit one place.
    walked: Vec<u64>,
}

impl Ends {
    #[inline]
    fn is_free(&self, rule: u32, start: usize) -> bool {
        self.ends[rule as usize] <= self.base + start as u64
    }

    /// True once for a shape and a place.
    #[inline]
    fn first_time(&mut self, shape: u16, at: usize) -> bool {
        let behind = self.base + at as u64 + 1;
        std::mem::replace(&mut self.walked[usize::from(shape)], behind) != behind
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
        // Rules that are looked for everywhere and rules that are not do not share.
        let mut by_regex: HashMap<(&str, bool), usize> = HashMap::with_capacity(rules.len());
        let mut shapes: Vec<(Shape, Trigger)> = Vec::with_capacity(rules.len());
        for (number, compiled) in (0_u32..).zip(rules) {
            let regex = compiled.rule.regex.as_ref();
            let index = match by_regex.get(&(regex, needs_context(compiled))) {
                Some(index) => *index,
                None => {
                    let parsed = parse(regex).and_then(|hir| Trigger::of(&hir).map(|trigger| (hir, trigger)));
                    let (hir, trigger) =
                        parsed.map_err(|error| format!("rule `{}`: regex: {error}", compiled.rule.id))?;
                    by_regex.insert((regex, needs_context(compiled)), shapes.len());
                    shapes.push((Shape::new(hir, &trigger), trigger));
                    shapes.len() - 1
                }
            };
            shapes[index].0.rules.push(number);
            if compiled.rule.try_shorter {
                shapes[index].0.try_shorter.push(number);
            }
        }
        let kernel = kernel.unwrap_or_else(|| Kernel::available()[0]);
        let watch = |gated: bool| {
            let (mut start, mut anywhere) = (Vec::new(), Vec::new());
            for (number, (shape, trigger)) in (0..).zip(&shapes) {
                if is_gated(shape, rules) != gated {
                    continue;
                }
                let alone =
                    shape.inner.is_none() && shape.rules.iter().all(|rule| stands_alone(&rules[*rule as usize]));
                let way = |entry| Way { entry, shape: number, alone };
                match trigger {
                    Trigger::Start(entries) => start.extend(entries.iter().map(way)),
                    Trigger::Anywhere(entries) => anywhere.extend(entries.iter().map(way)),
                    Trigger::Inner { entry, .. } => anywhere.push(way(entry)),
                    Trigger::Nothing => {}
                }
            }
            if !gated {
                // Those that begin with the same kind of byte stand together, so that few words of the table matter for a byte. Where
                // phrases say which words matter, the rules of a country stand together as they are.
                start.sort_by_cached_key(|way| {
                    (way.entry.runs.begin_with_token(), way.entry.beginning.sets.map(|set| kinds_in(&set)))
                });
            }
            Watch::new(kernel, &start, &anywhere)
        };
        let (free, gated) = (watch(false), watch(true));
        let phrases = Phrases::new(context, &gated, shapes.iter().map(|(shape, _)| &*shape.rules));
        let of_rest = |(shape, trigger): &(Shape, Trigger)| match trigger {
            Trigger::Nothing => shape.rules.clone(),
            _ => Vec::new(),
        };
        let rest_rules: Vec<u32> = shapes.iter().flat_map(of_rest).collect();
        let rest = if rest_rules.is_empty() {
            None
        } else {
            let chosen: Vec<&CompiledRule> = rest_rules.iter().map(|rule| &rules[*rule as usize]).collect();
            let try_shorter = chosen.iter().map(|rule| rule.rule.try_shorter).collect();
            let reference = Reference::new(chosen.iter().map(|rule| rule.rule.regex.as_ref()))?;
            Some((rest_rules, try_shorter, reference))
        };
        let shapes = shapes.into_iter().map(|(shape, _)| shape).collect();
        Ok(Self { shapes, free, gated, phrases, rest })
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
        work: &mut Work,
        mut emit: impl FnMut(Detection),
    ) {
        let Work { ends, buffers, near } = work;
        near.begin(&self.phrases, judge.names());
        for from in (from..to).step_by(BLOCK) {
            let to = to.min(from + BLOCK);
            near.read(&self.phrases, judge, text, from, to);
            self.free.look(&mut Open, text, from, to, buffers, |at, shape| {
                self.begin(shape, judge, text, at, ends, &mut emit);
            });
            while let Some(range) = near.next_range() {
                self.gated.look(&mut near.gate(&self.phrases), text, range.start, range.end, buffers, |at, shape| {
                    self.begin(shape, judge, text, at, ends, &mut emit);
                });
            }
        }
        self.find_rest(judge, text, from, to, ends, emit);
    }

    /// Something like the beginning of a shape stands at a place, or something like its inner literal.
    #[inline]
    fn begin(
        &self,
        shape: u16,
        judge: &mut Judge<'_, '_>,
        text: &[u8],
        at: usize,
        ends: &mut Ends,
        emit: &mut impl FnMut(Detection),
    ) {
        if !ends.first_time(shape, at) {
            return;
        }
        let shape = &self.shapes[usize::from(shape)];
        let Some(inner) = &shape.inner else {
            return walk_from(shape, judge, text, at, ends, emit);
        };
        if inner.goes_on(text, at) {
            for start in inner.first_start(text, at)..at {
                if shape.rules.iter().any(|rule| ends.is_free(*rule, start)) {
                    walk_from(shape, judge, text, start, ends, emit);
                }
            }
        }
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

/// True when no rule of a shape reports without a context word, and it is clear before the match is known what is near.
fn is_gated(shape: &Shape, rules: &[CompiledRule]) -> bool {
    // Where a match is long, what follows it is far.
    let all = shape.rules.iter().all(|rule| needs_context(&rules[*rule as usize]));
    all && shape.inner.is_none() && shape.longest() <= near::LONGEST
}

/// True when a rule does not report without a context word near its match. Where a group is the value, its surroundings are known
/// only when it is.
fn needs_context(rule: &CompiledRule) -> bool {
    rule.needs_context && !rule.has_group()
}

/// True when what stands before a match can keep its rule from accepting it.
fn stands_alone(rule: &CompiledRule) -> bool {
    rule.rule.edges == Edges::Token && !rule.has_group()
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

/// For sorting: the kinds of bytes in a set, and the first of them where they are of one kind.
fn kinds_in(set: &ByteSet) -> (u8, u8) {
    let any = |mut bytes: std::ops::RangeInclusive<u8>| u8::from(bytes.any(|byte| set.contains(byte)));
    let kinds = any(b'0'..=b'9') | any(b'a'..=b'z') << 1 | any(b'A'..=b'Z') << 2 | any(0x80..=0xFF) << 3;
    (kinds, if kinds.count_ones() < 2 { set.iter().next().unwrap_or(0) } else { 0 })
}

#[cfg(test)]
mod tests;
