//! Metrics of runs at a CloudWatch that others wrote: LocalStack.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, missing_docs)]

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, Statistic};
use cloakroom_aws::cloudwatch::{Config, build};
use cloakroom_core::policy::{PolicyConfig, RecordConfig};
use cloakroom_core::{Cloak, Payload, Place, Policy, RecordId};
use cloakroom_faults::{Fault, FaultProxy, Plan, seed};
use cloakroom_pipeline::metrics::Metrics;
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::run::Rejected;
use cloakroom_pipeline::{
    Batch, ConnectorError, Counters, Delivery, Ledger, Outcome, Pipeline, Progress, RowOutcome, Sink, SinkBatch,
    Source, Summary,
};
use common::{address, localstack};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// Records in batches of ten, with a pause after each; the last of each batch has no `n`.
struct Numbers {
    batches: u32,
    pause: Duration,
}

#[async_trait]
impl Source for Numbers {
    async fn open(&mut self, _: &mut dyn Ledger) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn next_batch(&mut self, _: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        tokio::time::sleep(self.pause).await;
        let Some(left) = self.batches.checked_sub(1) else { return Ok(None) };
        self.batches = left;
        let record = |number: u32| {
            let text = if number == 9 { "{}".to_owned() } else { format!("{{\"n\":{number}}}") };
            let position = Place::Id(format!("{left}-{number}").into());
            Delivery { id: RecordId { partition: "numbers".into(), position }, payload: Payload::Json(text.into()) }
        };
        Ok(Some(Batch { progress: Progress::Ids, deliveries: (0..10).map(record).collect() }))
    }

    async fn settle(&mut self, _: &Progress, _: &[Outcome]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        Ok(String::new())
    }
}

/// Says of each second batch that it had it already, and is away once.
struct Forgetful {
    batches: u32,
}

#[async_trait]
impl Ledger for Forgetful {
    async fn position(&mut self, _: &str) -> Result<Option<String>, ConnectorError> {
        Ok(None)
    }
}

