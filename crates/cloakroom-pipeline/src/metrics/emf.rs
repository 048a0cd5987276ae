//! Embedded Metric Format: one line of JSON for each interval, of which CloudWatch Logs makes metrics. For Lambda and containers,
//! whose output goes there, and for the CloudWatch agent.
//!
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::MetricSink;
use super::interval::{Interval, Value};
use super::report::Metrics;
use super::scope::{DEFAULT_NAMESPACE, EVERY_S, Scope};
use crate::config::Template;
use crate::error::{ConnectorError, ErrorKind};

/// Values of an array, at most: the format's limit.
const MOST_VALUES: u64 = 100;
/// Standard output, where a path is expected.
const STDOUT: &str = "-";

/// Lines of the Embedded Metric Format, one for each interval.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The file that lines are appended to, or `-` for standard output (the default): then the summary goes to standard error, and
    /// records may not go to standard output.
    pub path: Template,
    /// The namespace (default: `Cloakroom`).
    pub namespace: Template,
    /// Seconds of an interval, 1 to 3600 (default: 60).
    #[schemars(range(min = 1, max = 3600))]
    pub every_s: u64,
    /// Dimensions of all metrics, besides `pipeline`: at most 29.
    pub dimensions: BTreeMap<String, Template>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            path: Template::literal(STDOUT),
            namespace: Template::literal(DEFAULT_NAMESPACE),
            every_s: EVERY_S,
            dimensions: BTreeMap::new(),
        }
    }
}

impl Config {
    /// True when lines go to standard output, so that nothing else may.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        self.path.resolve_plain().is_ok_and(|path| path == STDOUT)
    }
}

/// Builds the metrics of a pipeline; writes nothing yet.
///
/// # Errors
/// When a setting cannot be right.
pub fn build(config: &Config, pipeline: &str) -> Result<Metrics, ConnectorError> {
    let scope = Scope::new(&config.namespace, pipeline, &config.dimensions)?;
    let path = config.path.resolve_plain()?;
    if path.is_empty() {
        return Err(ConnectorError::configuration("metrics: `path` is empty; write `-` for standard output"));
    }
    let path = (path != STDOUT).then(|| PathBuf::from(path));
    Ok(Metrics::new(Box::new(Lines { scope, path, is_torn: false }), Scope::every(config.every_s)?))
}

/// An interval as a line, without its end.
#[must_use]
pub fn line(scope: &Scope, interval: &Interval) -> String {
    let metrics = interval.metrics();
    let names: Vec<&str> = scope.dimensions.iter().map(|(name, _)| name.as_str()).collect();
    let definitions: Vec<Json> =
        metrics.iter().map(|metric| json!({ "Name": metric.name, "Unit": metric.unit.as_str() })).collect();
    let since_1970 = interval.ended.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut root = Map::new();
    let directive = json!({ "Namespace": scope.namespace, "Dimensions": [names], "Metrics": definitions });
    let timestamp = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    root.insert("_aws".to_owned(), json!({ "Timestamp": timestamp, "CloudWatchMetrics": [directive] }));
    for (name, value) in &scope.dimensions {
        root.insert(name.clone(), value.as_str().into());
    }
    for metric in metrics {
        let value = match metric.value {
            Value::Sum(sum) => sum.into(),
            Value::Samples(samples) => samples.at_most(MOST_VALUES).into(),
        };
        root.insert(metric.name.to_owned(), value);
    }
    Json::Object(root).to_string()
}

/// A file, or standard output.
struct Lines {
    scope: Scope,
    path: Option<PathBuf>,
    /// The last line was perhaps not written to its end.
    is_torn: bool,
}

#[async_trait]
impl MetricSink for Lines {
    async fn publish(&mut self, interval: &Interval) -> Result<(), ConnectorError> {
        let line = line(&self.scope, interval);
        // A line that broke off gets its end first, so that it spoils no other.
        let line = if self.is_torn { format!("\n{line}\n") } else { format!("{line}\n") };
        self.is_torn = true;
        let path = self.path.clone();
        // Whoever reads a pipe may be slow.
        let write = tokio::task::spawn_blocking(move || match path {
            Some(path) => append(&path, line.as_bytes()),
            None => print(line.as_bytes()).map_err(|error| ConnectorError::io("standard output", &error)),
        });
        let written =
            write.await.map_err(|_| ConnectorError::new(ErrorKind::Internal, "metrics: a thread ended early"))?;
        written.map_err(|error| error.context("metrics"))?;
        self.is_torn = false;
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        let Some(path) = &self.path else { return Ok("lines to standard output".to_owned()) };
        let shown = path.display();
        if path.exists() {
            append(path, b"").map_err(|error| error.context("metrics"))?;
            return Ok(format!("lines to {shown}"));
        }
        match path.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder.is_dir()) {
            true => Ok(format!("lines to {shown}, which will be made")),
            false => Err(ConnectorError::configuration(format!("metrics: {shown}: there is no such folder"))),
        }
    }
}

