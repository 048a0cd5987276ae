//! Validators: what a regex cannot check. One file for each published algorithm, with its vectors; the numbers of a
//! country are in `national/`, one file each, made from those algorithms.
//!
//! A validator is a function and one line in the `VALIDATORS` of its file; rules name it.

mod candidate;
pub(crate) mod luhn;
mod national;

pub use candidate::{Candidate, Digits};

/// What a validator says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is none: nothing is reported.
    Invalid,
    /// It may be one; this form has no checksum that could prove it.
    Plausible,
    /// Its checksum is right: the finding is `validated`.
    Valid,
}

impl Verdict {
    /// Of a checksum: [`Verdict::Valid`] or [`Verdict::Invalid`].
    #[must_use]
    pub fn checksum(right: bool) -> Self {
        if right { Self::Valid } else { Self::Invalid }
    }

    /// Of a check that proves nothing when it succeeds: [`Verdict::Plausible`] or [`Verdict::Invalid`].
    #[must_use]
    pub fn plausible(may_be: bool) -> Self {
        if may_be { Self::Plausible } else { Self::Invalid }
    }
}

/// Looks at a value in its text. Never panics, constant time and memory in the value's length.
pub type Validator = fn(&Candidate<'_>) -> Verdict;

/// Every validator by the name that rules use, grouped by file.
pub(crate) const VALIDATORS: &[&[(&str, Validator)]] = &[
    luhn::VALIDATORS,
    // National numbers, one file a country.
    national::us::VALIDATORS,
];
