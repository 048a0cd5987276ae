//! Detection: finds sensitive values in texts.
//!
//! Rules are data (`rules/*.yaml`, see the README there); validators are functions (`validate/`). A text's way:
//!
//! ```text
//! text ──engine──▶ raw matches ──compiled──▶ group, edges, entropy, validators ──context──▶ confidence ──overlap──▶ detections
//! ```
//!
//! `reference` finds the same in the plainest way; tests and the fuzz target hold the engine against it.

pub mod allow;
mod compiled;
mod context;
mod edges;
pub mod encoding;
mod engine;
mod entropy;
pub mod examples;
mod judge;
mod normalize;
mod overlap;
mod pem;
mod reference;
mod rule;
mod stream;
mod validate;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use compiled::CompiledRule;
use context::{ContextIndex, ContextReader};
use engine::{Comparison, Engine, Work};
use judge::{Judge, Rules};
pub use rule::{Edges, Extend, Rule, RuleSpec, built_in, read_rules};
pub use stream::{Found, Place, Scanner};
pub(crate) use validate::luhn::luhn;
pub use validate::{Candidate, Digits, Validator, Verdict};

use crate::error::did_you_mean;

/// Confidence below which nothing is reported, unless the user says otherwise.
pub const DEFAULT_THRESHOLD: f32 = 0.5;

/// A value that was found, by its place; never the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Detection {
    /// Where it begins, in bytes.
    pub start: usize,
    /// Where it ends, in bytes.
    pub end: usize,
    /// Which rule found it: [`Detector::rule`].
    pub rule: u32,
    /// 0 (a guess) to 1 (certain).
    pub confidence: f32,
    /// True when a checksum succeeded.
    pub validated: bool,
}

/// Which rules a [`Detector`] has and what it reports.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Rules of the user's own, beside the built-in ones.
    pub custom: Vec<Rule>,
    /// Only these entities, opt-in ones among them; `None` for all but opt-in ones.
    pub only: Option<Vec<String>>,
    /// Opt-in entities in addition.
    pub also: Vec<String>,
    /// Not these entities or rule ids.
    pub without: Vec<String>,
    /// Confidence from which findings are reported.
    pub threshold: f32,
    /// The same for single entities.
    pub thresholds: BTreeMap<String, f32>,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            custom: Vec::new(),
            only: None,
            also: Vec::new(),
            without: Vec::new(),
            threshold: DEFAULT_THRESHOLD,
            thresholds: BTreeMap::new(),
        }
    }
}

/// Rules compiled for searching. Shared between threads; each has a [`Scratch`] of its own.
pub struct Detector {
    rules: Vec<CompiledRule>,
    context: ContextIndex,
    engine: Engine,
    comparison: OnceLock<Result<Comparison, String>>,
}

/// Memory that searches use again and again.
#[derive(Default)]
pub struct Scratch {
    reader: ContextReader,
    work: Work,
}

impl Detector {
    /// Compiles the selected rules.
    ///
    /// # Errors
    /// A word in the selection that names nothing, with the nearest that does; what is wrong with a rule.
    pub fn new(selection: &Selection) -> Result<Self, String> {
        let every = || built_in().iter().chain(&selection.custom);
        let named = selection.only.iter().flatten().chain(&selection.also).chain(selection.thresholds.keys());
        for word in named {
            if !every().any(|rule| rule.entity == *word) {
                return Err(format!(
                    "no entity `{word}`{}",
                    did_you_mean(word, every().map(|rule| rule.entity.as_ref()))
                ));
            }
        }
        for word in &selection.without {
            if !every().any(|rule| rule.entity == *word || rule.id == *word) {
                let names = every().flat_map(|rule| [rule.entity.as_ref(), rule.id.as_ref()]);
                return Err(format!("no entity or rule `{word}`{}", did_you_mean(word, names)));
            }
        }
        let wanted = |rule: &&Rule| {
            let named = |list: &[String]| list.iter().any(|word| *word == rule.entity);
            let on = match &selection.only {
                Some(only) => named(only),
                None => !rule.opt_in || named(&selection.also),
            };
            on && !selection.without.iter().any(|word| *word == rule.entity || *word == rule.id)
        };
        let rules: Vec<&Rule> = every().filter(wanted).collect();
        let threshold = |rule: &Rule| *selection.thresholds.get(rule.entity.as_ref()).unwrap_or(&selection.threshold);
        Self::of(&rules, threshold)
    }

