//! Detection: finds sensitive values inside texts that no field rule names.
//!
//! A detector is one file here and one line in [`DETECTORS`]. Detectors see a text and report spans;
//! what happens to a span is the policy's business.

use std::ops::Range;

mod credit_card;
mod email_address;

/// A span found by a detector.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Byte range in the text.
    pub range: Range<usize>,
    /// 0 to 1.
    pub confidence: f32,
    /// True when a checksum succeeded.
    pub validated: bool,
}

/// Finds one kind of value.
pub trait Detector: Send + Sync {
    /// The entity type in findings, for example `EMAIL_ADDRESS`.
    fn entity(&self) -> &'static str;

    /// The rule's id.
    fn rule(&self) -> &'static str;

    /// Reports every value in the text. Linear in its length.
    fn detect(&self, text: &str, emit: &mut dyn FnMut(Span));
}

/// Every detector there is.
pub const DETECTORS: &[&dyn Detector] = &[&email_address::EmailAddress, &credit_card::CreditCard];

/// A span with its detector.
pub(crate) struct Detected {
    pub(crate) span: Span,
    pub(crate) entity: &'static str,
    pub(crate) rule: &'static str,
}

/// Runs all detectors; where spans overlap, the validated one wins, then the more confident, then the longer.
pub(crate) fn detect(text: &str) -> Vec<Detected> {
    let mut found: Vec<Detected> = Vec::new();
    for detector in DETECTORS {
        detector.detect(text, &mut |span| {
            found.push(Detected { span, entity: detector.entity(), rule: detector.rule() });
        });
    }
    if found.len() > 1 {
        let weight = |d: &Detected| (d.span.validated, (d.span.confidence * 1000.0) as u32, d.span.range.len());
        found.sort_by(|a, b| weight(b).cmp(&weight(a)).then(a.span.range.start.cmp(&b.span.range.start)));
        let mut kept: Vec<Detected> = Vec::new();
        for candidate in found {
            let free = |k: &Detected| {
                k.span.range.end <= candidate.span.range.start || candidate.span.range.end <= k.span.range.start
            };
            if kept.iter().all(free) {
                kept.push(candidate);
            }
        }
        kept.sort_by_key(|d| d.span.range.start);
        return kept;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_detector_has_a_name_of_its_own() {
        let mut rules: Vec<_> = DETECTORS.iter().map(|d| d.rule()).collect();
        rules.sort_unstable();
        rules.dedup();
        assert_eq!(rules.len(), DETECTORS.len());
        for detector in DETECTORS {
            assert!(detector.entity().bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        }
    }

    #[test]
    fn spans_come_in_order_and_do_not_overlap() {
        let text = "4111 1111 1111 1111 or 4111111111111111@example.com and b@example.org";
        let entities: Vec<_> = detect(text).iter().map(|d| (d.entity, &text[d.span.range.clone()])).collect();
        assert_eq!(
            entities,
            [
                ("CREDIT_CARD", "4111 1111 1111 1111"),
                ("CREDIT_CARD", "4111111111111111"),
                ("EMAIL_ADDRESS", "b@example.org")
            ]
        );
    }
}
