//! Waiting between tries: exponential backoff with full jitter
//! (<https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/>).

use std::time::Duration;

use rand::RngExt;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::ConnectorError;

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
    began: std::time::Instant,
}

impl Backoff {
    /// Begins to count.
    #[must_use]
    pub fn new(config: RetryConfig) -> Self {
        Self { config, tries: 0, waited: Duration::ZERO, began: std::time::Instant::now() }
    }

    /// How long to wait before the next try, or the error back when it is not worth one: not transient,
    /// or tried for long enough. A wait that the other side asks for is kept to, up to the limit.
    ///
    /// # Errors
    /// The error given, when there is to be no further try.
    pub fn after(&mut self, error: ConnectorError) -> Result<Duration, ConnectorError> {
        let limit = Duration::from_secs(self.config.give_up_after_s);
        let left = limit.saturating_sub(self.began.elapsed().max(self.waited));
        if !error.kind.is_transient() || left.is_zero() {
            return Err(error);
        }
        let ceiling = self.config.base_ms.saturating_mul(1 << self.tries.min(20)).min(self.config.max_ms).max(1);
        self.tries += 1;
        let jittered = Duration::from_millis(rand::rng().random_range(0..=ceiling));
        let pause = error.retry_after.map_or(jittered, |asked| asked + jittered / 10).min(left);
        self.waited += pause;
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
    fn a_wait_that_is_asked_for_is_kept_to() {
        let mut backoff = Backoff::new(RetryConfig::default());
        let mut error = ConnectorError::unavailable("throttled");
        error.retry_after = Some(Duration::from_secs(7));
        let pause = backoff.after(error).unwrap();
        assert!(pause >= Duration::from_secs(7) && pause < Duration::from_secs(8));
    }
}
