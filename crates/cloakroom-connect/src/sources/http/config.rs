//! The section `http` of a pipeline file.

use std::collections::BTreeMap;

use cloakroom_pipeline::config::Template;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::tls::TlsConfig;

/// An HTTP API that lists records as JSON.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The address of the first page, with whatever query the API needs besides the paging.
    pub url: Template,
    /// Where the array of records stands inside a response, as a dotted path: `data.items` (default: the
    /// response itself is the array).
    pub items: Option<String>,
    /// How to come to the next page (default: there is one page).
    pub pagination: Option<Pagination>,
    /// How to prove who asks.
    pub auth: Option<Auth>,
    /// More request headers, by name.
    #[serde(default)]
    pub headers: BTreeMap<String, Template>,
    /// Seconds to wait for a connection, for an answer, and for each next part of it.
    #[serde(default = "default_timeout_s")]
    pub timeout_s: u64,
    /// Pages after which a run ends with an error: a bound for servers that never come to an end.
    #[serde(default = "default_max_pages")]
    pub max_pages: u64,
    /// The most bytes of one response, after decompression. A response is held in memory as a whole.
    #[serde(default = "default_max_response_bytes")]
    pub max_response_bytes: usize,
    /// Which certificates are trusted.
    #[serde(default)]
    pub tls: TlsConfig,
}

/// How to come from one page to the next.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pagination {
    /// Pages have numbers, sent as a query parameter.
    Page(PageConfig),
    /// Each response names the next page, which is sent as a query parameter.
    Cursor(CursorConfig),
    /// Each response has a `Link` header with `rel="next"` (RFC 8288).
    Link,
}

/// Pages with numbers. An empty page ends the list, and so does a 404 after the first page.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PageConfig {
    /// The query parameter of the page's number.
    pub parameter: String,
    /// The number of the first page.
    pub start: u64,
    /// The query parameter of the number of records on a page.
    pub size_parameter: Option<String>,
    /// How many records a page has. A page with fewer is taken for the last one, so this must not be
    /// more than the server is willing to give.
    pub size: Option<u64>,
}

impl Default for PageConfig {
    fn default() -> Self {
        Self { parameter: "page".to_owned(), start: 1, size_parameter: None, size: None }
    }
}

/// Pages named by the page before them.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CursorConfig {
    /// The query parameter of the cursor.
    #[serde(default = "default_cursor_parameter")]
    pub parameter: String,
    /// Where the next cursor stands inside a response, as a dotted path: `meta.next_cursor`. The list
    /// ends where it is missing, null or empty. A cursor that is an `http://` or `https://` address is
    /// asked for as it is.
    pub next: String,
    /// The query parameter of the number of records on a page.
    pub size_parameter: Option<String>,
    /// How many records to ask for per page.
    pub size: Option<u64>,
}

/// How to prove who asks. Sent to the scheme, host and port of `url` and to no other.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// A bearer token (RFC 6750).
    Bearer(Template),
    /// User name and password (RFC 7617).
    Basic(BasicAuth),
    /// A header of the API's own.
    Header(HeaderAuth),
}

/// User name and password.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BasicAuth {
    /// The user name.
    pub user: Template,
    /// The password.
    pub password: Template,
}

/// A header that holds a key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderAuth {
    /// The header's name, for example `X-Api-Key`.
    pub name: String,
    /// Its value.
    pub value: Template,
}

fn default_timeout_s() -> u64 {
    30
}

fn default_max_pages() -> u64 {
    100_000
}

fn default_max_response_bytes() -> usize {
    256 * 1024 * 1024
}

fn default_cursor_parameter() -> String {
    "cursor".to_owned()
}
