//! Bot tokens of Discord: the first part is base64 of the bot's id, a snowflake of 17 to 20 decimal digits.

use super::base64::decode;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("discord_id", discord_id)];

/// Valid when the first part is an id; plausible otherwise.
/// (Discord, "API reference: snowflakes, authentication".)
fn discord_id(candidate: &Candidate<'_>) -> Verdict {
    let id = candidate.value().split(|byte| *byte == b'.').next().and_then(decode);
    let is_id = id.is_some_and(|id| (17..=20).contains(&id.len()) && id.iter().all(u8::is_ascii_digit));
    if is_id { Verdict::Valid } else { Verdict::Plausible }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        let of = |text: &str| discord_id(&Candidate::new(text.as_bytes(), 0..text.len()).expect("all of it"));
        // The id of Discord's own documentation example: 80351110224678912.
        assert_eq!(of("ODAzNTExMTAyMjQ2Nzg5MTI.GabcdE.x"), Verdict::Valid);
        assert_eq!(of("MqAzNTExMTAyMjQ2Nzg5MTI.GabcdE.x"), Verdict::Plausible);
    }
}