/// It is opened for each line, so that it may be moved away meanwhile.
fn append(path: &Path, bytes: &[u8]) -> Result<(), ConnectorError> {
    let file = OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(bytes)).map_err(|error| ConnectorError::io(path.display(), &error))
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::{Meter, NAMES};
    use crate::source::Outcome;

    fn scope(own: &[(&str, &str)]) -> Scope {
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), Template::new(value))).collect();
        Scope::new(&Template::new("Cloakroom"), "logins", &own).unwrap()
    }

    #[test]
    fn a_line_is_what_the_specification_says() {
        let meter = Meter::default();
        meter.received(4, 512);
        meter.settled(&[Outcome::Delivered, Outcome::Delivered, Outcome::Duplicate, Outcome::Filtered]);
        meter.wrote(Duration::from_micros(1_500));
        meter.wrote(Duration::from_millis(3));
        let mut interval = meter.take();
        interval.ended = SystemTime::UNIX_EPOCH + Duration::from_millis(1_800_000_000_123);
        let line = line(&scope(&[("stage", "a\"b")]), &interval);
        assert!(!line.contains('\n') && line.starts_with("{\"_aws\":{\"Timestamp\":1800000000123,"), "{line}");
        let count = |name: &str| json!({ "Name": name, "Unit": "Count" });
        let expected = json!({
            "_aws": {
                "Timestamp": 1_800_000_000_123_u64,
                "CloudWatchMetrics": [{
                    "Namespace": "Cloakroom",
                    "Dimensions": [["pipeline", "stage"]],
                    "Metrics": [
                        count("received"), count("delivered"), count("duplicate"), count("filtered"), count("dead"),
                        count("returned"), { "Name": "bytes", "Unit": "Bytes" }, count("retries"), count("failed"),
                        { "Name": "write_latency", "Unit": "Milliseconds" }
                    ]
                }]
            },
            "pipeline": "logins",
            "stage": "a\"b",
            "received": 4, "delivered": 2, "duplicate": 1, "filtered": 1, "dead": 0, "returned": 0,
            "bytes": 512, "retries": 0, "failed": 0,
            "write_latency": [1.5, 3.0]
        });
        assert_eq!(serde_json::from_str::<Json>(&line).unwrap(), expected);
    }

    #[test]
    fn a_line_keeps_to_the_limits() {
        let names: Vec<String> = (0..29).map(|number| format!("d{number}")).collect();
        let value = "v".repeat(1024);
        let own: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), value.as_str())).collect();
        let meter = Meter::default();
        for took in 0..100_000 {
            meter.wrote(Duration::from_micros(took * 7));
            meter.finished(Duration::from_micros(took * 13));
        }
        let line = line(&scope(&own), &meter.take());
        // An event of CloudWatch Logs.
        assert!(line.len() < 256 * 1024, "{}", line.len());
        let line: Json = serde_json::from_str(&line).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        let dimensions = directive["Dimensions"][0].as_array().unwrap();
        assert_eq!((directive["Dimensions"].as_array().unwrap().len(), dimensions.len()), (1, 30));
        assert!(dimensions.iter().all(|name| line[name.as_str().unwrap()].is_string()));
        let metrics = directive["Metrics"].as_array().unwrap();
        assert_eq!(metrics.len(), NAMES.len());
        assert!(NAMES.len() <= 100);
        for metric in metrics {
            let value = &line[metric["Name"].as_str().unwrap()];
            assert!(value.is_number() || value.as_array().is_some_and(|values| values.len() == 100), "{metric}");
        }
    }

    #[tokio::test]
    async fn lines_are_appended_and_a_torn_one_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut lines = Lines { scope: scope(&[]), path: Some(path.clone()), is_torn: false };
        assert!(lines.check().await.unwrap().ends_with("which will be made") && !path.exists());
        let interval = Meter::default().take();
        lines.publish(&interval).await.unwrap();
        std::fs::write(&path, "{\"_aws\":").unwrap();
        lines.is_torn = true;
        lines.publish(&interval).await.unwrap();
        lines.publish(&interval).await.unwrap();
        let written = std::fs::read_to_string(&path).unwrap();
        let written: Vec<&str> = written.lines().collect();
        assert_eq!((written.len(), written[0]), (3, "{\"_aws\":"));
        assert!(written[1..].iter().all(|line| serde_json::from_str::<Json>(line).is_ok()));
        assert!(lines.check().await.unwrap().ends_with("metrics.jsonl"));

        let mut nowhere = Lines { scope: scope(&[]), path: Some(path.join("x")), is_torn: false };
        assert_eq!(nowhere.check().await.unwrap_err().kind, ErrorKind::Configuration);
        assert!(nowhere.publish(&interval).await.is_err());
    }

    #[test]
    fn the_section_of_a_pipeline_file_may_be_empty() {
        let config: Config = serde_saphyr::from_str("{}").unwrap();
        assert!(config.is_stdout() && build(&config, "p").is_ok());
        let config: Config = serde_saphyr::from_str("{ path: a.jsonl, every_s: 0 }").unwrap();
        assert!(!config.is_stdout() && build(&config, "p").is_err());
        assert!(build(&Config { path: Template::new(""), ..Config::default() }, "p").is_err());
        assert!(serde_saphyr::from_str::<Config>("{ pth: a }").is_err());
    }
}
