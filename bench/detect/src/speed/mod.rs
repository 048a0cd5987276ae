//! Speed: one thread, CPU time of that thread, the best of some rounds in which all contenders take turns.

mod clock;
mod engines;
mod vectorscan;

use std::path::{Path, PathBuf};

use cloakroom_core::detect::{Detector, Scratch, Selection, built_in};
use clock::timed;
use engines::{Cloakroom, Engine, Rules};
use serde_json::{Value, json};

use crate::corpus::{only, plain::Text};
use crate::rng::{BASE64, Rng};

/// Bytes of a block; it ends with the last line that ends in it.
const BLOCK: usize = 64 * 1024;
/// Fewer bytes than this hold too few findings to stand for the corpus.
const LEAST: usize = 512 * 1024;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Block,
    Line,
}

impl Mode {
    const ALL: [Self; 2] = [Self::Block, Self::Line];

    fn name(self) -> &'static str {
        if self == Self::Block { "block" } else { "line" }
    }

    fn parts(self, text: &[u8]) -> Vec<&[u8]> {
        let size = if self == Self::Block { BLOCK } else { 1 };
        let (mut parts, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let end = match self {
                Self::Block if rest.len() <= size => rest.len(),
                Self::Block => rest[..size].iter().rposition(|byte| *byte == b'\n').map_or(size, |at| at + 1),
                Self::Line => rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1),
            };
            let (part, behind) = rest.split_at(end);
            parts.push(if self == Self::Line { part.strip_suffix(b"\n").unwrap_or(part) } else { part });
            rest = behind;
        }
        parts
    }
}

/// One contender in one mode: how much of the text it gets and its best run so far.
struct Run<'a> {
    parts: Vec<&'a [u8]>,
    bytes: usize,
    best: f64,
    found: u64,
}

impl<'a> Run<'a> {
    /// Takes so much of the text that a run lasts `seconds`: a rate needs no more, and slow rivals would take hours.
    fn new(engine: &mut dyn Engine, mode: Mode, text: &'a [u8], seconds: f64) -> Self {
        // What an engine builds while it runs, it builds here.
        scan(engine, &mode.parts(whole_lines(text, BLOCK.min(text.len()))));
        let mut bytes = BLOCK.min(text.len());
        loop {
            let parts = mode.parts(whole_lines(text, bytes));
            let (took, _) = timed(|| scan(engine, &parts));
            let fits = (bytes as f64 * seconds / took.max(1e-6)) as usize;
            // A short run says too little about a long one: approach in steps.
            if bytes >= text.len() || fits <= bytes * 2 {
                let text = whole_lines(text, fits.max(LEAST).min(text.len()));
                return Self { parts: mode.parts(text), bytes: text.len(), best: f64::INFINITY, found: 0 };
            }
            bytes = fits.min(bytes * 16).min(text.len());
        }
    }

    fn go(&mut self, engine: &mut dyn Engine) {
        let (took, found) = timed(|| scan(engine, &self.parts));
        self.best = self.best.min(took);
        self.found = found;
    }

    fn result(&self) -> Value {
        json!({
            "mb_s": self.bytes as f64 / 1e6 / self.best, "messages_s": self.parts.len() as f64 / self.best,
            "bytes": self.bytes, "found": self.found,
        })
    }
}

fn scan(engine: &mut dyn Engine, parts: &[&[u8]]) -> u64 {
    parts.iter().map(|part| engine.scan(part)).sum()
}

fn whole_lines(text: &[u8], bytes: usize) -> &[u8] {
    if bytes >= text.len() {
        return text;
    }
    let end = text[bytes..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| bytes + at + 1);
    &text[..end]
}

pub fn measure(
    folder: &Path,
    seconds: f64,
    rounds: usize,
    libhs: Option<PathBuf>,
) -> Result<(), Box<dyn std::error::Error>> {
    // First, while nothing is warm.
    let cold_start = cold_start(rounds)?;
    let corpus = std::fs::read(folder.join("corpus.txt"))?;
    let mut sets = serde_json::Map::new();
    for rules in [Rules::fifty(), Rules::default_catalogue()] {
        sets.insert(rules.name.to_owned(), contest(&rules, &corpus, seconds, rounds, libhs.as_deref()));
    }
    let by_text = by_text(corpus.len() / 4, seconds, rounds)?;
    let pathological = pathological(seconds * 5.0)?;
    let rules = built_in().len();
    println!(
        "{}",
        json!({"rules": rules, "cold_start": cold_start, "sets": sets, "texts": by_text, "pathological": pathological})
    );
    Ok(())
}

