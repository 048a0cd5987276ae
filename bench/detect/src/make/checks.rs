//! Checksums, written from their published descriptions and from nothing of Cloakroom's: that is what makes the truth
//! independent.

use sha2::{Digest, Sha256};

pub fn values(text: &str) -> Vec<u64> {
    text.chars().filter_map(|c| c.to_digit(36)).map(u64::from).collect()
}

pub fn weighted(text: &str, weights: &[u64]) -> u64 {
    values(text).iter().zip(weights).map(|(digit, weight)| digit * weight).sum()
}

/// The digit that makes `body` + digit pass Luhn.
pub fn luhn(body: &str) -> u64 {
    let digits = values(body);
    let sum: u64 =
        digits.iter().rev().enumerate().map(|(at, digit)| if at % 2 == 0 { cross(digit * 2) } else { *digit }).sum();
    (10 - sum % 10) % 10
}

pub fn with_luhn(body: &str) -> String {
    format!("{body}{}", luhn(body))
}

/// Sum of the two digits of a number below 100.
pub fn cross(number: u64) -> u64 {
    number / 10 + number % 10
}

/// ISO 7064 MOD 11,10: the check digit (German tax ids, Croatian OIB).
pub fn mod_11_10(body: &str) -> u64 {
    let mut product = 10;
    for digit in values(body) {
        let sum = match (digit + product) % 10 {
            0 => 10,
            sum => sum,
        };
        product = sum * 2 % 11;
    }
    (11 - product) % 10
}

/// The remainder by 97 of a number in which A is 10 and Z is 35.
pub fn mod_97(text: &str) -> u64 {
    values(text)
        .iter()
        .fold(0, |rest, value| if *value > 9 { (rest * 100 + value) % 97 } else { (rest * 10 + value) % 97 })
}

pub fn verhoeff(body: &str) -> u64 {
    const TIMES: [[usize; 10]; 10] = [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
        [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
        [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
        [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
        [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
        [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
        [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
        [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
        [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
    ];
    const PERMUTE: [usize; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];
    let mut sum = 0;
    for (at, digit) in values(body).iter().rev().enumerate() {
        let permuted = (0..=at % 8).fold(*digit as usize, |digit, _| PERMUTE[digit]);
        sum = TIMES[sum][permuted];
    }
    (0..10).find(|digit| TIMES[sum][*digit] == 0).unwrap_or(0) as u64
}

pub fn crc32(text: &[u8]) -> u32 {
    !text.iter().fold(!0_u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 })
    })
}

/// A number in base 62, six places: the checksum in tokens of code hosts.
pub fn base62_six(number: u32) -> String {
    let alphabet = crate::rng::BASE62.as_bytes();
    (0..6).rev().map(|place| char::from(alphabet[(u64::from(number) / 62_u64.pow(place) % 62) as usize])).collect()
}

pub fn base64(bytes: &[u8], url: bool) -> String {
    let alphabet = if url { crate::rng::BASE64_URL } else { crate::rng::BASE64 }.as_bytes();
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().chain([0, 0].iter()).take(3).fold(0_u32, |group, byte| group << 8 | u32::from(*byte));
        for place in 0..=chunk.len() {
            out.push(char::from(alphabet[(group >> (18 - 6 * place) & 63) as usize]));
        }
        if !url {
            out.extend(std::iter::repeat_n('=', 3 - chunk.len()));
        }
    }
    out
}

/// Base58Check of a version byte and a payload.
pub fn base58_check(payload: &[u8]) -> String {
    let sum = Sha256::digest(Sha256::digest(payload));
    let bytes: Vec<u8> = payload.iter().chain(&sum[..4]).copied().collect();
    let mut digits: Vec<u32> = Vec::new();
    for byte in &bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += *digit << 8;
            *digit = carry % 58;
            carry /= 58;
        }
        while carry > 0 {
            digits.push(carry % 58);
            carry /= 58;
        }
    }
    let alphabet = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let places = digits.iter().rev().map(|digit| char::from(alphabet[*digit as usize]));
    std::iter::repeat_n('1', zeros).chain(places).collect()
}

/// A SegWit address: bech32 for version 0, bech32m from version 1.
pub fn bech32(version: u8, program: &[u8]) -> String {
    let alphabet = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
    let mut data = vec![version];
    let (mut bits, mut held) = (0_u32, 0);
    for byte in program {
        bits = bits << 8 | u32::from(*byte);
        held += 8;
        while held >= 5 {
            held -= 5;
            data.push((bits >> held & 31) as u8);
        }
    }
    if held > 0 {
        data.push((bits << (5 - held) & 31) as u8);
    }
    let polymod = |values: &[u8]| {
        values.iter().fold(1_u32, |sum, value| {
            let top = sum >> 25;
            let shifted = (sum & 0x01FF_FFFF) << 5 ^ u32::from(*value);
            let generators = [0x3B6A_57B2, 0x2650_8E6D, 0x1EA1_19FA, 0x3D42_33DD, 0x2A14_62B3];
            (0..5).filter(|bit| top >> bit & 1 == 1).fold(shifted, |sum, bit| sum ^ generators[bit])
        })
    };
    let constant = if version == 0 { 1 } else { 0x2BC8_30A3 };
    let mut all = vec![3, 3, 0, 2, 3]; // "bc", expanded
    all.extend(&data);
    all.extend([0; 6]);
    let sum = polymod(&all) ^ constant;
    data.extend((0..6).rev().map(|place| (sum >> (5 * place) & 31) as u8));
    "bc1".chars().chain(data.iter().map(|value| char::from(alphabet[usize::from(*value)]))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_examples() {
        assert_eq!(luhn("411111111111111"), 1);
        assert_eq!(mod_11_10("8609574271"), 9);
        assert_eq!(mod_97("3214282912345698765432161182"), 1);
        assert_eq!(verhoeff("236"), 3);
        assert_eq!(base62_six(crc32(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ")), "0mLq17");
        assert_eq!(base64(b"Ma", false), "TWE=");
        assert_eq!(base58_check(&[0; 21]), "1111111111111111111114oLvT2");
        let program: Vec<u8> = (0..20)
            .map(|at| u8::from_str_radix(&"751e76e8199196d454941c45d1b3a323f1433bd6"[at * 2..at * 2 + 2], 16).unwrap())
            .collect();
        assert_eq!(bech32(0, &program), "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4");
    }
}
