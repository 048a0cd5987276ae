//! Objects of a bucket whose notifications go to a queue (LocalStack). One is large: whoever is killed in it goes on where it
//! was.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use cloakroom_faults::{Fault, FaultProxy};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use crate::common::{Room, Schema, count};
use crate::server::{Request, send};
use crate::{accounts, faults, finish, kill, left, localstack, number, sqs};

/// One of so many records lacks what the policy requires.
const WRONG: u64 = 1_000;

/// Lines of one object, about 200 bytes each.
fn lines(object: &str, count: u64) -> Vec<u8> {
    let mut text = String::new();
    for number in 0..count {
        let ip = match number % WRONG {
            7 => String::new(),
            _ => format!("\"ip\":\"10.{}.{}.{}\",", number >> 16 & 255, number >> 8 & 255, number & 255),
        };
        writeln!(
            text,
            "{{\"user_id\":\"{object}-{number:09}\",{ip}\"device_id\":\"{number:032x}\",\"note\":\"{:090}\"}}",
            number * 31
        )
        .unwrap();
    }
    text.into_bytes()
}

fn put(url: &str, path: &str, body: Vec<u8>) {
    // An emulator takes any signature, but wants one.
    let credential =
        "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0";
    let headers = [("authorization".to_owned(), credential.to_owned())].into();
    let answer = send(url, &Request { method: "PUT".to_owned(), path: path.to_owned(), headers, body });
    assert!(answer.status < 300, "{path}: {}", answer.status);
}

#[test]
fn objects_into_postgresql() {
    let Some(url) = localstack() else { return };
    let (records, kills) = (number("CLOAKROOM_TEST_SOAK", 2_000), number("CLOAKROOM_TEST_SOAK_KILLS", 4));
    let large = number("CLOAKROOM_TEST_SOAK_OBJECT_MB", 16) * (1 << 20) / 200;
    let bucket = format!("soak-{}", std::process::id());
    put(&url, &format!("/{bucket}"), Vec::new());
    let made = sqs(&url, "CreateQueue", &json!({ "QueueName": bucket, "Attributes": { "VisibilityTimeout": "3" } }));
    let queue = made["QueueUrl"].as_str().unwrap().to_owned();
    let notify = format!(
        "<NotificationConfiguration><QueueConfiguration><Id>all</Id>\
         <Queue>arn:aws:sqs:us-east-1:000000000000:{bucket}</Queue><Event>s3:ObjectCreated:*</Event>\
         </QueueConfiguration></NotificationConfiguration>"
    );
    put(&url, &format!("/{bucket}?notification"), notify.into_bytes());
    let (mut all, mut wrong) = (0, 0);
    for (object, rows) in
        [("a", records / 4), ("b", records / 4), ("large", large), ("c", records / 4), ("d", records / 4)]
    {
        let mut content = lines(object, rows);
        let packed = object == "b";
        if packed {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&content).unwrap();
            content = encoder.finish().unwrap();
        }
        put(&url, &format!("/{bucket}/{object}.jsonl{}", if packed { ".gz" } else { "" }), content);
        all += rows;
        wrong += (rows + WRONG - 8) / WRONG;
    }
    let schema = Schema::new();
    schema.execute("CREATE TABLE logins (user_id text, masked_ip text, masked_device_id text)");
    let before_bucket = FaultProxy::http(&url, faults());
    // Far into it, each time half of what is left further on.
    for _ in 0..4 {
        before_bucket.next(Fault::Cut, "/large.jsonl");
    }
    let room = Room::new();
    let pipeline = room.write(
        "soak.yaml",
        format!(
            "name: {bucket}
source:
  s3:
    queue: {{ queue_url: '{queue}', endpoint: '{proxy}', wait_s: 1 }}
    endpoint: '{proxy}'
record: {{ require: [user_id, ip, device_id], unlisted: drop }}
fields:
  user_id:   {{ type: string, nullable: false }}
  ip:        {{ protect: {{ hmac: {{ domain: ip }} }}, as: masked_ip }}
  device_id: {{ protect: {{ hmac: {{ domain: device }} }}, as: masked_device_id }}
sink: {{ postgres: {{ url: '{}', table: logins }} }}
retry: {{ base_ms: 20, max_ms: 500 }}
",
            schema.url,
            proxy = before_bucket.url(),
        ),
    );
    let began = Instant::now();
    let memory = kill(&room, &pipeline, kills, Duration::from_millis(2_500 + all / 100 / kills.max(1)));
    let before = schema.count("SELECT count(*) FROM logins");
    let runs = finish(&room, &pipeline, &url, &queue);
    assert_eq!(left(&url, &queue), 0, "{}", before_bucket.describe());
    let held = schema.query("SELECT count(*), count(DISTINCT user_id), count(masked_ip) FROM logins").remove(0);
    assert_eq!(held, vec![Some((all - wrong).to_string()); 3], "{}", before_bucket.describe());
    assert_eq!(room.dead_letters(&pipeline).len() as u64, wrong);
    // Nobody began from the start: what was there before the last runs was not received again.
    let received: u64 = runs.iter().map(|run| count(&run.json(), "received")).sum();
    assert!(received <= all - before, "received {received} of {all}, of which {before} were there");
    let counts = accounts(&room, &pipeline);
    println!(
        "objects: {all} records, the largest object has {large}, {kills} kills, {} faults, {:.0} s, {memory} MB of \
         memory; {before} were there after \
         the last kill and {received} were received since; received, delivered, duplicate, dead as counted: {counts:?}",
        before_bucket.injected().total(),
        began.elapsed().as_secs_f64()
    );
    assert!(kills == 0 || before > 0 || all < 100_000, "no run came to anything before it was killed");
}
