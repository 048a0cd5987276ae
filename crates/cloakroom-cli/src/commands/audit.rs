//! `cloakroom audit`

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, NaiveDate};
use cloakroom_crypto::{AuditPublicKey, KeyRing};
use cloakroom_pipeline::ConnectorError;
use cloakroom_pipeline::audit::{
    self, AuditLog, Checkpoint, Entry, Report, Trust, audit_keys, checkpoints, default_file, entries,
};
use cloakroom_pipeline::keys::{self, KeysConfig};
use serde_json::json;

use crate::args::{
    AuditCheckpointOptions, AuditCommand, AuditExportOptions, AuditFormat, AuditListOptions, AuditVerifyOptions, Output,
};
use crate::error::Failure;
use crate::output;
use crate::principal::principal;
use crate::protectors::access;

pub(crate) async fn audit(command: AuditCommand) -> Result<u8, Failure> {
    match command {
        AuditCommand::List(options) => list(&options),
        AuditCommand::Verify(options) => verify(&options).await,
        AuditCommand::Export(options) => export(&options),
        AuditCommand::Checkpoint(options) => checkpoint(options).await,
    }
}

/// The log that is meant; it must be there.
fn log_file(file: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = file.map_or_else(default_file, Path::to_owned);
    match path.try_exists() {
        Ok(false) => Err(Failure::new(2, format!("there is no audit log at {}", path.display()))),
        _ => Ok(path),
    }
}

async fn key_ring(file: Option<&Path>) -> Result<Arc<KeyRing>, Failure> {
    if let Some(file) = file {
        return Ok(keys::read(file, &access()).await?.0.into());
    }
    let keys = keys::load(&KeysConfig::default(), &access()).await?;
    let keys = keys.ok_or_else(|| {
        Failure::new(2, "there is no key ring; name a key file with --keys, set CLOAKROOM_KEY, or give a --public-key")
    })?;
    Ok(keys.ring)
}

// --- list ------------------------------------------------------------------------------------------------------------

fn list(options: &AuditListOptions) -> Result<u8, Failure> {
    let since = options.since.as_deref().map(|text| moment(text, "00:00:00")).transpose()?;
    let until = options.until.as_deref().map(|text| moment(text, "23:59:59")).transpose()?;
    let is = |wanted: &Option<String>, value: &str| wanted.as_deref().is_none_or(|wanted| wanted == value);
    let mut chosen: VecDeque<Entry> = VecDeque::new();
    let mut left_out = 0u64;
    for entry in entries(&log_file(options.file.as_deref())?)? {
        let entry = entry?;
        // Times are all written alike, so their texts are in the order of the moments.
        let fits = since.as_ref().is_none_or(|since| entry.time >= *since)
            && until.as_ref().is_none_or(|until| entry.time <= *until)
            && is(&options.principal, &entry.principal)
            && is(&options.action, &entry.action)
            && (is(&options.outcome, &entry.outcome)
                || entry.why.as_deref().is_some_and(|why| is(&options.outcome, why)));
        if fits {
            chosen.push_back(entry);
            if chosen.len() > options.limit {
                chosen.pop_front();
                left_out += 1;
            }
        }
    }
    if options.output == Output::Json {
        output::json(&chosen)?;
        return Ok(0);
    }
    if chosen.is_empty() {
        output::line("no events");
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = chosen.iter().map(row).collect();
    output::line(&output::table(
        &["SEQ", "TIME", "PRINCIPAL", "ACTION", "OUTCOME", "COUNT", "LEVEL", "PATH", "PURPOSE", "REASON"],
        &rows,
    ));
    if left_out > 0 {
        output::note(&format!("{} older events are not shown; see --limit", output::grouped(left_out)));
    }
    Ok(0)
}

fn row(entry: &Entry) -> Vec<String> {
    let outcome = entry.why.as_ref().map_or_else(|| entry.outcome.clone(), |why| format!("{}: {why}", entry.outcome));
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_default();
    let cells = [
        entry.seq.to_string(),
        entry.time.clone(),
        entry.principal.clone(),
        entry.action.clone(),
        outcome,
        entry.count.to_string(),
        or_nothing(&entry.level),
        entry.path.join(" "),
        or_nothing(&entry.purpose),
        or_nothing(&entry.reason),
    ];
    // Somebody may have written into the file what the log itself refuses.
    cells.map(|cell| cell.replace(|c: char| c.is_control() || ('\u{2028}'..='\u{202e}').contains(&c), "?")).into()
}

/// A moment as the log writes it. A day alone means its first or its last second.
fn moment(text: &str, time_of_day: &str) -> Result<String, Failure> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Ok(moment.to_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string());
    }
    match NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        Ok(day) => Ok(format!("{}T{time_of_day}Z", day.format("%Y-%m-%d"))),
        Err(_) => Err(Failure::new(2, "a time is written 2026-11-21 or 2026-11-21T08:00:00Z")),
    }
}

