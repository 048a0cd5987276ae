//! What makes the engine look at a regex: the beginning of a match, or a literal inside it.

use cloakroom_prefilter::{ByteSet, LONG_RUN, is_token};
use regex_automata::MatchKind;
use regex_automata::dfa::dense;
use regex_automata::hybrid::dfa as hybrid;
use regex_automata::nfa::thompson::{NFA, WhichCaptures};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::beginning::{Beginning, first_runs, head, is_word};
use crate::detect::compiled::{MAX_MATCH, syntax_config};

/// What makes the engine look.
#[allow(clippy::large_enum_variant, reason = "there are some hundreds, made once")]
pub(crate) enum Trigger {
    /// The first bytes of a match, where a word can begin: one entry for each way to begin.
    Start(Vec<Entry>),
    /// The first bytes of a match, anywhere.
    Anywhere(Vec<Entry>),
    /// A literal with a run of some class before it: `@` in e-mail addresses.
    Inner {
        /// From the literal on.
        entry: Entry,
        /// The bytes that may stand before the literal.
        class: ByteSet,
        /// The most of them.
        most: usize,
        /// The bytes that the last of them may be.
        last: ByteSet,
        /// What matches from the literal on.
        rest: Hir,
    },
    /// Nothing selective: the regex is searched for on its own.
    Nothing,
}

/// A way to begin.
pub(crate) struct Entry {
    pub(crate) beginning: Beginning,
    pub(crate) runs: Runs,
}

/// How long the run of word characters, and that of token characters, at the beginning of a match may be: bit `n` for a run of
/// `n`, the last one for longer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) word: u128,
    pub(crate) token: u128,
}

/// Longer runs count as this long.
pub(crate) const MAX_COUNTED_RUN: usize = 96;
/// Where matches do not begin with a long run of token characters, runs of this length and more are not told apart.
const MAX_SHORT_RUN: usize = 24;
/// Beginnings that fit less of ordinary text than this are not made more telling.
const RARE: f64 = 1e-6;

impl Runs {
    /// Any lengths.
    pub(crate) const ANY: Self = Self { word: u128::MAX, token: u128::MAX };

    /// True when there are so many word characters at least.
    pub(crate) fn begin_with_word(&self) -> bool {
        self.word & ((1 << LONG_RUN) - 1) == 0
    }

    /// True when there are so many token characters at least.
    pub(crate) fn begin_with_token(&self) -> bool {
        self.token & ((1 << LONG_RUN) - 1) == 0
    }
}

impl Entry {
    fn of(hir: &Hir) -> Result<Self, String> {
        Self::with(hir, Beginning::of(hir)?)
    }

    fn with(hir: &Hir, beginning: Beginning) -> Result<Self, String> {
        if beginning.inside_words || beginning.mass() < RARE {
            return Ok(Self { beginning, runs: Runs::ANY });
        }
        let word: ByteSet = (0..=255).filter(|byte| is_word(*byte)).collect();
        let token: ByteSet = (0..=255).filter(|byte| is_token(*byte)).collect();
        if beginning.sets.iter().all(|set| set.intersection(&token) == *set) {
            let nfa = nfa(&head(hir, MAX_COUNTED_RUN + 1))?;
            let token = first_runs(&nfa, &token, MAX_COUNTED_RUN);
            let word = first_runs(&nfa, &word, MAX_COUNTED_RUN);
            return Ok(Self { beginning, runs: Runs { word, token } });
        }
        let mut word = first_runs(&nfa(&head(hir, MAX_SHORT_RUN + 1))?, &word, MAX_SHORT_RUN);
        if word >> MAX_SHORT_RUN != 0 {
            word |= u128::MAX << MAX_SHORT_RUN;
        }
        Ok(Self { beginning, runs: Runs { word, token: u128::MAX } })
    }
}

/// The ways in which a regex can begin, when that makes its beginnings more telling: one for each branch of an alternation at its
/// beginning, and for each length of a short repeat.
fn ways(hir: &Hir) -> Vec<Hir> {
    let mut ways = vec![hir.clone()];
    // Twice, for an alternation behind a repeat and the like.
    for _ in 0..2 {
        let split: Vec<Hir> = ways.iter().flat_map(split).collect();
        if split.len() > MAX_WAYS {
            break;
        }
        ways = split;
    }
    ways
}

/// The most ways that a regex is split into.
const MAX_WAYS: usize = 24;
/// Repeats up to this are split.
const MAX_SPLIT_REPEAT: u32 = 5;

