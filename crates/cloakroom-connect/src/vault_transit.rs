//! Root keys wrapped by the Transit engine of HashiCorp Vault or OpenBao.
//!
//! `POST {address}/v1/{mount}/encrypt/{key}` and `decrypt` with base64 in JSON
//! (<https://developer.hashicorp.com/vault/api-docs/secret/transit>). The name of each key is bound to it as associated data,
//! so the Transit key must be of an AEAD type: `aes256-gcm96`, `aes128-gcm96`, `chacha20-poly1305`; whether it is bound is
//! tried when a key is wrapped. The token needs a policy with `update` on the two paths, and nothing else: with `create` a
//! mistyped name makes a new key.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use cloakroom_crypto::{ExposeSecret, KeyId, Protection, SecretKey, SecretString, Zeroizing};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::keys::protect::{Access, Provider, RootProtector, VaultConfig, settings};
use cloakroom_pipeline::keys::read_private;
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::http::{self, Words};
use crate::tls::TlsConfig;

const NAME: &str = "vault_transit";

/// For each answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long a Vault that is sealed, overloaded or not there is tried again.
const RETRY: RetryConfig = RetryConfig { base_ms: 200, max_ms: 2_000, give_up_after_s: 10 };

/// An answer holds one wrapped or unwrapped key.
const LONGEST_ANSWER: usize = 64 * 1024;

/// The longest `vault:v1:…` that we keep.
const LONGEST_WRAPPED: usize = 4096;

/// `protected_by: { vault_transit: { address, mount, key, namespace? } }`
pub struct VaultTransit;

/// What the key file keeps.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    address: String,
    mount: String,
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
}

#[async_trait]
impl Provider for VaultTransit {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn prepare(&self, given: &Value, access: &Access) -> Result<Arc<dyn RootProtector>, ConnectorError> {
        Ok(Arc::new(Transit::new(settings(given)?, &access.vault)?))
    }
}

/// One Transit key.
struct Transit {
    settings: Settings,
    client: Client,
    headers: HeaderMap,
    encrypt: Url,
    decrypt: Url,
}

impl Transit {
    fn new(settings: Settings, config: &VaultConfig) -> Result<Self, ConnectorError> {
        let [encrypt, decrypt] = [url(&settings, "encrypt")?, url(&settings, "decrypt")?];
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let ca_file = config.ca_file.clone().or_else(|| variable("VAULT_CACERT").as_deref().map(Template::literal));
        let client = http::client(&TlsConfig { ca_file })?
            // The token goes to this address and to no other.
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|_| ConnectorError::configuration("the HTTP client cannot be set up"))?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        let mut add = |name: &'static str, text: &str, what: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| {
                ConnectorError::configuration(format!("{what} holds a character that no header may have"))
            })?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
            Ok::<_, ConnectorError>(())
        };
        add("x-vault-token", token(config)?.expose_secret(), "the token")?;
        if let Some(namespace) = &settings.namespace {
            add("x-vault-namespace", namespace, "the namespace")?;
        }
        Ok(Self { settings, client, headers, encrypt, decrypt })
    }

    /// Calls until there is an answer, or it was tried for long enough.
    async fn call<T: DeserializeOwned>(&self, url: &Url, request: &Request<'_>) -> Result<T, ConnectorError> {
        let mut backoff = Backoff::new(RETRY);
        loop {
            match self.call_once(url, request).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tokio::time::sleep(backoff.after(error)?).await,
            }
        }
    }

    async fn call_once<T: DeserializeOwned>(&self, url: &Url, request: &Request<'_>) -> Result<T, ConnectorError> {
        // Large enough at once: a buffer that grows leaves unwiped copies behind.
        let mut body = Zeroizing::new(Vec::with_capacity(2 * LONGEST_WRAPPED));
        serde_json::to_writer(&mut *body, request)
            .map_err(|_| ConnectorError::new(ErrorKind::Internal, "the request cannot be written"))?;
        let request = self.client.post(url.clone()).headers(self.headers.clone()).body(Bytes::from_owner(body));
        let response = request.send().await.map_err(|error| transport(&error))?;
        let (status, retry_after) = (response.status(), http::retry_after(response.headers()));
        let body = read(response).await?;
        if !status.is_success() {
            let mut error = refusal(status, &body);
            error.retry_after = retry_after.filter(|_| error.kind.is_transient());
            return Err(error);
        }
        let answer: Answer<T> = serde_json::from_slice(&body).map_err(|_| foreign())?;
        Ok(answer.data)
    }

    async fn decrypt(&self, wrapped: &str, bound_to: &str) -> Result<SecretKey, ConnectorError> {
        let request = Request { plaintext: None, ciphertext: Some(wrapped), associated_data: bound_to };
        let Decrypted { plaintext } = self.call(&self.decrypt, &request).await?;
        let bytes = STANDARD.decode(plaintext.expose_secret()).map(Zeroizing::new).map_err(|_| foreign())?;
        SecretKey::from_slice(&bytes).ok_or_else(foreign)
    }
}

