//! What a detector found: positions and names, never the value.

use std::borrow::Cow;
use std::ops::Range;

/// One sensitive value, by its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The field it was found in, fit to be printed (see [`crate::error::safe_path`]). It goes on inside JSON that
    /// stands in a text (`payload.card`); what was found in a member's name has `?` in the name's place.
    pub path: String,
    /// Byte range in the original UTF-8 text: of the field, of the value inside JSON that stands in a text (its escapes
    /// decoded), of the number as it was written, or of the member's name.
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
