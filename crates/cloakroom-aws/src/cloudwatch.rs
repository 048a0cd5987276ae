//! Amazon CloudWatch: metrics of a run, by `PutMetricData`.
//!
//! One call carries one interval, so that it is published whole or not at all. It is far below the limits (1,000 metrics and 1 MB
//! a call, 150 values a metric): an interval has [`NAMES`](cloakroom_pipeline::metrics::NAMES), and a latency a few hundred
//! different values.
//!
//! A call without an answer is made again: it may count twice, and nothing is missing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::metrics::{
    DEFAULT_NAMESPACE, EVERY_S, Interval, Meter, MetricSink, Metrics, Scope, Unit, Value,
};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::client::{ClientConfig, sdk_config};
use crate::error::failure;

/// Different values of a metric in one datum. More become another datum of the same metric.
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html>)
const MOST_VALUES: usize = 150;

/// Amazon CloudWatch: metrics by `PutMetricData`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The namespace (default: `Cloakroom`).
    pub namespace: Template,
    /// The region (default: `AWS_REGION`, else the profile's; for an emulator on this machine else `us-east-1`).
    pub region: Option<Template>,
    /// Another address of CloudWatch: a VPC endpoint, an emulator.
    pub endpoint: Option<Template>,
    /// The profile of credentials (default: `AWS_PROFILE`, else `default`).
    pub profile: Option<Template>,
    /// Seconds of an interval, 1 to 3600 (default: 60).
    #[schemars(range(min = 1, max = 3600))]
    pub every_s: u64,
    /// Dimensions of all metrics, besides `pipeline`: at most 29.
    pub dimensions: BTreeMap<String, Template>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            namespace: Template::literal(DEFAULT_NAMESPACE),
            region: None,
            endpoint: None,
            profile: None,
            every_s: EVERY_S,
            dimensions: BTreeMap::new(),
        }
    }
}

/// Builds the metrics of a pipeline; does not connect.
///
/// # Errors
/// When a setting cannot be right.
pub fn build(config: &Config, pipeline: &str) -> Result<Metrics, ConnectorError> {
    let scope = Scope::new(&config.namespace, pipeline, &config.dimensions)?;
    let client = ClientConfig::resolve(&config.region, &config.endpoint, &config.profile)?;
    let dimensions = scope.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let sink =
        CloudWatch { dimensions: dimensions.collect(), namespace: scope.namespace, config: client, client: None };
    Ok(Metrics::new(Box::new(sink), Scope::every(config.every_s)?))
}

struct CloudWatch {
    namespace: String,
    dimensions: Vec<Dimension>,
    config: ClientConfig,
    /// Made when it is first needed: until then nobody is asked for a region.
    client: Option<Client>,
}

impl CloudWatch {
    async fn client(&mut self) -> Result<&Client, ConnectorError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => Client::new(&sdk_config(&self.config).await?),
        };
        Ok(self.client.insert(client))
    }
}

#[async_trait]
impl MetricSink for CloudWatch {
    async fn publish(&mut self, interval: &Interval) -> Result<(), ConnectorError> {
        let data = data(&self.dimensions, interval);
        let namespace = self.namespace.clone();
        let client = self.client().await.map_err(|error| error.context("cloudwatch"))?;
        let sent = client.put_metric_data().namespace(namespace).set_metric_data(Some(data)).send().await;
        sent.map(drop).map_err(|error| failure(&error, known).context("cloudwatch: PutMetricData"))
    }

    /// No other permission tells whether this one is there: it publishes an interval in which nothing happened.
    async fn check(&mut self) -> Result<String, ConnectorError> {
        self.publish(&Meter::default().take()).await?;
        Ok(format!("CloudWatch takes them, namespace {}", self.namespace))
    }
}

