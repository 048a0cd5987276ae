//! Records that a policy has protected, as far as it says who may see them.

use std::io::{self, Write};
use std::path::Path;

use cloakroom_core::encode::{write_object, write_string};
use cloakroom_core::path::FieldPath;
use cloakroom_core::policy::RevealLevel;
use cloakroom_core::reveal::Revealer;
use cloakroom_core::{Cloak, Object, RecordError, Value};
use cloakroom_pipeline::ConnectorError;
use cloakroom_pipeline::audit::{Action, AuditText, Outcome, Refusal, RequestId};
use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::reveal::approval::{Approval, Asked};
use cloakroom_pipeline::reveal::{Counter, Demand, Handed, Stopped};
use cloakroom_pipeline::sink::NoLedger;

use super::open_lines;
use crate::args::{RevealOptions, ShownLevel};
use crate::error::Failure;
use crate::load::Loaded;
use crate::output;
use crate::registry::sink_context;
use crate::trail::Trail;

/// Records that are opened together: on record with one wait for the disk.
const BATCH: BatchConfig = BatchConfig { records: 1_000, bytes: 1024 * 1024, wait_ms: 0 };
/// Records that a look-up gives at most; somebody with more is exported.
const MOST_FOUND: usize = 10_000;
/// Values that do not open and are reported one by one.
const MAX_REPORTS: u64 = 20;

pub(super) async fn reveal(
    loaded: &Loaded,
    trail: Trail,
    purpose: AuditText,
    reason: AuditText,
    options: RevealOptions,
) -> Result<u8, Failure> {
    let RevealOptions { jsonl, subject, record, field, class, level, request, people, approval, .. } = options;
    let level = match level {
        ShownLevel::Masked => RevealLevel::Masked,
        ShownLevel::Full => RevealLevel::Full,
    };
    if subject.is_some() && !loaded.policy.has_subject() {
        return Err(Failure::new(2, "--subject needs a policy with a `subject`; look for --record FIELD=VALUE"));
    }
    let (principal, log) = trail.into_parts();
    let demand = Demand { principal, purpose, reason, level, fields: field, classes: class, subject: subject.clone() };
    if let (Some(path), Some(people)) = (&request, people) {
        return ask(path, people, &demand, loaded, &log);
    }
    let approval = approval.map(|path| Approval::read(&path)).transpose()?;
    let cloak = Cloak::new(std::sync::Arc::clone(&loaded.policy));
    let mut counter = Counter::open(&cloak, log, demand, approval.as_ref()).map_err(stopped)?;
    let wanted = wanted(counter.revealer(), subject.as_deref(), record.as_deref())?;
    let mut report = Report::default();
    let from_file = jsonl.or_else(|| loaded.file.sink.as_ref().and_then(|sink| sink.file_path()));
    match from_file {
        Some(path) => {
            let (mut source, limits) = open_lines(&path, BATCH).await?;
            while let Some(batch) = source.next_batch(&mut NoLedger).await? {
                let records = batch.deliveries.into_iter().map(|delivery| delivery.payload.decode(limits));
                report.records(&mut counter, records, record.is_some().then_some(&wanted).and_then(Option::as_ref))?;
            }
        }
        None => {
            let Some((path, values)) = wanted else {
                return Err(Failure::new(
                    2,
                    "people cannot be looked up by this policy's `subject`: it is protected so that equal values do not look \
                     equal; give it an `index:`, or the records with --jsonl",
                ));
            };
            let records = look_up(loaded, &path, &values).await?;
            report.records(&mut counter, records.into_iter().map(Ok), None)?;
        }
    }
    if report.handed_out == 0 && report.code == 0 {
        counter.nothing_found()?;
        output::note("there is no such record");
        return Ok(1);
    }
    report.end();
    Ok(report.code)
}

/// Where the wanted records have which values.
type Wanted = (FieldPath, Vec<Value>);

fn wanted(revealer: &Revealer, subject: Option<&str>, record: Option<&str>) -> Result<Option<Wanted>, Failure> {
    let (field, value) = match (record, subject, revealer.subject_field()) {
        (Some(record), ..) => {
            let Some((field, value)) = record.split_once('=') else {
                return Err(Failure::new(2, "--record takes FIELD=VALUE, such as email=jo@mail.example"));
            };
            let field = FieldPath::parse(field).map_err(|error| Failure::new(2, format!("--record: {error}")))?;
            (field, value)
        }
        (None, Some(subject), Some(field)) => (field.clone(), subject),
        _ => return Ok(None),
    };
    match revealer.where_is(&field, value) {
        Ok(wanted) => Ok(Some(wanted)),
        // A file can be searched for somebody's records by trying to open them.
        Err(_) if record.is_none() => Ok(None),
        Err(text) => Err(Failure::new(2, text)),
    }
}