/// Milliseconds until the first answer: making the detector, and its first search, which may fill tables.
fn cold_start(rounds: usize) -> Result<Value, Box<dyn std::error::Error>> {
    let text = "call +49 151 23456789 or write to anna.weber@example.com, card 4111 1111 1111 1111";
    let once = || -> Result<(f64, f64), String> {
        let (new, detector) = timed(|| Detector::new(&Selection::default()));
        let detector = detector?;
        let (mut scratch, mut found) = (Scratch::default(), Vec::new());
        let (first, ()) = timed(|| detector.find(text.as_bytes(), &[], &mut scratch, &mut found));
        Ok((new * 1e3, first * 1e3))
    };
    let (new, first) = once()?;
    let again = (0..rounds).map(|_| once().map(|(new, _)| new)).collect::<Result<Vec<_>, _>>()?;
    let again = again.into_iter().fold(f64::INFINITY, f64::min);
    Ok(json!({"new_ms": new, "first_find_ms": first, "new_again_ms": again}))
}

fn contest(rules: &Rules, corpus: &[u8], seconds: f64, rounds: usize, libhs: Option<&Path>) -> Value {
    let mut taking_part = Vec::new();
    let mut left_out = serde_json::Map::new();
    for (name, engine) in rules.engines(libhs) {
        eprintln!("{} rules: {name}", rules.regexes.len());
        match engine {
            Ok(mut engine) => {
                let runs = Mode::ALL.map(|mode| Run::new(engine.as_mut(), mode, corpus, seconds));
                taking_part.push((name, engine, runs));
            }
            Err(error) => {
                left_out.insert(name.to_owned(), json!(error.to_string()));
            }
        }
    }
    for round in 1..=rounds {
        eprintln!("{} rules: round {round} of {rounds}", rules.regexes.len());
        for (_, engine, runs) in &mut taking_part {
            for run in runs {
                run.go(engine.as_mut());
            }
        }
    }
    let engines: serde_json::Map<String, Value> = taking_part
        .iter()
        .map(|(name, _, [block, line])| ((*name).to_owned(), json!({"block": block.result(), "line": line.result()})))
        .collect();
    json!({"rules": rules.regexes.len(), "engines": engines, "left_out": left_out})
}

/// Cloakroom's default catalogue on one kind of text at a time, without planted values.
fn by_text(bytes: usize, seconds: f64, rounds: usize) -> Result<Value, Box<dyn std::error::Error>> {
    let mut engine = Cloakroom::new(&Selection::default())?;
    let mut results = serde_json::Map::new();
    for text in Text::ALL {
        eprintln!("text: {}", text.name());
        let content = only(text, bytes, 7);
        let mut row = serde_json::Map::new();
        for mode in Mode::ALL {
            let mut run = Run::new(&mut engine, mode, content.as_bytes(), seconds);
            (0..rounds).for_each(|_| run.go(&mut engine));
            row.insert(mode.name().to_owned(), run.result());
        }
        results.insert(text.name().to_owned(), Value::Object(row));
    }
    Ok(Value::Object(results))
}

/// Texts that make weak engines slow, as one text each. It grows up to 16 MB as long as that stays within `seconds`: the
/// rate at a small and at a large size says whether the time grows with the length or with its square.
fn pathological(seconds: f64) -> Result<Value, Box<dyn std::error::Error>> {
    const FULL: usize = 16 << 20;
    let mut rng = Rng::new(3);
    let mut texts: Vec<(&str, String)> = [
        ("one digit", "1"),
        ("@", "@"),
        ("one letter", "a"),
        ("spaces", " "),
        ("-", "-"),
        ("1 and space", "1 "),
        ("1-", "1-"),
        ("a@", "a@"),
        ("a.", "a."),
        ("key=", "key="),
        ("1.1.1.", "1."),
        ("://", "://"),
        ("quotes", "\""),
        ("BEGIN lines", "-----BEGIN PRIVATE KEY-----\n"),
    ]
    .into_iter()
    .map(|(name, unit)| (name, unit.repeat(FULL / unit.len())))
    .collect();
    texts.push(("random digits", rng.digits(FULL)));
    texts.push(("base64", rng.chars(BASE64, FULL)));
    let mut engine = Cloakroom::new(&Selection::default())?;
    let mut results = serde_json::Map::new();
    for (name, text) in &texts {
        eprintln!("pathological: {name}");
        let text = text.as_bytes();
        let (mut small, mut size, mut before) = (0.0, 4096, 0.0_f64);
        let (bytes, rate) = loop {
            let (took, found) = timed(|| engine.scan(&text[..size.min(text.len())]));
            std::hint::black_box(found);
            let rate = size as f64 / 1e6 / took.max(1e-9);
            if size == 1 << 16 {
                small = rate;
            }
            // What 16 times as much will take, if the time keeps growing as it did.
            let growth = if before > 0.0 { (took / before).clamp(16.0, 256.0) } else { 16.0 };
            if size >= FULL || took * growth > seconds {
                break (size, rate);
            }
            (before, size) = (took, size * 16);
        };
        results.insert((*name).to_owned(), json!({"mb_s": rate, "mb_s_64k": small, "bytes": bytes}));
    }
    Ok(Value::Object(results))
}
