//! Requests to one server. Nothing of an answer's texts enters an error: the server repeats values in them.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cloakroom_core::decode::parse_json_object;
use cloakroom_core::encode::write_object;
use cloakroom_core::{Object, Value};
use cloakroom_crypto::ExposeSecret as _;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Method, StatusCode, Url, redirect};
use serde_json::json;

use super::{Auth, Config};
use crate::http::{self, Words};

/// The most bytes of an answer; a bulk request of 100,000 documents gets 20 MB.
const LONGEST_ANSWER: usize = 256 * 1024 * 1024;
/// How deep documents may be nested: deeper than any record may.
const MAX_DEPTH: usize = 1_000;

pub(super) struct Server {
    client: Client,
    base: Url,
    auth: HeaderMap,
    compress: bool,
    timeout_s: u64,
    /// It said once who it is.
    is_known: AtomicBool,
}

/// What the server answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Bytes,
}

impl Answer {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<serde_json::Value, ConnectorError> {
        serde_json::from_slice(&self.body).map_err(|_| {
            ConnectorError::new(
                ErrorKind::Corrupt,
                "the server's answer is no JSON; is it Elasticsearch or OpenSearch?",
            )
        })
    }

    /// The kind of error that the server names, if its name is one: `mapper_parsing_exception`.
    pub(super) fn error_type(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        error_name(body.get("error")?)
    }

    /// An error for an answer that is not what was hoped for.
    pub(super) fn refusal(&self, what: &str) -> ConnectorError {
        let code = self.status.as_u16();
        let name = self.error_type().map_or_else(String::new, |name| format!(" ({name})"));
        let is_blocked = name.contains("cluster_block_exception");
        let (kind, advice) = match code {
            401 => (ErrorKind::Denied, "; it wants credentials other than it got, see `auth`"),
            403 if !is_blocked => (ErrorKind::Denied, "; whoever `auth` names lacks the privilege"),
            403 | 408 | 429 | 500..=599 => (ErrorKind::Unavailable, ""),
            _ => (ErrorKind::Configuration, ""),
        };
        let mut error = ConnectorError::new(kind, format!("{what}: the server answers {code}{name}{advice}"));
        error.retry_after = self.retry_after;
        error
    }
}

/// The `type` of an error, when it looks like a name of the server's own.
pub(super) fn error_name(error: &serde_json::Value) -> Option<String> {
    let name = error.get("type")?.as_str()?;
    let is_name = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
    is_name.then(|| name.to_owned())
}

impl Server {
    pub(super) fn new(config: &Config) -> Result<Self, ConnectorError> {
        let text = config.url.resolve().map_err(|error| error.context("`url`"))?;
        let mut base = Url::parse(text.expose_secret())
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
            .ok_or_else(|| {
                ConnectorError::configuration("`url` must be an address such as https://search.example:9200")
            })?;
        if !base.username().is_empty() || base.password().is_some() {
            return Err(ConnectorError::configuration("user and password stand in `auth`, not in `url`"));
        }
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.set_query(None);
        let timeout = Duration::from_secs(config.timeout_s);
        let client = http::client(&config.tls)?
            .redirect(redirect::Policy::none())
            .connect_timeout(timeout)
            .read_timeout(timeout)
            .build()
            .map_err(|_| ConnectorError::configuration("the HTTP client cannot be set up"))?;
        let mut auth = HeaderMap::new();
        if let Some(given) = &config.auth {
            if base.scheme() == "http" && !is_here(&base) {
                return Err(ConnectorError::configuration(
                    "what stands in `auth` goes over TLS only: `url` must begin with https://, unless the server is on this machine",
                ));
            }
            auth.insert(AUTHORIZATION, credentials(given)?);
        }
        Ok(Self {
            client,
            base,
            auth,
            compress: config.compress,
            timeout_s: config.timeout_s,
            is_known: AtomicBool::new(false),
        })
    }