async fn look_up(loaded: &Loaded, path: &FieldPath, values: &[Value]) -> Result<Vec<Object>, Failure> {
    let Some(sink) = &loaded.file.sink else {
        return Err(Failure::new(2, "the policy has no sink to look in; give the records with --jsonl"));
    };
    let mut sink = sink.build(&sink_context(&loaded.name, &loaded.policy))?;
    let member = path.to_string();
    let found = sink.find(&member, values, MOST_FOUND + 1).await?;
    if found.len() > MOST_FOUND {
        return Err(Failure::new(2, format!("more than {MOST_FOUND} records; export them and give them with --jsonl")));
    }
    Ok(found)
}

/// Writes what another person can agree to.
fn ask(
    path: &Path,
    people: u64,
    demand: &Demand,
    loaded: &Loaded,
    log: &cloakroom_pipeline::audit::AuditLog,
) -> Result<u8, Failure> {
    let asked = Asked::new(demand, &loaded.policy, people, log.time(0));
    let json = serde_json::to_string_pretty(&asked).map_err(|_| Failure::new(3, "the request is no JSON"))?;
    let Demand { principal, purpose, reason, .. } = demand.clone();
    let event = cloakroom_pipeline::audit::Event::new(principal, Action::Request, Outcome::Allowed);
    let event = event.purpose(purpose).reason(reason).count(people);
    let id = RequestId::parse(&asked.id).ok_or_else(|| Failure::new(3, "the request has no name"))?;
    log.append(&event.request(id))?;
    // For other eyes: it holds no value.
    std::fs::write(path, json.as_bytes()).map_err(|error| ConnectorError::io(path.display(), &error))?;
    let shown = path.display();
    output::note(&format!("wrote {shown}; another person runs: cloakroom approve {shown} --key THEIR.key"));
    Ok(0)
}

/// What came of it.
#[derive(Default)]
struct Report {
    handed_out: u64,
    refused: u64,
    not_opened: u64,
    code: u8,
    text: Vec<u8>,
}

impl Report {
    /// Opens a batch and prints it.
    fn records(
        &mut self,
        counter: &mut Counter,
        records: impl Iterator<Item = Result<Object, RecordError>>,
        wanted: Option<&Wanted>,
    ) -> Result<(), Failure> {
        self.text.clear();
        // What could not be read keeps its place among the records.
        let (mut places, mut readable) = (Vec::new(), Vec::new());
        for record in records {
            match record {
                Ok(record) if wanted.is_none_or(|(path, values)| Revealer::has(&record, path, values)) => {
                    readable.push(record);
                    places.push(None);
                }
                Ok(_) => {}
                Err(error) => places.push(Some(error)),
            }
        }
        let mut handed = counter.hand_out(readable).map_err(stopped)?.into_iter();
        for unreadable in places {
            match unreadable {
                Some(error) => self.error(1, &error.to_string()),
                None => handed.next().map_or((), |handed| self.one(handed)),
            }
        }
        let mut out = io::stdout().lock();
        match out.write_all(&self.text).and_then(|()| out.flush()) {
            Ok(()) => Ok(()),
            Err(error) => Err(ConnectorError::io("standard output", &error).into()),
        }
    }

    fn one(&mut self, handed: Handed) {
        match handed {
            Handed::Record { record, closed } => {
                self.handed_out += 1;
                write_object(&record, &mut self.text);
                self.text.push(b'\n');
                for error in closed {
                    self.not_opened += 1;
                    self.code = self.code.max(1);
                    if self.not_opened <= MAX_REPORTS {
                        output::note(&format!("record {}: {error}", self.handed_out + self.refused));
                    }
                }
            }
            Handed::Refused(why, text) => {
                let code = match why {
                    Refusal::NotAuthentic | Refusal::NotFound | Refusal::UnknownKey => 1,
                    _ => 4,
                };
                self.error(code, &text);
            }
            Handed::Others => {}
        }
    }

    fn error(&mut self, code: u8, text: &str) {
        self.refused += 1;
        self.code = self.code.max(code);
        self.text.extend_from_slice(b"{\"error\":");
        write_string(text, &mut self.text);
        self.text.extend_from_slice(b"}\n");
    }

    fn end(&self) {
        if self.refused > 0 {
            output::note(&format!("{} of {} records refused", self.refused, self.refused + self.handed_out));
        }
        if self.not_opened > MAX_REPORTS {
            output::note(&format!("{} values do not open", self.not_opened));
        }
    }
}

fn stopped(stopped: Stopped) -> Failure {
    match stopped {
        Stopped::Denied(_, text) => Failure::new(4, format!("{text}; the attempt is on record")),
        Stopped::Failed(error) => error.into(),
    }
}
