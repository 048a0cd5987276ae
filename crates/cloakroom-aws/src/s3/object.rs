//! One object as bytes that can be read anywhere, from a thread that may block.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Buf, Bytes};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::framing::{Content, Reader};
use cloakroom_pipeline::retry::{Backoff, RetryConfig};
use tokio::runtime::Handle;

use super::notification::{Named, unquoted};
use crate::error::{failure, is_about_credentials};

/// How long the next bytes of an answer may take.
const SILENCE: Duration = Duration::from_secs(30);

/// An object that is pinned: what is read is the version that was named, or nothing.
#[derive(Clone)]
pub(super) struct Pinned {
    pub(super) bucket: String,
    pub(super) key: String,
    pub(super) etag: String,
    pub(super) version: Option<String>,
}

impl Pinned {
    /// The object in messages and in the ledger. The entity tag, not the version, so that an object that is listed has the
    /// same name as one that was notified about.
    pub(super) fn name(&self) -> String {
        format!("s3/{}/{}@{}", self.bucket, self.key, self.etag)
    }

    /// Finds out the entity tag of an object whose notification does not say it. `None` when it is gone.
    pub(super) async fn of(client: &Client, named: Named, retry: RetryConfig) -> Result<Option<Self>, Refusal> {
        let Named { bucket, key, etag, version } = named;
        if let Some(etag) = etag {
            return Ok(Some(Self { bucket, key, etag, version }));
        }
        let mut backoff = Backoff::new(retry).telling(format!("s3/{bucket}/{key}"));
        loop {
            let call = client.head_object().bucket(&bucket).key(&key).set_version_id(version.clone());
            match call.send().await {
                Ok(head) => {
                    let etag = unquoted(head.e_tag().unwrap_or_default());
                    return Ok(Some(Self { bucket, key, etag, version }));
                }
                // An answer to HEAD has no body and so no code.
                Err(error) if error.raw_response().is_some_and(|raw| raw.status().as_u16() == 404) => {
                    return Ok(None);
                }
                Err(error) => {
                    let Refusal { error, of_object } = refusal(&error);
                    let pause = backoff.after(error).map_err(|error| Refusal { error, of_object })?;
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

/// A call that S3 refused, or that failed.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) error: ConnectorError,
    /// It is about this object alone: others may be read.
    pub(super) of_object: bool,
}

fn refusal<E>(error: &SdkError<E, HttpResponse>) -> Refusal
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code().unwrap_or_default();
    let (is_answer, mut failed) = (error.as_service_error().is_some(), failure(error, known));
    let of_object = is_answer && failed.kind == ErrorKind::Denied && !is_about_credentials(code);
    if of_object && matches!(code, "AccessDenied" | "") {
        failed.message.push_str(
            " (it needs s3:GetObject, s3:GetObjectVersion where the bucket keeps versions, and s3:ListBucket to be told \
             that an object is not there any more)",
        );
    }
    Refusal { error: failed, of_object }
}

/// What the codes of S3 mean (<https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html>).
pub(super) fn known(code: &str) -> Option<ConnectorError> {
    Some(match code {
        "SlowDown" | "RequestTimeout" | "RequestTimeTooSkewed" | "InternalError" | "ServiceUnavailable" => {
            ConnectorError::unavailable(format!("S3 answers {code}"))
        }
        "NoSuchBucket" => ConnectorError::configuration("there is no such bucket; check its name and the region"),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            ConnectorError::configuration("the bucket is in another region; set `region`")
        }
        "InvalidObjectState" => ConnectorError::new(
            ErrorKind::Denied,
            "the object is archived; restore it, then its notification leads to it again",
        ),
        "KMS.ThrottlingException" => {
            ConnectorError::unavailable("KMS throttles, and the object is encrypted with a key of it")
        }
        code if code.starts_with("KMS.") => ConnectorError::new(
            ErrorKind::Denied,
            "the object is encrypted with a KMS key that this role may not use (it needs kms:Decrypt), or that is disabled \
             or deleted",
        ),
        _ => return None,
    })
}

/// Why an object will never be read: it is no longer what it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gone {
    /// It was removed.
    Removed,
    /// Another object has its name now.
    Replaced,
}

impl Gone {
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Removed => "the object was removed before it was read to its end",
            Self::Replaced => {
                "the object was replaced before it was read to its end; the new one has a notification of its own"
            }
        }
    }
}

