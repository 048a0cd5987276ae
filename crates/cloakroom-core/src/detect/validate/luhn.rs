//! The Luhn check digit (ISO/IEC 7812-1 annex B; US patent 2,950,048).

use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("luhn", luhn_digits)];

/// True when the last digit is the Luhn check digit of those before it.
#[must_use]
pub(crate) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, &digit)| {
            let doubled = u32::from(digit) * if index % 2 == 1 { 2 } else { 1 };
            if doubled > 9 { doubled - 9 } else { doubled }
        })
        .sum();
    digits.len() > 1 && sum.is_multiple_of(10)
}

fn luhn_digits(candidate: &Candidate<'_>) -> Verdict {
    let digits = candidate.digits();
    Verdict::checksum(!digits.all_same() && luhn(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_numbers() {
        // ISO/IEC 7812-1's worked example, and numbers that networks publish for tests.
        for good in ["79927398713", "4111111111111111", "378282246310005", "5555555555554444"] {
            assert!(luhn(&super::super::Digits::of(good.as_bytes())));
        }
        for bad in ["79927398710", "4111111111111112", "0", ""] {
            assert!(!luhn(&super::super::Digits::of(bad.as_bytes())));
        }
    }
}
