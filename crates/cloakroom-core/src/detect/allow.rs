//! Allow lists: findings that somebody has looked at and accepts, with a reason and until a day.
//!
//! An entry names the value itself in one of three ways (its fingerprint, its text, a regex) or where it stands (a
//! pattern of paths), never a line: a value that moves stays accepted, and a new one on the same line is reported.

use std::collections::HashMap;

use chrono::NaiveDate;
use globset::{GlobBuilder, GlobMatcher};
use regex_automata::meta::Regex;
use serde::Deserialize;

use super::Rule;
use crate::dates::IngestTime;
use crate::error::{PolicyError, did_you_mean};
use crate::located::{Located, Position};

/// An entry as people write it. Everything that it names must hold.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AllowSpec {
    /// A finding's fingerprint.
    pub fingerprint: Option<String>,
    /// The value itself.
    pub value: Option<String>,
    /// A regex that matches the whole value.
    pub regex: Option<String>,
    /// A pattern of paths, as in `.gitignore`: `tests/**`, `*.sample`.
    pub path: Option<String>,
    /// Only findings of this rule.
    pub rule: Option<String>,
    /// Only findings of this entity.
    pub entity: Option<String>,
    /// The last day on which it holds, for example 2026-12-31.
    pub expires: Option<String>,
    /// Why, for those who come later.
    pub reason: Option<String>,
}

/// Entries ready for matching.
#[derive(Default)]
pub struct AllowList {
    entries: Vec<Entry>,
    /// Lists made by tools are long and name values or fingerprints: those are looked up, the others tried.
    by_fingerprint: HashMap<String, Vec<usize>>,
    by_value: HashMap<Vec<u8>, Vec<usize>>,
    others: Vec<usize>,
}

struct Entry {
    regex: Option<Regex>,
    value: Option<Vec<u8>>,
    path: Option<GlobMatcher>,
    rule: Option<String>,
    entity: Option<String>,
}

/// An entry whose day is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Expired {
    /// Where it stands.
    pub at: Option<Position>,
    /// Its last day.
    pub day: String,
    /// Why it was there.
    pub reason: Option<String>,
}

/// What an entry is held against.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    /// The rule that found it.
    pub rule: &'a Rule,
    /// The value.
    pub value: &'a [u8],
    /// The path of its file, as shown, with `/`.
    pub path: &'a str,
    /// Its fingerprint, where there is a key for one.
    pub fingerprint: Option<&'a str>,
}

impl AllowList {
    /// Compiles entries as of a day. What is over is left out, and told.
    ///
    /// # Errors
    /// The first entry that cannot be meant so, with its place. Never a value.
    pub fn new<'r>(
        specs: &[Located<AllowSpec>],
        today: IngestTime,
        rules: impl Iterator<Item = &'r Rule> + Clone,
    ) -> Result<(Self, Vec<Expired>), PolicyError> {
        let today = today.timestamp();
        let (mut list, mut expired) = (Self::default(), Vec::new());
        for Located { value: spec, at } in specs {
            let wrong = |message: String| PolicyError::new(*at, message);
            if let Some(day) = &spec.expires {
                // With its zeros, so that days compare as texts.
                let valid = day.len() == 10 && NaiveDate::parse_from_str(day, "%Y-%m-%d").is_ok();
                if !valid {
                    return Err(wrong("`expires` must be a day such as 2026-12-31".to_owned()));
                }
                if today.get(..10).is_none_or(|today| today > day.as_str()) {
                    expired.push(Expired { at: *at, day: day.clone(), reason: spec.reason.clone() });
                    continue;
                }
            }
            list.add(spec, rules.clone()).map_err(wrong)?;
        }
        Ok((list, expired))
    }

    fn add<'r>(&mut self, spec: &AllowSpec, rules: impl Iterator<Item = &'r Rule> + Clone) -> Result<(), String> {
        let AllowSpec { fingerprint, value, regex, path, rule, entity, expires: _, reason: _ } = spec;
        if fingerprint.is_none() && value.is_none() && regex.is_none() && path.is_none() {
            return Err("an entry needs one of `fingerprint`, `value`, `regex` and `path`".to_owned());
        }
        if let Some(id) = rule.as_ref().filter(|id| !rules.clone().any(|rule| rule.id == **id)) {
            return Err(format!("no rule `{id}`{}", did_you_mean(id, rules.map(|rule| rule.id.as_ref()))));
        }
        if let Some(name) = entity.as_ref().filter(|name| !rules.clone().any(|rule| rule.entity == **name)) {
            return Err(format!("no entity `{name}`{}", did_you_mean(name, rules.map(|rule| rule.entity.as_ref()))));
        }
        let regex = regex.as_deref().map(whole).transpose()?;
        let path = path.as_deref().map(glob).transpose()?;
        let value = value.as_ref().map(|value| value.clone().into_bytes());
        let index = self.entries.len();
        match (fingerprint, &value) {
            (Some(fingerprint), _) => self.by_fingerprint.entry(fingerprint.clone()).or_default().push(index),
            (None, Some(value)) => self.by_value.entry(value.clone()).or_default().push(index),
            (None, None) => self.others.push(index),
        }
        self.entries.push(Entry { regex, value, path, rule: rule.clone(), entity: entity.clone() });
        Ok(())
    }

    /// True when an entry accepts the finding.
    #[must_use]
    pub fn allows(&self, seen: &Seen<'_>) -> bool {
        let by_fingerprint = seen.fingerprint.and_then(|fingerprint| self.by_fingerprint.get(fingerprint));
        let by_value = self.by_value.get(seen.value);
        let candidates = by_fingerprint.into_iter().chain(by_value).flatten().chain(&self.others);
        candidates.filter_map(|index| self.entries.get(*index)).any(|entry| entry.accepts(seen))
    }

    /// True when an entry asks for a fingerprint: then there must be a key.
    #[must_use]
    pub fn needs_fingerprints(&self) -> bool {
        !self.by_fingerprint.is_empty()
    }

    /// True when nothing is accepted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Entry {
    fn accepts(&self, seen: &Seen<'_>) -> bool {
        self.rule.as_ref().is_none_or(|id| *id == seen.rule.id)
            && self.entity.as_ref().is_none_or(|name| *name == seen.rule.entity)
            && self.value.as_ref().is_none_or(|value| *value == seen.value)
            && self.path.as_ref().is_none_or(|path| path.is_match(seen.path.trim_start_matches("./")))
            && self.regex.as_ref().is_none_or(|regex| regex.is_match(seen.value))
    }
}