    /// One request; whatever the status, it is an answer.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        content_type: &'static str,
        body: Option<Bytes>,
    ) -> Result<Answer, ConnectorError> {
        let url = self.base.join(path).map_err(|_| ConnectorError::configuration("`url` cannot be completed"))?;
        let mut request = self.client.request(method, url).headers(self.auth.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, content_type);
            request = match self.compress && body.len() > 1024 {
                true => request.header(CONTENT_ENCODING, "gzip").body(gzip(&body)?),
                false => request.body(body),
            };
        }
        let mut response = request.send().await.map_err(|error| self.transport(&error))?;
        let (status, retry_after) = (response.status(), http::retry_after(response.headers()));
        let mut bytes = bytes::BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.transport(&error))? {
            if bytes.len() + chunk.len() > LONGEST_ANSWER {
                return Err(ConnectorError::new(ErrorKind::Corrupt, "the server's answer has no end"));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Answer { status, retry_after, body: bytes.freeze() })
    }

    /// A request with a JSON body, or none.
    pub(super) async fn json(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
    ) -> Result<Answer, ConnectorError> {
        let body = body.map(|body| Bytes::from(body.to_string()));
        self.send(method, path, "application/json", body).await
    }

    /// Asks the server who it is: name and version.
    pub(super) async fn greet(&self) -> Result<String, ConnectorError> {
        let answer = self.json(Method::GET, "", None).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal("it does not say who it is"));
        }
        let about = answer.json()?;
        let word = |value: Option<&serde_json::Value>| {
            let text = value.and_then(|value| value.as_str()).unwrap_or_default();
            let plain = text.len() <= 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'));
            if plain { text.to_owned() } else { String::new() }
        };
        let version = about.get("version");
        let number = word(version.and_then(|version| version.get("number")));
        if number.is_empty() {
            return Err(ConnectorError::configuration("the server at `url` is neither Elasticsearch nor OpenSearch"));
        }
        let name = match word(version.and_then(|version| version.get("distribution"))).as_str() {
            "opensearch" => "OpenSearch",
            _ => "Elasticsearch",
        };
        self.is_known.store(true, Ordering::Relaxed);
        Ok(format!("{name} {number}"))
    }

    /// The mappings of an index or alias, one for each index behind the name; `None` when there is none.
    pub(super) async fn mapping(&self, index: &str) -> Result<Option<serde_json::Value>, ConnectorError> {
        let answer = self.json(Method::GET, &format!("{index}/_mapping"), None).await?;
        match answer.status {
            StatusCode::NOT_FOUND => Ok(None),
            status if status.is_success() => answer.json().map(Some),
            _ => Err(answer.refusal(&format!("the mapping of {index}"))),
        }
    }

    /// Makes what was written visible to searches. An index that was never made has nothing to show.
    pub(super) async fn refresh(&self, index: &str) -> Result<(), ConnectorError> {
        let answer = self.json(Method::POST, &format!("{index}/_refresh"), None).await?;
        match answer.status.is_success() || answer.status == StatusCode::NOT_FOUND {
            true => Ok(()),
            false => Err(answer.refusal(&format!("refreshing {index}"))),
        }
    }

    /// Documents with one of the values in a field that is kept as it is, or in its `keyword`.
    pub(super) async fn search(
        &self,
        index: &str,
        field: &str,
        values: &[Value],
        limit: usize,
    ) -> Result<Vec<Object>, ConnectorError> {
        // As texts: the server reads the number that a field of numbers holds from them.
        let texts: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        let query = json!({
            "size": limit.min(10_000),
            "query": { "bool": { "minimum_should_match": 1, "should": [
                { "terms": { field: texts, "boost": 1 } },
                { "terms": { format!("{field}.keyword"): texts, "boost": 1 } },
            ] } },
        });
        self.refresh(index).await?;
        let answer = self.json(Method::POST, &format!("{index}/_search"), Some(&query)).await?;
        match answer.status {
            // A text where the field holds numbers or dates: no document has it.
            StatusCode::BAD_REQUEST => return Ok(Vec::new()),
            status if status.is_success() => {}
            _ => return Err(answer.refusal(&format!("searching {index}"))),
        }
        // With our own reader, which keeps numbers to the last digit.
        let damaged = || ConnectorError::new(ErrorKind::Corrupt, "the server's answer to a search cannot be read");
        let found = parse_json_object(&answer.body, MAX_DEPTH).map_err(|_| damaged())?;
        let hits = found.get("hits").and_then(Value::as_object).and_then(|hits| hits.get("hits"));
        let Some(Value::Array(hits)) = hits else { return Err(damaged()) };
        let sources = hits.iter().filter_map(|hit| hit.as_object()?.get("_source")?.as_object().cloned());
        Ok(sources.collect())
    }

    /// Documents as they are kept, by index and id, in this order; `None` for those that cannot be had.
    pub(super) async fn documents(&self, places: &[(&str, &str)]) -> Result<Vec<Option<Vec<u8>>>, ConnectorError> {
        let docs: Vec<_> = places.iter().map(|(index, id)| json!({ "_index": index, "_id": id })).collect();
        let answer = self.json(Method::POST, "_mget", Some(&json!({ "docs": docs }))).await?;
        if !answer.status.is_success() {
            return Err(answer.refusal("reading documents"));
        }
        let damaged =
            || ConnectorError::new(ErrorKind::Corrupt, "the server did not answer for every document asked for");
        let found = parse_json_object(&answer.body, MAX_DEPTH).map_err(|_| damaged())?;
        let Some(Value::Array(docs)) = found.get("docs") else { return Err(damaged()) };
        if docs.len() != places.len() {
            return Err(damaged());
        }
        let text = |doc: &Value| {
            let mut text = Vec::new();
            write_object(doc.as_object()?.get("_source")?.as_object()?, &mut text);
            Some(text)
        };
        Ok(docs.iter().map(text).collect())
    }

    fn transport(&self, error: &reqwest::Error) -> ConnectorError {
        let timeout = format!("within {} s (`timeout_s`)", self.timeout_s);
        let words = Words { timeout: &timeout, address: "`url`", certificate: "`tls.ca_file`" };
        let mut told = http::transport(error, &words);
        // A server that speaks TLS only closes the connection without a word.
        if self.base.scheme() == "http" && !self.is_known.load(Ordering::Relaxed) && http::is_unanswered(error) {
            told.message.push_str("; does the server want `https` in `url`?");
        }
        told
    }
}

