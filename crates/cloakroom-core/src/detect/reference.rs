//! The reference: the same findings as the engine's, found in the plainest way. One `RegexSet`-like pass says which rules match at
//! all, then each of them searches on its own. It is what tests and the fuzz target hold the engine against.

use regex_automata::hybrid::dfa::{Cache, DFA, OverlappingState};
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input, MatchKind, PatternSet};

use super::compiled::{Accepted, CompiledRule, syntax_config};

/// Regexes of rules, for searching one rule after the other.
pub(crate) struct Reference {
    all: Regex,
    rules: Vec<(Regex, DFA)>,
}

impl Reference {
    /// # Errors
    /// A regex that does not compile.
    pub(crate) fn new(rules: &[CompiledRule]) -> Result<Self, String> {
        let patterns: Vec<&str> = rules.iter().map(|rule| rule.rule.regex.as_ref()).collect();
        let build = |patterns: &[&str], kind| {
            Regex::builder()
                .configure(Regex::config().match_kind(kind).nfa_size_limit(None))
                .syntax(syntax_config())
                .build_many(patterns)
                .map_err(|error| error.to_string())
        };
        let one = |pattern: &&str| {
            let lazy = DFA::builder()
                .configure(DFA::config().match_kind(MatchKind::All).skip_cache_capacity_check(true))
                .syntax(syntax_config())
                .build(pattern)
                .map_err(|error| error.to_string())?;
            Ok::<_, String>((build(&[pattern], MatchKind::LeftmostFirst)?, lazy))
        };
        Ok(Self {
            all: build(&patterns, MatchKind::All)?,
            rules: patterns.iter().map(one).collect::<Result<_, String>>()?,
        })
    }

    /// Emits every accepted match of every rule that starts before `to`, in the order of the rules and of the text, with the end of
    /// what is done. `first` says where the search for a rule begins.
    pub(crate) fn find(
        &self,
        compiled: &[CompiledRule],
        text: &[u8],
        to: usize,
        first: impl Fn(usize) -> usize,
        mut emit: impl FnMut(usize, usize, Accepted),
    ) {
        let mut which = PatternSet::new(self.rules.len());
        self.all.which_overlapping_matches(&Input::new(text), &mut which);
        for pattern in which.iter().map(|pattern| pattern.as_usize()) {
            let (rule, (regex, lazy)) = (&compiled[pattern], &self.rules[pattern]);
            let mut cache = lazy.create_cache();
            let mut from = first(pattern);
            while from < to {
                let Some(start) = regex.find(Input::new(text).range(from..)).map(|found| found.start()) else { break };
                if start >= to {
                    break;
                }
                let ends = ends(lazy, &mut cache, text, start);
                let tried = if rule.rule.try_shorter { ends.len() } else { 1 };
                let accepted = ends.iter().rev().take(tried).find_map(|end| Some((*end, rule.accept(text, start..*end)?)));
                match accepted {
                    Some((end, accepted)) => {
                        from = end.max(accepted.span.end);
                        emit(pattern, from, accepted);
                    }
                    None => from = start + 1,
                }
            }
        }
    }
}

/// Every end of a match that starts at `start`, in order.
fn ends(lazy: &DFA, cache: &mut Cache, text: &[u8], start: usize) -> Vec<usize> {
    let input = Input::new(text).range(start..).anchored(Anchored::Yes);
    let (mut state, mut ends) = (OverlappingState::start(), Vec::new());
    while lazy.try_search_overlapping_fwd(cache, &input, &mut state).is_ok() {
        let Some(end) = state.get_match() else { break };
        ends.push(end.offset());
    }
    ends
}
