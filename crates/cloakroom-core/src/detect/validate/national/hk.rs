//! Hong Kong.

use crate::detect::validate::{Candidate, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("hk_id", identity_card)];

/// Identity card: one letter or two, six digits, and a check digit modulo 11 with A for 10. A letter counts from A = 10; a
/// single letter stands behind a space that counts 36 (Immigration Department).
fn identity_card(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let mut sum = match text.len() {
        8 => 36 * 9,
        9 => 0,
        _ => return Verdict::Invalid,
    };
    for (byte, weight) in text.iter().rev().zip(1..) {
        let worth = if byte.is_ascii_digit() { byte - b'0' } else { byte - b'A' + 10 };
        sum += u32::from(worth) * weight;
    }
    Verdict::checksum(sum.is_multiple_of(11))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdicts;

    #[test]
    fn published_numbers() {
        verdicts(identity_card, Verdict::Valid, &["A123456(3)", "G123456(A)", "AB987654(3)"]);
        verdicts(identity_card, Verdict::Invalid, &["A123456(4)", "AB987654(2)", "A12345(3)", ""]);
    }
}
