//! JSON Web Tokens (RFC 7519): the header is base64url of a JSON object with `alg` (RFC 7515 section 4.1.1).

use super::base64::decode;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("jwt_header", jwt_header)];

/// Valid when the header says its algorithm; plausible otherwise, because `eyJ` twice is rare enough.
fn jwt_header(candidate: &Candidate<'_>) -> Verdict {
    let header = candidate.value().split(|byte| *byte == b'.').next().and_then(decode);
    let header = header.and_then(|json| serde_json::from_slice::<serde_json::Value>(&json).ok());
    let says = header.is_some_and(|header| header.get("alg").is_some_and(serde_json::Value::is_string));
    if says { Verdict::Valid } else { Verdict::Plausible }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_of_the_rfc() {
        let of = |text: &str| jwt_header(&Candidate::new(text.as_bytes(), 0..text.len()).expect("all of it"));
        // RFC 7519 section 3.1.
        assert_eq!(of("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UifQ.dBjftJeZ"), Verdict::Valid);
        assert_eq!(of("eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UifQ."), Verdict::Valid);
        assert_eq!(of("eyJQQQQQQQQQ.eyJQQQQQ.QQQQ"), Verdict::Plausible);
        assert_eq!(of(""), Verdict::Plausible);
    }
}
