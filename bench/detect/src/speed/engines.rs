//! The contenders. Each counts what it finds in a text; rivals get the regexes of Cloakroom's rules and nothing else to
//! do, while Cloakroom also checks edges, entropy and checksums, looks at context and settles overlaps.

use std::path::Path;

use cloakroom_core::detect::{Detection, Detector, Rule, Scratch, Selection, built_in};
use regex::bytes::{Regex, RegexBuilder, RegexSet, RegexSetBuilder};
use regex_automata::hybrid::dfa::{Cache, DFA, OverlappingState};
use regex_automata::util::syntax;
use regex_automata::{Input, MatchKind};

use super::vectorscan::Vectorscan;

pub trait Engine {
    /// Number of findings in a text.
    fn scan(&mut self, text: &[u8]) -> u64;
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// What people mean by personal data, the most wanted first; the 50-rule set takes their rules until there are 50.
const WANTED: &[&str] = &[
    "CREDIT_CARD",
    "IBAN_CODE",
    "EMAIL_ADDRESS",
    "PHONE_NUMBER",
    "US_SSN",
    "IP_ADDRESS",
    "MAC_ADDRESS",
    "DATE_OF_BIRTH",
    "IMEI",
    "VIN",
    "BASIC_AUTH_URL",
    "CRYPTO",
    "SWIFT_BIC",
    "US_ITIN",
    "ABA_ROUTING_NUMBER",
    "US_NPI",
    "US_MBI",
    "MEDICAL_LICENSE",
    "US_EIN",
    "CA_SIN",
    "UK_NHS",
    "UK_NINO",
    "IE_PPS",
    "DE_TAX_ID",
    "DE_SOCIAL_SECURITY",
    "DE_ID_CARD",
    "DE_PASSPORT",
    "DE_VAT_ID",
    "FR_NIR",
    "FR_SIREN",
    "ES_NIF",
    "ES_NIE",
    "IT_FISCAL_CODE",
    "PT_NIF",
    "NL_BSN",
    "BE_NRN",
    "PL_PESEL",
    "SE_PERSONNUMMER",
    "FI_PERSONAL_IDENTITY_CODE",
    "NO_FODSELSNUMMER",
    "DK_CPR",
    "AT_SVNR",
    "CH_AHV",
    "CZ_RODNE_CISLO",
    "RO_CNP",
    "TR_NATIONAL_ID",
    "BR_CPF",
    "BR_CNPJ",
    "AR_CUIT",
    "MX_CURP",
    "CL_RUT",
    "IN_AADHAAR",
    "IN_PAN",
    "SG_NRIC_FIN",
    "AU_TFN",
    "AU_MEDICARE",
    "ZA_ID_NUMBER",
    "KR_RRN",
    "JP_MY_NUMBER",
    "CN_RESIDENT_ID",
    "AWS_ACCESS_KEY",
    "GITHUB_TOKEN",
    "JWT",
    "PRIVATE_KEY",
    "PASSWORD",
];

/// A set of rules: its selection, and the same rules for the rivals.
pub struct Rules {
    pub name: &'static str,
    pub selection: Selection,
    pub regexes: Vec<&'static str>,
}

impl Rules {
    pub fn default_catalogue() -> Self {
        let on = built_in().iter().filter(|rule| !rule.opt_in);
        Self { name: "default", selection: Selection::default(), regexes: on.map(|rule| rule.regex.as_ref()).collect() }
    }

    /// The first 50 rules of the most wanted entities, or all of them while the catalogue has fewer.
    pub fn fifty() -> Self {
        let of = |entity: &'static str| built_in().iter().filter(move |rule| rule.entity == entity && !rule.opt_in);
        let all: Vec<&Rule> = WANTED.iter().flat_map(|entity| of(entity)).collect();
        let (taken, left) = all.split_at(all.len().min(50));
        let mut only: Vec<String> = taken.iter().map(|rule| rule.entity.to_string()).collect();
        only.dedup();
        let without = |rule: &&Rule| rule.opt_in && only.iter().any(|entity| *entity == rule.entity);
        let left = left.iter().copied().filter(|rule| only.iter().any(|entity| *entity == rule.entity));
        let without = left.chain(built_in().iter().filter(without)).map(|rule| rule.id.to_string()).collect();
        let regexes = taken.iter().map(|rule| rule.regex.as_ref()).collect();
        Self {
            name: "fifty",
            selection: Selection { only: Some(only.clone()), without, ..Selection::default() },
            regexes,
        }
    }

