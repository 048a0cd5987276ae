//! What is to go wrong, how often, and the draws that decide it.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Names the seed of a run that is to be repeated, see [`seed`].
pub const SEED_VARIABLE: &str = "CLOAKROOM_TEST_FAULT_SEED";

/// A seed for a test: the one that `CLOAKROOM_TEST_FAULT_SEED` holds, else a new one from the clock.
#[must_use]
pub fn seed() -> u64 {
    std::env::var(SEED_VARIABLE).ok().and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20)
    })
}

/// One fault.
///
/// In front of an HTTP API it meets one request. In front of anything else it meets one connection, see
/// [`FaultProxy::tcp`](crate::FaultProxy::tcp).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed before the request is forwarded: nothing happened.
    Drop,
    /// The request is forwarded, and the connection is closed in the middle of the answer's body: it did happen.
    Cut,
    /// The request is forwarded, and the connection is closed before the first byte of the answer: it did happen.
    NoAnswer,
    /// The request waits so long before it is forwarded.
    Delay(Duration),
    /// The request is forwarded twice, and the second answer is given.
    Duplicate,
    /// Not forwarded; answered as the service does when it fails so. 429 is throttling, which has another status at
    /// some services: 400 in Amazon's JSON protocols, 503 at S3.
    Status(u16),
    /// Not forwarded; answered with this status and this error code of the service.
    Refuse(u16, &'static str),
    /// The first so many entries of a batch are left out of what is forwarded, and answered as failed ones:
    /// `SendMessageBatch`, `DeleteMessageBatch` and `ChangeMessageVisibilityBatch` of SQS, `BatchWriteItem` of
    /// DynamoDB, `_bulk` of Elasticsearch. A batch that has fewer is left out as a whole.
    Partial(usize),
}

/// How often faults happen. Rates are shares of the requests, from 0 to 1; without any, nothing is injected.
///
/// The n-th decision depends on the seed and on n alone. A test that sends its requests one after the other meets the
/// same faults with the same seed; one with requests side by side meets the same decisions, at requests that may
/// have changed places.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) seed: u64,
    rates: [f64; KINDS.len()],
    delay: f64,
    pauses: Range<Duration>,
    statuses: Vec<u16>,
    cut_after: Range<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Drop,
    Cut,
    Duplicate,
    Status,
    Partial,
}

const KINDS: [(Kind, &str); 5] = [
    (Kind::Drop, "drop"),
    (Kind::Cut, "cut"),
    (Kind::Duplicate, "duplicate"),
    (Kind::Status, "status"),
    (Kind::Partial, "partial"),
];