#[async_trait]
impl RootProtector for Transit {
    fn protection(&self) -> Protection {
        let settings = serde_json::to_value(&self.settings).unwrap_or(Value::Null);
        Protection { provider: NAME.to_owned(), settings }
    }

    fn describe(&self) -> String {
        let Settings { address, mount, key, .. } = &self.settings;
        format!("the Transit key {mount}/{key} of the Vault at {address}")
    }

    async fn wrap(&self, key: &SecretKey) -> Result<String, ConnectorError> {
        let plaintext = Zeroizing::new(STANDARD.encode(key.expose()));
        let bound_to = associated_data(&KeyId::of(key));
        let request = Request { plaintext: Some(&plaintext), ciphertext: None, associated_data: &bound_to };
        let Encrypted { ciphertext } = self.call(&self.encrypt, &request).await?;
        check(&ciphertext)?;
        // Old servers do not know associated data and pass over it in silence.
        match self.decrypt(&ciphertext, &STANDARD.encode("cloakroom/root/2/another")).await {
            Ok(_) => Err(ConnectorError::configuration(
                "the server does not bind associated data; take a newer one, and a Transit key of an AEAD type",
            )),
            Err(error) if error.kind == ErrorKind::Corrupt => Ok(ciphertext),
            Err(error) => Err(error),
        }
    }

    async fn unwrap(&self, kid: &KeyId, wrapped: &str) -> Result<SecretKey, ConnectorError> {
        check(wrapped)?;
        self.decrypt(wrapped, &associated_data(kid)).await
    }
}

/// What a wrapped key is bound to.
fn associated_data(kid: &KeyId) -> String {
    STANDARD.encode(format!("cloakroom/root/2/{kid}"))
}

#[derive(Serialize)]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    plaintext: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ciphertext: Option<&'a str>,
    associated_data: &'a str,
}

#[derive(Deserialize)]
struct Answer<T> {
    data: T,
}

#[derive(Deserialize)]
struct Encrypted {
    ciphertext: String,
}

#[derive(Deserialize)]
struct Decrypted {
    plaintext: SecretString,
}

