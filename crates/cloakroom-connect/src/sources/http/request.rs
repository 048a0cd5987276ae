//! One request and its answer. Nothing of an answer's body and nothing of an address's query enters an
//! error: servers echo values in both.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use cloakroom_crypto::ExposeSecret;
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};

use super::config::{Auth, Config};
use crate::http::{self, Words};

/// Redirects that are followed, one after the other.
const REDIRECTS: usize = 10;

/// Sends requests with the credentials of one API.
pub(super) struct Api {
    client: Client,
    headers: HeaderMap,
    timeout_s: u64,
    max_response_bytes: usize,
}

/// What the server gave.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// The address it came from, after redirects.
    pub(super) url: Url,
    pub(super) body: Bytes,
}

impl Api {
    /// Makes the client for `base` and whatever has the same origin.
    ///
    /// # Errors
    /// The setting that cannot work.
    pub(super) fn new(config: &Config, base: &Url) -> Result<Self, ConnectorError> {
        let timeout = Duration::from_secs(config.timeout_s);
        let origin = base.origin();
        // A redirect elsewhere is not followed: reqwest would drop `Authorization` on the way, but not a
        // header of the API's own.
        let follow = redirect::Policy::custom(move |attempt| {
            let url = attempt.url();
            let here = url.origin() == origin && url.username().is_empty() && url.password().is_none();
            if here && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
        });
        let client = http::client(&config.tls)?
            .redirect(follow)
            .connect_timeout(timeout)
            // Counts anew with every part that arrives: a large page over a slow line is no failure.
            .read_timeout(timeout)
            .build()
            .map_err(|_| ConnectorError::configuration("the HTTP client cannot be set up"))?;
        let headers = headers(config, &client, base)?;
        Ok(Self { client, headers, timeout_s: config.timeout_s, max_response_bytes: config.max_response_bytes })
    }

    /// Asks once. `None` for an answer 404 where the caller says that it may be the end.
    ///
    /// # Errors
    /// Of a kind that says whether to ask again.
    pub(super) async fn get(&self, url: &Url, may_be_missing: bool) -> Result<Option<Answer>, ConnectorError> {
        let request = self.client.get(url.clone()).headers(self.headers.clone());
        let response = request.send().await.map_err(|error| self.transport(&error))?;
        let status = response.status();
        if status == StatusCode::NOT_FOUND && may_be_missing {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(refusal(status, response.headers()));
        }
        let headers = response.headers().clone();
        let url = response.url().clone();
        let body = self.body(response).await?;
        Ok(Some(Answer { status, headers, url, body }))
    }

    async fn body(&self, mut response: Response) -> Result<Bytes, ConnectorError> {
        let mut body = BytesMut::new();
        // A body that ends before its `Content-Length` or its last chunk is an error of the transport.
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(&error))? {
            if chunk.len() > self.max_response_bytes.saturating_sub(body.len()) {
                return Err(ConnectorError::configuration(format!(
                    "the response is larger than `max_response_bytes` ({}); ask for smaller pages or raise it",
                    self.max_response_bytes
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Says what kind of failure it is.
    fn transport(&self, error: &reqwest::Error) -> ConnectorError {
        http::transport(
            error,
            &Words {
                timeout: &format!("within {} s (`timeout_s`)", self.timeout_s),
                address: "`url`",
                certificate: "`tls.ca_file`",
            },
        )
    }
}

/// The error for an answer that is not a page.
fn refusal(status: StatusCode, headers: &HeaderMap) -> ConnectorError {
    let code = status.as_u16();
    match code {
        401 | 403 => ConnectorError::new(
            ErrorKind::Denied,
            format!("the server answers {code}: it does not accept the credentials; check `auth`"),
        ),
        408 | 425 | 429 | 500.. => {
            let mut error = ConnectorError::unavailable(format!("the server answers {code}"));
            error.retry_after = http::retry_after(headers);
            error
        }
        300..=399 => ConnectorError::configuration(format!(
            "the server answers {code}, a redirect that is not followed: it leaves the scheme, host and port of `url`, \
             leads nowhere or goes on too long; give the final address in `url`"
        )),
        _ => ConnectorError::configuration(format!("the server answers {code}; check `url` and `pagination`")),
    }
}

/// The headers of every request, credentials included.
fn headers(config: &Config, client: &Client, base: &Url) -> Result<HeaderMap, ConnectorError> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for (name, template) in &config.headers {
        let setting = format!("headers.{name}");
        headers.insert(header_name(&setting, name)?, header_value(&setting, "", template)?);
    }
    let (name, value) = match &config.auth {
        None => return Ok(headers),
        Some(Auth::Bearer(token)) => (AUTHORIZATION, header_value("auth.bearer", "Bearer ", token)?),
        Some(Auth::Header(own)) => {
            (header_name("auth.header.name", &own.name)?, header_value("auth.header.value", "", &own.value)?)
        }
        Some(Auth::Basic(basic)) => {
            let user = resolve("auth.basic.user", &basic.user)?;
            let password = resolve("auth.basic.password", &basic.password)?;
            // RFC 7617: the first colon ends the name.
            if user.expose_secret().contains(':') {
                return Err(ConnectorError::configuration("`auth.basic.user` must not contain a colon"));
            }
            let request = client.get(base.clone()).basic_auth(user.expose_secret(), Some(password.expose_secret()));
            let request = request.build().ok();
            let value = request.and_then(|request| request.headers().get(AUTHORIZATION).cloned());
            (AUTHORIZATION, value.ok_or_else(|| ConnectorError::configuration("`auth.basic` cannot be sent"))?)
        }
    };
    if name != ACCEPT && headers.contains_key(&name) {
        return Err(ConnectorError::configuration(format!("`auth` and `headers` both set `{name}`")));
    }
    headers.insert(name, value);
    Ok(headers)
}

/// A template's text, or an error that names the setting.
pub(super) fn resolve(setting: &str, template: &Template) -> Result<cloakroom_crypto::SecretString, ConnectorError> {
    template.resolve().map_err(|error| error.context(format!("`{setting}`")))
}

fn header_name(setting: &str, name: &str) -> Result<HeaderName, ConnectorError> {
    let bad = |_| ConnectorError::configuration(format!("`{setting}`: this cannot be the name of a header"));
    HeaderName::from_bytes(name.as_bytes()).map_err(bad)
}

fn header_value(setting: &str, prefix: &str, template: &Template) -> Result<HeaderValue, ConnectorError> {
    let text = resolve(setting, template)?;
    let text = text.expose_secret();
    if text.is_empty() {
        return Err(ConnectorError::configuration(format!("`{setting}` is empty")));
    }
    let mut value = HeaderValue::from_str(&format!("{prefix}{text}")).map_err(|_| {
        ConnectorError::configuration(format!(
            "`{setting}` holds a character that no header may have, a line end perhaps"
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides_what_happens() {
        let kind = |code| refusal(StatusCode::from_u16(code).unwrap(), &HeaderMap::new()).kind;
        for code in [408, 425, 429, 500, 501, 502, 503, 504, 599] {
            assert_eq!(kind(code), ErrorKind::Unavailable, "{code}");
        }
        assert_eq!((kind(401), kind(403)), (ErrorKind::Denied, ErrorKind::Denied));
        for code in [300, 302, 304, 400, 404, 410, 422] {
            assert_eq!(kind(code), ErrorKind::Configuration, "{code}");
        }
    }
}
