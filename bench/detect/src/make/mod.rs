//! Valid values of every kind, made by the issuers' published rules: what the corpus plants.

pub mod checks;
pub mod everywhere;
pub mod national;
mod secrets;

use crate::rng::Rng;

/// One way of writing one entity.
pub struct Kind {
    pub entity: &'static str,
    /// Names the format among those of the entity.
    pub format: &'static str,
    /// Names of fields, columns, settings: `card_number`.
    pub keys: &'static [&'static str],
    /// What people call it: `card number`.
    pub labels: &'static [&'static str],
    /// Also planted without any word that says what it is.
    pub strong: bool,
    pub make: fn(&mut Rng) -> Made,
}

/// A value with its surroundings, where these belong to the format.
pub struct Made {
    pub before: String,
    pub value: String,
    pub after: String,
    /// Slices of the value that are also right: the password in a URL.
    pub also: Vec<std::ops::Range<usize>>,
}

impl From<String> for Made {
    fn from(value: String) -> Self {
        Self { before: String::new(), value, after: String::new(), also: Vec::new() }
    }
}

pub fn kinds() -> Vec<Kind> {
    let mut all = everywhere::kinds();
    all.extend(national::kinds());
    all.extend(secrets::kinds());
    all
}

/// `kind!("ENTITY", "format", ["key"], ["label"], strong, |rng| value)`
macro_rules! kind {
    ($entity:literal, $format:literal, [$($key:literal),*], [$($label:literal),*], $strong:expr, $make:expr) => {
        $crate::make::Kind {
            entity: $entity,
            format: $format,
            keys: &[$($key),*],
            labels: &[$($label),*],
            strong: $strong,
            make: |rng| { let make: fn(&mut $crate::rng::Rng) -> _ = $make; make(rng).into() },
        }
    };
}
pub(crate) use kind;

/// Calls `make` until it gives something: a check digit that does not exist is drawn again.
pub fn until<T>(rng: &mut Rng, make: impl Fn(&mut Rng) -> Option<T>) -> T {
    loop {
        if let Some(value) = make(rng) {
            return value;
        }
    }
}

/// A day of birth: year, month, day.
pub fn birthday(rng: &mut Rng) -> (u64, u64, u64) {
    (rng.range(1940, 1999), rng.range(1, 12), rng.range(1, 28))
}

/// `pattern` with every `#` replaced by the next character of `text`: `##.###` of 12345 is `12.345`.
pub fn shaped(pattern: &str, text: &str) -> String {
    let mut rest = text.chars();
    pattern.chars().map(|c| if c == '#' { rest.next().unwrap_or('?') } else { c }).collect()
}