#[async_trait]
impl Sink for Forgetful {
    async fn open(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn write(&mut self, batch: &SinkBatch) -> Result<Vec<RowOutcome>, ConnectorError> {
        self.batches += 1;
        if self.batches == 1 {
            return Err(ConnectorError::unavailable("away"));
        }
        let is_second = self.batches.is_multiple_of(2);
        let outcome = || if is_second { RowOutcome::Duplicate } else { RowOutcome::Delivered };
        Ok(batch.records.iter().map(|_| outcome()).collect())
    }

    async fn commit(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn close(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        Ok(String::new())
    }
}

/// Runs some batches, one each tenth of a second.
async fn run(batches: u32, metrics: Metrics) -> Summary {
    let record = RecordConfig { require: vec!["n".to_owned().into()], ..RecordConfig::default() };
    let policy = Policy::compile(&PolicyConfig { record, ..PolicyConfig::default() }, None).unwrap();
    let pipeline = Pipeline {
        name: "numbers".to_owned(),
        source: Box::new(Numbers { batches, pause: Duration::from_millis(100) }),
        cloak: Cloak::new(Arc::new(policy)),
        sink: Box::new(Forgetful { batches: 0 }),
        rejected: Rejected::Reported(Box::new(|_, _| {})),
        accounts: None,
        metrics: Some(metrics),
        retry: RetryConfig { base_ms: 10, max_ms: 20, give_up_after_s: 5 },
        parallel: 2,
        whole: false,
    };
    cloakroom_pipeline::run(pipeline, &Counters::default(), &CancellationToken::new()).await.unwrap()
}

/// A namespace of the test's own.
struct Namespace {
    client: Client,
    name: String,
}

impl Namespace {
    async fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let client = Client::new(&localstack().await?);
        let name = format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        Some(Self { client, name })
    }

    /// Metrics each second, to an address.
    fn metrics(&self, endpoint: &str) -> Metrics {
        let config = json!({
            "namespace": self.name, "endpoint": endpoint, "every_s": 1, "dimensions": { "stage": "test" }
        });
        let config: Config = serde_saphyr::from_str(&config.to_string()).unwrap();
        build(&config, "numbers").unwrap()
    }

    /// Sum and number of samples of a metric.
    async fn statistics(&self, metric: &str) -> (f64, f64) {
        let now = SystemTime::now();
        let dimension = |name: &str, value: &str| Dimension::builder().name(name).value(value).build();
        let call = self.client.get_metric_statistics().namespace(&self.name).metric_name(metric);
        let call = call.dimensions(dimension("pipeline", "numbers")).dimensions(dimension("stage", "test"));
        let call = call.start_time(DateTime::from(now - Duration::from_secs(900))).period(60);
        let call = call.end_time(DateTime::from(now + Duration::from_secs(120)));
        let call = call.statistics(Statistic::Sum).statistics(Statistic::SampleCount);
        let points = call.send().await.unwrap().datapoints.unwrap_or_default();
        points
            .iter()
            .fold((0.0, 0.0), |(sum, count), point| (sum + point.sum().unwrap(), count + point.sample_count().unwrap()))
    }

    /// What CloudWatch says is what the run says.
    async fn assert_adds_up(&self, summary: &Summary) {
        let metrics = summary.metrics.as_ref().unwrap();
        assert_eq!(metrics.lost, 0, "{metrics}");
        let expected = BTreeMap::from([
            ("received", summary.received),
            ("delivered", summary.delivered),
            ("duplicate", summary.duplicate),
            ("dead", summary.dead),
            ("filtered", 0),
            ("returned", 0),
            ("bytes", summary.bytes),
            ("retries", summary.retries),
            ("failed", 0),
        ]);
        for (name, expected) in expected {
            assert_eq!(self.statistics(name).await.0, expected as f64, "{name}");
        }
        assert!(summary.delivered > 0 && summary.duplicate > 0 && summary.dead > 0 && summary.retries == 1);
        for latency in ["batch_latency", "write_latency"] {
            let (sum, count) = self.statistics(latency).await;
            assert_eq!(count, (summary.received / 10) as f64, "one of each batch: {latency}");
            assert!(sum > 0.0, "{latency}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_of_a_run_add_up() {
    let Some(namespace) = Namespace::new().await else { return };
    let mut metrics = namespace.metrics(&address());
    assert!(metrics.check().await.unwrap().contains(&namespace.name));
    let summary = run(25, metrics).await;
    let published = summary.metrics.clone().unwrap();
    assert!(published.published >= 3 && published.failures == 0, "{published}");
    namespace.assert_adds_up(&summary).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cloudwatch_does_not_take_it_gets_later_and_the_run_goes_on() {
    let throttled = Plan::new(seed()).status(1.0).statuses(&[429]);
    for (plan, told) in [(Plan::new(seed()).drop(1.0), "AWS"), (throttled, "AWS throttles")] {
        let Some(namespace) = Namespace::new().await else { return };
        let proxy = Arc::new(FaultProxy::http(&address(), plan));
        proxy.only(|request| request.is("PutMetricData"));
        let later = Arc::clone(&proxy);
        let heal = tokio::spawn(async move {
            // Beyond what the client tries by itself.
            tokio::time::sleep(Duration::from_secs(8)).await;
            later.off();
        });
        let summary = run(100, namespace.metrics(proxy.url())).await;
        heal.await.unwrap();
        assert!(summary.is_reconciled() && summary.received == 1000);
        let metrics = summary.metrics.clone().unwrap();
        let injected = proxy.injected();
        assert!(metrics.error.as_ref().is_some_and(|error| error.contains(told)), "{metrics}");
        assert!(metrics.failures >= 1 && injected.dropped + injected.refused >= 5, "{metrics}; {}", proxy.describe());
        namespace.assert_adds_up(&summary).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_may_count_twice_and_never_less() {
    let Some(namespace) = Namespace::new().await else { return };
    let proxy = FaultProxy::http(&address(), Plan::none());
    proxy.next(Fault::NoAnswer, "PutMetricData");
    let summary = run(15, namespace.metrics(proxy.url())).await;
    assert_eq!((summary.metrics.as_ref().unwrap().lost, proxy.waiting()), (0, 0), "{}", proxy.describe());
    let received = namespace.statistics("received").await.0;
    assert!((150.0..=300.0).contains(&received), "{received}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_told_and_ends_nothing() {
    let Some(namespace) = Namespace::new().await else { return };
    let proxy = FaultProxy::http(&address(), Plan::none());
    for _ in 0..10 {
        proxy.next(Fault::Refuse(403, "AccessDeniedException"), "PutMetricData");
    }
    let summary = run(15, namespace.metrics(proxy.url())).await;
    let metrics = summary.metrics.clone().unwrap();
    assert_eq!((summary.received, metrics.published), (150, 0), "{metrics}");
    assert!(metrics.lost >= 2 && metrics.error.unwrap().contains("AWS denies it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloudwatch_that_cannot_be_reached_ends_nothing() {
    // Nothing listens there.
    let config: Config = serde_saphyr::from_str("{ endpoint: 'http://127.0.0.1:9', every_s: 1 }").unwrap();
    let began = Instant::now();
    let summary = run(15, build(&config, "numbers").unwrap()).await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let metrics = summary.metrics.unwrap();
    assert_eq!((summary.received, metrics.published), (150, 0), "{metrics}");
    assert!(metrics.lost >= 2 && metrics.failures >= 1 && metrics.error.is_some());
}
