//! Records from an HTTP API that lists them as JSON, page after page.
//!
//! ```yaml
//! source:
//!   http:
//!     url: "https://api.example.com/users"
//!     items: data.items
//!     pagination: { cursor: { next: meta.next_cursor, size_parameter: limit, size: 100 } }
//!     auth: { bearer: "${API_TOKEN}" }
//! ```
//!
//! # Which record is which
//!
//! An API of this kind gives no position that could be trusted: lists change between two pages, and
//! pages have no ids. So a record's id is a keyed fingerprint of its bytes, in the partition
//! `http:<scheme>://<host>/<path>`. The same item delivered again, in another run or on a page that
//! shifted while it was read, is recognised by the sink's ledger and counted as a duplicate. This has a
//! price that is meant: **two items that are the same byte for byte are one record**, within a run too.
//! An item that has changed, be it in its white space, is another record.
//!
//! # Credentials
//!
//! They go to the scheme, host and port of `url` and to nothing else: a redirect, a `Link` or a cursor
//! that leads elsewhere ends the run. Proxies of the environment are not used.

mod config;
mod items;
mod pagination;
mod request;

use std::sync::Arc;

use async_trait::async_trait;
use cloakroom_core::Format;
use cloakroom_crypto::ExposeSecret;
use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use cloakroom_pipeline::sink::Ledger;
use cloakroom_pipeline::source::{Batch, Delivery, Outcome, Progress, Source};
use reqwest::{StatusCode, Url};

pub use config::{Auth, BasicAuth, Config, CursorConfig, HeaderAuth, PageConfig, Pagination};

use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::prefetch::{Prefetch, Producer, gone};
use items::{Cutter, Page};
use pagination::Plan;
use request::{Answer, Api};

/// Makes the source. Connects to nothing yet.
///
/// # Errors
/// The setting that cannot work, without its value.
pub fn build(config: &Config, context: &SourceContext) -> Result<Box<dyn Source>, ConnectorError> {
    if context.policy.format() != Format::Json {
        return Err(ConnectorError::configuration("`record.format` must be `json`: an HTTP source reads JSON"));
    }
    for (setting, is_zero) in [
        ("timeout_s", config.timeout_s == 0),
        ("max_pages", config.max_pages == 0),
        ("max_response_bytes", config.max_response_bytes == 0),
    ] {
        if is_zero {
            return Err(ConnectorError::configuration(format!("`{setting}` must be at least 1")));
        }
    }
    let base = address(config)?;
    let place = format!("{}{}", base.origin().ascii_serialization(), base.path());
    let path = match &config.items {
        Some(path) => pagination::keys("items", path)?,
        None => Vec::new(),
    };
    let api = Api::new(config, &base)?;
    let plan = Plan::new(base, config.pagination.as_ref(), !path.is_empty())?;
    let partition = format!("http:{place}").into();
    let cutter = Cutter::new(path, partition, Arc::clone(&context.fingerprint), context.policy.limits());
    let reader =
        Reader { api, plan, cutter, place, max_pages: config.max_pages, batch: context.batch, retry: context.retry };
    Ok(Box::new(HttpSource { reader: Arc::new(reader), batches: None }))
}