fn split(hir: &Hir) -> Vec<Hir> {
    let parts: Vec<Hir> = match hir.kind() {
        HirKind::Concat(parts) => parts.clone(),
        _ => vec![hir.clone()],
    };
    let is_look = |part: &&Hir| matches!(part.kind(), HirKind::Look(_));
    let looks = parts.iter().take_while(is_look).count();
    let Some(first) = parts.get(looks) else { return vec![hir.clone()] };
    let with = |middle: Vec<Hir>| {
        Hir::concat(parts[..looks].iter().cloned().chain(middle).chain(parts[looks + 1..].iter().cloned()).collect())
    };
    match first.kind() {
        HirKind::Capture(capture) => split(&with(vec![(*capture.sub).clone()])),
        HirKind::Alternation(branches) => branches.iter().map(|branch| with(vec![branch.clone()])).collect(),
        HirKind::Repetition(repeat) => {
            let sub = (*repeat.sub).clone();
            let again = |min: u32, max: Option<u32>| {
                Hir::repetition(regex_syntax::hir::Repetition {
                    min,
                    max,
                    greedy: repeat.greedy,
                    sub: repeat.sub.clone(),
                })
            };
            match (repeat.min, repeat.max) {
                (min, Some(max)) if matches!(sub.kind(), HirKind::Class(_)) && min < max && max <= MAX_SPLIT_REPEAT => {
                    (min..=max).map(|count| with(vec![again(count, Some(count))])).collect()
                }
                (0, Some(max)) if !matches!(sub.kind(), HirKind::Class(_)) => {
                    vec![with(Vec::new()), with(vec![sub, again(0, Some(max - 1))])]
                }
                (min, Some(max)) if !matches!(sub.kind(), HirKind::Class(_)) && max > 1 => {
                    split(&with(vec![sub, again(min - 1, Some(max - 1))]))
                }
                _ => vec![hir.clone()],
            }
        }
        _ => vec![hir.clone()],
    }
}

/// Beginnings of words that a regex may fit and still not need a better trigger.
const COMMON_START: f64 = 0.000_1;
/// An inner literal may cost as much as this many beginnings: it is walked back from.
const WALK_BACK: f64 = 12.0;
/// Beginnings that fit less than this need not be split.
const TELLING: f64 = 0.000_02;
/// Positions that it may fit anywhere.
const COMMON_ANYWHERE: f64 = 0.003;
/// The longest run before an inner literal.
const MAX_RUN: usize = 256;

/// Reads a regex and checks what the engine needs: bounded length, no empty match.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn parse(pattern: &str) -> Result<Hir, String> {
    let hir = regex_automata::util::syntax::parse_with(pattern, &syntax_config()).map_err(|error| error.to_string())?;
    match hir.properties().maximum_len() {
        None => return Err("a repeat without a bound: write `{0,64}` in place of `*` or `+`".to_owned()),
        Some(length) if length > MAX_MATCH => {
            return Err(format!("matches of up to {length} bytes; {MAX_MATCH} is the most"));
        }
        _ => {}
    }
    Ok(hir)
}

pub(crate) fn nfa(hir: &Hir) -> Result<NFA, String> {
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
    let config =
        hybrid::DFA::config().match_kind(MatchKind::All).cache_capacity(4 << 20).skip_cache_capacity_check(true);
    hybrid::Builder::new().configure(config).build_from_nfa(nfa(hir)?).map_err(|error| error.to_string())
}

impl Trigger {
    /// # Errors
    /// A regex that matches the empty text.
    pub(crate) fn of(hir: &Hir) -> Result<Self, String> {
        let beginning = Beginning::of(hir)?;
        if beginning.empty {
            return Err("the empty text matches".to_owned());
        }
        let mut entries = vec![Entry::with(hir, beginning.clone())?];
        if beginning.mass() > TELLING {
            let split = ways(hir).iter().map(Entry::of).collect::<Result<Vec<_>, _>>()?;
            let mass = split.iter().map(|entry| entry.beginning.mass()).sum::<f64>();
            if split.len() > 1 && mass < 0.7 * beginning.mass() {
                entries = split;
            }
        }
        let mass = entries.iter().map(|entry| entry.beginning.mass()).sum::<f64>();
        let long = entries.iter().all(|entry| entry.runs.begin_with_token());
        match (beginning.inside_words, inner(hir)?) {
            (false, Some((inner, of_inner))) if mass > COMMON_START.max(of_inner * WALK_BACK) && !long => Ok(inner),
            (false, _) => Ok(Self::Start(entries)),
            (true, _) if mass <= COMMON_ANYWHERE => Ok(Self::Anywhere(entries)),
            (true, Some((inner, _))) => Ok(inner),
            (true, None) => Ok(Self::Nothing),
        }
    }
}

