//! `cloakroom scan --jsonl`: one JSON object a line in, its findings out, in the same order.
//!
//! What one read gives is a batch, up to its last line end: large from a file, small from a pipe that pauses, so that an
//! answer never waits for the next question. Batches are worked on side by side and written in order.

use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use cloakroom_core::detect::{Detection, Detector, Scratch};
use jiter::{Jiter, JiterError, Peek};
use memchr::{memchr, memchr_iter, memrchr};

use crate::error::Failure;
use crate::output;

/// What is read at once.
const READ: usize = 256 * 1024;
/// A longer line is an error, and not kept.
const MAX_LINE: usize = 16 * 1024 * 1024;

/// Lines of input, whole ones.
struct Batch {
    lines: Vec<u8>,
    /// The number of the first.
    first: u64,
    /// It was one line, too long to be kept.
    too_long: bool,
    done: SyncSender<Answers>,
}

/// The lines that answer a batch.
#[derive(Default)]
struct Answers {
    text: Vec<u8>,
    messages: u64,
    /// Of these, those that have the field.
    with_text: u64,
    findings: u64,
    errors: u64,
}

pub(super) fn scan(detector: &Detector, paths: &[PathBuf], field: &str, threads: usize) -> Result<u8, Failure> {
    let input: Box<dyn Read + Send> = match paths {
        [] => Box::new(io::stdin()),
        [path] if path.as_os_str() == "-" => Box::new(io::stdin()),
        [path] => Box::new(open(path)?),
        _ => return Err(Failure::new(2, "--jsonl takes one file, or standard input")),
    };
    let path: Vec<&str> = field.split('.').collect();
    if path.contains(&"") {
        return Err(Failure::new(2, format!("--text-field {field}: a name is empty")));
    }
    let began = Instant::now();
    let total = stream(detector, input, &path, threads)?;
    let Answers { messages, with_text, findings, errors, .. } = total;
    if messages > errors && with_text == 0 {
        output::note(&format!(
            "warning: nothing was searched, no line has a text in `{field}`; name its field with --text-field"
        ));
    }
    if errors > 0 || io::stderr().is_terminal() {
        let grouped = output::grouped;
        let (messages, findings, errors) = (grouped(messages), grouped(findings), grouped(errors));
        let seconds = began.elapsed().as_secs_f64();
        output::note(&format!("{messages} messages, {findings} findings, {errors} bad lines ({seconds:.2} s)"));
    }
    Ok(match (errors, findings) {
        (1.., _) => 2,
        (0, 1..) => 1,
        (0, 0) => 0,
    })
}

fn open(path: &Path) -> Result<File, Failure> {
    let wrong = |what: &str| Failure::new(2, format!("{}: {what}", path.display()));
    let file = File::open(path).map_err(|error| wrong(&error.to_string()))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_dir() => Err(wrong("a folder; --jsonl takes one file, or standard input")),
        _ => Ok(file),
    }
}

fn stream(detector: &Detector, input: Box<dyn Read + Send>, path: &[&str], threads: usize) -> Result<Answers, Failure> {
    let mut total = Answers::default();
    let (turns, ordered) = sync_channel::<Receiver<Answers>>(threads * 2);
    let (jobs, todo) = sync_channel::<Batch>(threads * 2);
    let todo = Arc::new(Mutex::new(todo));
    thread::scope(|scope| {
        let reader = scope.spawn(move || read(input, &turns, &jobs));
        for _ in 0..threads {
            let todo = Arc::clone(&todo);
            scope.spawn(move || {
                let mut worker = Worker::new(detector, path);
                loop {
                    let batch = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(batch) = batch else { break };
                    let _ = batch.done.send(worker.batch(&batch));
                }
            });
        }
        drop(todo);
        let mut out = io::stdout().lock();
        for turn in ordered {
            let Ok(answers) = turn.recv() else { return Err(Failure::new(3, "a batch was lost")) };
            total.messages += answers.messages;
            total.with_text += answers.with_text;
            total.findings += answers.findings;
            total.errors += answers.errors;
            match out.write_all(&answers.text).and_then(|()| out.flush()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => return Err(Failure::new(3, format!("standard output: {error}"))),
            }
        }
        match reader.join() {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Failure::new(2, format!("the input: {error}"))),
            Err(_) => Err(Failure::new(3, "the input was not read to its end")),
        }
    })?;
    Ok(total)
}

