//! Messages of a queue (ElasticMQ).

use std::collections::HashSet;
use std::time::{Duration, Instant};

use cloakroom_faults::FaultProxy;
use serde_json::{Value, json};

use crate::common::Room;
use crate::targets::{Target, dynamodb, elasticsearch, postgres};
use crate::{accounts, address, faults, finish, kill, number, sqs};

/// A queue full of logins.
struct Queue {
    name: String,
    url: String,
    /// The `user_id`s of logins that are as they should be.
    good: HashSet<String>,
    wrong: u64,
}

impl Queue {
    fn new(room: &Room, name: &str, messages: u64) -> Self {
        let (server, name) = (address("CLOAKROOM_TEST_SQS_URL"), format!("soak-{name}-{}", std::process::id()));
        let made =
            sqs(&server, "CreateQueue", &json!({ "QueueName": name, "Attributes": { "VisibilityTimeout": "3" } }));
        let url = made["QueueUrl"].as_str().unwrap().to_owned();
        room.sample("logins.jsonl", &["logins", "--count", &messages.to_string(), "--wrong-shape"]);
        let text = String::from_utf8(room.read("logins.jsonl")).unwrap();
        let bodies: Vec<&str> = text.lines().collect();
        let server = &server;
        let send = |part: &[&str]| {
            for ten in part.chunks(10) {
                let entry = |(index, body): (usize, &&str)| json!({ "Id": index.to_string(), "MessageBody": body });
                let entries: Vec<Value> = ten.iter().enumerate().map(entry).collect();
                sqs(server, "SendMessageBatch", &json!({ "QueueUrl": url, "Entries": entries }));
            }
        };
        std::thread::scope(|scope| {
            for part in bodies.chunks(bodies.len().div_ceil(4)) {
                scope.spawn(move || send(part));
            }
        });
        let id = |body: &&str| {
            let login: Value = serde_json::from_str(body).ok()?;
            let is_whole = ["user_id", "ip", "device_id"].iter().all(|field| login[field].is_string());
            is_whole.then(|| login["user_id"].as_str().unwrap().to_owned())
        };
        let good: HashSet<String> = bodies.iter().filter_map(id).collect();
        let wrong = messages - good.len() as u64;
        Self { name, url, good, wrong }
    }
}

fn soak(target: &Target) {
    let (messages, kills) = (number("CLOAKROOM_TEST_SOAK", 2_000), number("CLOAKROOM_TEST_SOAK_KILLS", 4));
    let room = Room::new();
    let queue = Queue::new(&room, target.name, messages);
    let before_queue = FaultProxy::http(&address("CLOAKROOM_TEST_SQS_URL"), faults());
    let pipeline = room.write(
        "soak.yaml",
        format!(
            "name: {}
source: {{ sqs: {{ queue_url: '{}', endpoint: '{}', wait_s: 1 }} }}
record: {{ require: [user_id, ip, device_id], unlisted: drop }}
fields:
  user_id:   {{ type: string, nullable: false }}
  ip:        {{ protect: {{ hmac: {{ domain: ip }} }}, as: masked_ip }}
  device_id: {{ protect: {{ hmac: {{ domain: device }} }}, as: masked_device_id }}
sink: {{ {} }}
batch: {{ records: 500, wait_ms: 50 }}
retry: {{ base_ms: 20, max_ms: 500 }}
",
            queue.name,
            queue.url,
            before_queue.url(),
            target.sink
        ),
    );
    let began = Instant::now();
    // So far apart that most of the work is done by runs that are killed.
    let longest = Duration::from_millis(2_500 + messages / kills.max(1));
    let memory = kill(&room, &pipeline, kills, longest);
    let queue_server = address("CLOAKROOM_TEST_SQS_URL");
    finish(&room, &pipeline, &queue_server, &queue.url);
    let context = format!("{}\n{}", target.proxy.describe(), before_queue.describe());
    let held = (target.held)();
    let distinct: HashSet<&String> = held.iter().collect();
    assert_eq!((held.len(), distinct.len()), (queue.good.len(), queue.good.len()), "{context}");
    assert!(distinct.into_iter().all(|id| queue.good.contains(id)), "{context}");
    assert_eq!(room.dead_letters(&pipeline).len() as u64, queue.wrong, "{context}");
    let counts = accounts(&room, &pipeline);
    let (here, there) = (target.proxy.injected().total(), before_queue.injected().total());
    assert!(here + there > 0, "nothing went wrong");
    println!(
        "{}: {messages} messages, {kills} kills, {there} faults before the queue and {here} before the sink, {:.0} s, \
         {memory} MB of memory; received, delivered, duplicate, dead as counted: {counts:?}",
        target.name,
        began.elapsed().as_secs_f64()
    );
}

#[test]
fn a_queue_into_postgresql() {
    soak(&postgres());
}

#[test]
fn a_queue_into_dynamodb() {
    soak(&dynamodb());
}

#[test]
fn a_queue_into_elasticsearch() {
    soak(&elasticsearch());
}