/// Why an object is not read to its end, where that is not what stands in it.
#[derive(Clone, Debug)]
pub(super) enum Why {
    /// It never will be.
    Gone(Gone),
    /// A call was refused.
    Refused(Refusal),
}

/// The content of an object. Lost connections are opened again where they were.
pub(super) struct Object {
    source: Arc<Origin>,
    length: u64,
    /// The answer that told the length, until it is read.
    first: Mutex<Option<ByteStream>>,
}

/// All that is needed to ask for a part of it.
struct Origin {
    client: Client,
    pinned: Pinned,
    retry: RetryConfig,
    runtime: Handle,
    /// The run ends, or another run works on the object.
    stop: Arc<AtomicBool>,
    why: OnceLock<Why>,
}

impl Object {
    /// Asks for the object. Blocks; must be called from a thread that may.
    ///
    /// # Errors
    /// When it cannot be read: why.
    pub(super) fn open(
        client: &Client,
        pinned: &Pinned,
        retry: RetryConfig,
        runtime: &Handle,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, Why> {
        let source = Arc::new(Origin {
            client: client.clone(),
            pinned: pinned.clone(),
            retry,
            runtime: runtime.clone(),
            stop: Arc::clone(stop),
            why: OnceLock::new(),
        });
        let refused = |error| Why::Refused(Refusal { error, of_object: false });
        let answer =
            source.get(0, None).map_err(|error| source.why.get().cloned().unwrap_or_else(|| refused(error)))?;
        // Taken for 0 it would be an object without records.
        let length = answer.content_length().and_then(|length| u64::try_from(length).ok()).ok_or_else(|| {
            refused(ConnectorError::configuration("the answer does not say how long the object is; check `endpoint`"))
        })?;
        Ok(Self { source, length, first: Mutex::new(Some(answer.body)) })
    }

    /// Why it was not read to its end, where that is not what stands in it.
    pub(super) fn why(&self) -> Option<Why> {
        self.source.why.get().cloned()
    }
}

impl Origin {
    /// Asks for bytes until there is an answer.
    fn get(&self, offset: u64, length: Option<u64>) -> Result<GetObjectOutput, ConnectorError> {
        let mut backoff = self.backoff();
        loop {
            self.check_stop()?;
            match self.runtime.block_on(self.get_once(offset, length)) {
                Ok(answer) => return Ok(answer),
                Err(error) => self.pause(&mut backoff, error)?,
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(self.retry).telling(self.pinned.name())
    }

    async fn get_once(&self, offset: u64, length: Option<u64>) -> Result<GetObjectOutput, ConnectorError> {
        let range = match (offset, length) {
            // An empty object has no bytes, not even from the first one on.
            (0, None) => None,
            (_, None) => Some(format!("bytes={offset}-")),
            (_, Some(length)) => Some(format!("bytes={offset}-{}", offset + length.max(1) - 1)),
        };
        let Pinned { bucket, key, etag, version } = &self.pinned;
        let call = self.client.get_object().bucket(bucket).key(key).set_version_id(version.clone()).set_range(range);
        let answer = call.if_match(format!("\"{etag}\"")).send().await;
        answer.map_err(|error| {
            let status = error.raw_response().map_or(0, |raw| raw.status().as_u16());
            let refusal = refusal(&error);
            let failed = refusal.error.clone();
            let why = match (status, error.code()) {
                (404, Some("NoSuchKey" | "NoSuchVersion")) => Why::Gone(Gone::Removed),
                (412 | 416, _) => Why::Gone(Gone::Replaced),
                _ if failed.kind.is_transient() => return failed,
                _ => Why::Refused(refusal),
            };
            let _ = self.why.set(why);
            failed
        })
    }

    fn check_stop(&self) -> Result<(), ConnectorError> {
        match self.stop.load(Ordering::Relaxed) {
            true => Err(cloakroom_pipeline::prefetch::gone()),
            false => Ok(()),
        }
    }

    fn pause(&self, backoff: &mut Backoff, error: ConnectorError) -> Result<(), ConnectorError> {
        let mut left = backoff.after(error)?;
        // In steps, so that a stop need not wait for a long pause.
        while !left.is_zero() {
            self.check_stop()?;
            let step = left.min(Duration::from_millis(100));
            std::thread::sleep(step);
            left -= step;
        }
        Ok(())
    }
}

impl Content for Object {
    fn open_at(&self, offset: u64) -> io::Result<Reader> {
        let first = match offset {
            0 => self.first.lock().unwrap_or_else(PoisonError::into_inner).take(),
            _ => None,
        };
        Ok(Box::new(Body::new(&self.source, offset, self.length, first, None)))
    }

    fn read_range(&self, offset: u64, length: u64) -> io::Result<Reader> {
        let end = (offset + length).min(self.length);
        Ok(Box::new(Body::new(&self.source, offset, end, None, Some(length))))
    }

    fn length(&self) -> Option<u64> {
        Some(self.length)
    }

    fn error(&self, error: &io::Error) -> ConnectorError {
        let own = error.get_ref().and_then(|cause| cause.downcast_ref::<ConnectorError>());
        own.cloned().unwrap_or_else(|| ConnectorError::io("the object", error))
    }
}

/// Bytes of an object from a place on.
struct Body {
    source: Arc<Origin>,
    at: u64,
    end: u64,
    stream: Option<ByteStream>,
    chunk: Bytes,
    /// Ask for no more than up to `end`.
    bounded: bool,
    /// The pauses since bytes last came.
    backoff: Backoff,
}

impl Body {
    fn new(source: &Arc<Origin>, at: u64, end: u64, stream: Option<ByteStream>, length: Option<u64>) -> Self {
        let (source, backoff) = (Arc::clone(source), source.backoff());
        Self { source, at, end, stream, chunk: Bytes::new(), bounded: length.is_some(), backoff }
    }

    /// The next bytes; an error when the connection was lost.
    fn next(&mut self) -> Result<Bytes, ConnectorError> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let length = self.bounded.then(|| self.end - self.at);
                let answer = self.source.get(self.at, length)?;
                self.stream.insert(answer.body)
            }
        };
        let next = self.source.runtime.block_on(async { tokio::time::timeout(SILENCE, stream.next()).await });
        match next {
            Ok(Some(Ok(bytes))) => Ok(bytes),
            Ok(None) => Err(ConnectorError::unavailable("S3 ended its answer too early")),
            Ok(Some(Err(_))) => Err(ConnectorError::unavailable("the connection to S3 was lost")),
            Err(_) => Err(ConnectorError::unavailable("S3 did not go on with its answer in time")),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            if self.at >= self.end || buffer.is_empty() {
                return Ok(0);
            }
            self.source.check_stop().map_err(io::Error::other)?;
            match self.next() {
                Ok(bytes) => {
                    self.chunk = bytes;
                    self.backoff.succeeded();
                }
                Err(error) => {
                    self.stream = None;
                    let source = Arc::clone(&self.source);
                    source.pause(&mut self.backoff, error).map_err(io::Error::other)?;
                }
            }
        }
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let count = buffer.len().min(self.chunk.len()).min(left);
        buffer[..count].copy_from_slice(&self.chunk[..count]);
        self.chunk.advance(count);
        self.at += count as u64;
        Ok(count)
    }
}
