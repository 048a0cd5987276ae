//! The password in a URL (RFC 3986 section 3.2.1): `scheme://user:password@host`.

use super::placeholder::is_template;
use super::{Candidate, Validator, Verdict};

pub(super) const VALIDATORS: &[(&str, Validator)] =
    &[("url_password", url_password), ("url_example_password", url_example)];

/// User and password.
fn credentials(url: &[u8]) -> Option<(&[u8], &[u8])> {
    let from = memchr::memmem::find(url, b"://")? + 3;
    let rest = &url[from..];
    let authority = &rest[..rest.iter().position(|byte| *byte == b'/').unwrap_or(rest.len())];
    let userinfo = &authority[..memchr::memrchr(b'@', authority)?];
    let colon = memchr::memchr(b':', userinfo)?;
    Some((&userinfo[..colon], &userinfo[colon + 1..]))
}

/// What documentation writes: `user:password@host`.
fn is_documentation(user: &[u8], password: &[u8]) -> bool {
    let is = |text: &[u8], words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word.as_bytes()));
    is(user, &["", "user", "username", "usr", "login", "foo", "name", "u", "myuser", "your_username"])
        && is(
            password,
            &[
                "password",
                "pass",
                "passwd",
                "pwd",
                "p",
                "pw",
                "bar",
                "secret",
                "mypassword",
                "your_password",
                "yourpassword",
                "changeme",
            ],
        )
}

/// Refuses templates and masks (`${PASSWORD}`, `<password>`, `****`) and the words of documentation.
fn url_password(candidate: &Candidate<'_>) -> Verdict {
    let found = credentials(candidate.value());
    let masked = |text: &[u8]| {
        is_template(text) || memchr::memmem::find(text, b"***").is_some() || text.eq_ignore_ascii_case(b"redacted")
    };
    Verdict::plausible(found.is_some_and(|(user, password)| !masked(password) && !is_documentation(user, password)))
}

/// Only the words of documentation.
fn url_example(candidate: &Candidate<'_>) -> Verdict {
    Verdict::plausible(credentials(candidate.value()).is_some_and(|(user, password)| is_documentation(user, password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords() {
        let of = |validator: Validator, text: &str| {
            validator(&Candidate::new(text.as_bytes(), 0..text.len()).expect("all of it"))
        };
        for text in [
            "postgres://app:s3cr3t@db:5432/x",
            "redis://:p4ss@cache",
            "https://a:b@c@host/x@y",
            "mysql://root:password@db",
        ] {
            assert_eq!(of(url_password, text), Verdict::Plausible, "{text}");
            assert_eq!(of(url_example, text), Verdict::Invalid, "{text}");
        }
        for text in [
            "postgres://app:${PASSWORD}@db",
            "ftp://a:****@h",
            "x://a:<pw>@h",
            "x://a:xxxxx@h",
            "x://a:%s@h",
            "http://h/x",
            "x://user@h",
        ] {
            assert_eq!(of(url_password, text), Verdict::Invalid, "{text}");
        }
        assert_eq!(of(url_example, "postgres://user:password@host/db"), Verdict::Plausible);
    }
}
