//! Every source, every sink and every place for metrics, by the word that a pipeline file uses. A new connector is one
//! variant and one line here.

use std::path::PathBuf;
use std::sync::Arc;

use cloakroom_connect::{sinks, sources};
use cloakroom_crypto::{ExposeSecret, SecretString};
use cloakroom_pipeline::config::PipelineFile;
#[cfg(feature = "aws")]
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::context::{SinkContext, SourceContext};
use cloakroom_pipeline::fan_out::{FanOut, SINKS};
use cloakroom_pipeline::metrics::{Metrics, emf};
use cloakroom_pipeline::{ConnectorError, Sink, Source};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A pipeline file with this program's connectors.
pub(crate) type File = PipelineFile<SourceConfig, SinkConfig, MetricsConfig>;

/// Where records come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceConfig {
    /// A file or standard input.
    File(sources::file::Config),
    /// An HTTP API that answers with JSON.
    Http(Box<sources::http::Config>),
    /// A stream of Amazon Kinesis.
    #[cfg(feature = "aws")]
    Kinesis(Box<cloakroom_aws::kinesis::Config>),
    /// Objects of Amazon S3.
    #[cfg(feature = "aws")]
    S3(Box<cloakroom_aws::s3::Config>),
    /// A queue of Amazon SQS; each message is one record.
    #[cfg(feature = "aws")]
    Sqs(Box<cloakroom_aws::sqs::Config>),
}

impl SourceConfig {
    /// Builds the source; does not connect.
    pub(crate) fn build(&self, context: &SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
        match self {
            Self::File(config) => sources::file::build(config, context),
            Self::Http(config) => sources::http::build(config, context),
            #[cfg(feature = "aws")]
            Self::Kinesis(config) => cloakroom_aws::kinesis::build(config, context),
            #[cfg(feature = "aws")]
            Self::S3(config) => cloakroom_aws::s3::build(config, context),
            #[cfg(feature = "aws")]
            Self::Sqs(config) => cloakroom_aws::sqs::build(config, context),
        }
    }
}

/// Where records go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SinkConfig {
    /// A table of Amazon DynamoDB.
    #[cfg(feature = "aws")]
    Dynamodb(Box<cloakroom_aws::dynamodb::Config>),
    /// An index of Elasticsearch or OpenSearch.
    Elasticsearch(Box<sinks::elasticsearch::Config>),
    /// Several sinks, two to eight: a record counts when all of them have it. None of them may be standard output, a file
    /// with `replace`, or several again.
    FanOut(
        #[serde(deserialize_with = "several")]
        #[schemars(length(min = 2, max = 8))]
        Vec<SinkConfig>,
    ),
    /// A file or standard output.
    File(sinks::file::Config),
    /// A PostgreSQL table.
    Postgres(sinks::postgres::Config),
    /// An SQLite table.
    Sqlite(sinks::sqlite::Config),
}

impl SinkConfig {
    /// Builds the sink; does not connect.
    pub(crate) fn build(&self, context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
        match self {
            #[cfg(feature = "aws")]
            Self::Dynamodb(config) => cloakroom_aws::dynamodb::build(config, context),
            Self::Elasticsearch(config) => sinks::elasticsearch::build(config, context),
            Self::FanOut(sinks) => fan_out(sinks, context),
            Self::File(config) => sinks::file::build(config, context),
            Self::Postgres(config) => sinks::postgres::build(config, context),
            Self::Sqlite(config) => sinks::sqlite::build(config, context),
        }
    }

    /// The SQLite files that records go to. None may be the state store: dead letters are stored while the sink's
    /// transaction is open.
    pub(crate) fn sqlite_files(&self) -> Vec<PathBuf> {
        match self {
            Self::Sqlite(config) => config.path.resolve_plain().ok().map(Into::into).into_iter().collect(),
            Self::FanOut(sinks) => sinks.iter().flat_map(Self::sqlite_files).collect(),
            _ => Vec::new(),
        }
    }

    /// The file that records go to, where it can be read again. Of several sinks one that can be searched is preferred.
    pub(crate) fn file_path(&self) -> Option<String> {
        match self {
            Self::File(config) => config.path.resolve_plain().ok().filter(|path| path != "-"),
            Self::FanOut(sinks) if sinks.iter().all(|sink| matches!(sink, Self::File(_))) => {
                sinks.iter().find_map(Self::file_path)
            }
            _ => None,
        }
    }

    /// True when records go to standard output, so that nothing else may.
    pub(crate) fn is_stdout(&self) -> bool {
        match self {
            Self::File(config) => config.path.resolve_plain().is_ok_and(|path| path == "-"),
            Self::FanOut(sinks) => sinks.iter().any(Self::is_stdout),
            _ => false,
        }
    }

