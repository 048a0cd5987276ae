//! The proxy for HTTP/1.1.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request as HttpRequest, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use crate::partial::{Batch, gunzip};
use crate::plan::{Injected, Pick};
use crate::refusal::refusal;
use crate::{Request, Shared};

/// Bodies up to this size may be collected, to be changed or sent twice.
const MAX_COLLECTED: u64 = 32 * 1024 * 1024;

/// hyper throws away what it has not sent yet when a body ends with an error: it gets this long to send it.
const FLUSH: Duration = Duration::from_millis(20);

type Body = UnsyncBoxBody<Bytes, Broken>;

/// Why a connection ends without an answer, or within one.
#[derive(Debug)]
struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl Error for Broken {}

const ON_PURPOSE: Broken = Broken("a fault");

pub(crate) async fn serve(listener: TcpListener, upstream: String, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let _ = client.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let link = Arc::new(Link { upstream: upstream.clone(), sender: Mutex::new(None) });
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            let handle = service_fn(|request| handle(Arc::clone(&shared), Arc::clone(&link), request));
            let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(client), handle);
            // An error is a fault that was asked for, or a client that is gone.
            tokio::select! {
                _ = connection => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn handle(
    shared: Arc<Shared>,
    link: Arc<Link>,
    request: HttpRequest<Incoming>,
) -> Result<Response<Body>, Broken> {
    let (mut parts, body) = request.into_parts();
    let request = told(&parts);
    let decision = shared.decide(&request);
    if let Some(pause) = decision.delay {
        shared.count(|counts| counts.delayed += 1);
        tokio::time::sleep(pause).await;
    }
    remove_hop_by_hop(&mut parts.headers);
    // What has to be collected must be small enough, and say so beforehand.
    let small = body.size_hint().upper().is_some_and(|size| size <= MAX_COLLECTED);
    match decision.fault {
        Some(Injected::Drop) => {
            shared.count(|counts| counts.dropped += 1);
            Err(ON_PURPOSE)
        }
        Some(Injected::Cut) => cut(&shared, link.send(parts, pass(body)).await?),
        Some(Injected::NoAnswer) => {
            link.send(parts, pass(body)).await?;
            shared.count(|counts| counts.unanswered += 1);
            Err(ON_PURPOSE)
        }
        Some(Injected::Refuse(status, code)) => {
            drain(body).await?;
            shared.count(|counts| counts.refused += 1);
            let (status, kind, text) = refusal(&request, status, code);
            answer(status, kind, text)
        }
        Some(Injected::Duplicate) if small => {
            let body = collect(body).await?;
            let first = link.send(parts.clone(), full(body.clone())).await?;
            drain(first.into_body()).await?;
            shared.count(|counts| counts.duplicated += 1);
            link.send(parts, full(body)).await.map(|response| response.map(pass))
        }
        Some(Injected::Partial(pick)) if small => match Batch::of(&request) {
            Some(batch) => partly(&shared, &link, batch, &request, parts, body, pick).await,
            None => link.send(parts, pass(body)).await.map(|response| response.map(pass)),
        },
        _ => link.send(parts, pass(body)).await.map(|response| response.map(pass)),
    }
}

/// Leaves entries of a batch out.
async fn partly(
    shared: &Shared,
    link: &Link,
    batch: Batch,
    request: &Request,
    mut parts: Parts,
    body: Incoming,
    pick: Pick,
) -> Result<Response<Body>, Broken> {
    let sent = collect(body).await?;
    let zipped = parts.headers.get(header::CONTENT_ENCODING).is_some_and(|encoding| encoding == "gzip");
    let plain = if zipped { gunzip(&sent) } else { Some(sent.to_vec()) };
    let Some(mut split) = plain.and_then(|plain| batch.split(request, &plain, pick)) else {
        return link.send(parts, full(sent)).await.map(|response| response.map(pass));
    };
    let left_out = split.count as u64;
    let done = match split.body.take() {
        Some(rest) => {
            parts.headers.remove(header::CONTENT_ENCODING);
            parts.headers.remove(header::ACCEPT_ENCODING);
            let (head, body) = link.send(parts, full(rest.into())).await?.into_parts();
            let body = collect(body).await?;
            if !head.status.is_success() {
                return Ok(Response::from_parts(head, full(body)));
            }
            Some((head, body))
        }
        None => None,
    };
    let Some(text) = split.answer(done.as_ref().map(|(_, body)| &body[..])) else {
        return answer(502, "text/plain", "the fault kit does not understand the answer");
    };
    shared.count(|counts| {
        counts.partial += 1;
        counts.entries += left_out;
    });
    let Some((mut head, _)) = done else {
        let kind = if batch == Batch::Elasticsearch { "application/json" } else { "application/x-amz-json-1.0" };
        return answer(200, kind, text);
    };
    head.headers.remove(header::CONTENT_LENGTH);
    // DynamoDB's checksum of the body, which clients check.
    head.headers.remove("x-amz-crc32");
    Ok(Response::from_parts(head, full(text.into())))
}

/// The first half of an answer, as far as its length is known; else its first piece.
fn cut(shared: &Shared, response: Response<Incoming>) -> Result<Response<Body>, Broken> {
    let half = match response.body().size_hint().exact() {
        Some(0 | 1) => {
            shared.count(|counts| counts.unanswered += 1);
            return Err(ON_PURPOSE);
        }
        exact => exact.map(|size| size / 2),
    };
    shared.count(|counts| counts.cut += 1);
    Ok(response.map(|body| {
        let frames = stream::unfold(Some((body, half)), |state| async move {
            let (mut body, left) = state?;
            if left == Some(0) {
                tokio::time::sleep(FLUSH).await;
                return Some((Err(ON_PURPOSE), None));
            }
            let mut data = body.frame().await?.ok()?.into_data().ok()?;
            let left = match left {
                Some(left) => {
                    data.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    left - data.len() as u64
                }
                None => 0,
            };
            Some((Ok(Frame::data(data)), Some((body, Some(left)))))
        });
        StreamBody::new(frames).boxed_unsync()
    }))
}

fn told(parts: &Parts) -> Request {
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let signed =
        text("authorization").is_some_and(|value| value.starts_with("AWS4-")) || path.contains("X-Amz-Signature");
    Request::of_parts(parts.method.as_str(), path, text("x-amz-target"), signed)
}

// --- To the server ----------------------------------------------------------------------------------------------------

/// The way to the server of one connection of a client: kept open like that one.
struct Link {
    upstream: String,
    sender: Mutex<Option<SendRequest<Body>>>,
}

impl Link {
    async fn send(&self, mut parts: Parts, body: Body) -> Result<Response<Incoming>, Broken> {
        parts.version = hyper::Version::HTTP_11;
        parts.headers.remove(header::CONTENT_LENGTH);
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        parts.uri = path.parse().map_err(|_| Broken("a path that is none"))?;
        let mut request = HttpRequest::from_parts(parts, body);
        let mut kept = self.sender.lock().await;
        // A connection that the server has closed meanwhile gives the request back.
        for _ in 0..3 {
            let mut sender = match kept.take() {
                Some(sender) => sender,
                None => self.connect().await?,
            };
            if sender.ready().await.is_err() {
                continue;
            }
            match sender.try_send_request(request).await {
                Ok(mut response) => {
                    remove_hop_by_hop(response.headers_mut());
                    *kept = Some(sender);
                    return Ok(response);
                }
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(Broken("no answer from the server")),
                },
            }
        }
        Err(Broken("the server takes no request"))
    }

    async fn connect(&self) -> Result<SendRequest<Body>, Broken> {
        let stream = TcpStream::connect(&self.upstream).await.map_err(|_| Broken("the server does not run"))?;
        let _ = stream.set_nodelay(true);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|_| Broken("no HTTP"))?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// What concerns one connection, and not the request: RFC 9110, section 7.6.1. `Expect` is answered here.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    const NAMES: [HeaderName; 6] =
        [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE, header::EXPECT];
    for name in NAMES {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

// --- Bodies -----------------------------------------------------------------------------------------------------------

fn pass(body: Incoming) -> Body {
    body.map_err(|_| Broken("the other side is gone")).boxed_unsync()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed_unsync()
}

async fn collect(body: Incoming) -> Result<Bytes, Broken> {
    body.collect().await.map(|collected| collected.to_bytes()).map_err(|_| Broken("the other side is gone"))
}

async fn drain(mut body: Incoming) -> Result<(), Broken> {
    while let Some(frame) = body.frame().await {
        frame.map_err(|_| Broken("the other side is gone"))?;
    }
    Ok(())
}

fn answer(status: u16, kind: &str, body: impl Into<Bytes>) -> Result<Response<Body>, Broken> {
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, kind);
    response.body(full(body.into())).map_err(|_| Broken("no answer can be made of it"))
}
