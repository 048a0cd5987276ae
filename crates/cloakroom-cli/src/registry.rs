//! Every source and every sink, by the word that a pipeline file uses. A new connector is one variant
//! and one line here.

use std::sync::Arc;

use cloakroom_connect::{sinks, sources};
use cloakroom_pipeline::config::PipelineFile;
use cloakroom_pipeline::context::{SinkContext, SourceContext};
use cloakroom_pipeline::{ConnectorError, Sink, Source};
use schemars::JsonSchema;
use serde::Deserialize;

/// A pipeline file with this program's connectors.
pub(crate) type File = PipelineFile<SourceConfig, SinkConfig>;

/// Where records come from.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SourceConfig {
    /// A file or standard input.
    File(sources::file::Config),
    /// An HTTP API that answers with JSON.
    Http(Box<sources::http::Config>),
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
            Self::File(config) => sinks::file::build(config, context),
            Self::Postgres(config) => sinks::postgres::build(config, context),
            Self::Sqlite(config) => sinks::sqlite::build(config, context),
        }
    }

    /// The SQLite file that records go to. It must not be the state store: dead letters are stored while
    /// the sink's transaction is open.
    pub(crate) fn sqlite_file(&self) -> Option<std::path::PathBuf> {
        match self {
            Self::Sqlite(config) => config.path.resolve_plain().ok().map(Into::into),
            _ => None,
        }
    }

    /// The file that records go to, where it can be read again.
    pub(crate) fn file_path(&self) -> Option<String> {
        match self {
            Self::File(config) => config.path.resolve_plain().ok().filter(|path| path != "-"),
            _ => None,
        }
    }

    /// True when records go to standard output, so that nothing else may.
    pub(crate) fn is_stdout(&self) -> bool {
        matches!(self, Self::File(config) if config.path.resolve_plain().is_ok_and(|path| path == "-"))
    }
}

/// The context that a sink of a pipeline gets.
pub(crate) fn sink_context(pipeline: &str, policy: &Arc<cloakroom_core::Policy>) -> SinkContext {
    SinkContext { pipeline: pipeline.to_owned(), policy: Arc::clone(policy) }
}
