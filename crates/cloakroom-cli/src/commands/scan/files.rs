//! Which files are read, by how many threads, and in which order results appear.
//!
//! One thread walks the folders in the order of names and gives every file a channel. The channels go to the printer in
//! that order, the files to the workers, in the same order. So the file that the printer waits for is always one that a
//! worker has or takes next, no other can keep it waiting, and what finished files have found is bounded by their
//! channels: the walker stops when it is too far ahead.

use std::error::Error as _;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ignore::WalkBuilder;

use super::file::{self, Buffers};
use super::hit::{Hit, Lens};

/// Files between the one that is printed and the last that was begun.
const AHEAD: usize = 1024;
/// Events in a file's channel, and hits in an event.
const EVENTS: usize = 4;
pub(super) const HITS: usize = 64;

/// What shall be read.
pub(super) struct Targets {
    pub(super) paths: Vec<PathBuf>,
    pub(super) hidden: bool,
    pub(super) no_ignore: bool,
    pub(super) threads: usize,
}

/// What comes of a file.
pub(super) enum Event<'d> {
    Hits(Vec<Hit<'d>>),
    Binary,
    Failed(String),
    Done { bytes: u64 },
}

/// A file and where its events go. No path: standard input.
struct Job<'d> {
    path: Option<PathBuf>,
    shown: String,
    events: SyncSender<Event<'d>>,
}

/// A file for the printer.
struct Turn<'d> {
    shown: String,
    events: Receiver<Event<'d>>,
}

/// Reads everything and hands out what comes of it, file by file in the order of their paths, until it is told to stop.
pub(super) fn scan<'d>(lens: &'d Lens, targets: &Targets, on: &mut dyn FnMut(&str, Event<'d>) -> ControlFlow<()>) {
    let stop = &AtomicBool::new(false);
    thread::scope(|scope| {
        let (turns, ordered) = sync_channel::<Turn<'d>>(AHEAD);
        let (jobs, todo) = sync_channel::<Job<'d>>(AHEAD);
        let todo = Arc::new(Mutex::new(todo));
        scope.spawn(move || walk(targets, stop, &turns, &jobs));
        for _ in 0..targets.threads {
            let todo = Arc::clone(&todo);
            scope.spawn(move || {
                let mut buffers = Buffers::default();
                loop {
                    let job = todo.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match job {
                        Ok(job) if !stop.load(Relaxed) => work(lens, job, &mut buffers, stop),
                        _ => break,
                    }
                }
            });
        }
        // When the last worker ends, the walker must not wait for one.
        drop(todo);
        for turn in ordered {
            for event in &turn.events {
                if on(&turn.shown, event).is_break() {
                    stop.store(true, Relaxed);
                    return;
                }
            }
        }
    });
}

/// Gives every file its turn and its job. An error of the walk has a turn, too, so that it appears in its place.
fn walk<'d>(targets: &Targets, stop: &AtomicBool, turns: &SyncSender<Turn<'d>>, jobs: &SyncSender<Job<'d>>) {
    let begin = |path: Option<PathBuf>, shown: String| {
        let (events, results) = sync_channel(EVENTS);
        turns.send(Turn { shown: shown.clone(), events: results }).ok()?;
        jobs.send(Job { path, shown, events }).ok()
    };
    let fail = |shown: String, reason: String| {
        let (events, results) = sync_channel(EVENTS);
        events.send(Event::Failed(reason)).ok()?;
        turns.send(Turn { shown, events: results }).ok()
    };
    for path in &targets.paths {
        if path.as_os_str() == "-" {
            if begin(None, "<stdin>".to_owned()).is_none() {
                return;
            }
            continue;
        }
        let mut walk = WalkBuilder::new(path);
        let respect = !targets.no_ignore;
        walk.hidden(!targets.hidden)
            .parents(respect)
            .ignore(respect)
            .git_ignore(respect)
            .git_exclude(respect)
            // A setting of this machine, not of the folder: the same tree shall give the same findings.
            .git_global(false)
            .require_git(false)
            .sort_by_file_name(std::cmp::Ord::cmp);
        if respect {
            walk.add_custom_ignore_filename(".cloakroomignore");
        }
        for entry in walk.build() {
            if stop.load(Relaxed) {
                return;
            }
            let sent = match entry {
                Err(error) => {
                    let (place, reason) = explained(&error);
                    fail(place.map_or_else(|| shown(path), shown), reason)
                }
                Ok(entry) => {
                    let kind = entry.file_type();
                    // What is named is read, whatever it is; in folders only plain files are, so that no pipe waits for ever.
                    let wanted = match entry.depth() {
                        0 => !entry.path().is_dir(),
                        _ => kind.is_some_and(|kind| kind.is_file()),
                    };
                    if !wanted {
                        continue;
                    }
                    let shown = shown(entry.path());
                    begin(Some(entry.into_path()), shown)
                }
            };
            if sent.is_none() {
                return;
            }
        }
    }
}

/// The path as it was given, with `/`, without `./` in front.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let text = if std::path::MAIN_SEPARATOR == '\\' { text.replace('\\', "/") } else { text.into_owned() };
    text.strip_prefix("./").filter(|rest| !rest.is_empty()).map_or(text.clone(), str::to_owned)
}

/// Path and reason of a walk's error, apart.
fn explained(error: &ignore::Error) -> (Option<&Path>, String) {
    match error {
        ignore::Error::WithPath { path, err } => (Some(path), explained(err).1),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => explained(err),
        // What the system says stands inside; around it the path is named once more.
        ignore::Error::Io(error) => (None, error.source().map_or_else(|| error.to_string(), ToString::to_string)),
        other => (None, other.to_string()),
    }
}

fn work<'d>(lens: &'d Lens, job: Job<'d>, buffers: &mut Buffers, stop: &AtomicBool) {
    let Job { path, shown, events } = job;
    let mut hits = Vec::new();
    // A receiver that has gone away has set `stop`.
    let mut emit = |hit| {
        hits.push(hit);
        if hits.len() == HITS {
            let _ = events.send(Event::Hits(std::mem::take(&mut hits)));
        }
    };
    let read = catch_unwind(AssertUnwindSafe(|| match &path {
        None => file::scan(lens, &shown, &mut std::io::stdin().lock(), buffers, &mut emit, stop),
        Some(path) => {
            std::fs::File::open(path).and_then(|mut file| file::scan(lens, &shown, &mut file, buffers, &mut emit, stop))
        }
    }));
    if !hits.is_empty() {
        let _ = events.send(Event::Hits(hits));
    }
    let _ = events.send(match read {
        Ok(Ok(Some(bytes))) => Event::Done { bytes },
        Ok(Ok(None)) => Event::Binary,
        Ok(Err(error)) => Event::Failed(error.to_string()),
        // The panic has told its place; the other files are searched.
        Err(_) => Event::Failed("internal error: not searched to its end".to_owned()),
    });
}
