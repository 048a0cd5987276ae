//! Servers behind TLS with a certificate of an own authority, and with credentials: how Elasticsearch 8 comes. A proxy in
//! front of the real server has both, and says what passed.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;

use super::*;

/// Stands in every secret that must not show.
const CANARY: &str = "c4n4ry";

/// A certificate authority that nobody knows, made for a test.
struct Authority {
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), parameters.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: rcgen::Issuer::new(parameters, key), folder }
    }

    fn trusted(&self) -> String {
        format!("tls: {{ ca_file: '{}' }}\n", self.folder.path().join("ca.pem").display())
    }

    /// TLS of a server with this name.
    fn server(&self, name: &str) -> Arc<rustls::ServerConfig> {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        Arc::new(tls.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }
}

/// What passed the proxy: a request and what was said to it.
#[derive(Clone, Default)]
struct Seen {
    line: String,
    request: Vec<(String, String)>,
    answer: Vec<(String, String)>,
}

/// A proxy with TLS in front of a server, which lets nobody pass without the right credentials.
struct Front {
    address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Front {
    fn of(index: &Index, tls: Arc<rustls::ServerConfig>, credentials: Option<&'static str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (upstream, seen) = (index.url.trim_start_matches("http://").to_owned(), Arc::default());
        let noted = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tls, upstream, noted) = (Arc::clone(&tls), upstream.clone(), Arc::clone(&noted));
                // Who does not trust the certificate goes away.
                std::thread::spawn(move || pass(stream?, tls, &upstream, credentials, &noted));
            }
        });
        Self { address, seen }
    }

    /// The same index through the proxy.
    fn index(&self, index: &Index) -> Index {
        Index { url: format!("https://{}", self.address), name: index.name.clone(), client: index.client.clone() }
    }
}

/// The first line of a head and its fields, names in small letters.
fn head(stream: &mut impl BufRead) -> std::io::Result<(String, Vec<(String, String)>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if line == "\r\n" {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let first = lines.remove(0);
    let fields = lines.iter().filter_map(|line| line.split_once(':'));
    Ok((first, fields.map(|(name, value)| (name.to_lowercase(), value.trim().to_owned())).collect()))
}

fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(there, _)| there == name).map(|(_, value)| value.as_str())
}

/// One request of one connection.
fn pass(
    stream: TcpStream,
    tls: Arc<rustls::ServerConfig>,
    upstream: &str,
    credentials: Option<&str>,
    noted: &Mutex<Vec<Seen>>,
) -> std::io::Result<()> {
    let connection = rustls::ServerConnection::new(tls).map_err(std::io::Error::other)?;
    let mut client = BufReader::new(rustls::StreamOwned::new(connection, stream));
    let (line, request) = head(&mut client)?;
    let length = field(&request, "content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    client.read_exact(&mut body)?;
    let (status, answer, body) = if credentials.is_some() && field(&request, "authorization") != credentials {
        // As Elasticsearch 8 says it; the reason repeats what was sent.
        let error = json!({ "error": { "type": "security_exception", "reason": format!("unable to authenticate {CANARY}") }, "status": 401 });
        let fields = vec![("www-authenticate".to_owned(), "Basic realm=\"security\"".to_owned())];
        ("HTTP/1.1 401 Unauthorized".to_owned(), fields, error.to_string().into_bytes())
    } else {
        let mut server = BufReader::new(TcpStream::connect(upstream)?);
        let mut text = format!("{line}\r\nconnection: close\r\n");
        for (name, value) in request.iter().filter(|(name, _)| name != "connection") {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        server.get_mut().write_all(&[text.as_bytes(), b"\r\n", &body].concat())?;
        let (status, answer) = head(&mut server)?;
        let mut body = Vec::new();
        server.read_to_end(&mut body)?;
        assert!(field(&answer, "transfer-encoding").is_none(), "a length is known");
        (status, answer, body)
    };
    let mut text = format!("{status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in answer.iter().filter(|(name, _)| name != "connection" && name != "content-length") {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    noted.lock().unwrap().push(Seen { line, request, answer });
    let client = client.get_mut();
    client.write_all(&[text.as_bytes(), b"\r\n", &body].concat())?;
    client.conn.send_close_notify();
    client.flush()
}

#[tokio::test]
async fn only_a_server_with_a_trusted_certificate_of_its_name_gets_documents() {
    let authority = Authority::new();
    for server in servers() {
        let index = Index::new(server);
        let front = Front::of(&index, authority.server("127.0.0.1"), None);
        let mut sink = front.index(&index).sink(&format!("replicas: 0\ncompress: true\n{}", authority.trusted()));
        sink.open().await.unwrap();
        let outcomes = sink.write(&batch(&numbered(500))).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 500, "{server}");
        sink.commit().await.unwrap();
        assert_eq!(index.documents().await, 500, "{server}");
    }
    let index = Index::new("OPENSEARCH");
    let right = Front::of(&index, authority.server("127.0.0.1"), None);
    let other_name = Front::of(&index, authority.server("example.com"), None);
    let other_authority = Front::of(&index, Authority::new().server("127.0.0.1"), None);
    for (front, tls) in [(&right, ""), (&other_name, &authority.trusted()), (&other_authority, &authority.trusted())] {
        let error = front.index(&index).sink(tls).open().await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "not worth another try");
        assert!(error.message.contains("certificate is not trusted; check `tls.ca_file`"), "{error}");
        assert!(front.seen.lock().unwrap().is_empty(), "not one request is sent");
    }
    // A server with TLS that is asked without it closes the connection.
    let plain = Index { url: format!("http://{}", right.address), ..right.index(&index) };
    let error = plain.sink("").open().await.unwrap_err();
    assert!(error.message.contains("`https`"), "{error}");
}

#[tokio::test]
async fn credentials_are_sent_and_a_refusal_names_none() {
    let authority = Authority::new();
    // elastic:c4n4ry, RFC 7617.
    for (right, auth, wrong) in [
        (
            "Basic ZWxhc3RpYzpjNG40cnk=",
            format!("auth: {{ basic: {{ user: elastic, password: {CANARY} }} }}\n"),
            format!("auth: {{ basic: {{ user: elastic, password: not-{CANARY} }} }}\n"),
        ),
        ("ApiKey c4n4ry==", format!("auth: {{ api_key: {CANARY}== }}\n"), format!("auth: {{ bearer: {CANARY}== }}\n")),
        ("Bearer c4n4ry", format!("auth: {{ bearer: {CANARY} }}\n"), format!("auth: {{ api_key: {CANARY} }}\n")),
    ] {
        let index = Index::new("ELASTICSEARCH");
        let front = Front::of(&index, authority.server("127.0.0.1"), Some(right));
        let mut sink = front.index(&index).sink(&format!("replicas: 0\n{auth}{}", authority.trusted()));
        sink.open().await.unwrap();
        let outcomes = sink.write(&batch(&numbered(5))).await.unwrap();
        assert_eq!(count(&outcomes, &RowOutcome::Delivered), 5, "{right}");
        for auth in ["", &wrong] {
            let mut sink = front.index(&index).sink(&format!("{auth}{}", authority.trusted()));
            for error in [sink.check().await.unwrap_err(), sink.open().await.unwrap_err()] {
                assert_eq!(error.kind, ErrorKind::Denied, "{error}");
                assert!(error.message.contains("401") && error.message.contains("`auth`"), "{error}");
                assert!(!format!("{error:?}").contains(CANARY), "{error}");
            }
            // Credentials that are no longer good in the middle of a run.
            let error = sink.write(&batch(&numbered(5))).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Denied, "{error}");
            assert!(error.message.contains("`auth`") && !format!("{error:?}").contains(CANARY), "{error}");
        }
    }
}

