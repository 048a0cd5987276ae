//! `cloakroom rules test`: every rule finds its examples and not its counter-examples.

use cloakroom_core::detect::{Detector, Rule, Selection, built_in, examples};

use crate::args::TestOptions;
use crate::error::Failure;
use crate::{output, rule_files};

pub(super) fn test(options: &TestOptions) -> Result<u8, Failure> {
    let custom = rule_files::load(&options.files)?;
    let rules: Vec<&Rule> =
        if options.files.is_empty() { built_in().iter().collect() } else { custom.iter().collect() };
    let selection = Selection { custom: custom.clone(), ..Selection::default() };
    let whole = Detector::new(&selection).map_err(|message| Failure::new(2, message))?;
    let (mut examples_run, mut failed) = (0, 0);
    for rule in &rules {
        examples_run += rule.examples.len() + rule.counter_examples.len();
        let mut complaints = examples::check_alone(rule);
        // Beside all others it must still win; a rule that fails alone says enough.
        if complaints.is_empty() && !rule.opt_in {
            complaints = examples::check_among(&whole, rule);
        }
        failed += usize::from(!complaints.is_empty());
        for complaint in complaints {
            output::line(&format!("{}: {complaint}", output::bold(&rule.id)));
            if let Some(text) = text_of(rule, &complaint.place) {
                output::line(&format!("  {}", text.replace('\n', "\n  ")));
            }
        }
    }
    let without: Vec<&str> =
        rules.iter().filter(|rule| rule.examples.is_empty()).map(|rule| rule.id.as_ref()).collect();
    if !without.is_empty() {
        output::note(&format!("without an example, so nothing shows that it finds anything: {}", without.join(", ")));
    }
    output::note(&format!("{} rules, {examples_run} examples, {failed} rules fail", rules.len()));
    Ok(u8::from(failed > 0))
}

/// The example that a complaint is about, as the rule has it.
fn text_of<'r>(rule: &'r Rule, place: &str) -> Option<&'r str> {
    let (kind, number) = place.rsplit_once(' ')?;
    let texts = if kind == "example" { &rule.examples } else { &rule.counter_examples };
    texts.get(number.parse::<usize>().ok()?.checked_sub(1)?).map(AsRef::as_ref)
}
