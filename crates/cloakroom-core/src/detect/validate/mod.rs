//! Validators: what a regex cannot check. One file for each published algorithm, with its vectors; the numbers of a
//! country are in `national/`, one file each, made from those algorithms.
//!
//! A validator is a function and one line in the `VALIDATORS` of its file; rules name it.

mod assignment;
mod base58check;
mod base64;
mod basic_auth;
mod bech32;
pub(crate) mod calendar;
mod candidate;
mod card;
mod date;
mod discord_id;
mod email;
mod geo;
pub(crate) mod groups;
mod iban;
mod imei;
mod ip;
pub(crate) mod iso7064;
mod jwt;
mod keccak;
pub(crate) mod luhn;
mod mac;
mod national;
mod pem_key;
mod phone;
mod placeholder;
mod strkey;
mod token_crc;
mod url_password;
pub(crate) mod verhoeff;
mod vin;
pub(crate) mod weighted;

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
    groups::VALIDATORS,
    iso7064::VALIDATORS,
    luhn::VALIDATORS,
    // Everywhere.
    base58check::VALIDATORS,
    bech32::VALIDATORS,
    card::VALIDATORS,
    date::VALIDATORS,
    email::VALIDATORS,
    geo::VALIDATORS,
    iban::VALIDATORS,
    imei::VALIDATORS,
    ip::VALIDATORS,
    keccak::VALIDATORS,
    mac::VALIDATORS,
    phone::VALIDATORS,
    strkey::VALIDATORS,
    vin::VALIDATORS,
    // Secrets.
    assignment::VALIDATORS,
    basic_auth::VALIDATORS,
    discord_id::VALIDATORS,
    jwt::VALIDATORS,
    pem_key::VALIDATORS,
    placeholder::VALIDATORS,
    token_crc::VALIDATORS,
    url_password::VALIDATORS,
    // National numbers, one file a country.
    national::ae::VALIDATORS,
    national::ar::VALIDATORS,
    national::at::VALIDATORS,
    national::au::VALIDATORS,
    national::baltic::VALIDATORS,
    national::be::VALIDATORS,
    national::bg::VALIDATORS,
    national::br::VALIDATORS,
    national::ca::VALIDATORS,
    national::ch::VALIDATORS,
    national::cl::VALIDATORS,
    national::cn::VALIDATORS,
    national::co::VALIDATORS,
    national::cz::VALIDATORS,
    national::de::VALIDATORS,
    national::dk::VALIDATORS,
    national::ec::VALIDATORS,
    national::es::VALIDATORS,
    national::fi::VALIDATORS,
    national::fr::VALIDATORS,
    national::gr::VALIDATORS,
    national::hk::VALIDATORS,
    national::hr::VALIDATORS,
    national::hu::VALIDATORS,
    national::id::VALIDATORS,
    national::ie::VALIDATORS,
    national::il::VALIDATORS,
    national::india::VALIDATORS,
    national::it::VALIDATORS,
    national::jp::VALIDATORS,
    national::kr::VALIDATORS,
    national::mx::VALIDATORS,
    national::my::VALIDATORS,
    national::ng::VALIDATORS,
    national::nl::VALIDATORS,
    national::no::VALIDATORS,
    national::nz::VALIDATORS,
    national::pe::VALIDATORS,
    national::ph::VALIDATORS,
    national::pl::VALIDATORS,
    national::pt::VALIDATORS,
    national::ro::VALIDATORS,
    national::se::VALIDATORS,
    national::sg::VALIDATORS,
    national::th::VALIDATORS,
    national::tr::VALIDATORS,
    national::tw::VALIDATORS,
    national::uk::VALIDATORS,
    national::us::VALIDATORS,
    national::uy::VALIDATORS,
    national::za::VALIDATORS,
];
