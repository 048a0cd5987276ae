//! A small HTTP server on a thread, for servers that answer as a test wants it, and a client for one request.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: Vec::new(), body: body.to_string().into_bytes() }
    }
}

/// Answers one request after the other until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    ends: Arc<AtomicBool>,
}

impl Server {
    pub(crate) fn start(answer: impl Fn(&Request) -> Response + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let ends = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&ends);
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(mut connection) = connection else { continue };
                if let Some(request) = read(&connection) {
                    let Response { status, headers, body } = answer(&request);
                    let mut head =
                        format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
                    for (name, value) in headers {
                        head.push_str(&format!("{name}: {value}\r\n"));
                    }
                    let _ = connection.write_all(&[head.as_bytes(), b"\r\n", &body].concat());
                }
            }
        });
        Self { url, ends }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

fn read(connection: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(connection);
    let (first, headers) = head(&mut reader)?;
    let mut first = first.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}

fn head(reader: &mut impl BufRead) -> Option<(String, BTreeMap<String, String>)> {
    let mut lines = reader.lines();
    let first = lines.next()?.ok()?;
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some((first, headers))
}

/// Sends a request to `url`, whose path is the request's.
pub(crate) fn send(url: &str, request: &Request) -> Response {
    let host = url.trim_start_matches("http://").trim_end_matches('/');
    let mut connection = TcpStream::connect(host).unwrap();
    let Request { method, path, headers, body } = request;
    let mut text =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        if !["host", "connection", "content-length", "expect"].contains(&name.as_str()) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    connection.write_all(&[text.as_bytes(), b"\r\n", body].concat()).unwrap();
    let mut reader = BufReader::new(connection);
    let (first, headers) = head(&mut reader).unwrap();
    let mut body = Vec::new();
    match headers.get("content-length") {
        Some(length) => {
            body.resize(length.parse().unwrap(), 0);
            reader.read_exact(&mut body).unwrap();
        }
        None => drop(reader.read_to_end(&mut body).unwrap()),
    }
    let status = first.split(' ').nth(1).unwrap().parse().unwrap();
    let kind = headers.get("content-type").cloned().unwrap_or_default();
    Response { status, headers: vec![("content-type", kind)], body }
}
