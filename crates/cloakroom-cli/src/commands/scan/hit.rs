//! A finding on its way to a report: its value is turned into a fingerprint and a masked excerpt here, and dropped.

use std::collections::VecDeque;
use std::ops::Range;

use cloakroom_core::detect::allow::{AllowList, Seen};
use cloakroom_core::detect::encoding::Offsets;
use cloakroom_core::detect::{Detector, Found, Place, Rule, Scratch};
use cloakroom_crypto::PseudonymKey;

use super::accept::Baseline;
use super::excerpt::{self, Excerpt, Masker, Surroundings};

/// All that findings are looked at with. Shared by the threads.
pub(super) struct Lens {
    pub(super) detector: Detector,
    pub(super) key: Option<PseudonymKey>,
    pub(super) allow: AllowList,
    pub(super) baseline: Option<Baseline>,
    /// Only where excerpts are shown.
    pub(super) masker: Option<Masker>,
}

/// Whether a finding is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    New,
    /// In the baseline.
    Known,
    /// By the allow list.
    Allowed,
}

/// A finding, without its value.
pub(super) struct Hit<'d> {
    pub(super) rule: &'d Rule,
    pub(super) start: Place,
    pub(super) end: Place,
    /// Bytes in the file.
    pub(super) bytes: Range<u64>,
    pub(super) confidence: f64,
    pub(super) validated: bool,
    pub(super) fingerprint: Option<String>,
    pub(super) state: State,
    pub(super) excerpt: Option<Excerpt>,
}

impl Lens {
    /// A keyed hash of what was found and as what; where it was found does not matter.
    fn fingerprint(&self, rule: &Rule, value: &[u8]) -> Option<String> {
        let key = self.key.as_ref()?;
        let tag = key.tag_parts(&[rule.entity.as_bytes(), value]);
        // Half of the tag: 128 bits do not meet by chance.
        let hex: String = tag[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Some(format!("{}.{hex}", key.kid()))
    }
}

/// Turns what is found in one file into hits, in order.
pub(super) struct Collector<'d, 'p> {
    lens: &'d Lens,
    path: &'p str,
    /// Excerpts wait until nothing that follows can stand in them.
    waiting: VecDeque<(Hit<'d>, Option<Surroundings>)>,
    /// Where the last value ended, in bytes of the decoded text.
    last_end: u64,
    scratch: Scratch,
}

impl<'d, 'p> Collector<'d, 'p> {
    pub(super) fn new(lens: &'d Lens, path: &'p str) -> Self {
        Self { lens, path, waiting: VecDeque::new(), last_end: 0, scratch: Scratch::default() }
    }

    pub(super) fn take(&mut self, found: &Found<'d, '_>, offsets: Offsets, emit: &mut dyn FnMut(Hit<'d>)) {
        let Found { rule, start, end, validated, value, .. } = *found;
        for (hit, around) in &mut self.waiting {
            if let Some(around) = around {
                around.hide_behind(start.byte.saturating_sub(hit.end.byte), end.byte.saturating_sub(hit.end.byte));
            }
        }
        let out_of_reach = |(hit, around): &(Hit<'d>, Option<Surroundings>)| {
            around.is_none() || start.byte > hit.end.byte + excerpt::REACH
        };
        while self.waiting.front().is_some_and(out_of_reach) {
            if let Some((hit, around)) = self.waiting.pop_front() {
                self.release(hit, around, emit);
            }
        }
        let fingerprint = self.lens.fingerprint(rule, value);
        let seen = Seen { rule, value, path: self.path, fingerprint: fingerprint.as_deref() };
        let known = |baseline: &Baseline| fingerprint.as_ref().is_some_and(|fingerprint| baseline.knows(fingerprint));
        let state = if self.lens.allow.allows(&seen) {
            State::Allowed
        } else if self.lens.baseline.as_ref().is_some_and(known) {
            State::Known
        } else {
            State::New
        };
        let around =
            (state == State::New && self.lens.masker.is_some()).then(|| Surroundings::new(found, self.last_end));
        self.last_end = self.last_end.max(end.byte);
        let hit = Hit {
            rule,
            start,
            end,
            bytes: offsets.byte(&start)..offsets.byte(&end),
            // Two digits are what rules say; 0.9_f32 as a wider number is 0.8999999762.
            confidence: (f64::from(found.confidence) * 1000.0).round() / 1000.0,
            validated,
            fingerprint,
            state,
            excerpt: None,
        };
        match around {
            // In order: what waits goes first.
            None if self.waiting.is_empty() => emit(hit),
            around => self.waiting.push_back((hit, around)),
        }
    }

    pub(super) fn finish(&mut self, emit: &mut dyn FnMut(Hit<'d>)) {
        while let Some((hit, around)) = self.waiting.pop_front() {
            self.release(hit, around, emit);
        }
    }

    fn release(&mut self, mut hit: Hit<'d>, around: Option<Surroundings>, emit: &mut dyn FnMut(Hit<'d>)) {
        if let (Some(around), Some(masker)) = (around, &self.lens.masker) {
            hit.excerpt = Some(around.masked(masker, &mut self.scratch));
        }
        emit(hit);
    }
}
