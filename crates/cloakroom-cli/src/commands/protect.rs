//! `cloakroom protect`: the same line as `run`, from file to file, without a ledger or dead letters:
//! the input stays with the user.

use std::sync::Arc;

use cloakroom_connect::{sinks, sources};
use cloakroom_core::Cloak;
use cloakroom_pipeline::config::{BatchConfig, Template};
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::run::Rejected;
use cloakroom_pipeline::{Pipeline, Source};

use crate::args::{Output, ProtectOptions};
use crate::commands::run::{drive, exit_code};
use crate::error::Failure;
use crate::load::{Loaded, load, parallel};
use crate::output;
use crate::registry::sink_context;

/// Reports of rejected records on standard error; the rest is counted.
const MAX_REPORTS: u32 = 20;

pub(crate) async fn protect(options: ProtectOptions) -> Result<u8, Failure> {
    let ProtectOptions { policy, input, output_file, output } = options;
    // Nothing is committed here, so batches need not be large: small ones stay in the caches and keep
    // memory at a few dozen megabytes.
    let batch = BatchConfig { records: 1_000, bytes: 1024 * 1024, wait_ms: 0 };
    let loaded = load(&policy).await?;
    filter(&loaded, Files { input, output: output_file }, batch, output, |source| source).await
}

/// Where a filter reads and writes; `-` is standard input or output.
pub(crate) struct Files {
    pub(crate) input: String,
    pub(crate) output: String,
}

/// From file to file: `opened` may put something between the source and the policy.
pub(crate) async fn filter(
    loaded: &Loaded,
    files: Files,
    batch: BatchConfig,
    output: Output,
    opened: impl FnOnce(Box<dyn Source>) -> Box<dyn Source>,
) -> Result<u8, Failure> {
    let Files { input, output: output_file } = files;
    if input != "-" && input == output_file {
        return Err(Failure::new(2, "input and output are the same file"));
    }
    let context = SourceContext { batch: loaded.batch(batch), ..loaded.source_context(true)? };
    let source = sources::file::Config { path: Template::literal(&input) };
    let sink = sinks::file::Config {
        path: Template::literal(&output_file),
        format: Default::default(),
        replace: true,
        rotate: None,
    };
    let mut reports = 0;
    let report = move |delivery: &cloakroom_pipeline::Delivery, error: &cloakroom_core::RecordError| {
        reports += 1;
        match reports {
            1..=MAX_REPORTS => output::note(&format!("{}: {error}", delivery.id)),
            n if n == MAX_REPORTS + 1 => output::note("further rejected records are only counted"),
            _ => {}
        }
    };
    let pipeline = Pipeline {
        accounts: None,
        metrics: None,
        name: loaded.name.clone(),
        source: opened(sources::file::build(&source, &context)?),
        cloak: Cloak::new(Arc::clone(&loaded.policy)),
        sink: sinks::file::build(&sink, &sink_context(&loaded.name, &loaded.policy))?,
        rejected: Rejected::Reported(Box::new(report)),
        retry: loaded.file.retry,
        parallel: parallel(),
        whole: true,
    };
    let summary = drive(pipeline, output == Output::Human && output_file != "-").await?;
    match output {
        Output::Json => output::note(
            &serde_json::to_string(&summary).map_err(|_| Failure::new(3, "the summary cannot be written"))?,
        ),
        Output::Human if output_file != "-" || summary.dead > 0 => output::note(&output::summary(&summary)),
        Output::Human => {}
    }
    Ok(exit_code(&summary))
}
