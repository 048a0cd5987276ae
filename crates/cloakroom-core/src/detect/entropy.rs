//! Shannon entropy of a value's bytes.

/// Bits per byte: 0 for one letter repeated, 4 for random hex digits, 6 for random base64, given enough of them.
/// (C. E. Shannon, "A Mathematical Theory of Communication", 1948.)
#[must_use]
pub(crate) fn entropy(value: &[u8]) -> f32 {
    let mut counts = [0_u16; 256];
    for byte in value.iter().take(4096) {
        counts[usize::from(*byte)] += 1;
    }
    let total = value.len().min(4096) as f32;
    counts.iter().filter(|count| **count > 0).map(|count| f32::from(*count) / total).map(|p| -p * p.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(entropy(b""), 0.0);
        assert_eq!(entropy(b"aaaa"), 0.0);
        assert_eq!(entropy(b"abab"), 1.0);
        assert_eq!(entropy(b"0123456789abcdef"), 4.0);
    }
}