    /// The kind of sink, and what in it is written to: no address, which may hold a password and may change.
    fn kind_and_target(&self) -> (&'static str, String) {
        match self {
            #[cfg(feature = "aws")]
            Self::Dynamodb(config) => ("dynamodb", config.table.resolve_plain().unwrap_or_default()),
            Self::Elasticsearch(config) => ("elasticsearch", config.index.clone()),
            Self::FanOut(_) => ("fan_out", String::new()),
            Self::File(config) => ("file", config.path.resolve_plain().unwrap_or_default()),
            Self::Postgres(config) => ("postgres", config.table.clone()),
            Self::Sqlite(config) => ("sqlite", config.table.clone()),
        }
    }

    /// Two sinks that are the same place, or would wait for each other forever, have the same text here. It may be secret.
    fn place(&self) -> Result<SecretString, ConnectorError> {
        let file = |path: String| {
            SecretString::from(std::path::absolute(&path).map_or(path, |path| path.display().to_string()))
        };
        Ok(match self {
            #[cfg(feature = "aws")]
            Self::Dynamodb(config) => {
                let plain = |text: &Option<Template>| text.as_ref().map(Template::resolve_plain).transpose();
                let server =
                    [plain(&config.endpoint)?, plain(&config.region)?].map(Option::unwrap_or_default).join("\n");
                within(&server.into(), &config.table.resolve_plain()?)
            }
            Self::Elasticsearch(config) => within(&config.url.resolve()?, &config.index),
            Self::FanOut(_) => SecretString::default(),
            Self::File(config) => file(config.path.resolve_plain()?),
            Self::Postgres(config) => within(&config.url.resolve()?, &config.table),
            // One file has one writer at a time.
            Self::Sqlite(config) => file(config.path.resolve_plain()?),
        })
    }
}

fn within(server: &SecretString, target: &str) -> SecretString {
    format!("{}\n{target}", server.expose_secret()).into()
}

/// The list of a fan-out.
fn several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SinkConfig>, D::Error> {
    let sinks = Vec::<SinkConfig>::deserialize(deserializer)?;
    if !SINKS.contains(&sinks.len()) {
        return Err(D::Error::custom("`fan_out` takes two to eight sinks"));
    }
    if sinks.iter().any(|sink| matches!(sink, SinkConfig::FanOut(_))) {
        return Err(D::Error::custom("`fan_out` does not stand in `fan_out`: write all sinks into one list"));
    }
    Ok(sinks)
}

/// Several sinks as one.
///
/// The ledgers of sinks are keyed by the pipeline's name, and two tables of one database share theirs. So where there are
/// several of a kind, each has a name of its own, made of what it writes to: the order of the list may change.
fn fan_out(sinks: &[SinkConfig], context: &SinkContext) -> Result<Box<dyn Sink>, ConnectorError> {
    let mut places: Vec<(&str, SecretString)> = Vec::new();
    let mut built = Vec::with_capacity(sinks.len());
    for sink in sinks {
        let (kind, target) = sink.kind_and_target();
        let name = format!("{kind} {target}");
        let place = sink.place().map_err(|error| error.context(&name))?;
        if places.iter().any(|(other, at)| *other == kind && at.expose_secret() == place.expose_secret()) {
            let what = if kind == "sqlite" { "the same file; give each a file of its own" } else { "the same place" };
            return Err(ConnectorError::configuration(format!("fan_out: {name} and another one write to {what}")));
        }
        places.push((kind, place));
        let pipeline = match sinks.iter().filter(|sink| sink.kind_and_target().0 == kind).count() {
            1 => context.pipeline.clone(),
            _ => format!("{}/{kind}:{target}", context.pipeline),
        };
        let own = SinkContext { pipeline, policy: Arc::clone(&context.policy) };
        let sink = sink.build(&own).map_err(|error| error.context(&name))?;
        built.push((name, sink));
    }
    Ok(Box::new(FanOut::new(built)?))
}

/// Where numbers of a run are published while it goes on.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricsConfig {
    /// Amazon CloudWatch.
    #[cfg(feature = "aws")]
    Cloudwatch(Box<cloakroom_aws::cloudwatch::Config>),
    /// Lines of the Embedded Metric Format.
    Emf(emf::Config),
}

impl MetricsConfig {
    /// Builds what publishes; does not connect.
    pub(crate) fn build(&self, pipeline: &str) -> Result<Metrics, ConnectorError> {
        match self {
            #[cfg(feature = "aws")]
            Self::Cloudwatch(config) => cloakroom_aws::cloudwatch::build(config, pipeline),
            Self::Emf(config) => emf::build(config, pipeline),
        }
    }

    /// True when it goes to standard output, so that nothing else may.
    pub(crate) fn is_stdout(&self) -> bool {
        match self {
            #[cfg(feature = "aws")]
            Self::Cloudwatch(_) => false,
            Self::Emf(config) => config.is_stdout(),
        }
    }
}

/// The context that a sink of a pipeline gets.
pub(crate) fn sink_context(pipeline: &str, policy: &Arc<cloakroom_core::Policy>) -> SinkContext {
    SinkContext { pipeline: pipeline.to_owned(), policy: Arc::clone(policy) }
}
