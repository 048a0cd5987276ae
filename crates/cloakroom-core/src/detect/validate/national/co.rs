//! Colombia.

use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("co_nit", nit)];

/// Weights from the right (DIAN, Orden Administrativa 4 of 1989).
const WEIGHTS: [u32; 15] = [3, 7, 13, 17, 19, 23, 29, 37, 41, 43, 47, 53, 59, 67, 71];

/// NIT: a company's nine digits or a person's cédula, and a check digit modulo 11.
fn nit(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    let Some((check, number)) = digits.split_last() else { return Verdict::Invalid };
    let sum: u32 = number.iter().rev().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    let right = match sum % 11 {
        small @ (0 | 1) => small,
        rest => 11 - rest,
    };
    Verdict::checksum((7..=10).contains(&number.len()) && u32::from(*check) == right && !digits.all_same())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        // 800.197.268-4 is DIAN, 899.999.068-1 Ecopetrol, 860.034.313-7 Davivienda.
        verdicts(nit, Verdict::Valid, &["800.197.268-4", "899.999.068-1", "8600343137", "213.123.432-1"]);
        verdicts(nit, Verdict::Invalid, &["2131234325", "800.197.268-5", "000000000-0", "12-3", ""]);
    }
}
