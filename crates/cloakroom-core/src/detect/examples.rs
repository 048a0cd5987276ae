//! Holds a rule to its own examples: what `cloakroom rules test` and the tests of the catalogue do.

use std::ops::Range;

use super::{DEFAULT_THRESHOLD, Detection, Detector, Rule, Scratch};

/// An example that a rule does not keep.
#[derive(Clone, Debug, PartialEq)]
pub struct Complaint {
    /// Which one: `example 2`, `counter-example 1`; empty when it is about the rule itself.
    pub place: String,
    /// What is wrong with it, in spans of bytes.
    pub problem: String,
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place.as_str() {
            "" => formatter.write_str(&self.problem),
            place => write!(formatter, "{place}: {}", self.problem),
        }
    }
}

/// A detector of one rule, which finds what the rule says alone.
///
/// # Errors
/// What is wrong with the rule.
pub fn alone(rule: &Rule) -> Result<Detector, String> {
    Detector::of(&[rule], |_| DEFAULT_THRESHOLD)
}

/// Runs a rule alone: each example gives exactly what `[[ ]]` marks, each counter-example nothing.
#[must_use]
pub fn check_alone(rule: &Rule) -> Vec<Complaint> {
    let detector = match alone(rule) {
        Ok(detector) => detector,
        Err(problem) => return vec![Complaint { place: String::new(), problem }],
    };
    let mut complaints = Vec::new();
    for (number, example) in (1..).zip(rule.examples.iter()) {
        let mut complain = |problem| complaints.push(Complaint { place: format!("example {number}"), problem });
        let Some((text, span)) = marked(example) else {
            complain("`[[` and `]]` must mark the value".to_owned());
            continue;
        };
        let found = find(&detector, &text);
        match found.as_slice() {
            [one] if one.start == span.start && one.end == span.end => {}
            [] => complain(format!("nothing is found; {} is marked{}", shown(&span), why_not(rule, &text))),
            found => complain(format!("found {}; {} is marked", all(found), shown(&span))),
        }
    }
    for (number, example) in (1..).zip(rule.counter_examples.iter()) {
        let found = find(&detector, example);
        if let Some(first) = found.first() {
            let problem = format!("found {} with confidence {}; nothing should be", all(&found), first.confidence);
            complaints.push(Complaint { place: format!("counter-example {number}"), problem });
        }
    }
    complaints
}

/// Runs a rule's examples through many rules at once: each is still found, as the rule's entity.
#[must_use]
pub fn check_among(detector: &Detector, rule: &Rule) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (number, example) in (1..).zip(rule.examples.iter()) {
        let Some((text, span)) = marked(example) else { continue };
        let found = find(detector, &text);
        let same =
            |d: &Detection| detector.rule(d.rule).entity == rule.entity && d.start == span.start && d.end == span.end;
        if !found.iter().any(same) {
            let name = |d: &Detection| format!("{} at {}", detector.rule(d.rule).id, shown(&(d.start..d.end)));
            let others: Vec<String> = found.iter().map(name).collect();
            let others =
                if others.is_empty() { "nothing is found".to_owned() } else { format!("found {}", others.join(", ")) };
            let problem = format!("among all rules, {others}; {} is marked", shown(&span));
            complaints.push(Complaint { place: format!("example {number}"), problem });
        }
    }
    complaints
}

/// An example without its `[[ ]]`, and the span they mark.
fn marked(example: &str) -> Option<(String, Range<usize>)> {
    let (start, end) = (example.find("[[")?, example.rfind("]]")?);
    let value = example.get(start + 2..end).filter(|value| !value.is_empty())?;
    Some((format!("{}{value}{}", &example[..start], &example[end + 2..]), start..end - 2))
}

fn find(detector: &Detector, text: &str) -> Vec<Detection> {
    let mut found = Vec::new();
    detector.find(text.as_bytes(), &[], &mut Scratch::default(), &mut found);
    found
}

/// Found with any confidence: then only the confidence is missing.
fn why_not(rule: &Rule, text: &str) -> String {
    let found = Detector::of(&[rule], |_| 0.0).map(|detector| find(&detector, text)).unwrap_or_default();
    match found.first() {
        Some(d) => {
            format!(" (the confidence is {}, below {DEFAULT_THRESHOLD}: is a context word missing?)", d.confidence)
        }
        None => String::new(),
    }
}

fn shown(span: &Range<usize>) -> String {
    format!("{}..{}", span.start, span.end)
}

fn all(found: &[Detection]) -> String {
    found.iter().map(|d| shown(&(d.start..d.end))).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::RuleSpec;

    fn rule(examples: &[&str], counter_examples: &[&str]) -> Rule {
        let list = |texts: &[&str]| serde_json::to_string(texts).unwrap();
        let text = format!(
            r#"{{"id": "badge", "entity": "BADGE", "description": "A badge", "regex": "\\bBX-\\d{{4}}\\b", "confidence": 0.4,
            "with_context": 0.9, "context": ["badge"], "examples": {}, "counter_examples": {}}}"#,
            list(examples),
            list(counter_examples)
        );
        Rule::from_spec(serde_json::from_str::<RuleSpec>(&text).unwrap()).unwrap()
    }

    fn complaints(examples: &[&str], counter_examples: &[&str]) -> Vec<String> {
        check_alone(&rule(examples, counter_examples)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_examples_bring_no_complaint() {
        assert!(complaints(&["badge [[BX-1234]]", "badge é [[BX-1234]]"], &["BX-1234", "badge BX-12345"]).is_empty());
    }

    #[test]
    fn complaints_say_what_is_found_and_what_is_marked() {
        for (example, expected) in [
            ("badge BX-1234", "example 1: `[[` and `]]` must mark"),
            ("badge [[]]BX-1234", "example 1: `[[` and `]]` must mark"),
            ("badge [[BX-12]]", "example 1: nothing is found; 6..11 is marked"),
            ("see [[BX-1234]]", "4..11 is marked (the confidence is 0.4, below 0.5"),
            ("badge [[BX-123]]4", "example 1: found 6..13; 6..12 is marked"),
            ("badge [[BX-1234]] BX-5678", "found 6..13 and 14..21; 6..13 is marked"),
        ] {
            let said = complaints(&[example], &[]);
            assert!(said.len() == 1 && said[0].contains(expected), "{said:?}");
        }
        assert_eq!(
            complaints(&[], &["fine", "badge BX-1234"]),
            ["counter-example 2: found 6..13 with confidence 0.9; nothing should be"]
        );
    }

    #[test]
    fn among_others_an_example_must_keep_its_entity() {
        let detector = Detector::new(&crate::detect::Selection::default()).unwrap();
        let badge = rule(&["badge [[BX-1234]]"], &[]);
        let said: Vec<String> = check_among(&detector, &badge).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["example 1: among all rules, nothing is found; 6..13 is marked"]);
    }
}
