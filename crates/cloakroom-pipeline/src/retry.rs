//! Waiting between tries: exponential backoff with full jitter
//! (<https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>).

use std::time::{Duration, Instant};

use rand::RngExt;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::ConnectorError;

/// Between two words to the log about one operation.
const SILENCE: Duration = Duration::from_secs(10);

/// How long and how often to try again.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetryConfig {
    /// Longest first pause, in milliseconds; it doubles with each try.
    pub base_ms: u64,
    /// Longest pause at all, in milliseconds.
    pub max_ms: u64,
    /// Seconds after which a failing dependency ends the run (exit code 3). Nothing is lost: what was
    /// not delivered stays at the source.
    pub give_up_after_s: u64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self { base_ms: 200, max_ms: 30_000, give_up_after_s: 300 }
    }
}

/// The pauses of one operation.
pub struct Backoff {
    config: RetryConfig,
    tries: u32,
    waited: Duration,
    /// The first failure since it last succeeded. Time in which nothing fails is no time of trying again.
    failing_since: Option<Instant>,
    /// What the log is told about.
    what: Option<String>,
    told: Option<Instant>,
}

impl Backoff {
    /// For one operation.
    #[must_use]
    pub fn new(config: RetryConfig) -> Self {
        Self { config, tries: 0, waited: Duration::ZERO, failing_since: None, what: None, told: None }
    }

    /// Also tells the log, at the first failure and then now and then, so that a run that waits does not look like one that
    /// hangs.
    #[must_use]
    pub fn telling(mut self, what: impl Into<String>) -> Self {
        self.what = Some(what.into());
        self
    }

    /// It succeeded: the next failure is a first one.
    pub fn succeeded(&mut self) {
        (self.tries, self.waited, self.failing_since) = (0, Duration::ZERO, None);
    }

    /// How long to wait before the next try, or the error back when it is not worth one: not transient,
    /// or tried for long enough. A wait that the other side asks for is kept to, up to the limit.
    ///
    /// # Errors
    /// The error given, when there is to be no further try.
    pub fn after(&mut self, error: ConnectorError) -> Result<Duration, ConnectorError> {
        let limit = Duration::from_secs(self.config.give_up_after_s);
        let failing = self.failing_since.get_or_insert_with(Instant::now).elapsed();
        let left = limit.saturating_sub(failing.max(self.waited));
        if !error.kind.is_transient() || left.is_zero() {
            return Err(error);
        }
        let ceiling = self.config.base_ms.saturating_mul(1 << self.tries.min(20)).min(self.config.max_ms).max(1);
        self.tries += 1;
        let jittered = Duration::from_millis(rand::rng().random_range(0..=ceiling));
        let pause = error.retry_after.map_or(jittered, |asked| asked + jittered / 10).min(left);
        self.waited += pause;
        if let Some(what) = &self.what
            && self.told.is_none_or(|told| told.elapsed() >= SILENCE)
        {
            self.told = Some(Instant::now());
            let seconds = left.as_secs();
            tracing::warn!(tries = self.tries, "{what}: {error}; trying again, for {seconds} s at most");
        }
        Ok(pause)
    }

    /// How many pauses there were.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn only_transient_errors_are_tried_again_and_not_for_ever() {
        let config = RetryConfig { base_ms: 10, max_ms: 40, give_up_after_s: 1 };
        let mut backoff = Backoff::new(config);
        assert!(backoff.after(ConnectorError::new(ErrorKind::Denied, "no")).is_err());
        let mut total = Duration::ZERO;
        let mut tries = 0;
        while let Ok(pause) = backoff.after(ConnectorError::unavailable("busy")) {
            assert!(pause <= Duration::from_millis(40));
            total += pause;
            tries += 1;
            assert!(tries < 1_000_000, "it must end");
        }
        assert!(total <= Duration::from_secs(1) && tries > 10);
    }

    #[test]
    fn only_the_time_since_the_first_failure_counts() {
        let mut backoff = Backoff::new(RetryConfig { base_ms: 1, max_ms: 1, give_up_after_s: 1 });
        for _ in 0..2 {
            // Long work that goes well.
            std::thread::sleep(Duration::from_millis(1_100));
            assert!(backoff.after(ConnectorError::unavailable("busy")).is_ok());
            backoff.succeeded();
        }
        assert!(backoff.after(ConnectorError::unavailable("busy")).is_ok());
        std::thread::sleep(Duration::from_millis(1_100));
        assert!(backoff.after(ConnectorError::unavailable("busy")).is_err());
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_to() {
        let mut backoff = Backoff::new(RetryConfig::default());
        let mut error = ConnectorError::unavailable("throttled");
        error.retry_after = Some(Duration::from_secs(7));
        let pause = backoff.after(error).unwrap();
        assert!(pause >= Duration::from_secs(7) && pause < Duration::from_secs(8));
    }
}
