//! `cloakroom scan`: what is sensitive in files, folders, standard input or JSON lines.
//!
//! ```text
//! files ──walk, threads──▶ file ──decode──▶ Scanner or table ──hit──▶ fingerprint, allow list, baseline ──▶ report
//! ```
//!
//! No value leaves a worker: a hit has positions, a fingerprint and at most a masked excerpt.

mod accept;
mod excerpt;
mod file;
mod files;
mod hit;
mod messages;
mod report;
mod sarif;
mod table;

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use cloakroom_core::detect::{Detector, Rule, Selection, built_in};
use cloakroom_crypto::PseudonymKey;
use cloakroom_pipeline::ConnectorError;
use cloakroom_pipeline::keys::{self, KeysConfig};

use crate::args::{ScanFormat, ScanOptions};
use crate::error::Failure;
use crate::progress::Meter;
use crate::protectors::access;
use crate::{output, rule_files};
use accept::{Baseline, BaselineWriter};
use files::{Event, Targets};
use hit::{Lens, State};
use report::Report;

const ADVICE: &str =
    "make a key ring with `cloakroom keys init`, set CLOAKROOM_KEY, or name a key file with --fingerprint-key";

pub(crate) async fn scan(options: ScanOptions) -> Result<u8, Failure> {
    let custom = rule_files::load(&options.rules)?;
    let selection = selection(&options, custom);
    let detector = Detector::new(&selection).map_err(|message| Failure::new(2, message))?;
    let threads =
        options.threads.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    if options.jsonl {
        return messages::scan(&detector, &options.paths, &options.text_field, threads);
    }

    let rules: Vec<&Rule> = built_in().iter().chain(&selection.custom).collect();
    let allow = accept::allow_list(options.allow.as_deref(), &rules)?;
    let needs = [
        (allow.needs_fingerprints(), "the allow list names fingerprints"),
        (options.baseline.is_some(), "--baseline compares fingerprints"),
        (options.write_baseline.is_some(), "--write-baseline stores fingerprints"),
    ];
    let key = fingerprint_key(&options, needs.iter().any(|(needed, _)| *needed)).await?;
    let kid = match (&key, needs.iter().find(|(needed, _)| *needed)) {
        (Some(key), _) => key.kid().to_string(),
        (None, None) => String::new(),
        (None, Some((_, why))) => {
            return Err(Failure::new(2, format!("{why}, and there is no key for them; {ADVICE}")));
        }
    };
    if key.is_none() && options.format != ScanFormat::Human {
        output::note(&format!("findings have no fingerprints, for there is no key; {ADVICE}"));
    }
    let baseline = options.baseline.as_deref().map(|path| Baseline::read(path, &kid)).transpose()?;
    let masker = (options.format == ScanFormat::Human).then(|| excerpt::Masker::new(&selection));
    let lens = Lens { detector, key, allow, baseline, masker };
    let targets =
        Targets { paths: targets(&options.paths), hidden: options.hidden, no_ignore: options.no_ignore, threads };
    let mut run = Run {
        report: report::new(options.format),
        summary: Summary::default(),
        writer: options.write_baseline.as_ref().map(|_| BaselineWriter::new(kid)),
        most: options.max_findings.unwrap_or(u64::MAX),
        meter: Meter::new(),
        began: Instant::now(),
        failed: None,
    };
    files::scan(&lens, &targets, &mut |path, event| run.take(path, event));
    if let (Some(writer), Some(path)) = (run.writer.take(), &options.write_baseline) {
        writer.write(path)?;
    }
    run.end()
}

fn selection(options: &ScanOptions, custom: Vec<Rule>) -> Selection {
    let only = (!options.entities.is_empty()).then(|| options.entities.clone());
    let (also, without) = (options.also.clone(), options.exclude.clone());
    Selection { custom, only, also, without, threshold: options.min_confidence, thresholds: BTreeMap::new() }
}

/// Without paths: standard input when something is given there, else the current folder.
fn targets(paths: &[PathBuf]) -> Vec<PathBuf> {
    match paths {
        [] if io::stdin().is_terminal() => vec![PathBuf::from(".")],
        [] => vec![PathBuf::from("-")],
        paths => paths.to_vec(),
    }
}

