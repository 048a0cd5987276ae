//! The HTTP source against real servers on the loopback interface: paging, faults, credentials, broken
//! responses, TLS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, missing_docs)]

#[path = "http_source/server.rs"]
mod server;

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect};
use cloakroom_connect::sources::http::{Config, build};
use cloakroom_core::{Format, Limits, Payload, Policy, PolicyConfig, RecordErrorKind};
use cloakroom_pipeline::contract;
use cloakroom_pipeline::error::ErrorKind;
use server::{Seen, Server, config, context, failure, http, place, raw, read, refused, serve, source, text, texts};

const COUNT: usize = 33;

fn item(number: usize) -> String {
    format!("{{\"id\":{number},\"name\":\"user \\\"{number}\\\" [x]\"}}")
}

fn expected() -> Vec<String> {
    (0..COUNT).map(item).collect()
}

fn array(range: std::ops::Range<usize>) -> String {
    let items: Vec<String> = (range.start.min(COUNT)..range.end.min(COUNT)).map(item).collect();
    format!("[{}]", items.join(" ,\n "))
}

/// `/pages?page=&limit=`, `/cursor?after=`, `/link?p=`, `/all`: the same list in four ways.
fn list(seen: &Seen) -> axum::response::Response {
    match seen.path.as_str() {
        "/all" => array(0..COUNT).into_response(),
        "/pages" => {
            let (page, limit) = (seen.number("page").unwrap(), seen.number("limit").unwrap_or(7));
            array((page - 1) * limit..page * limit).into_response()
        }
        "/cursor" => {
            let start = seen.parameter("after").map_or(0, |after| after.strip_prefix("c%3D").unwrap().parse().unwrap());
            let end = start + seen.number("limit").unwrap_or(7);
            let next = if end < COUNT { format!("\"c={end}\"") } else { "null".to_owned() };
            format!("{{\"meta\":{{\"next\":{next}}},\"data\":{{\"items\": {} }}}}", array(start..end)).into_response()
        }
        "/link" => {
            let page = seen.number("p").unwrap_or(0);
            let mut headers = HeaderMap::new();
            if (page + 1) * 7 < COUNT {
                let link = format!("</link?p=0>; rel=first, </link?p={}>; rel=\"next\"", page + 1);
                headers.insert(header::LINK, link.parse().unwrap());
            }
            (headers, array(page * 7..(page + 1) * 7)).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn listing() -> Server {
    serve(|seen, _| list(seen)).await
}

const CURSOR: &str = "items: data.items, pagination: { cursor: { parameter: after, next: meta.next } }";

#[tokio::test]
async fn every_style_keeps_the_contract() {
    let server = listing().await;
    for rest in [
        "pages', pagination: { page: {} }".to_owned(),
        "pages', pagination: { page: { size: 4, size_parameter: limit } }".to_owned(),
        format!("cursor', {CURSOR}"),
        "link', pagination: link".to_owned(),
        "all'".to_owned(),
    ] {
        let yaml = format!("{{ url: '{}/{rest} }}", server.base);
        contract::source(async || source(&yaml), COUNT).await;
        assert_eq!(texts(&yaml).await, expected(), "{rest}");
    }
}

#[tokio::test]
async fn a_list_ends_where_it_should() {
    let server = listing().await;
    let asked = async |yaml: &str| {
        server.seen.lock().unwrap().clear();
        assert_eq!(texts(&format!("{{ url: '{}/{yaml} }}", server.base)).await.len(), COUNT);
        server.requests().len()
    };
    assert_eq!(asked("pages', pagination: { page: {} }").await, 6, "an empty page ends it");
    assert_eq!(asked("pages', pagination: { page: { size: 7 } }").await, 5, "a short page ends it");
    assert_eq!(asked("pages', pagination: { page: { size: 11, size_parameter: limit } }").await, 4);
    assert_eq!(asked(&format!("cursor', {CURSOR}")).await, 5);
    assert_eq!(asked("link', pagination: link").await, 5);

    let missing = serve(|seen, _| match seen.number("n") {
        Some(0) => "[1,2]".into_response(),
        Some(1) => "[3]".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    });
    let base = missing.await.base;
    let yaml =
        |start: u64| format!("{{ url: '{base}/x?q=1', pagination: {{ page: {{ parameter: n, start: {start} }} }} }}");
    assert_eq!(texts(&yaml(0)).await, ["1", "2", "3"], "404 ends it after the first page");
    assert_eq!(failure(&yaml(7)).await.kind, ErrorKind::Configuration, "and is a mistake on the first");

    let nothing = serve(|_, _| StatusCode::NO_CONTENT).await.base;
    assert!(texts(&format!("{{ url: '{nothing}/x', {CURSOR} }}")).await.is_empty());
}

#[tokio::test]
async fn a_server_that_does_not_end_is_an_error() {
    let endless = serve(|seen, number| match seen.path.as_str() {
        "/cursor" => "{\"data\":{\"items\":[1]},\"meta\":{\"next\":\"secret-cursor\"}}".into_response(),
        "/two" => format!("{{\"data\":{{\"items\":[1]}},\"meta\":{{\"next\":{}}}}}", number % 2).into_response(),
        "/bad" => "{\"data\":{\"items\":[1]},\"meta\":{\"next\":{\"a\":\"secret-cursor\"}}}".into_response(),
        "/link" => ([(header::LINK, "</link>; rel=next")], "[1]").into_response(),
        "/ignores-the-page" => "[1,2]".into_response(),
        "/alike" if seen.number("page") > Some(3) => "[]".into_response(),
        "/alike" => "[1,1]".into_response(),
        _ => format!("[{number}]").into_response(),
    });
    let base = endless.await.base;
    for (rest, words) in [
        (format!("cursor', {CURSOR}"), "the cursor does not move"),
        (format!("two', {CURSOR}"), "the cursor does not move"),
        (format!("bad', {CURSOR}"), "`meta.next` of the response is neither text nor a number"),
        ("link', pagination: link".to_owned(), "leads back"),
        ("ignores-the-page', pagination: { page: {} }".to_owned(), "is `page` the server's name"),
        ("new', max_pages: 3, pagination: { page: {} }".to_owned(), "no end after 3 pages"),
    ] {
        let (items, error) = read(source(&format!("{{ url: '{base}/{rest} }}"))).await;
        let error = error.unwrap();
        assert_eq!(error.kind, ErrorKind::Corrupt, "{rest}");
        assert!(error.message.contains(words), "{}", error.message);
        assert!(!error.message.contains("secret-cursor"));
        assert!(!items.is_empty(), "what was read before is delivered");
    }
    assert_eq!(texts(&format!("{{ url: '{base}/alike', pagination: {{ page: {{}} }} }}")).await.len(), 6);
}

#[tokio::test]
async fn faults_are_tried_again_and_every_item_arrives_once() {
    let server = serve(|seen, number| match number {
        2 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        3 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "0")], "body-marker").into_response(),
        5 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        6 => StatusCode::REQUEST_TIMEOUT.into_response(),
        7 => StatusCode::TOO_EARLY.into_response(),
        8 => (StatusCode::BAD_GATEWAY, [(header::RETRY_AFTER, "Wed, 21 Oct 2015 07:28:00 GMT")]).into_response(),
        _ => list(seen),
    });
    let server = server.await;
    assert_eq!(texts(&format!("{{ url: '{}/cursor', {CURSOR} }}", server.base)).await, expected());
    assert_eq!(server.requests().len(), 5 + 6);

    // Cut in the body, in the headers, before an answer, in a chunk; then whole.
    let whole = http(&array(0..COUNT));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n[{\"id\":0}".to_vec();
    let base = raw(vec![whole[..whole.len() - 9].to_vec(), whole[..20].to_vec(), Vec::new(), chunked, whole]);
    assert_eq!(texts(&format!("{{ url: '{base}/x' }}")).await, expected());
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_waited_for_and_no_longer() {
    let server = serve(|seen, number| match number {
        1 => (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response(),
        _ => list(seen),
    });
    let yaml = format!("{{ url: '{}/all' }}", server.await.base);
    let began = Instant::now();
    assert_eq!(texts(&yaml).await.len(), COUNT);
    assert!(began.elapsed() >= Duration::from_secs(1), "Retry-After is kept to");

    let down = serve(|_, _| (StatusCode::SERVICE_UNAVAILABLE, "body-marker")).await;
    let mut patience = context();
    patience.retry.give_up_after_s = 0;
    let (_, error) = read(build(&config(&format!("{{ url: '{}/x' }}", down.base)), &patience).unwrap()).await;
    let error = error.unwrap();
    assert_eq!((error.kind, down.requests().len()), (ErrorKind::Unavailable, 1));
    assert!(error.message.ends_with("/x: page 1: the server answers 503"), "{}", error.message);

    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let yaml = format!("{{ url: 'http://{address}/?key=q-marker', timeout_s: 1 }}");
    let error = read(build(&config(&yaml), &patience).unwrap()).await.1.unwrap();
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.message.contains("no answer within 1 s") && !error.message.contains("marker"), "{}", error.message);
    drop(silent);
    let error = read(build(&config(&yaml), &patience).unwrap()).await.1.unwrap();
    assert!(error.message.contains("cannot connect (connection refused)"), "{}", error.message);
}

#[tokio::test]
async fn credentials_reach_the_server() {
    let server = serve(|seen, _| {
        if seen.header("authorization").is_none() && seen.header("x-api-key").is_none() {
            return (StatusCode::UNAUTHORIZED, "body-marker").into_response();
        }
        list(seen)
    });
    let server = server.await;
    for (auth, header, value) in [
        ("{ bearer: 't0ken' }", "authorization", "Bearer t0ken"),
        (
            "{ basic: { user: Aladdin, password: 'open sesame' } }",
            "authorization",
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        ),
        ("{ header: { name: X-Api-Key, value: 'k:1' } }", "x-api-key", "k:1"),
    ] {
        let yaml = format!(
            "{{ url: '{}/link', pagination: link, auth: {auth}, headers: {{ X-More: '${{CLOAKROOM_NO:-m}}' }} }}",
            server.base
        );
        server.seen.lock().unwrap().clear();
        assert_eq!(texts(&yaml).await.len(), COUNT);
        let seen = server.requests();
        assert!(seen.len() == 5 && seen.iter().all(|seen| seen.header(header) == Some(value)), "on every page");
        assert_eq!((seen[0].header("x-more"), seen[0].header("accept")), (Some("m"), Some("application/json")));
    }
    let yaml = format!("{{ url: '{}/all?key=q-marker', headers: {{ X-Other: h-marker }} }}", server.base);
    let error = failure(&yaml).await;
    assert_eq!(error.kind, ErrorKind::Denied);
    assert!(error.message.contains("401") && !error.message.contains("marker"), "{}", error.message);
}

#[tokio::test]
async fn credentials_go_nowhere_else() {
    let elsewhere = listing().await;
    let other = elsewhere.base.clone();
    let server = serve(move |seen, _| match seen.path.as_str() {
        "/here" => Redirect::temporary("/all").into_response(),
        "/there" => Redirect::temporary(&format!("{other}/all?q-marker")).into_response(),
        "/ring" => Redirect::temporary("/ring").into_response(),
        "/link-there" => ([(header::LINK, format!("<{other}/all?q-marker>; rel=next"))], "[1]").into_response(),
        "/cursor-there" => {
            format!("{{\"data\":{{\"items\":[1]}},\"meta\":{{\"next\":\"{other}/q-marker\"}}}}").into_response()
        }
        "/cursor-here" => {
            let base = format!("http://{}", seen.header("host").unwrap());
            format!("{{\"data\":{{\"items\":[1]}},\"meta\":{{\"next\":\"{base}/cursor?after=c%3D30\"}}}}")
                .into_response()
        }
        _ => list(seen),
    });
    let base = server.await.base;
    let yaml = |path: &str, rest: &str| {
        format!("{{ url: '{base}/{path}', auth: {{ header: {{ name: X-Key, value: t-marker }} }}, {rest} }}")
    };
    for (path, rest) in [
        ("there", "max_pages: 9"),
        ("ring", "max_pages: 9"),
        ("link-there", "pagination: link"),
        ("cursor-there", CURSOR),
    ] {
        let error = failure(&yaml(path, rest)).await;
        assert_eq!(error.kind, ErrorKind::Configuration, "{path}: {}", error.message);
        assert!(error.message.contains("scheme, host and port of `url`"), "{}", error.message);
        assert!(!error.message.contains("marker"), "{}", error.message);
    }
    assert!(elsewhere.requests().is_empty(), "no request goes to the other server");
    assert_eq!(texts(&yaml("here", "max_pages: 9")).await.len(), COUNT, "a redirect on the same server is followed");
    assert_eq!(texts(&yaml("cursor-here", CURSOR)).await.len(), 1 + 3, "a whole address on the same server, too");
}

#[tokio::test]
async fn broken_items_cost_themselves() {
    let base = serve(|seen, _| match seen.path.as_str() {
        "/item" => "[{\"id\":1},{\"id\": oops-marker} , 17 ,{\"id\":3}\n]",
        "/cut" if seen.number("page") == Some(1) => "[{\"id\":1},{\"id\":2,",
        "/cut" if seen.number("page") == Some(2) => "[{\"id\":3}]",
        "/behind" => "[{\"id\":1}], {\"id\":2}]",
        "/behind-items" => "{\"data\":{\"items\":[{\"id\":1}]],\"meta\":{\"next\":\"x\"}}",
        _ => "[]",
    });
    let base = base.await.base;
    let mixed = read(source(&format!("{{ url: '{base}/item' }}"))).await.0;
    let all: Vec<String> = mixed.iter().map(text).collect();
    assert_eq!(all, ["{\"id\":1}", "{\"id\": oops-marker}", "17", "{\"id\":3}"], "each byte for byte");
    let good: Vec<bool> = mixed.iter().map(|delivery| delivery.payload.decode(Limits::default()).is_ok()).collect();
    assert_eq!(good, [true, false, false, true]);

    let cut = texts(&format!("{{ url: '{base}/cut', pagination: {{ page: {{ size: 100 }} }} }}")).await;
    assert_eq!(cut, ["{\"id\":1}", "{\"id\":2,", "{\"id\":3}"], "a short page that is cut off is not the last");
    let behind = texts(&format!("{{ url: '{base}/behind' }}")).await;
    assert_eq!(behind, ["{\"id\":1}", "invalid format: , {\"id\":2}]"], "what stands behind the array is not lost");
    let (items, error) = read(source(&format!("{{ url: '{base}/behind-items', {CURSOR} }}"))).await;
    assert_eq!(items.len(), 2);
    assert!(error.unwrap().message.contains("next cursor cannot be read"));
}

#[tokio::test]
async fn responses_that_are_no_lists_are_errors_without_their_text() {
    let base = serve(|seen, _| match seen.path.as_str() {
        "/object" => "{\"error\":\"body-marker\"}",
        "/text" => "body-marker",
        "/open" => "[ ",
        "/null" => "{\"data\":null}",
        "/open-object" => "{\"data\":[{\"x\":\"body-marker\"}",
        _ => "",
    });
    let base = base.await.base;
    for (rest, words) in [
        ("object?k=q-marker'", "no JSON array; if it holds one, name its path in `items`"),
        ("text'", "no JSON array"),
        ("empty'", "no JSON array"),
        ("open'", "cut off before its first record"),
        ("object', items: data.items", "no `data.items`"),
        ("null', items: data", "`data` of the response is no JSON array"),
        ("open-object', items: data", "cut off"),
    ] {
        let error = failure(&format!("{{ url: '{base}/{rest} }}")).await;
        assert_eq!(error.kind, ErrorKind::Corrupt, "{rest}");
        assert!(error.message.contains(words), "{}", error.message);
        assert!(!error.message.contains("marker"), "{}", error.message);
    }
}

#[tokio::test]
async fn an_item_has_the_same_id_wherever_it_stands() {
    let base = serve(|seen, _| match seen.path.as_str() {
        "/x" if seen.query.is_empty() => "[{\"id\":1},{\"id\":2}]",
        "/x" => "[ {\"id\":2} , {\"id\":1}\n , {\"id\":1}, {\"id\": 1} ]",
        _ => "[{\"id\":1}]",
    });
    let base = base.await.base;
    let first = read(source(&format!("{{ url: '{base}/x' }}"))).await.0;
    let second = read(source(&format!("{{ url: '{base}/x?later=q-marker' }}"))).await.0;
    assert_eq!(first[0].id.partition.as_ref(), format!("http:{base}/x"), "no query in it");
    assert_eq!(place(&first[0]).len(), 32);
    assert_eq!(first[0].id, second[1].id, "another run, another place");
    assert_eq!(first[1].id, second[0].id);
    assert_eq!(second[1].id, second[2].id, "twice the same bytes are one record");
    assert_ne!(second[1].id, second[3].id, "other bytes are not");
    let elsewhere = read(source(&format!("{{ url: '{base}/y' }}"))).await.0;
    assert_ne!(elsewhere[0].id, first[0].id);
}

#[tokio::test]
async fn sizes_are_bounded() {
    let mib = 1024 * 1024;
    let base = serve(move |_, _| {
        let large = |size: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(size));
        format!("[{},{},{{\"id\":1}}]", large(11 * mib), large(65 * mib))
    });
    let base = base.await.base;
    let items = read(source(&format!("{{ url: '{base}/x' }}"))).await.0;
    let kinds: Vec<Option<RecordErrorKind>> =
        items.iter().map(|delivery| delivery.payload.decode(Limits::default()).err().map(|error| error.kind)).collect();
    assert_eq!(kinds, [Some(RecordErrorKind::TooLarge), Some(RecordErrorKind::TooLarge), None]);
    assert_eq!(items[0].payload.len(), 11 * mib + 8, "kept for the dead letter");
    assert!(matches!(&items[1].payload, Payload::Unusable { bytes, .. } if bytes.is_empty()));
    assert_ne!(items[0].id, items[1].id);

    let error = failure(&format!("{{ url: '{base}/x', max_response_bytes: {mib} }}")).await;
    assert!(error.message.contains("larger than `max_response_bytes` (1048576)"), "{}", error.message);

    // The bound holds for what comes out of a compressed response, not for what came over the line.
    let zipped = serve(move |_, _| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(format!("[{{\"id\":1}}{}]", " ".repeat(2 * mib)).as_bytes()).unwrap();
        ([(header::CONTENT_ENCODING, "gzip")], gzip.finish().unwrap())
    });
    let zipped = zipped.await.base;
    assert_eq!(texts(&format!("{{ url: '{zipped}/x' }}")).await, ["{\"id\":1}"]);
    let error = failure(&format!("{{ url: '{zipped}/x', max_response_bytes: {mib} }}")).await;
    assert!(error.message.contains("larger than `max_response_bytes`"), "{}", error.message);
}

#[tokio::test]
async fn a_check_says_what_it_found() {
    let server = listing().await;
    let check = async |rest: &str| source(&format!("{{ url: '{}/{rest} }}", server.base)).check().await;
    assert_eq!(check("pages', pagination: { page: {} }").await.unwrap(), "200, 7 items on the first page");
    assert_eq!(server.requests().len(), 1);
    assert_eq!(
        check("pages', pagination: { page: { size_parameter: limit, size: 1 } }").await.unwrap(),
        "200, 1 item on the first page"
    );
    let error = check("nowhere?k=q-marker'").await.unwrap_err();
    assert_eq!(error.message, format!("{}/nowhere: the server answers 404; check `url` and `pagination`", server.base));
    let mut unopened = source(&format!("{{ url: '{}/all' }}", server.base));
    assert!(unopened.is_repeatable() && unopened.next_batch(&mut contract::MemoryLedger::default()).await.is_err());
}

#[tokio::test]
async fn only_trusted_servers_are_talked_to() {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let server = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        server::tls(tls.with_single_cert(vec![certificate.der().clone()], key).unwrap(), http(&array(0..COUNT)))
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, ca_pem).unwrap();
    let trusting = format!("tls: {{ ca_file: '{}' }}", file.display());

    let right = server("127.0.0.1");
    assert_eq!(texts(&format!("{{ url: '{right}/x', {trusting} }}")).await, expected());
    let wrong_name = server("example.com");
    for yaml in
        [format!("{{ url: '{right}/x?k=q-marker' }}"), format!("{{ url: '{wrong_name}/x?k=q-marker', {trusting} }}")]
    {
        let error = failure(&yaml).await;
        assert_eq!(error.kind, ErrorKind::Configuration, "not worth another try");
        assert!(error.message.contains("certificate is not trusted; check `tls.ca_file`"), "{}", error.message);
        assert!(!error.message.contains("marker") && !error.message.contains("example.com"), "{}", error.message);
    }
}

