//! Latitude and longitude in decimal degrees (ISO 6709).

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("coordinates", coordinates)];

/// One or two numbers: a latitude of at most 90, a longitude of at most 180 degrees; not both zero.
fn coordinates(candidate: &Candidate<'_>) -> Verdict {
    let Ok(text) = std::str::from_utf8(candidate.value()) else { return Verdict::Invalid };
    let mut numbers =
        text.split(|sign: char| sign == ',' || sign.is_ascii_whitespace()).filter(|part| !part.is_empty());
    let mut within =
        |limit: f64| numbers.next().map(|part| part.parse::<f64>().is_ok_and(|number| number.abs() <= limit));
    let fits = match (within(180.0), within(180.0), within(0.0)) {
        (Some(alone), None, None) => alone,
        (Some(true), Some(true), None) => true,
        _ => false,
    };
    Verdict::plausible(fits && text.bytes().any(|byte| matches!(byte, b'1'..=b'9')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn degrees() {
        let verdict = |text: &str| coordinates(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"));
        for good in ["48.8584, 2.2945", "-33.8568,151.2153", "48.8584"] {
            assert_eq!(verdict(good), Verdict::Plausible, "{good}");
        }
        for bad in ["0.0000, 0.0000", "48.8584, 212.2945", "", "1.0, 2.0, 3.0"] {
            assert_eq!(verdict(bad), Verdict::Invalid, "{bad}");
        }
    }
}
