//! Arithmetic modulo a power of ten.

/// 10^`digits` for 3 to 18 digits, with what a reduction without division needs.
///
/// Reduction after Möller and Granlund, "Improved division by invariant integers" (IEEE Transactions on Computers 60,
/// 2011), algorithm 4: a two-word number by a one-word divisor, with the divisor's reciprocal at hand.
#[derive(Clone, Copy)]
pub(super) struct Modulus {
    digits: u8,
    /// Leading zeros of the power.
    shift: u8,
    power: u64,
    /// The power, shifted so that its highest bit is set.
    normal: u64,
    /// floor((2^128 - 1) / normal) - 2^64
    reciprocal: u64,
}

const MIN: usize = 3;
const MAX: usize = 18;

/// All of them, made by the compiler.
const MODULI: [Modulus; MAX - MIN + 1] = {
    let mut all = [Modulus { digits: 0, shift: 0, power: 0, normal: 0, reciprocal: 0 }; MAX - MIN + 1];
    let mut at = 0;
    while at < all.len() {
        let digits = (at + MIN) as u8;
        let power = 10_u64.pow(digits as u32);
        let shift = power.leading_zeros() as u8;
        let normal = power << shift;
        let reciprocal = (u128::MAX / normal as u128 - (1 << 64)) as u64;
        all[at] = Modulus { digits, shift, power, normal, reciprocal };
        at += 1;
    }
    all
};

impl Modulus {
    /// Of 3 to 18 digits; the caller keeps to them.
    pub(super) fn of(digits: usize) -> Self {
        MODULI[digits.clamp(MIN, MAX) - MIN]
    }

    pub(super) fn digits(&self) -> usize {
        usize::from(self.digits)
    }

    /// The bytes that hold every number below the power.
    pub(super) fn bytes(&self) -> usize {
        (64 - (self.power - 1).leading_zeros() as usize).div_ceil(8)
    }

    /// The remainder of any number below 2^128.
    pub(super) fn reduce(&self, number: u128) -> u64 {
        let (mut high, low) = ((number >> 64) as u64, number as u64);
        // A quotient of one word needs a high word below the power. A round's output has 32 bits there, or none when the
        // halves have up to nine digits: only 10^9, of 19 digits, can be below it.
        if high >= self.power {
            high %= self.power;
        }
        let shifted = (u128::from(high) << 64 | u128::from(low)) << self.shift;
        let (u1, u0) = ((shifted >> 64) as u64, shifted as u64);
        let q = (u128::from(self.reciprocal) * u128::from(u1)).wrapping_add(shifted);
        let (q1, q0) = (((q >> 64) as u64).wrapping_add(1), q as u64);
        let mut rest = u0.wrapping_sub(q1.wrapping_mul(self.normal));
        if rest > q0 {
            rest = rest.wrapping_add(self.normal);
        }
        if rest >= self.normal {
            rest -= self.normal;
        }
        rest >> self.shift
    }

    /// Of two numbers below the power; no sum reaches 2^61.
    pub(super) fn add(&self, a: u64, b: u64) -> u64 {
        let sum = a + b;
        if sum >= self.power { sum - self.power } else { sum }
    }

    /// Of two numbers below the power.
    pub(super) fn sub(&self, a: u64, b: u64) -> u64 {
        if a >= b { a - b } else { a + self.power - b }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn bytes_hold_the_numbers() {
        let bytes: Vec<_> = (MIN..=MAX).map(|digits| Modulus::of(digits).bytes()).collect();
        assert_eq!(bytes, [2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8]);
    }

    #[test]
    fn reduces_at_the_borders() {
        for digits in MIN..=MAX {
            let modulus = Modulus::of(digits);
            let power = 10_u128.pow(digits as u32);
            for quotient in [0, 1, 2, u128::from(u32::MAX), u128::from(u64::MAX), (1 << 96) / power, u128::MAX / power]
            {
                for number in (0..3).flat_map(|by| {
                    let at = quotient.wrapping_mul(power);
                    [at.wrapping_sub(by), at.wrapping_add(by)]
                }) {
                    assert_eq!(u128::from(modulus.reduce(number)), number % power, "{number} mod 10^{digits}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn reduces_as_division_does(digits in MIN..=MAX, number: u128, shift in 0..128_u32) {
            let number = number >> shift;
            prop_assert_eq!(u128::from(Modulus::of(digits).reduce(number)), number % 10_u128.pow(digits as u32));
        }

        #[test]
        fn sums_and_differences_stay_below(digits in MIN..=MAX, a: u64, b: u64) {
            let modulus = Modulus::of(digits);
            let power = 10_u64.pow(digits as u32);
            let (a, b) = (a % power, b % power);
            prop_assert_eq!(modulus.add(a, b), (a + b) % power);
            prop_assert_eq!(modulus.sub(modulus.add(a, b), b), a);
        }
    }
}
