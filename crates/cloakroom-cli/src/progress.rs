//! The progress line of a run on a terminal.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use cloakroom_pipeline::Counters;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

/// Shows the counters on standard error, when that is a terminal, until it is dropped.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    task: Option<JoinHandle<()>>,
}

impl Progress {
    pub(crate) fn show(counters: &Arc<Counters>, wanted: bool) -> Self {
        if !wanted || !std::io::stderr().is_terminal() {
            return Self { bar: None, task: None };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
        let spinner = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
        let sized = ProgressStyle::with_template("{bar:24} {percent:>3}%  {msg}  {elapsed}, {eta} left");
        if let Ok(style) = spinner {
            bar.set_style(style);
        }
        let (shown, counters) = (bar.clone(), Arc::clone(counters));
        let task = tokio::spawn(async move {
            let mut sized = sized.ok();
            loop {
                let total = counters.total_bytes.load(Relaxed);
                if total > 0 {
                    if let Some(style) = sized.take() {
                        shown.set_style(style);
                    }
                    shown.set_length(total);
                    shown.set_position(counters.bytes.load(Relaxed).min(total));
                }
                let (received, delivered, dead) =
                    (counters.received.load(Relaxed), counters.delivered.load(Relaxed), counters.dead.load(Relaxed));
                shown.set_message(format!("{received} received, {delivered} delivered, {dead} dead"));
                shown.tick();
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        });
        Self { bar: Some(bar), task: Some(task) }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A line with a text that changes, on standard error when that is a terminal.
pub(crate) struct Meter {
    bar: Option<ProgressBar>,
    shown: Instant,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(8));
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}  {elapsed}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(150));
            bar
        });
        Self { bar, shown: Instant::now() }
    }

    /// Shows a text, now and then: it may be called for every file.
    pub(crate) fn show(&mut self, text: impl FnOnce() -> String) {
        if let Some(bar) = self.bar.as_ref().filter(|_| self.shown.elapsed() > Duration::from_millis(100)) {
            bar.set_message(text());
            self.shown = Instant::now();
        }
    }

    /// Writes something else on the terminal, with the line out of its way.
    pub(crate) fn pause<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    pub(crate) fn end(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
