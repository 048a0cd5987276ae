//! Argentina.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ar_cuit", cuit), ("ar_dni", dni)];

const CUIT: [u32; 10] = [5, 4, 3, 2, 7, 6, 5, 4, 3, 2];

/// CUIT and CUIL: kind of person, eight digits, a check digit modulo 11 (ARCA, formerly AFIP, Resolución General 10/97).
/// Where the check digit would be 10, another kind is given; some systems write 9 instead, and that is accepted.
fn cuit(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    if digits.len() != 11 || !matches!(digits.number(0..2), 20 | 23..=27 | 30 | 33 | 34 | 50 | 51 | 55) {
        return Verdict::Invalid;
    }
    let check = match weighted_sum(&digits, &CUIT) % 11 {
        0 => 0,
        1 => 9,
        rest => 11 - rest,
    };
    Verdict::checksum(u32::from(digits[10]) == check)
}

/// DNI: seven or eight digits without a check digit (RENAPER).
fn dni(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::plausible(
        matches!(digits.len(), 7 | 8) && digits.number(0..digits.len()) >= 1_000_000 && !digits.all_same(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        // AFIP's own number is 33-69345023-9.
        verdicts(cuit, Verdict::Valid, &["33-69345023-9", "20-05536168-2", "20267565393"]);
        verdicts(cuit, Verdict::Invalid, &["20267565392", "33-69345023-8", "40-05536168-2", "2026756539", ""]);
        verdicts(dni, Verdict::Plausible, &["30.123.456", "4123456"]);
        verdicts(dni, Verdict::Invalid, &["00.123.456", "11111111", "123456", ""]);
    }
}
