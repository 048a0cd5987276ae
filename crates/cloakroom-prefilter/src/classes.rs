//! ASCII bytes in at most 64 classes, so that one instruction looks a class up: bytes that all buckets treat alike are one class, and
//! of the others those are taken together whose mixing up costs the least.

use crate::{BUCKETS, DEPTH, NON_ASCII};

/// Classes.
pub(crate) const CLASSES: usize = 64;

/// By offset: the buckets that allow a byte, one bit each.
pub(crate) type Column = [u64; DEPTH];

/// How common bytes are in text, roughly.
fn share(byte: u8) -> f32 {
    match byte {
        b'a'..=b'z' => 0.016,
        b'0'..=b'9' => 0.040,
        // As in 2024-05-06T07:08:09Z.
        b'T' | b'Z' => 0.020,
        b'A'..=b'Z' => 0.002,
        b' ' | b'"' => 0.060,
        b':' | b',' | b'.' | b'-' | b'/' => 0.020,
        b'\n' | b'=' | b'_' => 0.005,
        // Most of some texts.
        NON_ASCII => 0.2,
        33..=126 => 0.001,
        _ => 0.0,
    }
}

/// Bytes that are one class so far.
struct Class {
    column: Column,
    share: f32,
}

/// By offset and bucket: how much more of a text fits when the bucket allows one byte more, divided by the share of that byte.
type Weights = [[f32; BUCKETS]; DEPTH];

fn weights(columns: &[Column; 128]) -> Weights {
    let mut shares = [[0.0; BUCKETS]; DEPTH];
    for (byte, column) in (0..).zip(columns) {
        for (shares, buckets) in shares.iter_mut().zip(column) {
            for (bucket, sum) in shares.iter_mut().enumerate() {
                *sum += if buckets >> bucket & 1 == 1 { share(byte) } else { 0.0 };
            }
        }
    }
    let all = |bucket: usize, but: usize| {
        let others = shares.iter().enumerate().filter(|(offset, _)| *offset != but);
        others.map(|(_, shares)| shares[bucket]).product()
    };
    std::array::from_fn(|offset| std::array::from_fn(|bucket| all(bucket, offset)))
}

/// How much more of a text fits when two classes are one.
fn cost(a: &Class, b: &Class, weights: &Weights) -> f32 {
    let mut sum = 0.0;
    for (offset, weights) in weights.iter().enumerate() {
        for (more, share) in
            [(b.column[offset] & !a.column[offset], a.share), (a.column[offset] & !b.column[offset], b.share)]
        {
            let mut more = more;
            while more != 0 {
                sum += weights[more.trailing_zeros() as usize] * share;
                more &= more - 1;
            }
        }
    }
    sum
}

/// The class of each byte below 128, and the column of each class.
pub(crate) fn classes(columns: &[Column; 128]) -> ([u8; 128], [Column; CLASSES]) {
    let mut of_byte = [0_u8; 128];
    let mut found: Vec<Class> = Vec::new();
    for (byte, column) in (0..).zip(columns) {
        let class = found.iter().position(|class| class.column == *column).unwrap_or(found.len());
        if class == found.len() {
            found.push(Class { column: *column, share: 0.0 });
        }
        found[class].share += share(byte);
        of_byte[usize::from(byte)] = class as u8;
    }
    if found.len() > CLASSES {
        merge(&mut found, &mut of_byte, &weights(columns));
    }
    let mut of_class = [[0; DEPTH]; CLASSES];
    for (column, class) in of_class.iter_mut().zip(&found) {
        *column = class.column;
    }
    (of_byte, of_class)
}

/// Takes classes together until there are few enough.
fn merge(found: &mut Vec<Class>, of_byte: &mut [u8; 128], weights: &Weights) {
    // By class: its costs with each class before it.
    let cost_of = |found: &[Class], a: usize, b: usize| cost(&found[a], &found[b], weights);
    let mut costs: Vec<Vec<f32>> =
        (0..found.len()).map(|class| (0..class).map(|other| cost_of(found, class, other)).collect()).collect();
    while found.len() > CLASSES {
        let pairs = costs
            .iter()
            .enumerate()
            .flat_map(|(class, costs)| costs.iter().enumerate().map(move |(other, cost)| (*cost, class, other)));
        let Some((_, class, other)) = pairs.min_by(|a, b| a.0.total_cmp(&b.0)) else { return };
        // The last one takes the place of the one that goes.
        let last = found.len() - 1;
        let gone = found.swap_remove(class);
        for (into, from) in found[other].column.iter_mut().zip(gone.column) {
            *into |= from;
        }
        found[other].share += gone.share;
        for of_byte in of_byte.iter_mut() {
            if usize::from(*of_byte) == class {
                *of_byte = other as u8;
            } else if usize::from(*of_byte) == last {
                *of_byte = class as u8;
            }
        }
        costs.pop();
        for changed in [class, other] {
            for at in (0..found.len()).filter(|at| *at != changed && changed < found.len()) {
                costs[changed.max(at)][changed.min(at)] = cost_of(found, changed, at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_loses_a_bucket_and_common_ones_gain_none() {
        // Every byte is different: its seven bits are buckets.
        let columns: [Column; 128] = std::array::from_fn(|byte| std::array::from_fn(|_| byte as u64));
        let (of_byte, of_class) = classes(&columns);
        for (byte, column) in (0_u8..).zip(&columns) {
            let class = of_class[usize::from(of_byte[usize::from(byte)])];
            assert!(class.iter().zip(column).all(|(class, byte)| class & byte == *byte));
            if byte.is_ascii_digit() {
                assert_eq!(class, *column, "{byte}");
            }
        }
    }
}
