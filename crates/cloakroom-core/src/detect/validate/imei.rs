//! International mobile equipment identities (3GPP TS 23.003 section 6 and annex B).

use super::luhn::luhn;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("imei", imei), ("imeisv", imeisv)];

/// Eight digits of the type, six of the device, a Luhn digit.
fn imei(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let varied = digits.get(..14).is_some_and(|number| number.iter().any(|digit| Some(digit) != number.first()));
    Verdict::checksum(digits.len() == 15 && varied && luhn(&digits))
}

/// The same with two digits of the software version instead of the check digit: nothing to check.
fn imeisv(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::plausible(digits.len() == 16 && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers() {
        let verdict = |text: &str| imei(&Candidate::new(text.as_bytes(), 0..text.len()).expect("in the text"));
        // Wikipedia, "International Mobile Equipment Identity"; GSMA TS.06's sample.
        for good in ["490154203237518", "35-209900-176148-1"] {
            assert_eq!(verdict(good), Verdict::Valid, "{good}");
        }
        for bad in ["490154203237517", "000000000000000", "49015420323751", ""] {
            assert_eq!(verdict(bad), Verdict::Invalid, "{bad}");
        }
    }
}
