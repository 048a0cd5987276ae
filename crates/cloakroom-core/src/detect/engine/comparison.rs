//! The engine beside the reference, for tests and the fuzz target.

use cloakroom_prefilter::Kernel;

use super::{Engine, Work};
use crate::detect::Detection;
use crate::detect::context::ContextReader;
use crate::detect::judge::{Judge, Rules};
use crate::detect::reference::Reference;

/// Engines with every kernel of this machine, and the reference.
pub(crate) struct Comparison {
    engines: Vec<(Kernel, Engine)>,
    reference: Reference,
}

impl Comparison {
    /// # Errors
    /// A rule that does not compile.
    pub(crate) fn new(rules: Rules<'_>) -> Result<Self, String> {
        let engine = |kernel| Ok::<_, String>((kernel, Engine::new(rules.rules, rules.context, Some(kernel))?));
        let engines = Kernel::available().into_iter().map(engine).collect::<Result<_, _>>()?;
        Ok(Self { engines, reference: Reference::new(rules.rules.iter().map(|rule| rule.rule.regex.as_ref()))? })
    }

    /// # Errors
    /// The first difference: rule and positions.
    pub(crate) fn compare(&self, rules: Rules<'_>, text: &[u8], names: &[&str]) -> Result<(), String> {
        let mut reader = ContextReader::default();
        reader.begin(rules.context, names);
        let mut wanted: Vec<Detection> = Vec::new();
        let number = |rule: usize| (rule as u32, 0, rules.rules[rule].rule.try_shorter);
        self.reference.find(&mut Judge::new(rules, &mut reader), text, text.len(), number, |found| wanted.push(found));
        wanted.sort_by_key(|found| (found.rule, found.start));
        for (kernel, engine) in &self.engines {
            let (mut found, mut work) = (Vec::with_capacity(wanted.len()), Work::default());
            work.begin(rules.rules.len());
            reader.begin(rules.context, names);
            let mut judge = Judge::new(rules, &mut reader);
            engine.find(&mut judge, text, 0, text.len(), &mut work, |detection| found.push(detection));
            found.sort_by_key(|found| (found.rule, found.start));
            let place = found.iter().zip(&wanted).take_while(|(found, wanted)| found == wanted).count();
            if place < found.len().max(wanted.len()) {
                let shown = |list: &[Detection]| {
                    let id = |d: &Detection| rules.rules[d.rule as usize].rule.id.clone();
                    list.get(place).map(|d| format!("{} {}..{} {}", id(d), d.start, d.end, d.confidence))
                };
                return Err(format!(
                    "{kernel:?}: the engine finds {:?}, the reference {:?}",
                    shown(&found),
                    shown(&wanted)
                ));
            }
        }
        Ok(())
    }
}
