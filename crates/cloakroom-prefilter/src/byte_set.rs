//! A set of byte values.

/// A set of byte values: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteSet([u64; 4]);

impl ByteSet {
    /// No byte.
    pub const EMPTY: Self = Self([0; 4]);
    /// Every byte.
    pub const ALL: Self = Self([u64::MAX; 4]);

    /// Adds a byte.
    pub fn insert(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    /// Adds a range of bytes.
    pub fn insert_range(&mut self, range: std::ops::RangeInclusive<u8>) {
        for (word, bits) in self.0.iter_mut().enumerate() {
            let first = usize::from(*range.start()).max(64 * word);
            let last = usize::from(*range.end()).min(64 * word + 63);
            if first <= last {
                *bits |= u64::MAX >> (63 - (last - first)) << (first % 64);
            }
        }
    }

    /// True when a byte is in it.
    #[must_use]
    #[inline]
    pub fn contains(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 == 1
    }

    /// The bytes of either.
    #[must_use]
    #[inline]
    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    /// The bytes of both.
    #[must_use]
    #[inline]
    pub fn intersection(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] & other.0[word]))
    }

    /// True when no byte is in it.
    #[must_use]
    #[inline]
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }

    /// Number of bytes in it.
    #[must_use]
    #[inline]
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Its bytes in order.
    pub fn iter(&self) -> impl Iterator<Item = u8> + '_ {
        (0..=255).filter(|byte| self.contains(*byte))
    }
}

impl FromIterator<u8> for ByteSet {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        let mut set = Self::EMPTY;
        bytes.into_iter().for_each(|byte| set.insert(byte));
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_what_their_bytes_are() {
        for (from, to) in [(0, 0), (0, 63), (0, 64), (63, 64), (5, 200), (64, 127), (0, 255), (255, 255), (9, 3)] {
            let mut set = ByteSet::EMPTY;
            set.insert_range(from..=to);
            assert_eq!(set, (from..=to).collect());
            assert_eq!(set.len(), (from..=to).count());
        }
    }
}