/// Cuts the input into batches. Ends with the input, or when nobody takes them any more.
fn read(
    mut input: Box<dyn Read + Send>,
    turns: &SyncSender<Receiver<Answers>>,
    jobs: &SyncSender<Batch>,
) -> io::Result<()> {
    let mut first = 1;
    let mut send = |lines: Vec<u8>, too_long: bool| {
        let (done, answers) = sync_channel(1);
        let count = if too_long { 1 } else { memchr_iter(b'\n', &lines).count() as u64 };
        let batch = Batch { lines, first, too_long, done };
        first += count;
        turns.send(answers).is_ok() && jobs.send(batch).is_ok()
    };
    let (mut block, mut skipping) = (Vec::new(), false);
    loop {
        let start = block.len();
        block.resize(start + READ, 0);
        let count = match input.read(&mut block[start..]) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                block.truncate(start);
                continue;
            }
            Err(error) => return Err(error),
        };
        block.truncate(start + count);
        if count == 0 {
            if !block.is_empty() {
                send(block, false);
            }
            return Ok(());
        }
        if skipping {
            match memchr(b'\n', &block) {
                Some(end) => drop(block.drain(..=end)),
                None => {
                    block.clear();
                    continue;
                }
            }
            skipping = false;
        }
        // What stood there before has no line end: a long line is not searched for one again and again.
        let new = start.min(block.len());
        let sent = match memrchr(b'\n', &block[new..]).map(|at| new + at) {
            Some(end) => {
                let rest = block.split_off(end + 1);
                send(std::mem::replace(&mut block, rest), false)
            }
            None if block.len() > MAX_LINE => {
                block = Vec::new();
                skipping = true;
                send(Vec::new(), true)
            }
            None => true,
        };
        if !sent {
            return Ok(());
        }
    }
}

/// One thread's memory.
struct Worker<'d> {
    detector: &'d Detector,
    path: &'d [&'d str],
    /// The field's name speaks for a rule, as a column's does; that of a field for any text does not.
    names: Vec<&'d str>,
    scratch: Scratch,
    found: Vec<Detection>,
    tape: Vec<u8>,
    text: String,
}

impl<'d> Worker<'d> {
    fn new(detector: &'d Detector, path: &'d [&'d str]) -> Self {
        let names = path.last().filter(|name| **name != "text").copied().into_iter().collect();
        let (scratch, found, tape, text) = Default::default();
        Self { detector, path, names, scratch, found, tape, text }
    }

    fn batch(&mut self, batch: &Batch) -> Answers {
        let mut answers = Answers::default();
        if batch.too_long {
            answers.error(b"null", "the line is longer than 16 MiB", batch.first);
            return answers;
        }
        let (mut rest, mut number) = (batch.lines.as_slice(), batch.first);
        if number == 1 {
            rest = rest.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(rest);
        }
        while !rest.is_empty() {
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            if !line.trim_ascii().is_empty() {
                self.line(line, number, &mut answers);
            }
            rest = rest.get(end + 1..).unwrap_or_default();
            number += 1;
        }
        answers
    }

    fn line(&mut self, line: &[u8], number: u64, answers: &mut Answers) {
        answers.messages += 1;
        let mut id = None;
        // A panic has told its place; its line is an error as any other, and the stream goes on.
        let answered = catch_unwind(AssertUnwindSafe(|| self.search(line, &mut id)));
        let has_text = answered.unwrap_or_else(|_| {
            *self = Self::new(self.detector, self.path);
            Err("internal error: this line was not searched".to_owned())
        });
        let id = id.unwrap_or(b"null");
        match has_text {
            Ok(has_text) => {
                answers.with_text += u64::from(has_text);
                answers.message(id, self.detector, &self.found);
            }
            Err(error) => answers.error(id, &error, number),
        }
    }

    /// Finds what is in the line's text; false where it has none.
    fn search<'a>(&mut self, line: &'a [u8], id: &mut Option<&'a [u8]>) -> Result<bool, String> {
        self.text.clear();
        self.found.clear();
        let mut input = Jiter::with_tape(line, std::mem::take(&mut self.tape));
        let parsed = self.object(&mut input, line, id);
        self.tape = input.into_tape();
        let has_text = parsed?;
        if has_text {
            self.detector.find(self.text.as_bytes(), &self.names, &mut self.scratch, &mut self.found);
        }
        Ok(has_text)
    }

