//! bcrypt (Provos and Mazières, "A Future-Adaptable Password Scheme", USENIX 1999), as `$2b$<cost>$<salt><hash>`.
//!
//! One hash is a chain of table look-ups, each waiting for the one before; a processor could do several at a time. So
//! hashes are made side by side: [`hash_all`] works on [`LANES`] texts at once in one thread.
//!
//! # What it is for
//!
//! To check later whether a text is the same, slowly for whoever guesses. A text with few possible values is found by
//! trying them: a card verification code of three digits in 1,000 attempts, some minutes.
//!
//! # Limits
//!
//! bcrypt looks at the first 72 bytes and goes around when the text is shorter, with a zero byte behind it. What is longer,
//! and what holds a zero byte, would share its hash with other texts; both are refused.

mod blowfish;
mod pi;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::alphabet::BCRYPT;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use blowfish::raw_hashes;

/// Texts that are hashed side by side.
pub const LANES: usize = 4;
/// The longest text, in bytes.
pub const MAX_LEN: usize = 72;
/// The smallest cost that there is, 2^4 rounds.
pub const MIN_COST: u32 = 4;
/// The largest cost that is taken here: some five seconds for one text. The format goes
/// up to 31, which takes days.
pub const MAX_COST: u32 = 16;
/// Characters of a hash.
pub const HASH_LEN: usize = 60;

const SALT_LEN: usize = 16;
/// bcrypt leaves the last of its 24 bytes out.
const RAW_LEN: usize = 23;
/// 22 characters hold 132 bits of a salt of 128. What the four others are does not matter, here as elsewhere.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BcryptError {
    /// More bytes than bcrypt looks at.
    #[error("a text of more than 72 bytes cannot be hashed with bcrypt, which would ignore the rest")]
    TooLong,

    /// A zero byte.
    #[error("a text with a zero byte cannot be hashed with bcrypt, which would take it for the end")]
    ZeroByte,

    /// A cost that is not offered.
    #[error("the cost of bcrypt is 4 to 16")]
    Cost,

    /// Text is not a bcrypt hash of a cost that is offered.
    #[error("the text is not a bcrypt hash such as `$2b$12$…` with a cost of 4 to 16")]
    NotAHash,

    /// The operating system's random generator failed.
    #[error("the operating system gave no random bytes; nothing was hashed")]
    Random,
}

/// Whether a text can be hashed.
///
/// # Errors
/// [`BcryptError::TooLong`], [`BcryptError::ZeroByte`].
pub fn check(text: &[u8]) -> Result<(), BcryptError> {
    match text {
        _ if text.len() > MAX_LEN => Err(BcryptError::TooLong),
        _ if text.contains(&0) => Err(BcryptError::ZeroByte),
        _ => Ok(()),
    }
}

/// The hash of each text, under a random salt of its own, in order. `cost`: 2^cost rounds; each step more takes twice as
/// long.
///
/// # Errors
/// Those of [`check`] for any of them, [`BcryptError::Cost`], [`BcryptError::Random`].
pub fn hash_all(texts: &[&[u8]], cost: u32) -> Result<Vec<String>, BcryptError> {
    let mut salts = vec![[0; SALT_LEN]; texts.len()];
    getrandom::fill(salts.as_flattened_mut()).map_err(|_| BcryptError::Random)?;
    hash_with(texts, &salts, cost)
}

/// As [`hash_all`], with salts from outside.
fn hash_with(texts: &[&[u8]], salts: &[[u8; SALT_LEN]], cost: u32) -> Result<Vec<String>, BcryptError> {
    texts.iter().try_for_each(|text| check(text))?;
    if !(MIN_COST..=MAX_COST).contains(&cost) {
        return Err(BcryptError::Cost);
    }
    let write = |(salt, raw): (&[u8; SALT_LEN], [u8; RAW_LEN])| {
        let mut hash = format!("$2b${cost:02}$");
        BASE64.encode_string(salt, &mut hash);
        BASE64.encode_string(raw, &mut hash);
        hash
    };
    Ok(salts.iter().zip(raw_hashes(texts, salts, cost)).map(write).collect())
}

/// Whether a text is the one that a hash was made of: `$2b$`, `$2a$` or `$2y$`, which differ only where other programs had
/// mistakes. The hashes are compared in a time that does not depend on where they differ.
///
/// # Errors
/// Those of [`check`], and [`BcryptError::NotAHash`].
pub fn verify(text: &[u8], hash: &str) -> Result<bool, BcryptError> {
    check(text)?;
    let Parsed { cost, salt, raw } = parse(hash).ok_or(BcryptError::NotAHash)?;
    let [found] = raw_hashes(&[text], &[salt], cost)[..] else { return Err(BcryptError::NotAHash) };
    let difference = found.iter().zip(raw).fold(0, |sum, (a, b)| sum | (a ^ b));
    // `black_box` keeps the compiler from turning the fold into an early exit.
    Ok(std::hint::black_box(difference) == 0)
}

/// Whether a text has the form of a bcrypt hash that [`verify`] takes.
#[must_use]
pub fn is_hash(text: &str) -> bool {
    parse(text).is_some()
}

struct Parsed {
    cost: u32,
    salt: [u8; SALT_LEN],
    raw: [u8; RAW_LEN],
}

fn parse(hash: &str) -> Option<Parsed> {
    let rest = ["$2b$", "$2a$", "$2y$"].iter().find_map(|version| hash.strip_prefix(version))?;
    let (cost, rest) = rest.split_once('$')?;
    if cost.len() != 2 || !cost.bytes().all(|byte| byte.is_ascii_digit()) || rest.len() != 53 || !rest.is_ascii() {
        return None;
    }
    let cost = cost.parse().ok().filter(|cost| (MIN_COST..=MAX_COST).contains(cost))?;
    let (salt, raw) = rest.split_at(22);
    let salt = BASE64.decode(salt).ok()?.try_into().ok()?;
    let raw = BASE64.decode(raw).ok()?.try_into().ok()?;
    Some(Parsed { cost, salt, raw })
}
