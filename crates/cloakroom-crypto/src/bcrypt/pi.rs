//! The digits of pi, in which Blowfish's tables begin: "nothing up my sleeve". Computed and not copied; the vectors of
//! bcrypt fail with a single wrong bit.

use std::sync::OnceLock;

/// 32-bit words that Blowfish takes: 18 subkeys and four boxes of 256.
pub(super) const WORDS: usize = 18 + 4 * 256;
/// Words below those, where rounding may be wrong: 9,000 divisions lose less than 2^20 of their 2^64.
const GUARD: usize = 2;
/// A fixed-point number: the word in front of the point, then those behind it, the highest first.
type Fixed = [u32; 1 + WORDS + GUARD];

/// What stands behind the point of pi, in words of 32 bits.
pub(super) fn fraction() -> &'static [u32; WORDS] {
    static DIGITS: OnceLock<Box<[u32; WORDS]>> = OnceLock::new();
    DIGITS.get_or_init(|| {
        // Machin, 1706: pi = 16 arctan(1/5) - 4 arctan(1/239).
        let mut pi = arctan_of_inverse(5, 16);
        subtract(&mut pi, &arctan_of_inverse(239, 4));
        let mut digits = Box::new([0; WORDS]);
        digits.copy_from_slice(&pi[1..=WORDS]);
        digits
    })
}

/// `factor` times arctan(1/x) = 1/x - 1/3x^3 + 1/5x^5 - …
fn arctan_of_inverse(x: u32, factor: u32) -> Box<Fixed> {
    let mut power: Box<Fixed> = Box::new([0; 1 + WORDS + GUARD]);
    power[0] = factor;
    divide(&mut power, x, 0);
    let mut sum = power.clone();
    let mut term = power.clone();
    for odd in (3..).step_by(2) {
        let Some(first) = power.iter().position(|word| *word != 0) else { break };
        divide(&mut power, x * x, first);
        term[first..].copy_from_slice(&power[first..]);
        divide(&mut term, odd, first);
        if odd % 4 == 3 {
            subtract(&mut sum, &term);
        } else {
            add(&mut sum, &term);
        }
    }
    sum
}

/// Divides a number whose words before `first` are zero.
fn divide(number: &mut Fixed, divisor: u32, first: usize) {
    let mut rest = 0;
    for word in &mut number[first..] {
        let dividend = rest << 32 | u64::from(*word);
        (*word, rest) = ((dividend / u64::from(divisor)) as u32, dividend % u64::from(divisor));
    }
}

fn add(sum: &mut Fixed, number: &Fixed) {
    let mut carry = false;
    for (word, other) in sum.iter_mut().zip(number).rev() {
        let (part, over) = word.overflowing_add(*other);
        let (part, over_again) = part.overflowing_add(u32::from(carry));
        (*word, carry) = (part, over | over_again);
    }
}

fn subtract(difference: &mut Fixed, number: &Fixed) {
    let mut borrow = false;
    for (word, other) in difference.iter_mut().zip(number).rev() {
        let (part, under) = word.overflowing_sub(*other);
        let (part, under_again) = part.overflowing_sub(u32::from(borrow));
        (*word, borrow) = (part, under | under_again);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pi in hexadecimal begins 3.243F6A88 85A308D3 13198A2E 03707344 (Knuth, The Art of Computer Programming, volume 2,
    /// appendix A). The digits behind it are tested by the vectors of bcrypt.
    #[test]
    fn pi_begins_as_published() {
        assert_eq!(fraction()[..4], [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344]);
    }
}
