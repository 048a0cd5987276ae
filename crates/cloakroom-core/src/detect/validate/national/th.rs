//! Thailand.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("th_tnin", tnin)];

/// Identification number: kind of person, registration office, group, sequence, and a check digit modulo 11 (Department of
/// Provincial Administration).
fn tnin(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 12] = [13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2];
    let digits = candidate.digits();
    let right = digits.len() == 13 && u32::from(digits[12]) == (11 - weighted_sum(&digits, &WEIGHTS) % 11) % 10;
    Verdict::checksum(right && digits[0] != 0 && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(tnin, Verdict::Valid, &["1-2345-45678-78-1", "3101202847564"]);
        verdicts(tnin, Verdict::Invalid, &["1-2345-45678-78-9", "0100600445635", "710060044563", ""]);
    }
}