// --- verify ----------------------------------------------------------------------------------------------------------

async fn verify(options: &AuditVerifyOptions) -> Result<u8, Failure> {
    let path = log_file(options.file.as_deref())?;
    let mut kept = Vec::new();
    for file in &options.checkpoints {
        read_checkpoints(file, &mut kept)?;
    }
    let begun = Instant::now();
    let public: Result<Vec<_>, _> = options.public_key.iter().map(|key| AuditPublicKey::parse(key)).collect();
    let public = public.map_err(|error| Failure::new(2, format!("--public-key: {error}")))?;
    let own;
    let trust = if public.is_empty() {
        own = audit_keys(&*key_ring(options.keys.as_deref()).await?)?;
        Trust::Keys(&own)
    } else {
        Trust::PublicKeys(&public)
    };
    let report = audit::verify(&path, trust, &kept)?;
    let seconds = begun.elapsed().as_secs_f64();
    let whole = matches!(trust, Trust::Keys(_));
    if options.output == Output::Json {
        output::json(&json!({
            "file": path.display().to_string(),
            "ok": report.fault.is_none(),
            "checked": if whole { "lines" } else { "checkpoints" },
            "report": report,
        }))?;
    } else {
        show(&path, &report, whole, seconds);
    }
    Ok(u8::from(report.fault.is_some()))
}

fn show(path: &Path, report: &Report, whole: bool, seconds: f64) {
    let colour = io::stdout().is_terminal();
    let verdict = match &report.fault {
        None if whole => output::styled(colour, "32", "as it was written"),
        None => output::styled(colour, "32", "agrees with its checkpoints"),
        Some(fault) => output::styled(colour, "1;31", &fault.to_string()),
    };
    output::line(&format!("{}: {verdict}", output::bold(&path.display().to_string())));
    let good = if report.fault.is_some() { "good lines" } else { "lines" };
    let rate = (report.lines as f64 / seconds.max(0.001)) as u64;
    let mut rows = vec![
        (good, format!("{} in {seconds:.2} s, {} lines/s", output::grouped(report.lines), output::grouped(rate))),
        ("checkpoints", output::grouped(report.checkpoints)),
    ];
    if report.kept_checkpoints > 0 {
        rows.push(("kept elsewhere", format!("{} agree", output::grouped(report.kept_checkpoints))));
    }
    if let (Some(first), Some(last)) = (&report.first, &report.last) {
        rows.push(("first", first.clone()));
        rows.push(("last", last.clone()));
    }
    rows.extend(report.notes.iter().map(|note| ("note", note.clone())));
    if !whole {
        rows.push(("note", "lines between checkpoints were not checked; that needs the key ring".to_owned()));
    }
    for (name, value) in rows {
        output::line(&format!("  {name:<16}{value}"));
    }
}

/// Checkpoints, a JSON document on each line.
fn read_checkpoints(file: &Path, kept: &mut Vec<Checkpoint>) -> Result<(), Failure> {
    let text = crate::load::read_text(file)?;
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let checkpoint = serde_json::from_str(line)
            .map_err(|_| Failure::new(2, format!("{}:{number}: not a checkpoint of an audit log", file.display())))?;
        kept.push(checkpoint);
    }
    if kept.is_empty() {
        return Err(Failure::new(2, format!("{}: holds no checkpoint", file.display())));
    }
    Ok(())
}