/// The key of fingerprints. Where nobody asked for them, a key ring that cannot be opened is no reason to end.
async fn fingerprint_key(options: &ScanOptions, needed: bool) -> Result<Option<PseudonymKey>, Failure> {
    let mut access = access();
    let ring = if let Some(file) = &options.fingerprint_key {
        keys::read(file, &access).await?.0.into()
    } else {
        if !needed {
            access.passphrase.ask = None;
        }
        match keys::load(&KeysConfig::default(), &access).await {
            Ok(Some(keys)) => keys.ring,
            Ok(None) => return Ok(None),
            Err(error) if !needed => {
                output::note(&format!("no fingerprints: {error}"));
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        }
    };
    Ok(Some(ring.fingerprint_key("scan").map_err(ConnectorError::from)?))
}

/// A scan as its results come in, in the order of the paths.
struct Run {
    report: Box<dyn Report>,
    summary: Summary,
    writer: Option<BaselineWriter>,
    most: u64,
    meter: Meter,
    began: Instant,
    failed: Option<io::Error>,
}

#[derive(Default)]
struct Summary {
    files: u64,
    bytes: u64,
    binary: u64,
    failed: u64,
    findings: u64,
    files_with: u64,
    known: u64,
    allowed: u64,
    by_entity: BTreeMap<String, u64>,
    last_with: String,
    stopped: bool,
}

impl Run {
    fn take(&mut self, path: &str, event: Event<'_>) -> ControlFlow<()> {
        match event {
            Event::Hits(hits) => {
                for hit in &hits {
                    if let (Some(writer), State::New | State::Known) = (&mut self.writer, hit.state) {
                        writer.add(path, hit);
                    }
                    match hit.state {
                        State::Known => self.summary.known += 1,
                        State::Allowed => self.summary.allowed += 1,
                        State::New => {
                            if self.summary.findings == self.most {
                                self.summary.stopped = true;
                                return ControlFlow::Break(());
                            }
                            self.summary.add(path, &hit.rule.entity);
                            let report = &mut self.report;
                            if let Err(error) = self.meter.pause(|| report.finding(path, hit)) {
                                self.failed = Some(error);
                                return ControlFlow::Break(());
                            }
                        }
                    }
                }
            }
            Event::Failed(reason) => {
                self.summary.failed += 1;
                self.meter.pause(|| output::note(&format!("{}: {reason}", report::printable(path))));
            }
            Event::Binary => self.summary.binary += 1,
            Event::Done { bytes } => {
                self.summary.files += 1;
                self.summary.bytes += bytes;
                let Summary { files, bytes, findings, .. } = self.summary;
                self.meter.show(|| {
                    format!("{} files, {}, {} findings", output::grouped(files), size(bytes), output::grouped(findings))
                });
            }
        }
        ControlFlow::Continue(())
    }

    fn end(mut self) -> Result<u8, Failure> {
        self.meter.end();
        let written = match self.failed.take() {
            Some(error) => Err(error),
            None => self.report.finish(self.summary.failed == 0),
        };
        match written {
            // `cloakroom scan … | head` is a fine thing to do.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(error) => return Err(Failure::new(3, format!("standard output: {error}"))),
            Ok(()) => output::note(&self.summary.text(self.began.elapsed().as_secs_f64())),
        }
        Ok(match (self.summary.failed, self.summary.findings) {
            (1.., _) => 2,
            (0, 1..) => 1,
            (0, 0) => 0,
        })
    }
}

impl Summary {
    fn add(&mut self, path: &str, entity: &str) {
        self.findings += 1;
        // Files come one after the other.
        if self.last_with != path {
            self.files_with += 1;
            path.clone_into(&mut self.last_with);
        }
        match self.by_entity.get_mut(entity) {
            Some(count) => *count += 1,
            None => drop(self.by_entity.insert(entity.to_owned(), 1)),
        }
    }

    fn text(&self, seconds: f64) -> String {
        let grouped = |number: u64, one: &str, many: &str| {
            format!("{} {}", output::grouped(number), if number == 1 { one } else { many })
        };
        // The file in which it stopped has no end and no size, and is one of those with findings.
        let files = grouped(self.files.max(self.files_with), "file", "files");
        let bytes = if self.stopped { String::new() } else { format!("{}, ", size(self.bytes)) };
        let mut text = format!("{} in {files} ({bytes}{seconds:.2} s)", grouped(self.findings, "finding", "findings"));
        if !self.by_entity.is_empty() {
            let list: Vec<_> =
                self.by_entity.iter().map(|(name, count)| format!("{name}: {}", output::grouped(*count))).collect();
            let with = grouped(self.files_with, "file", "files");
            text.push_str(&format!("; {with} with findings\n  {}", list.join(", ")));
        }
        for (count, what) in [
            (self.known, "in the baseline"),
            (self.allowed, "allowed"),
            (self.binary, "binary, not read"),
            (self.failed, "could not be read"),
        ] {
            if count > 0 {
                text.push_str(&format!("\n  {} {what}", output::grouped(count)));
            }
        }
        if self.stopped {
            text.push_str("\n  stopped: --max-findings is reached");
        }
        text
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{} bytes", output::grouped(bytes)),
        10_000..10_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
