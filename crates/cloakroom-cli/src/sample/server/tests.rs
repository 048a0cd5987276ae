use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::Kind;
use super::*;

struct Running {
    address: std::net::SocketAddr,
    requests: Arc<AtomicU64>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

impl Running {
    async fn start(api: SampleApi) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = api.requests();
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, api, async {
            let _ = stopped.await;
        }));
        Self { address, requests, stop, task }
    }

    async fn get(&self, path: &str) -> Answer {
        self.get_with(path, "").await
    }

    /// A request by hand, so that a body cut short is seen as it is and not as an error.
    async fn get_with(&self, path: &str, header: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{header}\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body: answer[end + 4..].to_vec() }
    }

    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

fn users(count: usize) -> SampleApi {
    SampleApi::generated(Sample::new(Kind::Users, 1), count)
}

fn numbers(count: usize) -> SampleApi {
    let text: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    SampleApi::from_json_array(format!("[{}]", text.join(",")).as_bytes()).unwrap()
}

fn ids(items: &Value) -> Vec<u64> {
    let items = items.as_array().unwrap().iter();
    items.map(|item| item["id"].as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn lists_all_at_once_and_by_page() {
    let server = Running::start(users(60)).await;
    let all = server.get("/users").await;
    assert_eq!(all.status, 200);
    assert_eq!(all.header("content-type"), Some("application/json"));
    assert_eq!(ids(&all.json()), (1..=60).collect::<Vec<_>>());

    let page = server.get("/users?page=3&limit=7").await.json();
    assert_eq!(ids(&page), (15..=21).collect::<Vec<_>>());
    // The page size the API has by itself, and the last page, which is shorter.
    let page = server.get("/users?page=3").await.json();
    assert_eq!(ids(&page), (51..=60).collect::<Vec<_>>());
    assert_eq!(ids(&server.get("/users?limit=2").await.json()), [1, 2]);
    assert_eq!(server.get("/users?page=4").await.text(), "[]");
    let far = format!("/users?page={0}&limit={0}", usize::MAX);
    assert_eq!(server.get(&far).await.text(), "[]");

    for wrong in ["?page=0", "?limit=0", "?page=x", "?cursor=7", "?cursor=after-"] {
        assert_eq!(server.get(&format!("/users{wrong}")).await.status, 400);
    }
    assert_eq!(server.get("/nothing").await.status, 404);
    assert_eq!(server.requests.load(Ordering::Relaxed), 12);
    server.stop().await;
}

#[tokio::test]
async fn follows_cursors_to_the_end() {
    let server = Running::start(users(60)).await;
    for path in ["/users/cursor?limit=25", "/users?limit=25"] {
        let mut seen = Vec::new();
        let mut pages = 0;
        let mut cursor = Some(String::new());
        while let Some(at) = cursor {
            let page = server.get(&format!("{path}&cursor={at}")).await.json();
            seen.extend(ids(&page["data"]["items"]));
            cursor = page["meta"]["next_cursor"].as_str().map(str::to_owned);
            pages += 1;
        }
        assert_eq!((seen, pages), ((1..=60).collect(), 3));
    }
    let first = server.get("/users/cursor").await.json();
    assert_eq!(first["data"]["items"].as_array().unwrap().len(), 25);
    let past = server.get("/users/cursor?cursor=after-ffff").await;
    assert_eq!(past.text(), r#"{"data": {"items": []}, "meta": {"next_cursor": null}}"#);
    server.stop().await;
}

#[tokio::test]
async fn links_to_the_next_page() {
    let server = Running::start(users(60)).await;
    let mut next = Some("/users/link?page=1&limit=20".to_owned());
    let mut seen = Vec::new();
    while let Some(path) = next {
        let page = server.get(&path).await;
        seen.extend(ids(&page.json()));
        next = page.header("link").map(|link| {
            link.strip_prefix(&format!("<http://{}", server.address))
                .unwrap()
                .strip_suffix(">; rel=\"next\"")
                .unwrap()
                .to_owned()
        });
    }
    assert_eq!(seen, (1..=60).collect::<Vec<_>>());
    server.stop().await;
}

#[tokio::test]
async fn asks_for_the_token() {
    let options = ServeOptions { token: Some("let-me-in".to_owned()), ..ServeOptions::default() };
    let server = Running::start(users(3).with_options(options)).await;
    for header in [
        "",
        "Authorization: Bearer let-me-out\r\n",
        "Authorization: Basic let-me-in\r\n",
        "Authorization: let-me-in\r\n",
    ] {
        let refused = server.get_with("/users", header).await;
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").is_some());
        assert!(!refused.text().contains("let-me-in"));
    }
    for header in ["Authorization: Bearer let-me-in\r\n", "authorization: bearer let-me-in\r\n"] {
        assert_eq!(server.get_with("/users", header).await.status, 200);
    }
    assert_eq!(server.requests.load(Ordering::Relaxed), 6);
    server.stop().await;
}

#[tokio::test]
async fn fails_by_the_number_of_the_request() {
    let options = ServeOptions { faults: true, retry_after: 0, ..ServeOptions::default() };
    // More than hyper keeps in its buffers, so that large answers are cut in the middle as well.
    let server = Running::start(users(2_000).with_options(options)).await;
    for number in 1..=40 {
        let answer = server.get("/users").await;
        let expected = match number {
            _ if number % 4 == 0 => 500,
            _ if number % 5 == 0 => 429,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "request {number}");
        let retry_after = (expected == 429).then_some("0");
        assert_eq!(answer.header("retry-after"), retry_after);
        let cut = expected == 200 && number % 7 == 0;
        let promised: usize = answer.header("content-length").unwrap().parse().unwrap();
        let expected_length = if cut { promised / 2 } else { promised };
        assert_eq!(answer.body.len(), expected_length, "request {number}");
        if expected == 200 {
            let whole = serde_json::from_slice::<Value>(&answer.body).is_ok();
            assert_eq!(whole, !cut, "request {number}");
            assert!(answer.body.len() > 500_000);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn serves_items_byte_for_byte_and_broken_ones_as_well() {
    let text = b" [ {\"a\" : 1.10, \"b\": [1 , 2]} ,\n[ ],\"x,]y\", null,12e0 ] ";
    let api = SampleApi::from_json_array(text).unwrap();
    assert_eq!(api.len(), 5);
    let api = api.with_item(1, &b"{broken"[..]).with_item(0, &b"<first>"[..]).with_item(99, &b"<last>"[..]);
    assert_eq!(api.len(), 8);
    let server = Running::start(api).await;
    let all = ["<first>", "{\"a\" : 1.10, \"b\": [1 , 2]}", "{broken", "[ ]", "\"x,]y\"", "null", "12e0", "<last>"];
    assert_eq!(server.get("/users").await.text(), format!("[{}]", all.join(",")));
    for (place, item) in all.into_iter().enumerate() {
        let path = format!("/users?page={}&limit=1", place + 1);
        assert_eq!(server.get(&path).await.text(), format!("[{item}]"));
    }
    server.stop().await;
}

#[tokio::test]
async fn inserts_between_generated_items() {
    let server = Running::start(users(3).with_item(1, "broken")).await;
    let text = server.get("/users").await.text().to_owned();
    let parts: Vec<&str> = text.split(",broken,").collect();
    assert_eq!(parts.len(), 2);
    assert_eq!(ids(&serde_json::from_str(&format!("{}]", parts[0])).unwrap()), [1]);
    assert_eq!(ids(&serde_json::from_str(&format!("[{}", parts[1])).unwrap()), [2, 3]);
    assert_eq!(ids(&server.get("/users?page=2&limit=2").await.json()), [2, 3]);
    server.stop().await;
}

#[tokio::test]
async fn stops_while_a_client_holds_a_connection_open() {
    let server = Running::start(numbers(3)).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /users HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut start = [0; 15];
    idle.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    tokio::time::timeout(std::time::Duration::from_secs(5), server.stop()).await.unwrap();
}

#[test]
fn refuses_what_is_no_array_without_repeating_it() {
    for text in ["", "\"secret\"", "{\"a\": \"secret\"}", "[1, secret]", "[1] 2"] {
        let error = SampleApi::from_json_array(text.as_bytes()).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(error.to_string().starts_with("not a JSON array (line "));
        assert!(!error.to_string().contains("secret"));
    }
    assert_eq!(SampleApi::from_json_array(b"[]").unwrap().len(), 0);
}
