//! Holds the catalogue to its own examples. `RULE=id` or `RULE=prefix` in the environment runs some rules only.

use std::collections::BTreeSet;

use super::*;

fn chosen() -> Vec<&'static Rule> {
    let filter = std::env::var("RULE").unwrap_or_default();
    built_in().iter().filter(|rule| rule.id.starts_with(&filter)).collect()
}

/// Shows all complaints at once: a catalogue is written many rules at a time.
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

#[test]
fn every_rule_finds_its_examples_and_not_its_counter_examples() {
    let mut complaints = Vec::new();
    for rule in chosen() {
        if rule.examples.len() < 2 || rule.counter_examples.len() < 2 {
            complaints.push(format!("{}: at least two examples and two counter-examples", rule.id));
        }
        complaints.extend(examples::check_alone(rule).iter().map(|complaint| format!("{}: {complaint}", rule.id)));
    }
    report(&complaints);
}

#[test]
fn in_the_whole_catalogue_every_example_is_still_found_as_what_it_is() {
    let whole = Detector::new(&Selection::default()).expect("the catalogue compiles");
    let mut complaints = Vec::new();
    for rule in chosen().into_iter().filter(|rule| !rule.opt_in) {
        complaints
            .extend(examples::check_among(&whole, rule).iter().map(|complaint| format!("{}: {complaint}", rule.id)));
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

/// Baselines, allow lists and policies name rules and entities: none goes or is renamed unseen.
#[test]
fn the_list_of_ids_is_the_one_on_record() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/rules/ids.txt");
    let mut lines: Vec<String> = built_in().iter().map(|rule| format!("{} {}\n", rule.id, rule.entity)).collect();
    lines.sort_unstable();
    let list = lines.concat();
    if std::env::var_os("UPDATE_IDS").is_some() {
        std::fs::write(path, &list).expect("rules/ids.txt can be written");
    }
    let on_record = std::fs::read_to_string(path).expect("rules/ids.txt is there");
    let of = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (now, before) = (of(&list), of(&on_record));
    assert!(
        list == on_record,
        "rules/ids.txt says otherwise; gone: {:?}; new: {:?}. When that is meant: UPDATE_IDS=1 cargo test -p cloakroom-core the_list_of_ids",
        before.difference(&now).collect::<Vec<_>>(),
        now.difference(&before).collect::<Vec<_>>()
    );
}