/// True for an address on this machine.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn credentials(auth: &Auth) -> Result<HeaderValue, ConnectorError> {
    let resolve = |setting: &str, template: &cloakroom_pipeline::config::Template| {
        template.resolve().map_err(|error| error.context(format!("`auth.{setting}`")))
    };
    let text = match auth {
        Auth::Basic(basic) => {
            use base64::Engine as _;
            let (user, password) = (resolve("basic.user", &basic.user)?, resolve("basic.password", &basic.password)?);
            // RFC 7617: the first colon ends the name.
            if user.expose_secret().contains(':') {
                return Err(ConnectorError::configuration("`auth.basic.user` must not contain a colon"));
            }
            let pair = format!("{}:{}", user.expose_secret(), password.expose_secret());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
        }
        Auth::ApiKey(key) => format!("ApiKey {}", resolve("api_key", key)?.expose_secret()),
        Auth::Bearer(token) => format!("Bearer {}", resolve("bearer", token)?.expose_secret()),
    };
    let mut value = HeaderValue::from_str(&text).map_err(|_| {
        ConnectorError::configuration("`auth` holds a character that no header may have, a line end perhaps")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn gzip(body: &[u8]) -> Result<Vec<u8>, ConnectorError> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::fast());
    let done = encoder.write_all(body).and_then(|()| encoder.finish());
    done.map_err(|error| ConnectorError::io("compressing a request", &error))
}
