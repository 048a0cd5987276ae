//! What makes the engine look at a regex: the beginning of a match, or a literal inside it.

use cloakroom_prefilter::ByteSet;
use regex_automata::MatchKind;
use regex_automata::dfa::dense;
use regex_automata::hybrid::dfa as hybrid;
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::beginning::Beginning;
use crate::detect::compiled::{MAX_MATCH, syntax_config};

/// What makes the engine look.
pub(crate) enum Trigger {
    /// The first bytes of a match, where a word can begin.
    Start(Beginning),
    /// The first bytes of a match, anywhere.
    Anywhere(Beginning),
    /// A literal with a run of some class before it: `@` in e-mail addresses.
    Inner {
        /// From the literal on.
        beginning: Beginning,
        /// The bytes that may stand before the literal.
        class: ByteSet,
        /// The most of them.
        most: usize,
        /// What matches from the literal on.
        rest: Hir,
    },
    /// Nothing selective: the regex is searched for on its own.
    Nothing,
}

impl Trigger {
    /// The beginning, for word starts.
    pub(crate) fn start(&self) -> Option<&Beginning> {
        match self {
            Self::Start(beginning) => Some(beginning),
            _ => None,
        }
    }

    /// The beginning, for anywhere.
    pub(crate) fn anywhere(&self) -> Option<&Beginning> {
        match self {
            Self::Anywhere(beginning) | Self::Inner { beginning, .. } => Some(beginning),
            _ => None,
        }
    }
}

/// Beginnings of words that a regex may fit and still not need a better trigger.
const COMMON_START: f64 = 0.01;
/// Positions that it may fit anywhere.
const COMMON_ANYWHERE: f64 = 0.003;
/// The longest run before an inner literal.
const MAX_RUN: usize = 256;

/// A regex as it was read.
pub(crate) struct Parsed {
    pub(crate) hir: Hir,
    pub(crate) nfa: NFA,
}

/// Reads a regex and checks what the engine needs: bounded length, no empty match.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn parse(pattern: &str) -> Result<Parsed, String> {
    let hir = regex_automata::util::syntax::parse_with(pattern, &syntax_config()).map_err(|error| error.to_string())?;
    match hir.properties().maximum_len() {
        None => return Err("a repeat without a bound: write `{0,64}` in place of `*` or `+`".to_owned()),
        Some(length) if length > MAX_MATCH => {
            return Err(format!("matches of up to {length} bytes; {MAX_MATCH} is the most"));
        }
        _ => {}
    }
    let nfa = nfa(&hir)?;
    Ok(Parsed { hir, nfa })
}

fn nfa(hir: &Hir) -> Result<NFA, String> {
    NFA::compiler()
        .configure(NFA::config().utf8(false).which_captures(WhichCaptures::None))
        .build_from_hir(hir)
        .map_err(|error| error.to_string())
}

/// The automaton of a regex: anchored, with all matches, so that a walk finds every end.
///
/// # Errors
/// When it would be too large.
pub(crate) fn automaton(hir: &Hir) -> Result<dense::DFA<Vec<u32>>, String> {
    let config = dense::DFA::config()
        .match_kind(MatchKind::All)
        .start_kind(regex_automata::dfa::StartKind::Anchored)
        .accelerate(false)
        .dfa_size_limit(Some(512 * 1024))
        .determinize_size_limit(Some(2 << 20));
    dense::Builder::new().configure(config).build_from_nfa(&nfa(hir)?).map_err(|error| error.to_string())
}

/// The same automaton, made on the way, with at most some megabytes of states at a time.
///
/// # Errors
/// When a few states alone would be too large.
pub(crate) fn lazy_automaton(hir: &Hir) -> Result<hybrid::DFA, String> {
    let config = hybrid::DFA::config().match_kind(MatchKind::All).cache_capacity(4 << 20).skip_cache_capacity_check(true);
    hybrid::Builder::new().configure(config).build_from_nfa(nfa(hir)?).map_err(|error| error.to_string())
}

