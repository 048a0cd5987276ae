//! What a detector found: positions and names, never the value.

use std::borrow::Cow;
use std::ops::Range;

/// One sensitive value, by its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The field it was found in, fit to be printed (see [`crate::error::safe_path`]).
    pub path: String,
    /// Byte range in the field's original UTF-8 text.
    pub span: Range<usize>,
    /// What kind of value it is, for example `EMAIL_ADDRESS`.
    pub entity: Cow<'static, str>,
    /// The rule that found it.
    pub rule: Cow<'static, str>,
    /// 0 (a guess) to 1 (certain).
    pub confidence: f32,
    /// True when a checksum or another check beyond the pattern succeeded.
    pub validated: bool,
}