/// An interval in the types of CloudWatch.
fn data(dimensions: &[Dimension], interval: &Interval) -> Vec<MetricDatum> {
    let time = DateTime::from(interval.ended);
    let mut data = Vec::new();
    for metric in interval.metrics() {
        let unit = match metric.unit {
            Unit::Bytes => StandardUnit::Bytes,
            Unit::Count => StandardUnit::Count,
            Unit::Milliseconds => StandardUnit::Milliseconds,
        };
        let datum = MetricDatum::builder().metric_name(metric.name).unit(unit).timestamp(time);
        let datum = datum.set_dimensions(Some(dimensions.to_vec()));
        match metric.value {
            Value::Sum(sum) => data.push(datum.value(sum as f64).build()),
            Value::Samples(samples) => {
                let values: Vec<(f64, u64)> = samples.values().collect();
                for some in values.chunks(MOST_VALUES) {
                    let (values, counts) = some.iter().map(|(value, times)| (*value, *times as f64)).unzip();
                    data.push(datum.clone().set_values(Some(values)).set_counts(Some(counts)).build());
                }
            }
        }
    }
    data
}

/// What the codes of CloudWatch mean
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>).
fn known(code: &str) -> Option<ConnectorError> {
    let refused = |what: &str| Some(ConnectorError::configuration(format!("{what} ({code})")));
    match code {
        "InvalidParameterValue"
        | "InvalidParameterCombination"
        | "MissingParameter"
        | "InvalidParameterValueException"
        | "InvalidParameterCombinationException"
        | "MissingRequiredParameterException" => {
            refused("CloudWatch does not take these metrics; check `namespace`, `dimensions` and this machine's clock")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use cloakroom_pipeline::error::ErrorKind;
    use cloakroom_pipeline::metrics::NAMES;

    use super::*;

    fn dimension(name: &str, value: &str) -> Dimension {
        Dimension::builder().name(name).value(value).build()
    }

    #[test]
    fn an_interval_fits_into_one_call() {
        let meter = Meter::default();
        let mut took = 1;
        while took < 100_000_000_000 {
            meter.wrote(Duration::from_micros(took));
            meter.finished(Duration::from_micros(took));
            took += took / 100 + 1;
        }
        let dimensions = vec![dimension(&"n".repeat(255), &"v".repeat(1024)); 30];
        let data = data(&dimensions, &meter.take());
        assert!(data.len() < 30, "{} of 1,000", data.len());
        assert!(data.iter().all(|datum| datum.values().len() <= MOST_VALUES && datum.dimensions().len() == 30));
        // Each number has nine bytes, and there are names around.
        let bytes = |datum: &MetricDatum| 30 * (255 + 1024 + 20) + 18 * datum.values().len() + 200;
        assert!(data.iter().map(bytes).sum::<usize>() < 1_000_000);
    }

    #[test]
    fn sums_are_values_and_latencies_values_with_counts() {
        let meter = Meter::default();
        meter.received(5, 100);
        for took in [3, 3, 8] {
            meter.wrote(Duration::from_millis(took));
        }
        let interval = meter.take();
        let data = data(&[dimension("pipeline", "p")], &interval);
        let names: Vec<_> = data.iter().map(|datum| datum.metric_name().unwrap()).collect();
        assert_eq!((&names[..9], names[9], names.len()), (&NAMES[..9], "write_latency", 10));
        assert_eq!((data[0].value(), data[0].unit()), (Some(5.0), Some(&StandardUnit::Count)));
        assert_eq!((data[6].value(), data[6].unit()), (Some(100.0), Some(&StandardUnit::Bytes)));
        assert_eq!((data[9].values(), data[9].counts(), data[9].value()), (&[3.0, 8.0][..], &[2.0, 1.0][..], None));
        assert!(data.iter().all(|datum| datum.timestamp() == Some(&DateTime::from(interval.ended))));
    }

    #[test]
    fn codes_say_what_to_do() {
        assert_eq!(known("InvalidParameterValue").unwrap().kind, ErrorKind::Configuration);
        assert!(known("Throttling").is_none(), "shared by all services");
        let config: Config = serde_saphyr::from_str("{ namespace: AWS/x }").unwrap();
        assert!(build(&config, "p").is_err());
        assert!(build(&Config::default(), "p").is_ok());
    }
}
