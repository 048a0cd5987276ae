//! Singapore.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("sg_nric_fin", nric_fin), ("sg_uen", uen)];

/// Identity number: S and T for citizens and residents, F, G and M for others; weights 2, 7, 6, 5, 4, 3, 2, with 4
/// added for T and G, 3 for M; the remainder by 11 is a letter.
fn nric_fin(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let digits = Digits::of(&text);
    let (Some(first), Some(last)) = (text.first(), text.last()) else { return Verdict::Invalid };
    let (more, letters) = match first {
        b'S' => (0, b"JZIHGFEDCBA"),
        b'T' => (4, b"JZIHGFEDCBA"),
        b'F' => (0, b"XWUTRQPNMLK"),
        b'G' => (4, b"XWUTRQPNMLK"),
        b'M' => (3, b"XWUTRQPNJLK"),
        _ => return Verdict::Invalid,
    };
    let sum = weighted_sum(&digits, &[2, 7, 6, 5, 4, 3, 2]) + more;
    Verdict::checksum(text.len() == 9 && digits.len() == 7 && letters[sum as usize % 11] == *last)
}

/// Kinds of entity in a UEN that begins with R, S or T.
const KINDS: [&[u8; 2]; 38] = [
    b"CC", b"CD", b"CH", b"CL", b"CM", b"CP", b"CS", b"CX", b"DP", b"FB", b"FC", b"FM", b"FN", b"GA", b"GB", b"GS",
    b"HS", b"LL", b"LP", b"MB", b"MC", b"MD", b"MH", b"MM", b"MQ", b"NB", b"NR", b"PA", b"PB", b"PF", b"RF", b"RP",
    b"SM", b"SS", b"TC", b"TU", b"VH", b"XL",
];

/// Unique entity number: `53125226D` (businesses), `200312345A` (local companies, with their year), `T08LL1234A`
/// (others).
fn uen(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let (Some(first), Some(last)) = (text.first(), text.last()) else { return Verdict::Invalid };
    let digits = Digits::of(&text);
    let right = if first.is_ascii_digit() {
        match (text.len(), digits.len()) {
            (9, 8) => b"XMKECAWLJDB"[weighted_sum(&digits, &[10, 4, 9, 3, 8, 2, 7, 1]) as usize % 11] == *last,
            (10, 9) => {
                let year = matches!(digits.number(0..4), 1900..=2099);
                let sum = weighted_sum(&digits, &[10, 8, 6, 4, 9, 7, 5, 3, 1]);
                year && b"ZKCMDNERGWH"[sum as usize % 11] == *last
            }
            _ => false,
        }
    } else {
        text.len() == 10 && other_entity(&text)
    };
    Verdict::checksum(right && !digits.all_same())
}

fn other_entity(text: &[u8]) -> bool {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWX0123456789";
    let mut values = [0_u8; 10];
    for (value, byte) in values.iter_mut().zip(text) {
        match ALPHABET.iter().position(|letter| letter == byte) {
            Some(place) => *value = place as u8,
            None => return false,
        }
    }
    let kind = text.get(3..5).is_some_and(|kind| KINDS.iter().any(|known| known.as_slice() == kind));
    let sum = weighted_sum(&values, &[4, 3, 5, 3, 10, 2, 2, 5, 7]);
    // 11 more keeps the subtraction above zero.
    kind && (sum + 11 - 5) % 11 == u32::from(values[9])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        for good in ["S1234567D", "T1234567J", "F1234567N", "G1234567X", "M1234567K"] {
            assert_eq!(verdict(nric_fin, good), Verdict::Valid, "{good}");
        }
        for bad in ["S1234567E", "T1234567D", "A1234567D", "S123456D"] {
            assert_eq!(verdict(nric_fin, bad), Verdict::Invalid, "{bad}");
        }
        // As python-stdnum tests them.
        for good in ["00192200M", "197401143C", "S16FC0121D", "T01FC6132D"] {
            assert_eq!(verdict(uen, good), Verdict::Valid, "{good}");
        }
        for bad in ["00192200X", "197401143K", "S16XX0121D", "S16FC0121E", "123456"] {
            assert_eq!(verdict(uen, bad), Verdict::Invalid, "{bad}");
        }
    }
}