fn url(settings: &Settings, operation: &str) -> Result<Url, ConnectorError> {
    let bad = |what: &str| ConnectorError::configuration(what.to_owned());
    let mut url = Url::parse(&settings.address)
        .map_err(|_| bad("the address of the Vault is none; write it as https://vault.example:8200"))?;
    let is_here = url.host_str().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    if url.scheme() != "https" && !(url.scheme() == "http" && is_here) {
        return Err(bad("root keys go over TLS only: the address of the Vault must begin with https://"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(bad("the address of the Vault holds more than scheme, host, port and path"));
    }
    let is_name = |text: &str| {
        let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        !text.is_empty() && text.bytes().all(safe) && !text.starts_with('.')
    };
    if !settings.mount.split('/').all(is_name) {
        return Err(bad("the mount of the Transit engine is a path such as transit or teams/a/transit"));
    }
    if !is_name(&settings.key) {
        return Err(bad("the name of a Transit key has letters, digits, `.`, `_` and `-`"));
    }
    let base = url.path().trim_end_matches('/').to_owned();
    url.set_path(&format!("{base}/v1/{}/{operation}/{}", settings.mount, settings.key));
    Ok(url)
}

fn token(config: &VaultConfig) -> Result<SecretString, ConnectorError> {
    let read = |path: PathBuf| read_private(&path, "token file").map(|text| SecretString::from(text.trim()));
    let in_home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".vault-token"));
    let token = if let Some(token) = &config.token {
        token.resolve().map_err(|error| error.context("`keys.vault.token`"))?
    } else if let Some(file) = &config.token_file {
        read(file.resolve_plain()?.into())?
    } else if let Ok(token) = std::env::var("VAULT_TOKEN") {
        SecretString::from(token)
    } else if let Some(file) = in_home.filter(|file| file.exists()) {
        read(file)?
    } else {
        return Err(ConnectorError::configuration(
            "there is no token: set VAULT_TOKEN, or `keys.vault.token_file` in the pipeline file, or run `vault login`",
        ));
    };
    if token.expose_secret().is_empty() {
        return Err(ConnectorError::configuration("the token is empty"));
    }
    Ok(token)
}

/// Of a text that a server gave or a file holds, whether it can be a wrapped key.
fn check(wrapped: &str) -> Result<(), ConnectorError> {
    let is_one = wrapped.starts_with("vault:v") && wrapped.len() <= LONGEST_WRAPPED;
    if is_one && wrapped.bytes().all(|byte| byte.is_ascii_graphic()) { Ok(()) } else { Err(foreign()) }
}