// --- export and checkpoint -------------------------------------------------------------------------------------------

fn export(options: &AuditExportOptions) -> Result<u8, Failure> {
    let path = log_file(options.file.as_deref())?;
    let mut out = BufWriter::new(io::stdout().lock());
    let written = if options.checkpoints {
        let all = checkpoints(&path)?;
        all.iter().try_for_each(|checkpoint| json_line(&mut out, checkpoint))
    } else if options.format == AuditFormat::Csv {
        csv(&path, &mut out)?
    } else {
        copy_lines(&path, &mut out)?
    };
    match written.and_then(|()| out.flush()) {
        // A reader that has gone away is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(ConnectorError::io("standard output", &error).into())
        }
        _ => Ok(0),
    }
}

fn json_line(out: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

/// The lines byte for byte: a copy can be verified, too. What a crash tore is no line.
fn copy_lines(path: &Path, out: &mut impl Write) -> Result<io::Result<()>, Failure> {
    let failed = |error| ConnectorError::io(format!("audit log {}", path.display()), &error);
    let mut reader = BufReader::new(File::open(path).map_err(failed)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).map_err(failed)? > 0 && line.ends_with(b"\n") {
        if let Err(error) = out.write_all(&line) {
            return Ok(Err(error));
        }
        line.clear();
    }
    Ok(Ok(()))
}

const COLUMNS: [&str; 14] = [
    "seq",
    "time",
    "principal",
    "action",
    "purpose",
    "reason",
    "path",
    "subject",
    "count",
    "outcome",
    "why",
    "level",
    "kid",
    "mac",
];

fn csv(path: &Path, out: &mut impl Write) -> Result<io::Result<()>, Failure> {
    let mut writer = csv::Writer::from_writer(out);
    let mut written = writer.write_record(COLUMNS);
    for entry in entries(path)? {
        let entry = entry?;
        let cells = [
            entry.seq.to_string(),
            entry.time,
            entry.principal,
            entry.action,
            entry.purpose.unwrap_or_default(),
            entry.reason.unwrap_or_default(),
            entry.path.join(" "),
            entry.subject.unwrap_or_default(),
            entry.count.to_string(),
            entry.outcome,
            entry.why.unwrap_or_default(),
            entry.level.unwrap_or_default(),
            entry.kid,
            entry.mac,
        ];
        written = written.and(writer.write_record(cells.map(|cell| no_formula(&cell))));
    }
    Ok(written.map_err(io::Error::other).and_then(|()| writer.flush()))
}

/// A text that a spreadsheet does not run.
fn no_formula(cell: &str) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell.to_owned() }
}

async fn checkpoint(options: AuditCheckpointOptions) -> Result<u8, Failure> {
    let ring = key_ring(options.keys.as_deref()).await?;
    let path = options.file.unwrap_or_else(default_file);
    let log = AuditLog::open(path, &ring, cloakroom_pipeline::run::now)?;
    let checkpoint = log.checkpoint(principal()?)?;
    let text = serde_json::to_string(&checkpoint);
    output::line(&text.map_err(|_| Failure::new(3, "the checkpoint cannot be written as JSON"))?);
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_days_or_times() {
        let read = |text| moment(text, "23:59:59").ok();
        assert_eq!(read("2026-11-21").as_deref(), Some("2026-11-21T23:59:59Z"));
        assert_eq!(read("2026-11-21T10:00:00.5+02:00").as_deref(), Some("2026-11-21T08:00:00Z"));
        assert_eq!(read("2026-02-30"), None);
        assert_eq!(read("yesterday"), None);
    }

    #[test]
    fn spreadsheets_run_nothing() {
        assert_eq!(no_formula("=1+1"), "'=1+1");
        assert_eq!(no_formula("ticket 42"), "ticket 42");
    }
}
