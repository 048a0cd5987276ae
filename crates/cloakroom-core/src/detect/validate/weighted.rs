//! Weighted sums: the check digits of most national numbers multiply each digit by the weight of its place, add, and
//! look at the remainder. The weights and the modulus are the number's own; see the files in `national/`.

/// The sum of each digit times its weight. Digits without a weight (or weights without a digit) count nothing.
#[must_use]
pub(crate) fn weighted_sum(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&digit, &weight)| u32::from(digit) * weight).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sums() {
        // ISBN 0-306-40615-2, the worked example of the ISBN users' manual: 0·10 + 3·9 + 0·8 + ... + 2·1 = 132 = 12·11.
        assert_eq!(weighted_sum(&[0, 3, 0, 6, 4, 0, 6, 1, 5, 2], &[10, 9, 8, 7, 6, 5, 4, 3, 2, 1]), 132);
        // GS1's example of a GTIN-13, 629104150021-3: the sum is 57, and 60 - 57 = 3.
        assert_eq!(weighted_sum(&[6, 2, 9, 1, 0, 4, 1, 5, 0, 0, 2, 1], &[1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3]), 57);
        assert_eq!(weighted_sum(&[1, 2, 3], &[5]), 5);
    }
}