#[test]
fn mistakes_name_their_setting_and_show_no_value() {
    let url = "url: 'https://api.example.com/x?page=q-marker'";
    for (yaml, words) in [
        ("{ url: 'marker' }".to_owned(), "`url` is no address"),
        ("{ url: 'file:///marker' }".to_owned(), "`url` must begin with https://"),
        ("{ url: 'https://u-marker:p-marker@h/' }".to_owned(), "`url` holds a user name or password"),
        ("{ url: '${CLOAKROOM_NOT_SET}' }".to_owned(), "`url`: the environment variable CLOAKROOM_NOT_SET is not set"),
        (format!("{{ {url}, pagination: {{ page: {{}} }} }}"), "`url` holds the parameter `page`"),
        (format!("{{ {url}, timeout_s: 0 }}"), "`timeout_s`"),
        (format!("{{ {url}, items: 'a..b' }}"), "`items` is no dotted path"),
        (format!("{{ {url}, pagination: {{ cursor: {{ next: n }} }} }}"), "name the path of the records in `items`"),
        (format!("{{ {url}, items: i, pagination: {{ cursor: {{ next: n, size: 3 }} }} }}"), "`size_parameter`"),
        (format!("{{ {url}, pagination: {{ page: {{ size_parameter: n }} }} }}"), "no effect without `size`"),
        (format!("{{ {url}, auth: {{ bearer: '' }} }}"), "`auth.bearer` is empty"),
        (format!("{{ {url}, auth: {{ bearer: \"marker\\n\" }} }}"), "`auth.bearer` holds a character"),
        (format!("{{ {url}, auth: {{ basic: {{ user: 'a:marker', password: b }} }} }}"), "`auth.basic.user`"),
        (format!("{{ {url}, auth: {{ header: {{ name: 'a b', value: marker }} }} }}"), "`auth.header.name`"),
        (
            format!("{{ {url}, auth: {{ bearer: marker }}, headers: {{ Authorization: b }} }}"),
            "both set `authorization`",
        ),
        (format!("{{ {url}, tls: {{ ca_file: /nowhere.pem }} }}"), "`ca_file`"),
    ] {
        let message = refused(&yaml);
        assert!(message.contains(words), "{message}");
        assert!(!message.contains("marker"), "{message}");
    }
    assert!(serde_saphyr::from_str::<Config>("{ url: a, pagination: { page: { sise: 1 } } }").is_err());
    assert!(serde_saphyr::from_str::<Config>("{ url: a, itmes: b }").is_err());

    let mut csv = PolicyConfig::default();
    csv.record.format = Format::Csv;
    let csv = server_context_with(&csv);
    assert!(
        build(&config("{ url: 'http://h/' }"), &csv).err().unwrap().message.contains("`record.format` must be `json`")
    );
}

#[tokio::test]
async fn a_source_that_is_dropped_stops_asking() {
    let down = serve(|_, _| StatusCode::SERVICE_UNAVAILABLE).await;
    let mut asking = source(&format!("{{ url: '{}/x' }}", down.base));
    asking.open(&mut contract::MemoryLedger::default()).await.unwrap();
    while down.requests().len() < 3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(asking);
    // A request under way may still arrive; then there is silence.
    let mut asked = 0;
    for _ in 0..20 {
        asked = down.requests().len();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if down.requests().len() == asked {
            break;
        }
    }
    assert_eq!(down.requests().len(), asked);
}

fn server_context_with(policy: &PolicyConfig) -> cloakroom_pipeline::context::SourceContext {
    cloakroom_pipeline::context::SourceContext { policy: Arc::new(Policy::compile(policy, None).unwrap()), ..context() }
}