    fn object<'a>(&mut self, input: &mut Jiter<'a>, line: &'a [u8], id: &mut Option<&'a [u8]>) -> Result<bool, String> {
        if input.peek().map_err(|error| invalid(&error))? != Peek::Object {
            return Err("not a JSON object".to_owned());
        }
        let mut has_text = Ok(None);
        let mut raw_id = None;
        let mut key = input.known_object().map_err(|error| invalid(&error))?;
        while let Some(name) = key {
            let (is_id, is_text) = (name == "id", self.path.first().is_some_and(|wanted| *wanted == name));
            let peek = input.peek().map_err(|error| invalid(&error))?;
            let from = input.current_index();
            if is_text {
                if !matches!(has_text, Ok(None)) {
                    return Err(format!("`{}` is there twice", self.path[0]));
                }
                has_text = self.field(input, peek, 1)?.map(Some);
            } else {
                input.known_skip(peek).map_err(|error| invalid(&error))?;
            }
            if is_id {
                if raw_id.is_some() {
                    return Err("`id` is there twice".to_owned());
                }
                raw_id = Some(&line[from..input.current_index()]);
            }
            key = input.next_key().map_err(|error| invalid(&error))?;
        }
        input.finish().map_err(|error| invalid(&error))?;
        // It goes out as it came, so it must be what JSON is.
        if raw_id.is_some_and(|raw| std::str::from_utf8(raw).is_err()) {
            return Err("`id` is not UTF-8".to_owned());
        }
        // The line is whole: what is wrong with the text is told with its id.
        *id = raw_id;
        Ok(has_text?.unwrap_or(false))
    }

    /// Reads the text at the rest of the path. Outside: the JSON is wrong. Inside: there is something else than a text.
    fn field(&mut self, input: &mut Jiter<'_>, peek: Peek, depth: usize) -> Result<Result<bool, String>, String> {
        let Some(wanted) = self.path.get(depth).copied() else {
            return match peek {
                Peek::String => {
                    self.text.push_str(input.known_str().map_err(|error| invalid(&error))?);
                    Ok(Ok(true))
                }
                peek => self.nothing(input, peek, depth, "a string"),
            };
        };
        if peek != Peek::Object {
            return self.nothing(input, peek, depth, "an object");
        }
        let mut has_text = Ok(false);
        let mut seen = false;
        let mut key = input.known_object().map_err(|error| invalid(&error))?;
        while let Some(name) = key {
            let is_wanted = name == wanted;
            let peek = input.peek().map_err(|error| invalid(&error))?;
            if is_wanted {
                if std::mem::replace(&mut seen, true) {
                    return Err(format!("`{wanted}` is there twice"));
                }
                has_text = self.field(input, peek, depth + 1)?;
            } else {
                input.known_skip(peek).map_err(|error| invalid(&error))?;
            }
            key = input.next_key().map_err(|error| invalid(&error))?;
        }
        Ok(has_text)
    }

    /// Null is an absent text; anything else may hold what nobody looked at, and is an error.
    fn nothing(
        &self,
        input: &mut Jiter<'_>,
        peek: Peek,
        depth: usize,
        wanted: &str,
    ) -> Result<Result<bool, String>, String> {
        input.known_skip(peek).map_err(|error| invalid(&error))?;
        Ok(match peek {
            Peek::Null => Ok(false),
            _ => Err(format!("`{}` is not {wanted}", self.path[..depth].join("."))),
        })
    }
}

/// Where the parser stopped; its own messages are not repeated, for they may quote.
fn invalid(error: &JiterError) -> String {
    format!("not valid JSON at byte {}", error.index)
}

impl Answers {
    fn message(&mut self, id: &[u8], detector: &Detector, found: &[Detection]) {
        self.findings += found.len() as u64;
        let out = &mut self.text;
        out.extend_from_slice(b"{\"id\":");
        out.extend_from_slice(id);
        out.extend_from_slice(b",\"findings\":[");
        for (number, d) in found.iter().enumerate() {
            let rule = detector.rule(d.rule);
            let comma = if number > 0 { "," } else { "" };
            // Names of entities and rules need no escapes: `Rule` allows only letters, digits, `_` and `-`.
            let _ = write!(
                out,
                "{comma}{{\"entity\":\"{}\",\"rule\":\"{}\",\"start\":{},\"end\":{},\"confidence\":{},\"validated\":{}}}",
                rule.entity, rule.id, d.start, d.end, d.confidence, d.validated
            );
        }
        out.extend_from_slice(b"]}\n");
    }

    fn error(&mut self, id: &[u8], error: &str, line: u64) {
        self.errors += 1;
        let out = &mut self.text;
        out.extend_from_slice(b"{\"id\":");
        out.extend_from_slice(id);
        // The text is ours but for names of fields, which came from the command line.
        let error = serde_json::Value::from(error);
        let _ = writeln!(out, ",\"error\":{error},\"line\":{line}}}");
    }
}
