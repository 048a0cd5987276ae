//! Holds the catalogue to its own examples. `RULE=id` or `RULE=prefix` in the environment runs some rules only.

use std::collections::BTreeSet;

use super::*;

/// An example without its `[[ ]]`, and the span they mark.
fn marked(example: &str) -> (String, std::ops::Range<usize>) {
    let start = example.find("[[").expect("[[ in the example");
    let end = example.rfind("]]").expect("]] in the example");
    let text = format!("{}{}{}", &example[..start], &example[start + 2..end], &example[end + 2..]);
    (text, start..end - 2)
}

fn chosen() -> Vec<&'static Rule> {
    let filter = std::env::var("RULE").unwrap_or_default();
    built_in().iter().filter(|rule| rule.id.starts_with(&filter)).collect()
}

fn spans(detector: &Detector, text: &str) -> Vec<(String, String, std::ops::Range<usize>)> {
    let mut found = Vec::new();
    detector.find(text.as_bytes(), &[], &mut Scratch::default(), &mut found);
    let name = |d: &Detection| (detector.rule(d.rule).entity.to_string(), detector.rule(d.rule).id.to_string(), d.start..d.end);
    found.iter().map(name).collect()
}

/// Shows all complaints at once: a catalogue is written many rules at a time.
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn every_rule_finds_its_examples_and_not_its_counter_examples() {
    let mut complaints = Vec::new();
    for rule in chosen() {
        let detector = match Detector::of(&[rule], |_| DEFAULT_THRESHOLD) {
            Ok(detector) => detector,
            Err(error) => {
                complaints.push(format!("{}: {error}", rule.id));
                continue;
            }
        };
        if rule.examples.len() < 2 || rule.counter_examples.len() < 2 {
            complaints.push(format!("{}: at least two examples and two counter-examples", rule.id));
        }
        for (number, example) in rule.examples.iter().enumerate() {
            let (text, span) = marked(example);
            let found = spans(&detector, &text);
            if found.len() != 1 || found[0].2 != span {
                let found: Vec<_> = found.iter().map(|(_, _, span)| span.clone()).collect();
                complaints.push(format!("{}: example {}: marked {span:?}, found {found:?}", rule.id, number + 1));
            }
        }
        for (number, example) in rule.counter_examples.iter().enumerate() {
            if !spans(&detector, example).is_empty() {
                complaints.push(format!("{}: counter-example {} is found", rule.id, number + 1));
            }
        }
    }
    report(&complaints);
}

#[test]
fn in_the_whole_catalogue_every_example_is_still_found_as_what_it_is() {
    let whole = Detector::new(&Selection::default()).expect("the catalogue compiles");
    let mut complaints = Vec::new();
    for rule in chosen().into_iter().filter(|rule| !rule.opt_in) {
        for (number, example) in rule.examples.iter().enumerate() {
            let (text, span) = marked(example);
            let found = spans(&whole, &text);
            if !found.iter().any(|(entity, _, at)| *entity == rule.entity && *at == span) {
                let found: Vec<_> = found.iter().map(|(_, id, span)| format!("{id} {span:?}")).collect();
                complaints.push(format!("{}: example {}: marked {span:?}, found {}", rule.id, number + 1, found.join(", ")));
            }
        }
    }
    report(&complaints);
}

#[test]
fn ids_are_unique_and_rules_are_well_formed() {
    let mut complaints = Vec::new();
    let mut ids = BTreeSet::new();
    for rule in built_in() {
        if !ids.insert(rule.id.as_ref()) {
            complaints.push(format!("{}: the id is taken", rule.id));
        }
        if let Err(error) = rule.check() {
            complaints.push(error);
        }
        if rule.references.is_empty() {
            complaints.push(format!("{}: a reference is missing", rule.id));
        }
    }
    report(&complaints);
}