    /// Every contender, with the reason where one cannot take part.
    pub fn engines(&self, libhs: Option<&Path>) -> Vec<(&'static str, Result<Box<dyn Engine>>)> {
        fn boxed(engine: Result<impl Engine + 'static>) -> Result<Box<dyn Engine>> {
            engine.map(|engine| Box::new(engine) as Box<dyn Engine>)
        }
        let regexes = &self.regexes;
        vec![
            ("cloakroom", boxed(Cloakroom::new(&self.selection))),
            ("regex loop", boxed(Loop::new(regexes))),
            ("RegexSet, then rules", boxed(Set::new(regexes))),
            ("one lazy DFA, ends", boxed(LazyDfa::new(regexes))),
            ("Vectorscan, ends", boxed(Vectorscan::new(libhs, regexes, false))),
            ("Vectorscan, spans", boxed(Vectorscan::new(libhs, regexes, true))),
        ]
    }
}

pub struct Cloakroom {
    detector: Detector,
    scratch: Scratch,
    found: Vec<Detection>,
}

impl Cloakroom {
    pub fn new(selection: &Selection) -> Result<Self> {
        Ok(Self { detector: Detector::new(selection)?, scratch: Scratch::default(), found: Vec::new() })
    }
}

impl Engine for Cloakroom {
    fn scan(&mut self, text: &[u8]) -> u64 {
        self.detector.find(text, &[], &mut self.scratch, &mut self.found);
        self.found.len() as u64
    }
}

fn compile(regexes: &[&str]) -> Result<Vec<Regex>> {
    let compile = |regex: &&str| RegexBuilder::new(regex).unicode(false).size_limit(1 << 30).build();
    Ok(regexes.iter().map(compile).collect::<std::result::Result<_, _>>()?)
}

/// What a program does that has a list of regexes.
struct Loop(Vec<Regex>);

impl Loop {
    fn new(regexes: &[&str]) -> Result<Self> {
        compile(regexes).map(Self)
    }
}

impl Engine for Loop {
    fn scan(&mut self, text: &[u8]) -> u64 {
        self.0.iter().map(|regex| regex.find_iter(text).count() as u64).sum()
    }
}

/// One pass says which rules match at all, then each of these searches.
struct Set(RegexSet, Vec<Regex>);

impl Set {
    fn new(regexes: &[&str]) -> Result<Self> {
        let set = RegexSetBuilder::new(regexes).unicode(false).size_limit(1 << 30).dfa_size_limit(64 << 20).build()?;
        Ok(Self(set, compile(regexes)?))
    }
}

impl Engine for Set {
    fn scan(&mut self, text: &[u8]) -> u64 {
        self.0.matches(text).into_iter().map(|rule| self.1[rule].find_iter(text).count() as u64).sum()
    }
}

/// All rules in one automaton that is built while it runs. It gives ends of matches, all of them, and no starts.
struct LazyDfa(DFA, Cache);

impl LazyDfa {
    fn new(regexes: &[&str]) -> Result<Self> {
        let config = DFA::config().match_kind(MatchKind::All).cache_capacity(64 << 20).skip_cache_capacity_check(true);
        let syntax = syntax::Config::new().unicode(false).utf8(false);
        let dfa = DFA::builder().configure(config).syntax(syntax).build_many(regexes)?;
        let cache = dfa.create_cache();
        Ok(Self(dfa, cache))
    }
}

impl Engine for LazyDfa {
    fn scan(&mut self, text: &[u8]) -> u64 {
        let (input, mut state, mut ends) = (Input::new(text), OverlappingState::start(), 0);
        while self.0.try_search_overlapping_fwd(&mut self.1, &input, &mut state).is_ok() && state.get_match().is_some()
        {
            ends += 1;
        }
        ends
    }
}