async fn read(mut response: Response) -> Result<Zeroizing<Vec<u8>>, ConnectorError> {
    let mut body = Zeroizing::new(Vec::with_capacity(LONGEST_ANSWER));
    while let Some(chunk) = response.chunk().await.map_err(|error| transport(&error))? {
        if chunk.len() > LONGEST_ANSWER - body.len() {
            return Err(foreign());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn foreign() -> ConnectorError {
    ConnectorError::new(ErrorKind::Corrupt, "this is not what Transit makes of a key; check the address and the mount")
}

fn transport(error: &reqwest::Error) -> ConnectorError {
    let timeout = format!("within {} s", TIMEOUT.as_secs());
    http::transport(
        error,
        &Words {
            timeout: &timeout,
            address: "the address of the Vault",
            certificate: "`keys.vault.ca_file` or VAULT_CACERT",
        },
    )
}

/// What an answer means that is no success. Its words decide and are not repeated: servers quote what they were sent.
fn refusal(status: StatusCode, body: &[u8]) -> ConnectorError {
    let code = status.as_u16();
    let body = String::from_utf8_lossy(body);
    let says = |words: &str| body.contains(words);
    match code {
        400 if says("encryption key not found") => ConnectorError::configuration(
            "there is no Transit key of this name: it was deleted, or the name or the mount is another",
        ),
        400 if says("authentication failed") || says("invalid ciphertext") => ConnectorError::new(
            ErrorKind::Corrupt,
            "the wrapped key does not open: another Transit key wrapped it, it belongs to another name, or it was changed",
        ),
        400 if says("disallowed by policy") => ConnectorError::new(
            ErrorKind::Denied,
            "the Transit key does not open with its old versions any more; see its min_decryption_version",
        ),
        400 if says("associated") => ConnectorError::configuration(
            "the Transit key does not take associated data; take one of an AEAD type such as aes256-gcm96",
        ),
        400 => ConnectorError::configuration(
            "the server refuses the request (400); check that the Transit key is of an AEAD type such as aes256-gcm96, and \
             not a derived one",
        ),
        401 | 403 => ConnectorError::new(
            ErrorKind::Denied,
            format!(
                "the server denies it ({code}): the token has ended or was revoked, or its policy does not allow `update` \
                 on encrypt and decrypt of this key"
            ),
        ),
        404 => {
            ConnectorError::configuration("no Transit engine is mounted there (404); check the mount and the namespace")
        }
        429 => ConnectorError::unavailable("the server throttles (429)"),
        503 => ConnectorError::unavailable("the server is sealed or in maintenance (503)"),
        412 | 472 | 473 | 500.. => ConnectorError::unavailable(format!("the server answers {code}")),
        300..=399 => ConnectorError::configuration(format!(
            "the server answers {code}, a redirect, which is not followed; give the address of the active node"
        )),
        _ => ConnectorError::configuration(format!("the server answers {code}; check the address and the mount")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str, mount: &str, key: &str) -> Settings {
        Settings { address: address.to_owned(), mount: mount.to_owned(), key: key.to_owned(), namespace: None }
    }

    #[test]
    fn addresses_are_put_together_and_bad_ones_refused() {
        let made = |address, mount, key| url(&settings(address, mount, key), "encrypt").map(|url| url.to_string());
        assert_eq!(
            made("https://vault.example:8200", "transit", "k").unwrap(),
            "https://vault.example:8200/v1/transit/encrypt/k"
        );
        assert_eq!(
            made("https://gate.example/vault/", "a/transit", "cloak-room.1").unwrap(),
            "https://gate.example/vault/v1/a/transit/encrypt/cloak-room.1"
        );
        assert!(made("http://127.0.0.1:8200", "transit", "k").is_ok());
        for (address, mount, key) in [
            ("http://vault.example:8200", "transit", "k"),
            ("http://127.0.0.1.example", "transit", "k"),
            ("vault.example:8200", "transit", "k"),
            ("https://user:s3cret@vault.example", "transit", "k"),
            ("https://vault.example?x=1", "transit", "k"),
            ("https://vault.example", "../sys", "k"),
            ("https://vault.example", "", "k"),
            ("https://vault.example", "a//b", "k"),
            ("https://vault.example", "transit", "../../sys/seal"),
            ("https://vault.example", "transit", ""),
            ("https://vault.example", "transit", "k?x"),
        ] {
            let error = made(address, mount, key).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Configuration, "{address} {mount} {key}");
            assert!(!error.message.contains("s3cret"), "{}", error.message);
        }
    }

    #[test]
    fn the_answer_decides_what_happens() {
        let kind = |code, body: &str| refusal(StatusCode::from_u16(code).unwrap(), body.as_bytes()).kind;
        for code in [412, 429, 472, 473, 500, 502, 503] {
            assert_eq!(kind(code, ""), ErrorKind::Unavailable, "{code}");
        }
        assert_eq!(kind(403, r#"{"errors":["permission denied"]}"#), ErrorKind::Denied);
        assert_eq!(kind(404, ""), ErrorKind::Configuration);
        assert_eq!(kind(307, ""), ErrorKind::Configuration);
        for (body, expected) in [
            (r#"{"errors":["encryption key not found"]}"#, ErrorKind::Configuration),
            (r#"{"errors":["cipher: message authentication failed"]}"#, ErrorKind::Corrupt),
            (r#"{"errors":["invalid ciphertext: no prefix"]}"#, ErrorKind::Corrupt),
            ("ciphertext or signature version is disallowed by policy (too old)", ErrorKind::Denied),
            ("", ErrorKind::Configuration),
        ] {
            assert_eq!(kind(400, body), expected, "{body}");
        }
        let message = refusal(StatusCode::BAD_REQUEST, b"invalid ciphertext: S3cretMarker").message;
        assert!(!message.contains("S3cretMarker"));
    }
}
