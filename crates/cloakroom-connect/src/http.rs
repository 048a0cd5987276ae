//! What all that speak HTTP have in common: the client, and what its failures mean.

use std::error::Error;
use std::time::{Duration, SystemTime};

use cloakroom_pipeline::error::ConnectorError;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Client, ClientBuilder};

use crate::tls::TlsConfig;

/// How long a server may ask to wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// A client to be completed: verified TLS, no proxy of the environment, nothing that tells where a request comes from.
pub(crate) fn client(tls: &TlsConfig) -> Result<ClientBuilder, ConnectorError> {
    let client = Client::builder().tls_backend_preconfigured(crate::tls::client(tls)?).no_proxy().referer(false);
    Ok(client.user_agent(concat!("cloakroom/", env!("CARGO_PKG_VERSION"))))
}

/// The names of settings in messages.
pub(crate) struct Words<'a> {
    /// `within 5 s`.
    pub(crate) timeout: &'a str,
    /// What holds the address.
    pub(crate) address: &'a str,
    /// What says which certificates are trusted.
    pub(crate) certificate: &'a str,
}

/// Says what kind of failure it is. The library's own text would hold the address.
pub(crate) fn transport(error: &reqwest::Error, words: &Words<'_>) -> ConnectorError {
    let Words { timeout, address, certificate } = words;
    if error.is_timeout() {
        return ConnectorError::unavailable(format!("no answer {timeout}"));
    }
    if error.is_redirect() || error.is_builder() {
        return ConnectorError::configuration("the server redirects to something that is no address");
    }
    if let Some(tls) = causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
        return match tls {
            rustls::Error::InvalidCertificate(_) => ConnectorError::configuration(format!(
                "the server's certificate is not trusted; check {certificate}, the host name in {address} and the \
                 certificate's dates"
            )),
            _ => ConnectorError::unavailable("the TLS connection failed"),
        };
    }
    let io = causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>());
    let why = io.map_or_else(String::new, |io| format!(" ({})", io.kind()));
    ConnectorError::unavailable(match error {
        _ if error.is_dns() => format!("the host name in {address} cannot be looked up"),
        _ if error.is_connect() => format!("cannot connect{why}"),
        _ if error.is_body() || error.is_decode() => format!("the response broke off{why}"),
        _ => format!("the connection failed{why}"),
    })
}

/// True when there was a connection, and it ended without an answer that HTTP knows.
pub(crate) fn is_unanswered(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

/// An error and what caused it. `source` of an `io::Error` skips the error that it wraps.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        let error: &'a (dyn Error + 'static) = *error;
        match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// How long the server asks to wait.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER).and_then(|value| wait(value, SystemTime::now()))
}

/// `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
fn wait(value: &HeaderValue, now: SystemTime) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    let asked = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).unwrap_or_default(),
    };
    Some(asked.min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_and_bounded() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        for (text, expected) in [
            ("0", Some(0)),
            (" 17 ", Some(17)),
            ("999999", Some(300)),
            ("Wed, 21 Oct 2026 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2026 09:28:30 GMT", Some(300)),
            ("Wed, 21 Oct 2020 07:28:30 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let value = HeaderValue::from_str(text).unwrap();
            assert_eq!(wait(&value, now), expected.map(Duration::from_secs), "{text}");
        }
    }
}
