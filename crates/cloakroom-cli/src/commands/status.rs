//! `cloakroom status`: what went through, and what does not add up.

use std::path::Path;

use cloakroom_pipeline::accounts::{self, Account, Counts, Run};
use cloakroom_pipeline::config::StateConfig;
use cloakroom_pipeline::state::StateStore;
use serde::Serialize;

use crate::args::{Output, StatusOptions};
use crate::error::Failure;
use crate::load::{load, read_text};
use crate::output;
use crate::registry::{File, sink_context};

/// A pipeline's account, and what its two ends say.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    account: Account,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sink: Option<String>,
}

pub(crate) async fn status(options: StatusOptions) -> Result<u8, Failure> {
    let StatusOptions { file, limit, connect, output } = options;
    let (path, only) = match &file {
        Some(file) => {
            let (name, state) = named(file)?;
            (state.file()?, Some(name))
        }
        None => (StateConfig::default().file()?, None),
    };
    let mut shown = Vec::new();
    // Whoever only looks makes nothing.
    if path.exists() {
        let store = StateStore::open(&path)?;
        let names = match &only {
            Some(name) => vec![name.clone()],
            None => accounts::pipelines(&store).await?,
        };
        for name in names {
            shown.push(Shown { account: accounts::account(&store, &name, limit).await?, source: None, sink: None });
        }
    }
    if let (Some(file), true, Some(first)) = (&file, connect, shown.first_mut()) {
        (first.source, first.sink) = ask(file).await?;
    }
    let alarm = shown.iter().any(|shown| !shown.account.alarms.is_empty());
    match output {
        Output::Json => output::json(&shown)?,
        Output::Human if shown.is_empty() => {
            output::line(&format!("nothing has run: there is no state store at {}", path.display()));
        }
        Output::Human => shown.iter().for_each(show),
    }
    Ok(u8::from(alarm))
}

/// The name and the state store of a pipeline file; needs no keys.
fn named(path: &Path) -> Result<(String, StateConfig), Failure> {
    let shown = path.display().to_string();
    let file = File::parse(&read_text(path)?, &shown)?;
    Ok((file.name_or(&shown), file.state))
}

/// What source and sink say.
async fn ask(path: &Path) -> Result<(Option<String>, Option<String>), Failure> {
    let loaded = load(path).await?;
    let source = match &loaded.file.source {
        Some(source) => Some(source.build(&loaded.source_context(true)?)?.check().await?),
        None => None,
    };
    let sink = match &loaded.file.sink {
        Some(sink) => Some(sink.build(&sink_context(&loaded.name, &loaded.policy))?.check().await?),
        None => None,
    };
    Ok((source, sink))
}

fn show(shown: &Shown) {
    let Shown { account, source, sink } = shown;
    output::line(&output::bold(&account.pipeline));
    for (name, said) in [("source", source), ("sink", sink)] {
        if let Some(said) = said {
            output::line(&format!("{name}: {said}"));
        }
    }
    if account.runs.is_empty() {
        output::line("it has not run yet");
    } else {
        let rows: Vec<Vec<String>> = account.runs.iter().map(run_row).collect();
        let header = [
            "RUN",
            "BEGAN (UTC)",
            "ENDED",
            "SECONDS",
            "RECEIVED",
            "DELIVERED",
            "DUPLICATE",
            "FILTERED",
            "DEAD",
            "RETURNED",
        ];
        output::line(&output::table(&header, &rows));
        if let Some(reason) = account.runs.first().and_then(|run| run.reason.as_ref()) {
            output::line(&format!("the last run failed: {reason}"));
        }
        output::line("");
        let header = ["READ FROM", "RECEIVED", "DELIVERED", "DUPLICATE", "FILTERED", "DEAD", "OPEN", "STANDS AT"];
        let mut rows: Vec<Vec<String>> = account
            .partitions
            .iter()
            .map(|part| {
                let mut row = vec![part.partition.clone()];
                row.extend(numbers(&part.counts).into_iter().take(5));
                row.push(part.open.to_string());
                row.push(part.position.as_deref().map(short).unwrap_or_default());
                row
            })
            .collect();
        let more = account.partitions_in_all.saturating_sub(rows.len() as u64);
        let mut total = vec![match more {
            0 => "all".to_owned(),
            more => format!("all, with {} that are not shown", output::grouped(more)),
        }];
        total.extend(numbers(&account.counts).into_iter().take(5));
        rows.push(total);
        output::line(&output::table(&header, &rows));
    }
    output::line(&format!("dead letters waiting: {}", output::grouped(account.dead_letters_waiting)));
    for alarm in &account.alarms {
        output::line(&output::alarm(alarm));
    }
    output::line("");
}

fn run_row(run: &Run) -> Vec<String> {
    let ended = match &run.how {
        Some(how) => how.clone(),
        None if is_alive(run.process) => format!("runs, process {}", run.process),
        None => "killed".to_owned(),
    };
    let mut row = vec![run.run.to_string(), run.began.clone(), ended];
    row.push(run.seconds.map(|seconds| format!("{seconds:.1}")).unwrap_or_default());
    row.extend(numbers(&run.counts));
    row
}

fn numbers(counts: &Counts) -> [String; 6] {
    let Counts { received, delivered, duplicate, filtered, dead, returned } = *counts;
    [received, delivered, duplicate, filtered, dead, returned].map(output::grouped)
}

/// The beginning of a position: sources write them for themselves.
fn short(position: &str) -> String {
    match position.char_indices().nth(24) {
        Some((at, _)) => format!("{}…", &position[..at]),
        None => position.to_owned(),
    }
}

/// True when there is a process of this number.
#[cfg(unix)]
fn is_alive(process: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

#[cfg(not(unix))]
fn is_alive(_: u32) -> bool {
    false
}
