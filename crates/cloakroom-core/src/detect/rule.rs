//! Rules: what a sensitive value looks like, as data. See `rules/README.md` for the meaning of each field.
//!
//! The files in `rules/` become constants at build time (`build.rs` includes `rule/file.rs`), so the built-in catalogue
//! costs nothing to load; files of the user's own are read by the same types.

use std::borrow::Cow;

use super::validate::{VALIDATORS, Validator};
use crate::error::did_you_mean;

mod file;

pub use file::{Edges, Extend, RuleSpec};

/// A rule. Made from a [`RuleSpec`], or one of [`built_in`].
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Stable, kebab-case: stands in findings, baselines and suppressions.
    pub id: Cow<'static, str>,
    /// What its findings are called, for example `EMAIL_ADDRESS`.
    pub entity: Cow<'static, str>,
    /// A line for people.
    pub description: Cow<'static, str>,
    /// Bytes regex without Unicode classes.
    pub regex: Cow<'static, str>,
    /// Names of validators, all of which must agree.
    pub validate: Cow<'static, [Cow<'static, str>]>,
    /// Shannon entropy in bits per character that a value must have; 0 for any.
    pub min_entropy: f32,
    /// Confidence without a context word, 0 to 1.
    pub confidence: f32,
    /// Confidence with one.
    pub with_context: f32,
    /// Words and phrases that speak for the rule.
    pub context: Cow<'static, [Cow<'static, str>]>,
    /// Words and phrases that speak against it.
    pub not_context: Cow<'static, [Cow<'static, str>]>,
    /// What may touch a value.
    pub edges: Edges,
    /// Whether shorter matches are tried when validation refuses the longest.
    pub try_shorter: bool,
    /// Whether the span goes on beyond the match.
    pub extend: Extend,
    /// Not in the default catalogue.
    pub opt_in: bool,
    /// Texts in which it finds exactly what `[[ ]]` marks.
    pub examples: Cow<'static, [Cow<'static, str>]>,
    /// Texts in which it finds nothing.
    pub counter_examples: Cow<'static, [Cow<'static, str>]>,
    /// Where the format and its checksum are published.
    pub references: Cow<'static, [Cow<'static, str>]>,
}

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// The rules that come with Cloakroom, in the order of their files.
#[must_use]
pub fn built_in() -> &'static [Rule] {
    BUILT_IN
}

/// Reads a file of rules.
///
/// # Errors
/// What is wrong with it, with the line or the rule's id.
pub fn read_rules(yaml: &str) -> Result<Vec<Rule>, String> {
    let file: file::RuleFile = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    file.rules.into_iter().map(Rule::from_spec).collect()
}

impl Rule {
    /// Checks what a build cannot: names of validators, the range of confidences.
    ///
    /// # Errors
    /// What is wrong, for people; the regex is checked when the rule is compiled.
    pub fn from_spec(spec: RuleSpec) -> Result<Self, String> {
        let rule = Self {
            id: spec.id.into(),
            entity: spec.entity.into(),
            description: spec.description.into(),
            regex: spec.regex.into(),
            validate: owned(spec.validate),
            min_entropy: spec.min_entropy,
            confidence: spec.confidence,
            with_context: spec.with_context.unwrap_or(spec.confidence),
            context: owned(spec.context),
            not_context: owned(spec.not_context),
            edges: spec.edges,
            try_shorter: spec.try_shorter,
            extend: spec.extend,
            opt_in: spec.opt_in,
            examples: owned(spec.examples),
            counter_examples: owned(spec.counter_examples),
            references: owned(spec.references),
        };
        rule.check()?;
        Ok(rule)
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        let id_fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if self.id.is_empty() || !self.id.bytes().all(id_fits) {
            return Err(format!("`id: {}` must be made of a-z, 0-9 and `-`", self.id));
        }
        let entity_fits = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        if self.entity.is_empty() || !self.entity.bytes().all(entity_fits) {
            return Err(format!("rule `{}`: `entity` must be made of A-Z, 0-9 and `_`", self.id));
        }
        for (name, value) in [("confidence", self.confidence), ("with_context", self.with_context)] {
            if !(0.0..=1.0).contains(&value) {
                return Err(format!("rule `{}`: `{name}` must be between 0 and 1", self.id));
            }
        }
        if self.with_context > self.confidence && self.context.is_empty() {
            return Err(format!("rule `{}`: `with_context` without `context` words", self.id));
        }
        self.validators().map(drop)
    }

    /// Its validators.
    ///
    /// # Errors
    /// A name that no validator has, with the nearest that one has.
    pub(crate) fn validators(&self) -> Result<Vec<Validator>, String> {
        let find = |name: &Cow<'static, str>| {
            let mut known = VALIDATORS.iter().flat_map(|group| group.iter());
            known.find(|(known, _)| known == name).map(|(_, validator)| *validator).ok_or_else(|| {
                let names = VALIDATORS.iter().flat_map(|group| group.iter()).map(|(name, _)| *name);
                format!("rule `{}`: no validator `{name}`{}", self.id, did_you_mean(name, names))
            })
        };
        self.validate.iter().map(find).collect()
    }
}

fn owned(texts: Vec<String>) -> Cow<'static, [Cow<'static, str>]> {
    Cow::Owned(texts.into_iter().map(Cow::Owned).collect())
}
