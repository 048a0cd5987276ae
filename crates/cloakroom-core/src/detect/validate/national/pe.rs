//! Peru.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("pe_ruc", ruc)];

/// RUC: kind of taxpayer, eight digits (a person's DNI), a check digit modulo 11 (SUNAT).
fn ruc(candidate: &Candidate<'_>) -> Verdict {
    const WEIGHTS: [u32; 10] = [5, 4, 3, 2, 7, 6, 5, 4, 3, 2];
    let digits = candidate.digits();
    let possible = digits.len() == 11 && matches!(digits.number(0..2), 10 | 15 | 16 | 17 | 20);
    Verdict::checksum(possible && u32::from(digits[10]) == (11 - weighted_sum(&digits, &WEIGHTS) % 11) % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        // 20131312955 is SUNAT itself.
        verdicts(ruc, Verdict::Valid, &["20131312955", "20512333797", "10054148289"]);
        verdicts(ruc, Verdict::Invalid, &["20512333798", "30512333797", "2051233379", ""]);
    }
}
