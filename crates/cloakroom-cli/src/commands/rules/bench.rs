//! `cloakroom rules bench`: what each rule costs alone, and all of them together.

use std::time::{Duration, Instant};

use cloakroom_core::detect::{Detection, Detector, Rule, Scratch, Selection, built_in, examples};
use serde_json::json;

use crate::args::{BenchOptions, Output};
use crate::error::Failure;
use crate::sample::{Kind, Sample};
use crate::{output, rule_files};

/// The most of a file that is used.
const MAX_TEXT: u64 = 256 * 1024 * 1024;
/// The generated text.
const GENERATED: usize = 4 * 1024 * 1024;
/// What is searched at once, as when files are read.
const BLOCK: usize = 64 * 1024;
/// A rule is measured at least so long, and at least twice; the best pass counts.
const LEAST: Duration = Duration::from_millis(40);
const MOST_PASSES: u32 = 20;

struct Measured {
    rule: String,
    entity: String,
    megabytes_per_second: f64,
    findings: usize,
}

pub(super) fn bench(options: &BenchOptions) -> Result<u8, Failure> {
    let custom = rule_files::load(&options.rules)?;
    let rules: Vec<&Rule> = match custom.is_empty() {
        true => built_in().iter().filter(|rule| !rule.opt_in).collect(),
        false => custom.iter().collect(),
    };
    let text = text(options)?;
    if text.is_empty() {
        return Err(Failure::new(2, "there is no text to search"));
    }
    let refused = |message: String| Failure::new(2, message);
    let only = (!custom.is_empty()).then(|| custom.iter().map(|rule| rule.entity.to_string()).collect());
    let selection = Selection { custom: custom.clone(), only, ..Selection::default() };
    let all = measure("all together", "", &Detector::new(&selection).map_err(refused)?, &text);
    let mut each = Vec::with_capacity(rules.len());
    for rule in rules {
        each.push(measure(&rule.id, &rule.entity, &examples::alone(rule).map_err(refused)?, &text));
    }
    each.sort_by(|a, b| a.megabytes_per_second.total_cmp(&b.megabytes_per_second));
    if options.format == Output::Json {
        let entry = |m: &Measured| {
            let speed = (m.megabytes_per_second * 10.0).round() / 10.0;
            json!({ "rule": m.rule, "entity": m.entity, "megabytes_per_second": speed, "findings": m.findings })
        };
        let all = json!({ "megabytes_per_second": entry(&all)["megabytes_per_second"], "findings": all.findings });
        let each: Vec<_> = each.iter().map(entry).collect();
        output::json(&json!({ "bytes": text.len(), "clock": clock_name(), "all": all, "rules": each }))?;
        return Ok(0);
    }
    let row = |m: &Measured| {
        let speed = m.megabytes_per_second;
        let findings = output::grouped(m.findings as u64);
        let cells = [format!("{speed:>8.1}"), format!("{:>8.3}", 1000.0 / speed), format!("{findings:>8}")];
        [&cells[..], &[m.rule.clone(), m.entity.clone()]].concat()
    };
    let rows: Vec<Vec<String>> = std::iter::once(&all).chain(&each).map(row).collect();
    output::line(&output::table(&["    MB/s", "   ms/MB", "FINDINGS", "RULE", "ENTITY"], &rows));
    output::note(&format!("{} bytes of text, one thread, {}", output::grouped(text.len() as u64), clock_name()));
    Ok(0)
}

fn measure(rule: &str, entity: &str, detector: &Detector, text: &[u8]) -> Measured {
    let (mut scratch, mut found) = (Scratch::default(), Vec::<Detection>::new());
    let (mut best, mut findings, mut passes) = (Duration::MAX, 0, 0);
    let began = Instant::now();
    while passes < 2 || began.elapsed() < LEAST && passes < MOST_PASSES {
        findings = 0;
        let start = Clock::now();
        for block in blocks(text) {
            detector.find(block, &[], &mut scratch, &mut found);
            findings += found.len();
        }
        best = best.min(start.elapsed());
        passes += 1;
    }
    let seconds = best.as_secs_f64().max(1e-9);
    let megabytes_per_second = text.len() as f64 / 1e6 / seconds;
    Measured { rule: rule.to_owned(), entity: entity.to_owned(), megabytes_per_second, findings }
}

/// Cut at line ends, where there are any.
fn blocks(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let most = rest.len().min(BLOCK);
        let end = match most < rest.len() {
            true => rest[..most].iter().rposition(|byte| *byte == b'\n').map_or(most, |at| at + 1),
            false => most,
        };
        let (block, behind) = rest.split_at(end);
        rest = behind;
        Some(block)
    })
}

fn text(options: &BenchOptions) -> Result<Vec<u8>, Failure> {
    let Some(path) = &options.file else { return Ok(generated()) };
    use std::io::Read;
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MAX_TEXT).read_to_end(&mut text));
    read.map_err(|error| Failure::new(2, format!("{}: {error}", path.display())))?;
    Ok(text)
}

/// A little of everything that `cloakroom sample` makes.
fn generated() -> Vec<u8> {
    let samples = [Kind::Logins, Kind::Users, Kind::Messages, Kind::Customers].map(|kind| Sample::new(kind, 1));
    let mut text = Vec::with_capacity(GENERATED + 4096);
    let mut index = 0;
    while text.len() < GENERATED {
        for sample in &samples {
            sample.write_record(index, &mut text);
            text.push(b'\n');
        }
        index += 1;
    }
    text
}

/// CPU time of this thread where Linux tells it, else time on the wall: other programs do not count.
enum Clock {
    Cpu(u64),
    Wall(Instant),
}

impl Clock {
    fn now() -> Self {
        cpu_nanoseconds().map_or_else(|| Self::Wall(Instant::now()), Self::Cpu)
    }

    fn elapsed(&self) -> Duration {
        match self {
            Self::Cpu(start) => Duration::from_nanos(cpu_nanoseconds().unwrap_or(*start).saturating_sub(*start)),
            Self::Wall(start) => start.elapsed(),
        }
    }
}

fn cpu_nanoseconds() -> Option<u64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split_whitespace().next()?.parse().ok()
}

fn clock_name() -> &'static str {
    if cpu_nanoseconds().is_some() { "CPU time" } else { "time on the wall" }
}