/// The address of the first page. Its texts never enter an error: the query may hold a key.
fn address(config: &Config) -> Result<Url, ConnectorError> {
    let text = request::resolve("url", &config.url)?;
    let mut url = Url::parse(text.expose_secret().trim())
        .map_err(|_| ConnectorError::configuration("`url` is no address; it begins with https:// or http://"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(ConnectorError::configuration("`url` must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ConnectorError::configuration(
            "`url` holds a user name or password; give them as `auth: { basic: { user: …, password: … } }`",
        ));
    }
    url.set_fragment(None);
    Ok(url)
}

struct HttpSource {
    reader: Arc<Reader>,
    batches: Option<Prefetch>,
}

/// Everything that is needed to read the list from its beginning.
struct Reader {
    api: Api,
    plan: Plan,
    cutter: Cutter,
    /// The address without its query, for messages.
    place: String,
    max_pages: u64,
    batch: BatchConfig,
    retry: RetryConfig,
}

impl Reader {
    /// Reads all pages, one after the other, and hands out their records.
    async fn read(&self, sender: &Producer) -> Result<(), ConnectorError> {
        let mut pager = self.plan.pager();
        let mut next = Some(pager.first());
        let mut number: u64 = 0;
        while let Some(url) = next {
            if number == self.max_pages {
                let message = format!("no end after {number} pages (`max_pages`)");
                return Err(ConnectorError::new(ErrorKind::Corrupt, message).context(&self.place));
            }
            number += 1;
            let named = |error: ConnectorError| error.context(format!("{}: page {number}", self.place));
            let Some(answer) = self.patiently(&url, pager.may_be_missing(), number).await.map_err(named)? else {
                break;
            };
            let page = self.cut(&answer).map_err(named)?;
            tracing::debug!(page = number, status = answer.status.as_u16(), items = page.deliveries.len(), "page read");
            // What was read is delivered, also when the way to the next page turns out to be broken.
            let after = pager.after(&answer, &page);
            for deliveries in split(page.deliveries, self.batch) {
                let batch = Batch { progress: Progress::Ids, deliveries };
                sender.send(Ok(batch)).await.map_err(|_| gone())?;
            }
            next = after.map_err(named)?;
        }
        Ok(())
    }

    /// Asks until there is an answer, or it is not worth asking again.
    async fn patiently(&self, url: &Url, may_be_missing: bool, page: u64) -> Result<Option<Answer>, ConnectorError> {
        let mut backoff = Backoff::new(self.retry).telling(format!("http: page {page}"));
        loop {
            match self.api.get(url, may_be_missing).await {
                Ok(answer) => return Ok(answer),
                Err(error) => tokio::time::sleep(backoff.after(error)?).await,
            }
        }
    }

    fn cut(&self, answer: &Answer) -> Result<Page, ConnectorError> {
        // 204 has no body by definition; some APIs say "no records" with it.
        if answer.status == StatusCode::NO_CONTENT { Ok(Page::empty()) } else { self.cutter.cut(&answer.body) }
    }
}

/// Splits the records of a page into batches. One that is larger than a batch may be travels alone.
fn split(deliveries: Vec<Delivery>, limit: BatchConfig) -> Vec<Vec<Delivery>> {
    let mut batches = Vec::new();
    let mut batch: Vec<Delivery> = Vec::new();
    let mut bytes = 0_usize;
    for delivery in deliveries {
        let length = delivery.payload.len();
        let full = batch.len() >= limit.records || bytes.saturating_add(length) > limit.bytes;
        if full && !batch.is_empty() {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        bytes = bytes.saturating_add(length);
        batch.push(delivery);
    }
    if !batch.is_empty() {
        batches.push(batch);
    }
    batches
}

#[async_trait]
impl Source for HttpSource {
    async fn open(&mut self, _ledger: &mut dyn Ledger) -> Result<(), ConnectorError> {
        let reader = Arc::clone(&self.reader);
        self.batches = Some(Prefetch::task(|sender| async move {
            tokio::select! {
                read = reader.read(&sender) => read,
                // Nobody takes records any more: do not wait out a pause first.
                () = sender.closed() => Err(gone()),
            }
        }));
        Ok(())
    }

    async fn next_batch(&mut self, _: &mut dyn Ledger) -> Result<Option<Batch>, ConnectorError> {
        match &mut self.batches {
            Some(batches) => batches.next().await,
            None => Err(ConnectorError::new(ErrorKind::Internal, "the HTTP source was not opened")),
        }
    }

    /// Nothing to do: the API keeps its records, and the sink's ledger knows them.
    async fn settle(&mut self, _progress: &Progress, _outcomes: &[Outcome]) -> Result<(), ConnectorError> {
        Ok(())
    }

    async fn check(&mut self) -> Result<String, ConnectorError> {
        let reader = &self.reader;
        let named = |error: ConnectorError| error.context(&reader.place);
        let mut pager = reader.plan.pager();
        let url = pager.first();
        // One try: whoever checks wants to see the failure.
        let Some(answer) = reader.api.get(&url, false).await.map_err(named)? else {
            return Err(named(ConnectorError::configuration("the server answers 404")));
        };
        let page = reader.cut(&answer).map_err(named)?;
        // Also tries the way to the next page: a wrong path of the cursor shows here.
        pager.after(&answer, &page).map_err(named)?;
        let count = page.deliveries.len();
        let items = if count == 1 { "item" } else { "items" };
        Ok(format!("{}, {count} {items} on the first page", answer.status.as_u16()))
    }
}