impl Trigger {
    /// # Errors
    /// A regex that matches the empty text.
    pub(crate) fn of(parsed: &Parsed) -> Result<Self, String> {
        let beginning = Beginning::of(&parsed.nfa);
        if beginning.empty {
            return Err("the empty text matches".to_owned());
        }
        let mass = beginning.mass();
        match (beginning.inside_words, inner(&parsed.hir)?) {
            (false, Some(inner)) if mass > COMMON_START => Ok(inner),
            (false, _) => Ok(Self::Start(beginning)),
            (true, _) if mass <= COMMON_ANYWHERE => Ok(Self::Anywhere(beginning)),
            (true, Some(inner)) => Ok(inner),
            (true, None) => Ok(Self::Nothing),
        }
    }
}

/// The literal behind a bounded run over a class that does not contain its first byte, if the regex begins so.
fn inner(hir: &Hir) -> Result<Option<Trigger>, String> {
    let HirKind::Concat(parts) = hir.kind() else { return Ok(None) };
    let (mut class, mut most) = (ByteSet::EMPTY, 0);
    for (index, part) in parts.iter().enumerate() {
        if let HirKind::Literal(literal) = part.kind()
            && !class.is_empty()
            && literal.0.first().is_some_and(|byte| !class.contains(*byte))
        {
            let rest = Hir::concat(parts[index..].to_vec());
            let beginning = Beginning::of(&nfa(&rest)?);
            return Ok(Some(Trigger::Inner { beginning, class, most, rest }));
        }
        match (run(part), part.properties().maximum_len()) {
            (Some(bytes), Some(length)) if most + length <= MAX_RUN => {
                class = class.union(&bytes);
                most += length;
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// The bytes of a part that is a class, a literal or a repeat of one.
fn run(part: &Hir) -> Option<ByteSet> {
    match part.kind() {
        HirKind::Class(Class::Bytes(class)) => {
            let mut bytes = ByteSet::EMPTY;
            class.iter().for_each(|range| bytes.insert_range(range.start()..=range.end()));
            Some(bytes)
        }
        HirKind::Class(Class::Unicode(class)) => {
            let mut bytes = ByteSet::EMPTY;
            for range in class.iter() {
                bytes.insert_range(u8::try_from(range.start()).ok()?..=u8::try_from(range.end()).ok()?);
            }
            Some(bytes)
        }
        HirKind::Literal(literal) => Some(literal.0.iter().copied().collect()),
        HirKind::Repetition(repeat) => run(&repeat.sub),
        HirKind::Capture(capture) => run(&capture.sub),
        HirKind::Look(_) => Some(ByteSet::EMPTY),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().try_fold(ByteSet::EMPTY, |sum, part| Some(sum.union(&run(part)?)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(pattern: &str) -> &'static str {
        match Trigger::of(&parse(pattern).unwrap()).unwrap() {
            Trigger::Start(_) => "start",
            Trigger::Anywhere(_) => "anywhere",
            Trigger::Inner { .. } => "inner",
            Trigger::Nothing => "nothing",
        }
    }

    #[test]
    fn kinds_of_beginnings() {
        assert_eq!(kind(r"\b\d{3}-\d{2}-\d{4}\b"), "start");
        assert_eq!(kind(r"\+\d{6,12}"), "start");
        assert_eq!(kind(r"(?i)password\W{1,3}\w{8,20}"), "anywhere");
        assert_eq!(kind(r"[\w.+-]{1,64}@[a-z]{1,20}\.com"), "inner");
        assert_eq!(kind(r"\b[a-z][a-z0-9+]{1,15}://[a-z]{1,9}"), "inner");
        assert_eq!(kind(r"\d{2}"), "nothing");
    }

    #[test]
    fn what_the_engine_cannot_run_is_refused() {
        assert!(parse(r"\ba+").is_err_and(|error| error.contains("bound")));
        assert!(parse(r"\ba{5000}").is_err_and(|error| error.contains("4096")));
        assert!(parse("(").is_err());
        assert!(Trigger::of(&parse("a?").unwrap()).is_err());
        assert!(automaton(&parse(r"\b[a-z]{1,500}a[a-z]{1,500}").unwrap().hir).is_err());
    }
}
