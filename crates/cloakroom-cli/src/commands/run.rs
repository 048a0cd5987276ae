//! `cloakroom run`

use std::sync::Arc;

use cloakroom_pipeline::{Counters, Pipeline, Summary};

use crate::args::{Output, RunOptions};
use crate::error::Failure;
use crate::load::load;
use crate::progress::Progress;
use crate::{output, signals};

pub(crate) async fn run(options: RunOptions) -> Result<u8, Failure> {
    let RunOptions { file, once, output } = options;
    let loaded = load(&file).await?;
    let pipeline = loaded.pipeline(loaded.source(once)?).await?;
    let summary = drive(pipeline, output == Output::Human).await?;
    report(&summary, output, loaded.is_stdout_taken())?;
    if summary.dead > 0 && output == Output::Human {
        output::note(&format!("see them with `cloakroom dead-letters list {}`", file.display()));
    }
    Ok(exit_code(&summary))
}

/// Runs a pipeline with a progress line and signals.
pub(crate) async fn drive(pipeline: Pipeline, progress: bool) -> Result<Summary, Failure> {
    let stop = signals::stop_token();
    let counters = Arc::new(Counters::default());
    let shown = Progress::show(&counters, progress);
    let summary = cloakroom_pipeline::run(pipeline, &counters, &stop).await;
    drop(shown);
    Ok(summary?)
}

/// Writes the summary to standard output, or to standard error where records or metrics have taken that.
pub(crate) fn report(summary: &Summary, output: Output, stdout_taken: bool) -> Result<(), Failure> {
    let text = match output {
        Output::Human => output::summary(summary),
        Output::Json => serde_json::to_string(summary).map_err(|_| Failure::new(3, "the summary cannot be written"))?,
    };
    if stdout_taken {
        output::note(&text)
    } else {
        output::line(&text)
    }
    Ok(())
}

/// 1 when records went to dead letters.
pub(crate) fn exit_code(summary: &Summary) -> u8 {
    u8::from(summary.dead > 0)
}
