//! Servers that answer as a test says, and the source pointed at them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use cloakroom_connect::sources::http::{Config, build};
use cloakroom_core::{Payload, Place, Policy, PolicyConfig};
use cloakroom_crypto::{KeyId, PseudonymKey};
use cloakroom_pipeline::Source;
use cloakroom_pipeline::config::BatchConfig;
use cloakroom_pipeline::context::SourceContext;
use cloakroom_pipeline::contract::MemoryLedger;
use cloakroom_pipeline::error::ConnectorError;
use cloakroom_pipeline::retry::RetryConfig;
use cloakroom_pipeline::source::Delivery;

/// One request as the server saw it.
#[derive(Clone)]
pub struct Seen {
    pub path: String,
    pub query: String,
    pub headers: axum::http::HeaderMap,
}

impl Seen {
    pub fn parameter(&self, name: &str) -> Option<String> {
        let pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.parameter(name).map(|text| text.parse().unwrap())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// A server and what it was asked.
pub struct Server {
    pub base: String,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    pub fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Serves with a function from the request and its number, counted from one.
pub async fn serve<R: IntoResponse>(answer: impl Fn(&Seen, usize) -> R + Clone + Send + Sync + 'static) -> Server {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
    let log = Arc::clone(&seen);
    let handler = any(move |request: Request| {
        let uri = request.uri();
        let one = Seen {
            path: uri.path().to_owned(),
            query: uri.query().unwrap_or_default().to_owned(),
            headers: request.headers().clone(),
        };
        let mut log = log.lock().unwrap();
        log.push(one.clone());
        let number = log.len();
        let response: Response = answer(&one, number).into_response();
        std::future::ready(response)
    });
    let router = axum::Router::new().fallback(handler);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Server { base, seen }
}

/// Answers each connection with the next of these texts, byte for byte, and closes it.
pub fn raw(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for answer in answers {
            let mut stream = listener.accept().unwrap().0;
            read_request(&mut stream);
            stream.write_all(&answer).unwrap();
        }
    });
    base
}

/// The same over TLS, for ever; connections whose handshake fails are passed over.
pub fn tls(config: rustls::ServerConfig, answer: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("https://{}", listener.local_addr().unwrap());
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream: rustls::StreamOwned<_, TcpStream> = rustls::StreamOwned::new(connection, stream.unwrap());
            if read_request(&mut stream) {
                stream.write_all(&answer).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    });
    base
}

fn read_request(stream: &mut impl Read) -> bool {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => request.push(byte[0]),
            _ => return false,
        }
    }
    true
}

pub fn http(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

pub fn config(yaml: &str) -> Config {
    serde_saphyr::from_str(yaml).unwrap()
}

pub fn context() -> SourceContext {
    SourceContext {
        pipeline: "test".to_owned(),
        policy: Arc::new(Policy::compile(&PolicyConfig::default(), None).unwrap()),
        batch: BatchConfig { records: 5, bytes: 1024 * 1024, wait_ms: 0 },
        retry: RetryConfig { base_ms: 1, max_ms: 10, give_up_after_s: 10 },
        fingerprint: Arc::new(PseudonymKey::from_raw(KeyId::parse("aaaaaaaa").unwrap(), b"key").unwrap()),
        once: true,
    }
}

pub fn source(yaml: &str) -> Box<dyn Source> {
    build(&config(yaml), &context()).unwrap()
}

/// The error with which building fails.
pub fn refused(yaml: &str) -> String {
    build(&config(yaml), &context()).err().unwrap().message
}

/// Everything that a source gives, and the error with which it ends.
pub async fn read(mut source: Box<dyn Source>) -> (Vec<Delivery>, Option<ConnectorError>) {
    source.open(&mut MemoryLedger::default()).await.unwrap();
    let mut all = Vec::new();
    loop {
        match source.next_batch(&mut MemoryLedger::default()).await {
            Ok(Some(batch)) => {
                assert!(!batch.deliveries.is_empty() && batch.deliveries.len() <= 5, "batches keep to their size");
                all.extend(batch.deliveries);
            }
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error)),
        }
    }
}

/// The texts of all items of a source that ends well.
pub async fn texts(yaml: &str) -> Vec<String> {
    let (all, error) = read(source(yaml)).await;
    assert!(error.is_none(), "{error:?}");
    all.iter().map(text).collect()
}

/// The error with which a source ends.
pub async fn failure(yaml: &str) -> ConnectorError {
    read(source(yaml)).await.1.unwrap()
}

pub fn text(delivery: &Delivery) -> String {
    match &delivery.payload {
        Payload::Json(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Payload::Unusable { bytes, error } => format!("{}: {}", error.kind, String::from_utf8_lossy(bytes)),
        _ => panic!("an HTTP source gives JSON"),
    }
}

pub fn place(delivery: &Delivery) -> String {
    match &delivery.id.position {
        Place::Id(id) => id.to_string(),
        Place::Offset { .. } => panic!("an HTTP source has no offsets"),
    }
}
