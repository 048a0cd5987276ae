//! The reference: the same findings as the engine's, found in the plainest way. One `RegexSet`-like pass says which rules match at
//! all, then each of them searches on its own. It is what tests and the fuzz target hold the engine against.

use regex_automata::hybrid::dfa::{Cache, DFA, OverlappingState};
use regex_automata::meta::Regex;
use regex_automata::{Anchored, Input, MatchKind, PatternSet};

use super::Detection;
use super::compiled::syntax_config;
use super::judge::Judge;

/// Regexes of rules, for searching one rule after the other.
pub(crate) struct Reference {
    all: Regex,
    rules: Vec<(Regex, DFA)>,
}

impl Reference {
    /// # Errors
    /// A regex that does not compile.
    pub(crate) fn new<'a>(patterns: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let patterns: Vec<&str> = patterns.collect();
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

    /// Emits every accepted match of these rules that starts before `to`, in the order of the rules and of the text. `first` says
    /// where the search for a rule begins, `number` which rule of the judge's it is.
    pub(crate) fn find(
        &self,
        judge: &mut Judge<'_, '_>,
        text: &[u8],
        to: usize,
        number: impl Fn(usize) -> (u32, usize, bool),
        mut emit: impl FnMut(Detection),
    ) {
        let mut which = PatternSet::new(self.rules.len());
        self.all.which_overlapping_matches(&Input::new(text), &mut which);
        for pattern in which.iter().map(|pattern| pattern.as_usize()) {
            let (regex, lazy) = &self.rules[pattern];
            let mut cache = lazy.create_cache();
            let (rule, mut from, try_shorter) = number(pattern);
            while from < to {
                let Some(start) = regex.find(Input::new(text).range(from..)).map(|found| found.start()) else { break };
                if start >= to {
                    break;
                }
                let ends = ends(lazy, &mut cache, text, start);
                let tried = if try_shorter { ends.len() } else { 1 };
                let mut longest = ends.iter().rev().take(tried);
                let accepted = longest.find_map(|end| Some((*end, judge.accept(text, rule, start..*end)?)));
                match accepted {
                    Some((end, accepted)) => {
                        from = end.max(accepted.end);
                        emit(accepted);
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
