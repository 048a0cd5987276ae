//! Taiwan.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("tw_national_id", national_id)];

/// What the letters A to Z of the places are worth (Ministry of the Interior, 戶籍登記作業手冊).
const PLACES: [u8; 26] =
    [10, 11, 12, 13, 14, 15, 16, 17, 34, 18, 19, 20, 21, 22, 35, 23, 24, 25, 26, 27, 28, 29, 32, 30, 31, 33];

/// National identification card and (8 and 9 instead of 1 and 2) uniform identification number of residents: a letter
/// for the place, sex, seven digits and a check digit modulo 10.
fn national_id(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 9] = [8, 7, 6, 5, 4, 3, 2, 1, 1];
    let (text, digits) = (candidate.alphanumeric(), candidate.digits());
    let place = text.first().and_then(|letter| PLACES.get(usize::from(letter.checked_sub(b'A')?)));
    let Some(place) = place else { return Verdict::Invalid };
    let sum = u32::from(place / 10) + u32::from(place % 10) * 9 + weighted_sum(&digits, &WEIGHTS);
    Verdict::checksum(text.len() == 10 && digits.len() == 9 && sum.is_multiple_of(10))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        // A123456789 is the Ministry's specimen.
        verdicts(national_id, Verdict::Valid, &["A123456789", "a123456789", "F131104093"]);
        verdicts(national_id, Verdict::Invalid, &["A123456788", "1123456789", "A12345678", "AB23456789", ""]);
    }
}
