//! The numbers that countries give to people and companies: one file a country, by its ISO 3166 code.

pub(super) mod ae;
pub(super) mod ar;
pub(super) mod at;
pub(super) mod au;
pub(super) mod baltic;
pub(super) mod be;
pub(super) mod bg;
pub(super) mod br;
pub(super) mod ca;
pub(super) mod ch;
pub(super) mod cl;
pub(super) mod cn;
pub(super) mod co;
pub(super) mod cz;
pub(super) mod de;
pub(super) mod dk;
pub(super) mod ec;
pub(super) mod es;
pub(super) mod fi;
pub(super) mod fr;
pub(super) mod gr;
pub(super) mod hk;
pub(super) mod hr;
pub(super) mod hu;
pub(super) mod id;
pub(super) mod ie;
pub(super) mod il;
pub(super) mod india;
pub(super) mod it;
pub(super) mod jp;
pub(super) mod kr;
pub(super) mod mx;
pub(super) mod my;
pub(super) mod ng;
pub(super) mod nl;
pub(super) mod no;
pub(super) mod nz;
pub(super) mod pe;
pub(super) mod ph;
pub(super) mod pl;
pub(super) mod pt;
pub(super) mod ro;
pub(super) mod se;
pub(super) mod sg;
pub(super) mod th;
pub(super) mod tr;
pub(super) mod tw;
pub(super) mod uk;
pub(super) mod us;
pub(super) mod uy;
pub(super) mod za;

/// What a validator says of a text that is the value alone.
#[cfg(test)]
fn verdict(validator: super::Validator, value: &str) -> super::Verdict {
    super::Candidate::new(value.as_bytes(), 0..value.len())
        .map_or(super::Verdict::Invalid, |candidate| validator(&candidate))
}

/// Holds a validator to what it says of several values.
#[cfg(test)]
fn verdicts(validator: super::Validator, expected: super::Verdict, values: &[&str]) {
    for value in values {
        assert_eq!(verdict(validator, value), expected, "{value}");
    }
}
