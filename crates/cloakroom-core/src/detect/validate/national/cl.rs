//! Chile.

use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("cl_rut", rut)];

/// RUT and RUN: up to eight digits, and a check digit modulo 11 with the weights 2 to 7 from the right, K for 10
/// (Registro Civil; Servicio de Impuestos Internos).
fn rut(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let Some((check, number)) = text.split_last() else { return Verdict::Invalid };
    if !matches!(number.len(), 7 | 8) || number.iter().all(|digit| *digit == b'0') {
        return Verdict::Invalid;
    }
    let weighted = |(digit, weight): (&u8, u32)| u32::from(digit.wrapping_sub(b'0')) * weight;
    let sum: u32 = number.iter().rev().zip((2..=7).cycle()).map(weighted).sum();
    let right = match 11 - sum % 11 {
        11 => b'0',
        10 => b'K',
        digit => b'0' + digit as u8,
    };
    Verdict::checksum(number.iter().all(u8::is_ascii_digit) && *check == right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        // 60.805.000-0 is the Tesorería General, 97.004.000-5 the Banco de Chile.
        verdicts(rut, Verdict::Valid, &["60.805.000-0", "97.004.000-5", "76086428-5", "125319092", "10.000.013-k"]);
        verdicts(rut, Verdict::Invalid, &["12531909-3", "97.004.000-K", "0000000-0", "K2531909-2", "123-6", ""]);
    }
}