/// Elasticsearch 8 cannot be started from its libraries. What differs there for us: TLS and credentials from the start, and
/// no mapping types and other things of before, about which 7.17 warns in every answer to a request that uses one.
#[tokio::test]
async fn nothing_is_asked_that_elasticsearch_8_no_longer_knows() {
    let authority = Authority::new();
    let index = Index::new("ELASTICSEARCH");
    let front = Front::of(&index, authority.server("127.0.0.1"), Some("ApiKey abc"));
    let through = front.index(&index);
    let policy = policy(
        "id: {}\ncard: { protect: encrypt, index: card_index }\nname: { type: string }\n'tags[*].key': { protect: encrypt }\n\
         day: { type: date }\n",
    );
    let more = format!("replicas: 0\ncompress: true\nauth: {{ api_key: abc }}\n{}", authority.trusted());
    let line = |n: usize| json!({ "id": n, "card": "4111", "name": "n", "day": "2026-01-31", "new": [{ "a": 1 }], "tags": [{ "key": "k" }] });
    let records = records(&policy, (0..50).map(|n| line(n).to_string()));
    for settings in ["create: index\n", "create: template\non_existing: keep\n"] {
        let mut sink = through.sink_of(&format!("{settings}{more}"), &policy);
        assert!(sink.check().await.unwrap().starts_with("Elasticsearch 7."));
        sink.open().await.unwrap();
        for position in ["1", "2"] {
            let progress = Progress::Position { partition: index.name.as_str().into(), position: position.to_owned() };
            sink.write(&SinkBatch { progress, records: Arc::clone(&records) }).await.unwrap();
            sink.commit().await.unwrap();
        }
        assert_eq!(sink.find("name", &[Value::string("n")], 10).await.unwrap().len(), 10);
        sink.position(&index.name).await.unwrap();
        sink.close().await.unwrap();
    }
    let grown = self::policy("id: {}\nadded: { protect: encrypt }");
    through.sink_of(&more, &grown).open().await.unwrap();
    index.ask(Method::DELETE, &format!("_index_template/cloakroom-{}", index.name), serde_json::Value::Null).await;

    let seen = front.seen.lock().unwrap().clone();
    for action in ["_bulk", "_mapping", "_index_template", "_search", "_refresh", "/_doc/"] {
        assert!(seen.iter().any(|seen| seen.line.contains(action)), "no request of {action}");
    }
    for Seen { line, request, answer } in &seen {
        assert_eq!(field(answer, "warning"), None, "{line}");
        assert_eq!(field(answer, "x-elastic-product"), Some("Elasticsearch"), "{line}");
        // The media types that 8 knows without `compatible-with`.
        let body = field(request, "content-type");
        assert!(matches!(body, None | Some("application/json" | "application/x-ndjson")), "{line} {body:?}");
    }
    // What is of before is warned about, so the silence above says something.
    let old = index.client.get(format!("{}/{}/_mapping?include_type_name=true", index.url, index.name));
    assert!(old.send().await.unwrap().headers().contains_key("warning"));
}
