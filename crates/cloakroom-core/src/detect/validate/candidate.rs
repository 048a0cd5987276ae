//! A value in its text, and the forms in which validators want to read it.

use std::ops::Range;

/// A value that a regex matched, in the text around it.
#[derive(Clone, Debug)]
pub struct Candidate<'t> {
    text: &'t [u8],
    span: Range<usize>,
}

impl<'t> Candidate<'t> {
    /// A value by its place in a text; `None` when the span is not inside the text.
    #[must_use]
    pub fn new(text: &'t [u8], span: Range<usize>) -> Option<Self> {
        text.get(span.clone()).map(|_| Self { text, span })
    }

    /// The value's bytes.
    #[must_use]
    pub fn value(&self) -> &'t [u8] {
        &self.text[self.span.clone()]
    }

    /// What stands before it.
    #[must_use]
    pub fn before(&self) -> &'t [u8] {
        &self.text[..self.span.start]
    }

    /// What stands behind it.
    #[must_use]
    pub fn after(&self) -> &'t [u8] {
        &self.text[self.span.end..]
    }

    /// Its decimal digits, everything else left out.
    #[must_use]
    pub fn digits(&self) -> Digits {
        Digits::of(self.value())
    }

    /// Its letters (as capitals) and digits, everything else left out; empty when there are more than 64.
    #[must_use]
    pub fn alphanumeric(&self) -> Alphanumeric {
        let mut kept = Alphanumeric { bytes: [0; 64], len: 0 };
        for byte in self.value().iter().filter(|byte| byte.is_ascii_alphanumeric()) {
            let Some(place) = kept.bytes.get_mut(kept.len) else { return Alphanumeric { bytes: [0; 64], len: 0 } };
            *place = byte.to_ascii_uppercase();
            kept.len += 1;
        }
        kept
    }
}

/// Up to 64 decimal digits as numbers 0 to 9; a slice of them by `Deref`. Empty when there were more.
#[derive(Clone, Debug)]
pub struct Digits {
    digits: [u8; 64],
    len: usize,
}

impl Digits {
    /// The ASCII digits in a text, everything else left out.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let mut kept = Self { digits: [0; 64], len: 0 };
        for byte in text.iter().filter(|byte| byte.is_ascii_digit()) {
            let Some(place) = kept.digits.get_mut(kept.len) else { return Self { digits: [0; 64], len: 0 } };
            *place = byte - b'0';
            kept.len += 1;
        }
        kept
    }

    /// The number that digits `range` write; 0 where there are none.
    #[must_use]
    pub fn number(&self, range: Range<usize>) -> u32 {
        self.get(range).unwrap_or_default().iter().fold(0, |sum, digit| sum.wrapping_mul(10) + u32::from(*digit))
    }

    /// True when all are the same: `000000000`, `1111111111`.
    #[must_use]
    pub fn all_same(&self) -> bool {
        self.windows(2).all(|pair| pair[0] == pair[1])
    }
}

impl std::ops::Deref for Digits {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.digits[..self.len]
    }
}

/// Letters and digits of a value; a slice of ASCII bytes by `Deref`.
#[derive(Clone, Debug)]
pub struct Alphanumeric {
    bytes: [u8; 64],
    len: usize,
}

impl std::ops::Deref for Alphanumeric {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
