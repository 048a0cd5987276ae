//! Credentials of HTTP basic authentication (RFC 7617): base64 of `user:password`.

use super::base64::decode;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] = &[("basic_auth", basic_auth)];

/// Valid when it decodes to printable text with a colon that is not its end.
fn basic_auth(candidate: &Candidate<'_>) -> Verdict {
    let text = decode(candidate.value()).and_then(|bytes| String::from_utf8(bytes).ok());
    Verdict::checksum(text.is_some_and(|text| {
        let password = text.split_once(':').map(|(_, password)| password);
        !text.chars().any(char::is_control) && password.is_some_and(|password| !password.is_empty())
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_the_rfc() {
        let of = |text: &str| basic_auth(&Candidate::new(text.as_bytes(), 0..text.len()).expect("all of it"));
        // RFC 7617 sections 2 and 2.1: `Aladdin:open sesame`, `test:123£`.
        assert_eq!(of("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), Verdict::Valid);
        assert_eq!(of("dGVzdDoxMjPCow=="), Verdict::Valid);
        for bad in ["authentication", "QWxhZGRpbg==", "QWxhZGRpbjo=", ""] {
            assert_eq!(of(bad), Verdict::Invalid, "{bad}");
        }
    }
}