/// The literal behind a bounded run over a class, if the regex begins so, and the share of positions where it stands. The
/// class may contain the literal's first byte when the last byte before the literal is another one: `::` in internet addresses.
fn inner(hir: &Hir) -> Result<Option<(Trigger, f64)>, String> {
    // Groups do not matter here.
    let hir = head(hir, MAX_MATCH);
    let HirKind::Concat(parts) = hir.kind() else { return Ok(None) };
    let (mut class, mut last, mut most) = (ByteSet::EMPTY, ByteSet::EMPTY, 0);
    for (index, part) in parts.iter().enumerate() {
        if let HirKind::Literal(literal) = part.kind()
            && !class.is_empty()
            && literal.0.first().is_some_and(|byte| !last.contains(*byte))
        {
            let rest = Hir::concat(parts[index..].to_vec());
            let entry = Entry { beginning: Beginning::of(&rest)?, runs: Runs::ANY };
            let share = entry.beginning.mass();
            return Ok(Some((Trigger::Inner { entry, class, most, last, rest }, share)));
        }
        match (run(part), part.properties().maximum_len()) {
            (Some(bytes), Some(length)) if most + length <= MAX_RUN => {
                class = class.union(&bytes);
                most += length;
                last = match (part.kind(), part.properties().minimum_len()) {
                    (HirKind::Look(_), _) => last,
                    (HirKind::Class(_) | HirKind::Repetition(_), Some(1..)) if is_plain(part) => bytes,
                    // What stands before may be the last, or some part of this one.
                    _ => class,
                };
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// True for a class and a repeat of one: any of its bytes may be the last, and no other.
fn is_plain(part: &Hir) -> bool {
    match part.kind() {
        HirKind::Class(_) => true,
        HirKind::Repetition(repeat) => is_plain(&repeat.sub),
        HirKind::Capture(capture) => is_plain(&capture.sub),
        _ => false,
    }
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
    fn alternations_and_short_repeats_are_split() {
        let count = |pattern: &str| match Trigger::of(&parse(pattern).unwrap()).unwrap() {
            Trigger::Start(entries) | Trigger::Anywhere(entries) => entries.len(),
            _ => 0,
        };
        assert_eq!(count(r"(?i)(?:pass|pwd|kenn)\w{1,9}"), 3);
        assert_eq!(count(r"\b(?:[0-9a-f]{1,4}:){2,7}x"), 4);
        assert_eq!(count(r"\bghp_\w{9}"), 1);
    }

    #[test]
    fn lengths_of_runs() {
        let runs = |pattern: &str| Entry::of(&parse(pattern).unwrap()).unwrap().runs;
        assert_eq!(runs(r"\b[a-z]{20}\b").word, 1 << 20);
        assert_eq!(runs(r"\b[a-z]{20,21}\b").word, 0b11 << 20);
        assert_eq!(runs(r"\b[a-z0-9]{8}-[a-z0-9]{12}\b").word, 1 << 8);
        assert_eq!(runs(r"\b[\w-]{20}").token & 0xF_FFFF, 0);
        assert_eq!(runs(r"\b[0-9]{9,11}\b").word, 0b111 << 9);
        assert_eq!(runs(r"\b[0-9]{3}[ -]?[0-9]{4}\b").word, 1 << 3 | 1 << 7);
        assert_eq!(runs(r"\b[0-9]{3}[ -][0-9a-f]{4}").word, 1 << 3);
        assert!(runs(r"\b[a-z]{20}\b").begin_with_word() && !runs(r"\b[0-9]{9,11}\b").begin_with_word());
    }

    #[test]
    fn what_the_engine_cannot_run_is_refused() {
        assert!(parse(r"\ba+").is_err_and(|error| error.contains("bound")));
        assert!(parse(r"\ba{5000}").is_err_and(|error| error.contains("4096")));
        assert!(parse("(").is_err());
        assert!(Trigger::of(&parse("a?").unwrap()).is_err());
        assert!(automaton(&parse(r"\b[a-z]{1,500}a[a-z]{1,500}").unwrap()).is_err());
    }
}
