//! A small HTTP API over sample records, for demonstrations and tests.
//!
//! It lists the same items in the ways real APIs do (all at once, by page, by cursor, by `Link`
//! header), can ask for a bearer token, and can fail on purpose: a client that copes with every
//! fault here copes with most of what it meets outside. Items are served byte for byte, so a test
//! can plant one that is not JSON at all.

mod cut;

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{ConnectInfo, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::net::TcpListener;

use super::Sample;
use cut::{Cut, CutListener};

/// How the API behaves. It has no `Debug`, so that the token cannot be printed.
#[derive(Clone)]
pub(crate) struct ServeOptions {
    /// Items on a page when the request has no `limit`.
    pub(crate) page_size: usize,
    /// Requests must carry `Authorization: Bearer <token>`; 401 otherwise.
    pub(crate) token: Option<String>,
    /// Fail on purpose, by the number of the request (the first is 1): multiples of 4 answer 500,
    /// else multiples of 5 answer 429 with `Retry-After`, else multiples of 7 break off in the
    /// middle of the body.
    pub(crate) faults: bool,
    /// The seconds in `Retry-After`.
    pub(crate) retry_after: u64,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self { page_size: 25, token: None, faults: false, retry_after: 1 }
    }
}

/// The items of the API and how it serves them.
pub(crate) struct SampleApi {
    source: ItemSource,
    /// Items put in between, by their place in the whole list.
    inserted: BTreeMap<usize, Bytes>,
    options: ServeOptions,
    requests: Arc<AtomicU64>,
}

enum ItemSource {
    Listed(Vec<Bytes>),
    Generated { sample: Sample, count: usize },
}

impl SampleApi {
    /// Serves these items as they are.
    pub(crate) fn from_items(items: Vec<Bytes>) -> Self {
        Self::new(ItemSource::Listed(items))
    }

    /// Serves the first `count` records of a sample. A page is made when it is asked for; only
    /// `GET /users` without a page holds all of them in memory.
    pub(crate) fn generated(sample: Sample, count: usize) -> Self {
        Self::new(ItemSource::Generated { sample, count })
    }

    /// Serves the items of a JSON array, each exactly as it is written there.
    ///
    /// # Errors
    ///
    /// `InvalidData` with the line and the column, and no part of the text, when it is not a
    /// JSON array.
    pub(crate) fn from_json_array(text: &[u8]) -> io::Result<Self> {
        // Checked as a whole first, for an error that names the place in the whole text.
        serde_json::from_slice::<Vec<IgnoredAny>>(text).map_err(|error| not_an_array(&error))?;
        let mut items = Vec::new();
        let text = Bytes::copy_from_slice(text);
        // Past the opening bracket, which the check has seen.
        let opening = text.iter().position(|&byte| byte == b'[').unwrap_or(0);
        let mut position = skip_to_item(&text, opening + 1);
        loop {
            let mut values = serde_json::Deserializer::from_slice(&text[position..]).into_iter::<IgnoredAny>();
            // At the closing bracket there is no value.
            let Some(Ok(_)) = values.next() else { break };
            let end = position + values.byte_offset();
            items.push(text.slice(position..end));
            position = skip_to_item(&text, end);
        }
        Ok(Self::from_items(items))
    }

    /// Puts raw bytes in before the item at `at`, or at the end. They are served as they are and
    /// need not be JSON.
    #[must_use]
    pub(crate) fn with_item(mut self, at: usize, raw: impl Into<Bytes>) -> Self {
        let at = at.min(self.len());
        let behind = self.inserted.split_off(&at);
        self.inserted.extend(behind.into_iter().map(|(place, item)| (place + 1, item)));
        self.inserted.insert(at, raw.into());
        self
    }

    /// Replaces all options.
    #[must_use]
    pub(crate) fn with_options(mut self, options: ServeOptions) -> Self {
        self.options = options;
        self
    }

    /// How many requests have come in, refused and failed ones included.
    #[cfg(test)]
    pub(crate) fn requests(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.requests)
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        let own = match &self.source {
            ItemSource::Listed(items) => items.len(),
            ItemSource::Generated { count, .. } => *count,
        };
        own + self.inserted.len()
    }

    fn new(source: ItemSource) -> Self {
        Self { source, inserted: BTreeMap::new(), options: ServeOptions::default(), requests: Arc::default() }
    }

    /// The items from `start` on, `limit` of them or as many as there are.
    fn page(&self, start: usize, limit: usize) -> Range<usize> {
        let start = start.min(self.len());
        start..start.saturating_add(limit).min(self.len())
    }

    fn write_array(&self, items: Range<usize>, out: &mut Vec<u8>) {
        out.push(b'[');
        let mut inserted_before = self.inserted.range(..items.start).count();
        for place in items.clone() {
            if place > items.start {
                out.push(b',');
            }
            if let Some(item) = self.inserted.get(&place) {
                inserted_before += 1;
                out.extend_from_slice(item);
                continue;
            }
            let index = place - inserted_before;
            match &self.source {
                ItemSource::Listed(items) => {
                    out.extend_from_slice(items.get(index).map_or(&b"null"[..], |item| item));
                }
                ItemSource::Generated { sample, .. } => sample.write_record(index as u64, out),
            }
        }
        out.push(b']');
    }
}

/// Serves the API on `listener` until `stop` is ready and the requests under way are answered.
///
/// # Errors
///
/// When the listener fails.
pub(crate) async fn serve(
    listener: TcpListener,
    api: SampleApi,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let api = Arc::new(api);
    let router = Router::new()
        .route("/users", get(list))
        .route("/users/cursor", get(list_by_cursor))
        .route("/users/link", get(list_with_link))
        .layer(from_fn_with_state(Arc::clone(&api), gate))
        .with_state(api);
    let service = router.into_make_service_with_connect_info::<Cut>();
    axum::serve(CutListener(listener), service).with_graceful_shutdown(stop).await
}