impl Plan {
    /// Nothing goes wrong yet.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            rates: [0.0; KINDS.len()],
            delay: 0.0,
            pauses: Duration::from_millis(1)..Duration::from_millis(50),
            statuses: vec![429, 500, 503],
            cut_after: 0..64 * 1024,
        }
    }

    /// Nothing goes wrong but what [`FaultProxy::next`](crate::FaultProxy::next) asks for.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0)
    }

    /// How often [`Fault::Drop`] happens.
    #[must_use]
    pub fn drop(self, rate: f64) -> Self {
        self.rate(Kind::Drop, rate)
    }

    /// How often the answer is lost: half of the times [`Fault::Cut`], half of the times [`Fault::NoAnswer`].
    #[must_use]
    pub fn cut(self, rate: f64) -> Self {
        self.rate(Kind::Cut, rate)
    }

    /// How often [`Fault::Duplicate`] happens.
    #[must_use]
    pub fn duplicate(self, rate: f64) -> Self {
        self.rate(Kind::Duplicate, rate)
    }

    /// How often [`Fault::Status`] happens, with 429, 500 or 503.
    #[must_use]
    pub fn status(self, rate: f64) -> Self {
        self.rate(Kind::Status, rate)
    }

    /// The statuses to draw from. A list with one more often makes it likelier.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[must_use]
    pub fn statuses(mut self, statuses: &[u16]) -> Self {
        assert!(!statuses.is_empty(), "no status to draw from");
        self.statuses = statuses.to_vec();
        self
    }

    /// How often batches fail partly: each entry is left out as often as not, and at least one.
    #[must_use]
    pub fn partial(self, rate: f64) -> Self {
        self.rate(Kind::Partial, rate)
    }

    /// How often requests wait, and for how long; beside any other fault.
    #[must_use]
    pub fn delay(mut self, rate: f64, pauses: Range<Duration>) -> Self {
        (self.delay, self.pauses) = (rate, pauses);
        self
    }

    /// After how many bytes a connection of [`FaultProxy::tcp`](crate::FaultProxy::tcp) is cut; up to 64 KiB when this
    /// is not said.
    #[must_use]
    pub fn cut_after(mut self, bytes: Range<u64>) -> Self {
        self.cut_after = bytes;
        self
    }

    fn rate(mut self, kind: Kind, rate: f64) -> Self {
        for ((known, _), old) in KINDS.iter().zip(&mut self.rates) {
            if *known == kind {
                *old = rate;
            }
        }
        let sum: f64 = self.rates.iter().sum();
        assert!(rate >= 0.0 && sum <= 1.0, "rates of faults add up to {sum}, more than all requests");
        self
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.delay <= 0.0 && self.rates.iter().all(|rate| *rate <= 0.0)
    }

    /// The n-th decision.
    pub(crate) fn decide(&self, n: u64) -> Decision {
        let mut draw = Draw::new(self.seed, n);
        // Drawn for every request, whatever the rates are: a rate that changes moves no other draw.
        let (which, pause, pause_length, detail) = (draw.unit(), draw.unit(), draw.unit(), draw.unit());
        let delay = (pause < self.delay).then(|| {
            let width = self.pauses.end.saturating_sub(self.pauses.start);
            self.pauses.start + width.mul_f64(pause_length)
        });
        let mut from = 0.0;
        let kind = KINDS.iter().zip(&self.rates).find_map(|((kind, _), rate)| {
            let below = which < from + rate;
            from += rate;
            (*rate > 0.0 && below).then_some(*kind)
        });
        let fault = kind.map(|kind| match kind {
            Kind::Drop => Injected::Drop,
            Kind::Cut if detail < 0.5 => Injected::Cut,
            Kind::Cut => Injected::NoAnswer,
            Kind::Duplicate => Injected::Duplicate,
            Kind::Status => {
                let place = ((detail * self.statuses.len() as f64) as usize).min(self.statuses.len() - 1);
                Injected::Refuse(self.statuses[place], None)
            }
            Kind::Partial => Injected::Partial(Pick::Draw(Box::new(draw.clone()))),
        });
        Decision { delay, fault, draw, asked_for: false }
    }

    /// After how many bytes a connection ends that is to be cut.
    pub(crate) fn cut_at(&self, draw: &mut Draw) -> u64 {
        let width = self.cut_after.end.saturating_sub(self.cut_after.start);
        self.cut_after.start + (draw.unit() * width as f64) as u64
    }

    /// How long one piece of a connection waits, if it does.
    pub(crate) fn pause(&self, draw: &mut Draw) -> Option<Duration> {
        let (pause, length) = (draw.unit(), draw.unit());
        let width = self.pauses.end.saturating_sub(self.pauses.start);
        (pause < self.delay).then(|| self.pauses.start + width.mul_f64(length))
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "seed {}", self.seed)?;
        for ((_, name), rate) in KINDS.iter().zip(&self.rates).filter(|(_, rate)| **rate > 0.0) {
            write!(formatter, ", {name} {rate}")?;
        }
        if self.delay > 0.0 {
            write!(formatter, ", delay {} of {:?}", self.delay, self.pauses)?;
        }
        Ok(())
    }
}

/// What happens to one request.
#[derive(Debug)]
pub(crate) struct Decision {
    pub(crate) delay: Option<Duration>,
    pub(crate) fault: Option<Injected>,
    pub(crate) draw: Draw,
    /// By the test, and not by the plan.
    pub(crate) asked_for: bool,
}

/// A fault as it is injected.
#[derive(Debug)]
pub(crate) enum Injected {
    Drop,
    Cut,
    NoAnswer,
    Duplicate,
    Refuse(u16, Option<&'static str>),
    Partial(Pick),
}

impl Decision {
    /// What a test asked for.
    pub(crate) fn scripted(fault: Fault) -> Self {
        let mut delay = None;
        let fault = match fault {
            Fault::Drop => Some(Injected::Drop),
            Fault::Cut => Some(Injected::Cut),
            Fault::NoAnswer => Some(Injected::NoAnswer),
            Fault::Duplicate => Some(Injected::Duplicate),
            Fault::Status(status) => Some(Injected::Refuse(status, None)),
            Fault::Refuse(status, code) => Some(Injected::Refuse(status, Some(code))),
            Fault::Partial(count) => Some(Injected::Partial(Pick::First(count))),
            Fault::Delay(pause) => {
                delay = Some(pause);
                None
            }
        };
        Self { delay, fault, draw: Draw::new(0, 0), asked_for: true }
    }

