//! The engine beside the reference, for tests and the fuzz target.

use std::ops::Range;

use cloakroom_prefilter::Kernel;

use super::{Ends, Engine};
use crate::detect::compiled::CompiledRule;
use crate::detect::reference::Reference;

/// Engines with every kernel of this machine, and the reference.
pub(crate) struct Comparison {
    engines: Vec<(Kernel, Engine)>,
    reference: Reference,
}

impl Comparison {
    /// # Errors
    /// A rule that does not compile.
    pub(crate) fn new(rules: &[CompiledRule]) -> Result<Self, String> {
        let engine = |kernel| Ok::<_, String>((kernel, Engine::new(rules, Some(kernel))?));
        let engines = Kernel::available().into_iter().map(engine).collect::<Result<_, _>>()?;
        Ok(Self { engines, reference: Reference::new(rules)? })
    }

    /// # Errors
    /// The first difference: rule and positions.
    pub(crate) fn compare(&self, rules: &[CompiledRule], text: &[u8]) -> Result<(), String> {
        let mut wanted: Vec<(usize, Range<usize>, bool)> = Vec::new();
        self.reference.find(rules, text, text.len(), |_| 0, |rule, _, accepted| {
            wanted.push((rule, accepted.span, accepted.validated));
        });
        wanted.sort_by_key(|(rule, span, _)| (*rule, span.start));
        for (kernel, engine) in &self.engines {
            let (mut found, mut ends) = (Vec::with_capacity(wanted.len()), Ends::default());
            ends.begin(rules.len());
            engine.find(rules, text, 0, text.len(), &mut ends, |rule, accepted| {
                found.push((rule, accepted.span, accepted.validated));
            });
            found.sort_by_key(|(rule, span, _)| (*rule, span.start));
            let place = found.iter().zip(&wanted).take_while(|(found, wanted)| found == wanted).count();
            if place < found.len().max(wanted.len()) {
                let shown = |list: &[(usize, Range<usize>, bool)]| {
                    list.get(place).map(|(rule, span, valid)| format!("{} {span:?} {valid}", rules[*rule].rule.id))
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