#[derive(Deserialize)]
struct PageQuery {
    page: Option<usize>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// What is wrong with a request.
struct BadRequest(&'static str);

impl IntoResponse for BadRequest {
    fn into_response(self) -> Response {
        refuse(StatusCode::BAD_REQUEST, self.0)
    }
}

impl PageQuery {
    fn limit(&self, api: &SampleApi) -> Result<usize, BadRequest> {
        match self.limit.unwrap_or(api.options.page_size) {
            0 => Err(BadRequest("limit must be 1 or greater")),
            limit => Ok(limit),
        }
    }

    /// The page's number and its items.
    fn page(&self, api: &SampleApi) -> Result<(usize, Range<usize>), BadRequest> {
        let limit = self.limit(api)?;
        match self.page.unwrap_or(1) {
            0 => Err(BadRequest("page must be 1 or greater")),
            page => Ok((page, api.page((page - 1).saturating_mul(limit), limit))),
        }
    }
}

type Api = State<Arc<SampleApi>>;

async fn list(api: Api, query: Query<PageQuery>) -> Result<Response, BadRequest> {
    if query.cursor.is_some() {
        return list_by_cursor(api, query).await;
    }
    let items = if query.page.is_some() || query.limit.is_some() { query.page(&api)?.1 } else { 0..api.len() };
    let mut body = Vec::new();
    api.write_array(items, &mut body);
    Ok(json(body))
}

async fn list_by_cursor(State(api): Api, Query(query): Query<PageQuery>) -> Result<Response, BadRequest> {
    let start = match query.cursor.as_deref() {
        None | Some("") => 0,
        Some(cursor) => place_of_cursor(cursor).ok_or(BadRequest("unknown cursor"))?,
    };
    let items = api.page(start, query.limit(&api)?);
    let mut body = b"{\"data\": {\"items\": ".to_vec();
    api.write_array(items.clone(), &mut body);
    body.extend_from_slice(b"}, \"meta\": {\"next_cursor\": ");
    if items.end < api.len() {
        body.extend_from_slice(format!("\"{}\"", cursor_of_place(items.end)).as_bytes());
    } else {
        body.extend_from_slice(b"null");
    }
    body.extend_from_slice(b"}}");
    Ok(json(body))
}

async fn list_with_link(
    State(api): Api,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, BadRequest> {
    let (page, items) = query.page(&api)?;
    let mut body = Vec::new();
    api.write_array(items.clone(), &mut body);
    let mut response = json(body);
    if items.end < api.len() {
        let link =
            format!("<{}/users/link?page={}&limit={}>; rel=\"next\"", origin(&headers), page + 1, query.limit(&api)?);
        if let Ok(link) = HeaderValue::try_from(link) {
            response.headers_mut().insert(header::LINK, link);
        }
    }
    Ok(response)
}

/// Counts the request, asks for the token, and fails on purpose when told to.
async fn gate(State(api): Api, ConnectInfo(cut): ConnectInfo<Cut>, request: Request, next: Next) -> Response {
    let number = api.requests.fetch_add(1, Ordering::Relaxed) + 1;
    if !is_authorised(&api.options, request.headers()) {
        let mut response = refuse(StatusCode::UNAUTHORIZED, "a bearer token is needed");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"sample\""));
        return response;
    }
    match number {
        _ if !api.options.faults => next.run(request).await,
        _ if number.is_multiple_of(4) => refuse(StatusCode::INTERNAL_SERVER_ERROR, "failed on purpose, try again"),
        _ if number.is_multiple_of(5) => {
            let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, "too many requests, wait");
            response.headers_mut().insert(header::RETRY_AFTER, api.options.retry_after.into());
            response
        }
        _ if number.is_multiple_of(7) => {
            let response = next.run(request).await;
            // The connection breaks off in the middle of the body, as under a broken proxy.
            let body = response.body().size_hint().lower() as usize;
            cut.next_answer(body - body / 2);
            response
        }
        _ => next.run(request).await,
    }
}

fn is_authorised(options: &ServeOptions, headers: &HeaderMap) -> bool {
    let Some(token) = &options.token else {
        return true;
    };
    let Some(given) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    // The scheme's name has no case (RFC 9110); the token has.
    given.split_once(' ').is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer") && given == token)
}

fn json(body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn refuse(status: StatusCode, reason: &str) -> Response {
    let body = format!("{{\"error\": \"{reason}\"}}");
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Where the client reached this server, or nothing: a link without an origin is relative and
/// valid as well. A `Host` with other characters could break out of the link's brackets.
fn origin(headers: &HeaderMap) -> String {
    headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .filter(|host| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte)))
        .map(|host| format!("http://{host}"))
        .unwrap_or_default()
}

/// Cursors look like no number, so that no client does sums with them.
const CURSOR_PREFIX: &str = "after-";

fn cursor_of_place(place: usize) -> String {
    format!("{CURSOR_PREFIX}{place:x}")
}

fn place_of_cursor(cursor: &str) -> Option<usize> {
    usize::from_str_radix(cursor.strip_prefix(CURSOR_PREFIX)?, 16).ok()
}

/// From a place between two items of an array to the start of the next item, or to the end.
fn skip_to_item(text: &[u8], from: usize) -> usize {
    text.get(from..).map_or(from, |rest| {
        let between = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t' | b','));
        from + between.count()
    })
}

/// serde's own text may quote the value it met, so only the place is kept.
fn not_an_array(error: &serde_json::Error) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("not a JSON array (line {}, column {})", error.line(), error.column()),
    )
}

#[cfg(test)]
mod tests;