    /// The detector of the default selection. Compiling takes some milliseconds, so the process does it once and all
    /// policies share it.
    ///
    /// # Errors
    /// What is wrong with a built-in rule; tests keep it from happening.
    pub fn shared_default() -> Result<Arc<Self>, String> {
        static SHARED: OnceLock<Result<Arc<Detector>, String>> = OnceLock::new();
        SHARED.get_or_init(|| Self::new(&Selection::default()).map(Arc::new)).clone()
    }

    /// True when a rule for this entity is among those selected.
    #[must_use]
    pub fn looks_for(&self, entity: &str) -> bool {
        self.rules.iter().any(|compiled| compiled.rule.entity == entity)
    }

    /// Compiles exactly these rules.
    fn of(rules: &[&Rule], threshold: impl Fn(&Rule) -> f32) -> Result<Self, String> {
        let compiled =
            rules.iter().map(|rule| CompiledRule::new(rule, threshold(rule))).collect::<Result<Vec<_>, _>>()?;
        let context = ContextIndex::of(&compiled);
        let engine = Engine::new(&compiled, &context, None)?;
        Ok(Self { rules: compiled, context, engine, comparison: OnceLock::new() })
    }

    /// A rule by its number in a [`Detection`].
    #[must_use]
    pub fn rule(&self, index: u32) -> &Rule {
        &self.rules[index as usize].rule
    }

    /// Finds everything in a text. `names` are words that belong to it: its field's name, the names on its path, its column.
    /// Findings come in the order of the text and do not overlap.
    pub fn find(&self, text: &[u8], names: &[&str], scratch: &mut Scratch, found: &mut Vec<Detection>) {
        found.clear();
        let (text, map) = normalize::normalized(text);
        scratch.work.begin(self.rules.len());
        scratch.reader.begin(&self.context, names);
        self.search(&text, 0..text.len(), scratch, found);
        scratch.work.advance(text.len() + 1);
        overlap::choose(found, |d| self.specificity(d));
        if let Cow::Owned(_) = text {
            for d in found {
                (d.start, d.end) = normalize::original_span(&map, d.start, d.end);
            }
        }
    }

    /// Finds the accepted matches of every rule by the engine, with every kernel of this machine, and in the plainest way, and
    /// compares: the oracle of tests and of the fuzz target.
    ///
    /// # Errors
    /// The first difference: rule and positions.
    #[doc(hidden)]
    pub fn compare_with_reference(&self, text: &[u8]) -> Result<(), String> {
        let rules = Rules { rules: &self.rules, context: &self.context };
        let comparison = self.comparison.get_or_init(|| Comparison::new(rules));
        comparison.as_ref().map_err(Clone::clone)?.compare(rules, text, &[])
    }

    /// Adds what has its trigger in a range of a normalised text, before overlaps are decided.
    fn search(&self, text: &[u8], range: Range<usize>, scratch: &mut Scratch, found: &mut Vec<Detection>) {
        let Scratch { reader, work } = scratch;
        let mut judge = Judge::new(Rules { rules: &self.rules, context: &self.context }, reader);
        self.engine.find(&mut judge, text, range.start, range.end, work, |detection| found.push(detection));
    }

    /// The rule that can be more certain is the more specific one.
    fn specificity(&self, d: &Detection) -> u64 {
        (self.rules[d.rule as usize].best_confidence() * 1000.0) as u64
    }
}

#[cfg(test)]
mod catalogue_tests;
