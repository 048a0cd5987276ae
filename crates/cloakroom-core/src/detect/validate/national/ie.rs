//! Ireland.

use crate::detect::validate::weighted::weighted_sum;
use crate::detect::validate::{Candidate, Digits, Validator, Verdict};

pub(in crate::detect::validate) const VALIDATORS: &[(&str, Validator)] = &[("ie_pps", pps)];

/// Personal public service number: weights 8 to 2, and since 2013 nine times the second letter (A is 1); the remainder
/// by 23 is the first letter, W for 0. The older second letters (W, T, X, P, S) count nothing.
fn pps(candidate: &Candidate<'_>) -> Verdict {
    let text = candidate.alphanumeric();
    let digits = Digits::of(text.get(..7).unwrap_or_default());
    let (check, second) = match text.get(7..).unwrap_or_default() {
        [check] => (*check, 0),
        [check, second @ b'A'..=b'I'] => (*check, u32::from(second - b'A') + 1),
        [check, b'W' | b'T' | b'X' | b'P' | b'S'] => (*check, 0),
        _ => return Verdict::Invalid,
    };
    let remainder = (weighted_sum(&digits, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second) % 23;
    let right = b"WABCDEFGHIJKLMNOPQRSTUV"[remainder as usize];
    Verdict::checksum(digits.len() == 7 && !digits.all_same() && check == right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::validate::national::verdict;

    #[test]
    fn published_numbers() {
        // 1234567T is the specimen of the Department of Social Protection; the others are python-stdnum's.
        for good in ["1234567T", "1234567FA", "6433435F", "6433435FT", "6433435FW", "6433435OA", "6433435IH"] {
            assert_eq!(verdict(pps, good), Verdict::Valid, "{good}");
        }
        for bad in ["6433435E", "6433435VH", "1234567A", "643343F", "6433435"] {
            assert_eq!(verdict(pps, bad), Verdict::Invalid, "{bad}");
        }
    }
}
