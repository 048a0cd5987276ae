//! A rule ready to run, and what happens to a raw match of its regex on the way to a finding.

use std::ops::Range;
use std::sync::OnceLock;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use regex_automata::{Anchored, Input};

use super::edges::stands_alone;
use super::entropy::entropy;
use super::pem::end_of_block;
use super::rule::{Edges, Extend, Rule};
use super::validate::{Candidate, Validator, Verdict};

/// The longest match of a regex, in bytes.
pub(crate) const MAX_MATCH: usize = 4096;

/// A rule with its validators found and its regex checked.
pub(crate) struct CompiledRule {
    pub(crate) rule: Rule,
    validators: Vec<Validator>,
    /// Confidence from which findings are reported.
    pub(crate) threshold: f32,
    /// True when only a context word makes it report.
    pub(crate) needs_context: bool,
    /// For rules with a group `value`, made when the rule first matches.
    group: Option<OnceLock<Option<Regex>>>,
}

/// How regexes are read: bytes, ASCII classes.
pub(crate) fn syntax_config() -> syntax::Config {
    syntax::Config::new().unicode(false).utf8(false)
}

impl CompiledRule {
    /// # Errors
    /// What is wrong with the rule, for people.
    pub(crate) fn new(rule: &Rule, threshold: f32) -> Result<Self, String> {
        let validators = rule.validators()?;
        let group = rule.regex.contains("(?P<value>").then(OnceLock::new);
        let needs_context = rule.confidence < threshold;
        Ok(Self { rule: rule.clone(), validators, threshold, needs_context, group })
    }

    /// True when a group is the value rather than the whole match.
    pub(crate) fn has_group(&self) -> bool {
        self.group.is_some()
    }

    /// Decides on a match of the regex: its group, its edges, its entropy, its validators. Gives the value and whether it is
    /// validated.
    pub(crate) fn accept(&self, text: &[u8], matched: Range<usize>) -> Option<(Range<usize>, bool)> {
        let mut span = match &self.group {
            None => matched,
            Some(regex) => self.group_span(regex, text, matched)?,
        };
        if self.rule.extend == Extend::Pem {
            span.end = end_of_block(text, span.end);
        }
        if self.rule.edges == Edges::Token && !stands_alone(text, span.clone()) {
            return None;
        }
        if self.rule.min_entropy > 0.0 && entropy(&text[span.clone()]) < self.rule.min_entropy {
            return None;
        }
        let mut validated = false;
        if !self.validators.is_empty() {
            let candidate = Candidate::new(text, span.clone())?;
            for validator in &self.validators {
                match validator(&candidate) {
                    Verdict::Invalid => return None,
                    Verdict::Plausible => {}
                    Verdict::Valid => validated = true,
                }
            }
        }
        Some((span, validated))
    }

    fn group_span(&self, regex: &OnceLock<Option<Regex>>, text: &[u8], matched: Range<usize>) -> Option<Range<usize>> {
        // The regex was checked when the rule was made: `None` cannot happen, and would find nothing.
        let regex = regex.get_or_init(|| Regex::builder().syntax(syntax_config()).build(&self.rule.regex).ok());
        let regex = regex.as_ref()?;
        let mut captures = regex.create_captures();
        let input = Input::new(text).span(matched).anchored(Anchored::Yes);
        regex.search_captures(&input, &mut captures);
        captures.get_group_by_name("value").map(|group| group.range())
    }

    /// True when context words can change the confidence.
    pub(crate) fn context_matters(&self) -> bool {
        !self.rule.context.is_empty() || !self.rule.not_context.is_empty()
    }

    /// The most that it can have.
    pub(crate) fn best_confidence(&self) -> f32 {
        self.rule.confidence.max(self.rule.with_context)
    }
}