    pub(crate) fn nothing() -> Self {
        Self { delay: None, fault: None, draw: Draw::new(0, 0), asked_for: false }
    }
}

/// Which entries of a batch are left out.
#[derive(Debug)]
pub(crate) enum Pick {
    First(usize),
    Draw(Box<Draw>),
}

impl Pick {
    /// One answer for each of `count` entries: whether it is left out.
    pub(crate) fn of(self, count: usize) -> Vec<bool> {
        match self {
            Self::First(first) => (0..count).map(|place| place < first).collect(),
            Self::Draw(mut draw) => {
                let mut left_out: Vec<bool> = (0..count).map(|_| draw.unit() < 0.5).collect();
                if count > 0 && !left_out.contains(&true) {
                    let place = ((draw.unit() * count as f64) as usize).min(count - 1);
                    left_out[place] = true;
                }
                left_out
            }
        }
    }
}

/// The random numbers of one decision: `ChaCha` takes the seed for its key and n for its stream.
#[derive(Clone, Debug)]
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    fn new(seed: u64, n: u64) -> Self {
        let mut key = *b"________ cloakroom faults 1 ____";
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_stream(n);
        Self(rng)
    }

    /// From 0 to less than 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(plan: &Plan, n: u64) -> String {
        let Decision { delay, fault, .. } = plan.decide(n);
        match fault {
            Some(Injected::Partial(pick)) => format!("{delay:?} {:?}", pick.of(10)),
            other => format!("{delay:?} {other:?}"),
        }
    }

    #[test]
    fn a_decision_depends_on_seed_and_number_alone() {
        let plan = |seed| {
            let pauses = Duration::from_millis(1)..Duration::from_millis(9);
            Plan::new(seed).drop(0.1).cut(0.1).duplicate(0.1).status(0.1).partial(0.1).delay(0.2, pauses)
        };
        let forwards: Vec<String> = (0..500).map(|n| told(&plan(7), n)).collect();
        let backwards: Vec<String> = (0..500).rev().map(|n| told(&plan(7), n)).collect();
        assert!(forwards.iter().eq(backwards.iter().rev()));
        assert_ne!(forwards, (0..500).map(|n| told(&plan(8), n)).collect::<Vec<_>>());
    }

    #[test]
    fn rates_are_shares_of_the_requests() {
        let plan = Plan::new(3).drop(0.2).status(0.1).delay(0.3, Duration::ZERO..Duration::from_secs(1));
        let all: Vec<Decision> = (0..10_000).map(|n| plan.decide(n)).collect();
        let share = |is: &dyn Fn(&Decision) -> bool| all.iter().filter(|decision| is(decision)).count();
        assert!((1_850..2_150).contains(&share(&|d| matches!(d.fault, Some(Injected::Drop)))));
        assert!((2_850..3_150).contains(&share(&|d| d.delay.is_some())));
        for status in [429, 500, 503] {
            let count = share(&|d| matches!(d.fault, Some(Injected::Refuse(known, None)) if known == status));
            assert!((250..420).contains(&count), "{status}: {count}");
        }
        assert!(Plan::none().is_quiet() && !plan.is_quiet());
        assert_eq!(share(&|d| matches!(d.fault, Some(Injected::Cut | Injected::NoAnswer))), 0);
    }

    #[test]
    #[should_panic(expected = "more than all requests")]
    fn more_faults_than_requests_are_refused() {
        let _ = Plan::new(1).drop(0.7).cut(0.7);
    }

    #[test]
    fn at_least_one_entry_is_left_out() {
        for n in 0..200 {
            assert!(Pick::Draw(Box::new(Draw::new(5, n))).of(2).contains(&true));
        }
        assert_eq!(Pick::First(2).of(3), [true, true, false]);
        assert!(Pick::Draw(Box::new(Draw::new(5, 1))).of(0).is_empty());
    }
}