/// Half a value is not meant: `\d{4}` must not accept every number of sixteen digits.
fn whole(regex: &str) -> Result<Regex, String> {
    let build = |regex: &str| Regex::builder().syntax(super::compiled::syntax_config()).build(regex).ok();
    // By itself first: `a)|(b` would be valid between the brackets. Its text may hold a value and is not repeated.
    build(regex)
        .and_then(|_| build(&format!(r"\A(?:{regex})\z")))
        .ok_or_else(|| "`regex` is not valid; the syntax is that of rules: bytes, no lookaround".to_owned())
}

/// Without `/` a pattern is about names in any folder.
fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    let pattern = pattern.trim_start_matches("./");
    let pattern = if pattern.contains('/') { pattern.to_owned() } else { format!("**/{pattern}") };
    // `tests/` stands for all below it.
    let pattern = if pattern.ends_with('/') { format!("{pattern}**") } else { pattern };
    let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| format!("`path` is not a pattern: {}", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::built_in;

    const EMAIL: &[u8] = b"jo@mail.example";

    fn list(yaml: &str) -> Result<(AllowList, Vec<Expired>), PolicyError> {
        let specs: Vec<Located<AllowSpec>> = serde_saphyr::from_str(yaml).unwrap();
        // 2026-06-15
        AllowList::new(&specs, IngestTime::from_unix_seconds(1_781_481_600), built_in().iter())
    }

    fn allows(yaml: &str) -> bool {
        let rule = built_in().iter().find(|rule| rule.id == "email-address").unwrap();
        let seen = Seen { rule, value: EMAIL, path: "./tests/data/mail.txt", fingerprint: Some("kid.00ff") };
        list(yaml).unwrap().0.allows(&seen)
    }

    #[test]
    fn an_entry_names_a_value_or_a_place() {
        for yaml in [
            "- fingerprint: kid.00ff",
            "- value: jo@mail.example",
            "- regex: '[a-z]+@mail\\.example'",
            "- path: tests/**",
            "- path: tests/",
            "- path: ./tests/*/mail.txt",
            "- path: '*.txt'",
            "- { value: jo@mail.example, rule: email-address, entity: EMAIL_ADDRESS, path: mail.txt }",
            "- { path: '*.txt', expires: 2026-06-15, reason: last day }",
            "- { path: other }\n- { value: jo@mail.example }",
        ] {
            assert!(allows(yaml), "{yaml}");
        }
        for yaml in [
            "- fingerprint: kid.00fe",
            "- value: o@mail.example",
            "- regex: 'mail\\.example'",
            "- path: tests/*",
            "- path: mail",
            "- { value: jo@mail.example, rule: us-ssn }",
            "- { fingerprint: kid.00ff, entity: US_SSN }",
            "- { fingerprint: kid.00ff, value: other }",
            "- { value: jo@mail.example, path: src/** }",
            "[]",
        ] {
            assert!(!allows(yaml), "{yaml}");
        }
    }

    #[test]
    fn what_is_over_does_not_apply_and_is_told() {
        let (list, expired) =
            list("- { value: a }\n- { value: jo@mail.example, expires: 2026-06-14, reason: demo }").unwrap();
        assert_eq!(list.entries.len(), 1);
        assert_eq!(expired.len(), 1);
        assert_eq!((expired[0].day.as_str(), expired[0].reason.as_deref()), ("2026-06-14", Some("demo")));
        assert_eq!(expired[0].at.map(|at| at.line), Some(2));
    }

    #[test]
    fn mistakes_name_their_place_and_no_value() {
        for (yaml, expected) in [
            ("- { reason: why }", "needs one of"),
            ("- { rule: us-ssn }", "needs one of"),
            ("- { value: s3cret, rule: us-snn }", "did you mean `us-ssn`"),
            ("- { value: s3cret, entity: EMAIL_ADRESS }", "did you mean `EMAIL_ADDRESS`"),
            ("- { value: s3cret, expires: 31.12.2026 }", "2026-12-31"),
            ("- { value: s3cret, expires: 2026-02-30 }", "2026-12-31"),
            ("- { regex: 's3cret(' }", "`regex` is not valid"),
            ("- { regex: 's3cret)|(a' }", "`regex` is not valid"),
            ("- { path: 'a[' }", "`path` is not a pattern"),
        ] {
            let error = list(&format!("- {{ value: fine }}\n{yaml}")).err().unwrap();
            assert!(error.message.contains(expected) && !error.message.contains("s3cret"), "{}", error.message);
            assert_eq!(error.at.map(|at| at.line), Some(2), "{yaml}");
        }
    }
}
