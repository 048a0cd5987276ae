//! The engine against the reference: the same accepted matches for every rule, on random, adversarial and mixed text, with every
//! kernel of this machine.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::detect::judge::Rules;
use crate::detect::rule::{Rule, built_in};

struct Pair {
    rules: Vec<CompiledRule>,
    context: ContextIndex,
    comparison: Comparison,
}

impl Pair {
    fn new(rules: Vec<CompiledRule>) -> Self {
        let context = ContextIndex::of(&rules);
        let comparison = Comparison::new(Rules { rules: &rules, context: &context }).unwrap();
        Self { rules, context, comparison }
    }

    fn check(&self, text: &[u8]) {
        let rules = Rules { rules: &self.rules, context: &self.context };
        self.comparison.compare(rules, text, &[]).unwrap();
        self.comparison.compare(rules, text, &["user.card_number", "ssn"]).unwrap();
    }
}

fn catalogue() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| Pair::new(built_in().iter().map(|rule| CompiledRule::new(rule, 0.5).unwrap()).collect()))
}

/// Pieces of which sensitive values are made, so that random text comes near them.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let examples: Vec<&'static str> = built_in()
        .iter()
        .flat_map(|rule| rule.examples.iter().chain(&*rule.counter_examples))
        .map(AsRef::as_ref)
        .collect();
    prop_oneof![
        2 => proptest::sample::select(examples).prop_map(|text| text.as_bytes().to_vec()),
        2 => "[0-9]{1,20}".prop_map(String::into_bytes),
        2 => "[A-Za-z0-9._@:/+-]{1,12}".prop_map(String::into_bytes),
        1 => "[a-f0-9]{28,44}".prop_map(String::into_bytes),
        1 => proptest::sample::select(vec![" ", "-", ".", "@", "://", ":", "=", "\"", "\n", "_", "(", "+", "é", "\u{ff11}", ","])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..9),
    ]
}

/// A slice of a piece: values cut off and joined to others.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let cut = (piece(), any::<prop::sample::Index>(), any::<bool>()).prop_map(|(piece, at, whole)| {
        if whole || piece.is_empty() { piece } else { piece[at.index(piece.len())..].to_vec() }
    });
    proptest::collection::vec(cut, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn finds_what_the_reference_finds(text in text()) {
        catalogue().check(&text);
    }
}

#[test]
fn adversarial_texts() {
    for unit in
        ["1", "@", "a", " ", "-", ".", "1 ", "1-", "a@", "a.", "a@a.", "key=", "1.", "://", "\"", "4111 ", "+1", "=:"]
    {
        catalogue().check(unit.repeat(600).as_bytes());
    }
}

/// Examples one after the other, over blocks and their seams.
#[test]
fn long_texts_over_many_blocks() {
    let all: String =
        built_in().iter().flat_map(|rule| rule.examples.iter()).map(|text| format!("{text} | ")).collect();
    for offset in 0..3 {
        catalogue().check(format!("{}{all}{all}", "x ".repeat(offset * 700 + offset)).as_bytes());
    }
}

#[test]
fn built_in_rules_all_have_a_trigger() {
    let pair = catalogue();
    let engine = Engine::new(&pair.rules, &pair.context, None).unwrap();
    let untriggered: Vec<_> =
        engine.untriggered().iter().map(|rule| pair.rules[*rule as usize].rule.id.as_ref()).collect();
    assert!(untriggered.is_empty(), "no selective beginning; see rules/README.md: {untriggered:?}");
}

/// Shapes that the catalogue need not have.
#[test]
fn rules_of_every_kind() {
    let rule = |id: &str, regex: &str, try_shorter: bool| {
        let mut rule: Rule = built_in()[0].clone();
        rule.id = id.to_owned().into();
        rule.regex = regex.to_owned().into();
        rule.validate = Vec::new().into();
        rule.min_entropy = 0.0;
        rule.edges = crate::detect::Edges::Word;
        rule.try_shorter = try_shorter;
        rule.confidence = 0.9;
        CompiledRule::new(&rule, 0.5).unwrap()
    };
    let pair = Pair::new(vec![
        rule("start", r"\b\d{3}\b", false),
        rule("shared", r"\b\d{3}\b", true),
        rule("word", r"\b[a-z]{2,5}\b", false),
        rule("inner", r"[a-z.]{1,9}@[a-z]{1,5}", false),
        rule("inner-boundary", r"\b[a-z]{2,9}://[a-z]{1,5}\b", true),
        rule("anywhere", r"(?i)secret\W{1,2}[a-z]{1,8}", false),
        rule("rest", r"\d{2}[a-z]", false),
        rule("sign", r"\+\d{2,4}", true),
        rule("large", r"\b[a-z]{1,200}a[a-z]{1,200}\b", true),
        rule("group", r"\bx=(?P<value>[0-9]{2,4})", false),
    ]);
    for text in [
        "",
        "123",
        "a 123 b 456,789",
        "x=123 x=1 xx=1234",
        "SECRET: abcSecret=x secretsecret: a",
        "ab@c a..b@@d@e@f",
        "http://a ahttp://b_ x://y",
        "12a34b567c89",
        "+1+22+333+44444+",
        "aaaaaaaaaaaa@bbbbbbbb@cc",
        "é123é x=99é",
    ] {
        pair.check(text.as_bytes());
        pair.check(text.repeat(99).as_bytes());
    }
}
