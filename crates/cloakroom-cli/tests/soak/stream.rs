//! A stream of Kinesis (LocalStack): logins are put while the program reads them into PostgreSQL, and shards are split and
//! merged meanwhile. In the end those of a partition key stand in their order. Once one program reads the stream, and once two
//! share it by leases (DynamoDB Local).

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cloakroom_faults::{FaultProxy, Plan, seed};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};

use crate::common::{self, Room, Schema, Started, count};
use crate::{accounts, address, ask, faults, localstack, number};

/// Partition keys: enough that every shard has some.
const KEYS: usize = 16;

/// A number that depends on the seed alone.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A stream of the test's own.
struct Stream {
    name: String,
    /// LocalStack's address.
    url: String,
}

impl Stream {
    /// `None` where there is no LocalStack: it needs a Python that not every machine has.
    fn new(name: &str, shards: u32) -> Option<Self> {
        let stream = Self { url: localstack()?, name: format!("soak-{name}-{}", std::process::id()) };
        stream.call("CreateStream", json!({ "ShardCount": shards }));
        stream.ready();
        Some(stream)
    }

    fn call(&self, action: &str, mut body: Value) -> Value {
        body["StreamName"] = json!(self.name);
        ask(&self.url, "POST", "/", Some(&format!("Kinesis_20131202.{action}")), &body)
    }

    /// Waits until the stream is no longer being changed.
    fn ready(&self) {
        common::eventually("the stream is active", || {
            self.call("DescribeStreamSummary", json!({}))["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE"
        });
    }

    /// The names of the open shards with their keys, by their keys.
    fn open_shards(&self) -> Vec<(String, u128, u128)> {
        let listed = self.call("ListShards", json!({}));
        let key = |shard: &Value, name: &str| shard["HashKeyRange"][name].as_str().unwrap().parse::<u128>().unwrap();
        let mut open: Vec<_> = listed["Shards"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|shard| shard["SequenceNumberRange"]["EndingSequenceNumber"].is_null())
            .map(|shard| {
                let id = shard["ShardId"].as_str().unwrap().to_owned();
                (id, key(shard, "StartingHashKey"), key(shard, "EndingHashKey"))
            })
            .collect();
        open.sort_by_key(|shard| shard.1);
        open
    }

    /// Splits the first shard in the middle of its keys.
    fn split(&self) {
        let (id, from, to) = self.open_shards().swap_remove(0);
        let middle = (from + (to - from) / 2).to_string();
        self.call("SplitShard", json!({ "ShardToSplit": id, "NewStartingHashKey": middle }));
        self.ready();
    }

    /// Merges the second and the third shard: after a split a child of one with another that was there before.
    fn merge(&self) {
        let open = self.open_shards();
        self.call("MergeShards", json!({ "ShardToMerge": open[1].0, "AdjacentShardToMerge": open[2].0 }));
        self.ready();
    }

    /// Puts records with their keys, all of them before it returns.
    fn put(&self, mut records: Vec<(String, Vec<u8>)>) {
        while !records.is_empty() {
            let entry = |(key, data): &(String, Vec<u8>)| json!({ "PartitionKey": key, "Data": STANDARD.encode(data) });
            let answer = self.call("PutRecords", json!({ "Records": records.iter().map(entry).collect::<Vec<_>>() }));
            let outcomes = answer["Records"].as_array().unwrap();
            // What was throttled is put again.
            let mut refused = outcomes.iter().map(|outcome| !outcome["ErrorCode"].is_null());
            records.retain(|_| refused.next().unwrap());
        }
    }
}

/// A record of the Kinesis Producer Library: the texts of one key, packed.
fn packed(key: &str, texts: &[&str]) -> Vec<u8> {
    fn varint(mut number: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(u8::try_from(number % 128).unwrap() | 128);
            number /= 128;
        }
        bytes.push(u8::try_from(number).unwrap());
        bytes
    }
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2][..], &varint(bytes.len()), bytes].concat();
    let mut message = field(1, key.as_bytes());
    for text in texts {
        message.extend(field(3, &[&[1 << 3, 0][..], &field(3, text.as_bytes())].concat()));
    }
    [&[0xF3, 0x89, 0x9A, 0xC2][..], &message, &Md5::digest(&message)[..]].concat()
}

/// Logins to put, in groups. A call keeps no order in a group; but every group comes after the one before.
struct Logins {
    groups: Vec<Vec<(String, Vec<u8>)>>,
    /// The `user_id`s of logins that are as they should be.
    good: HashSet<String>,
    wrong: u64,
}

impl Logins {
    fn new(room: &Room, records: u64) -> Self {
        room.sample("logins.jsonl", &["logins", "--count", &records.to_string(), "--wrong-shape"]);
        let text = String::from_utf8(room.read("logins.jsonl")).unwrap();
        let size = usize::try_from(records / 60).unwrap().clamp(1, 500);
        let lines: Vec<&str> = text.lines().collect();
        let mut good = HashSet::new();
        let mut group = |(part, lines): (usize, &[&str])| {
            let mut by_key: BTreeMap<usize, Vec<String>> = BTreeMap::new();
            for (at, line) in lines.iter().enumerate() {
                let key = at % KEYS;
                let text = match serde_json::from_str::<Value>(line) {
                    Ok(Value::Object(mut login)) => {
                        if ["user_id", "ip", "device_id"]
                            .iter()
                            .all(|field| login.get(*field).is_some_and(Value::is_string))
                        {
                            good.insert(login["user_id"].as_str().unwrap().to_owned());
                        }
                        login.insert("part".to_owned(), json!(part));
                        login.insert("key".to_owned(), json!(key));
                        Value::Object(login).to_string()
                    }
                    _ => (*line).to_owned(),
                };
                by_key.entry(key).or_default().push(text);
            }
            // Two groups of three come from a producer that packs, as those of many records do. LocalStack becomes slower with
            // every record that it keeps; so a soak of 200,000 ends.
            let records = by_key.into_iter().flat_map(|(key, texts)| {
                let (key, texts) = (format!("k{key}"), texts.iter().map(String::as_str).collect::<Vec<_>>());
                match part % 3 {
                    0 => texts.into_iter().map(|text| (key.clone(), text.as_bytes().to_vec())).collect(),
                    _ => vec![(key.clone(), packed(&key, &texts))],
                }
            });
            records.collect()
        };
        let groups = lines.chunks(size).enumerate().map(&mut group).collect();
        let wrong = records - good.len() as u64;
        Self { groups, good, wrong }
    }

    /// Waits until a share of them is put.
    fn wait(&self, done: &AtomicUsize, part: u64, of: u64) {
        let enough = self.groups.len() * usize::try_from(part).unwrap() / usize::try_from(of).unwrap();
        let began = Instant::now();
        while done.load(Ordering::Relaxed) < enough {
            assert!(began.elapsed() < Duration::from_secs(600), "the records are not put");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Puts them in so much time at least. A shard is split after a third of them, and two are merged after another.
    fn put(&self, stream: &Stream, takes: Duration, done: &AtomicUsize) {
        let (began, count) = (Instant::now(), self.groups.len());
        for (at, group) in self.groups.iter().enumerate() {
            done.store(at, Ordering::Relaxed);
            if at == count / 3 {
                stream.split();
            } else if at == count * 2 / 3 {
                stream.merge();
            }
            stream.put(group.clone());
            let until = takes * u32::try_from(at).unwrap() / u32::try_from(count).unwrap();
            std::thread::sleep(until.saturating_sub(began.elapsed()));
        }
        println!("{count} groups were put in {:.0} s", began.elapsed().as_secs_f64());
    }
}

/// PostgreSQL, which numbers its rows as they come.
fn table() -> Schema {
    let schema = Schema::new();
    schema.execute("CREATE TABLE logins (at bigserial, user_id text, masked_ip text, part integer, key integer)");
    schema
}

fn before_postgres(schema: &Schema) -> FaultProxy {
    // A connection carries a few thousand rows before it is cut.
    let plan = Plan::new(seed()).cut(0.5).cut_after(20_000..2_000_000);
    FaultProxy::tcp(&schema.url, plan.delay(0.1, Duration::ZERO..Duration::from_millis(200)))
}

fn pipeline(room: &Room, stream: &Stream, kinesis: &FaultProxy, postgres: &FaultProxy, more: &str) -> String {
    room.write(
        "stream.yaml",
        format!(
            "name: {stream}
source: {{ kinesis: {{ stream: {stream}, endpoint: '{}'{more} }} }}
record: {{ require: [user_id, ip, device_id], unlisted: drop }}
fields:
  user_id: {{ type: string, nullable: false }}
  ip:      {{ protect: {{ hmac: {{ domain: ip }} }}, as: masked_ip }}
  part:    {{ type: integer }}
  key:     {{ type: integer }}
sink: {{ postgres: {{ url: '{}', table: logins }} }}
batch: {{ records: {batch}, wait_ms: 50 }}
retry: {{ base_ms: 20, max_ms: 500 }}
",
            kinesis.url(),
            postgres.url(),
            stream = stream.name,
            // Enough batches that a kill is in the middle of some, and not more than that.
            batch = (number("CLOAKROOM_TEST_SOAK", 2_000) / 40).clamp(20, 500),
        ),
    )
}

fn start(room: &Room, pipeline: &str) -> Started {
    Started::new(room.command(&["run", pipeline, "--output", "json"]).stdin(Stdio::null()))
}

/// Every login is a row once, and the rows of a key stand in the order in which they were put.
fn assert_rows(schema: &Schema, logins: &Logins, context: &str) {
    let rows = schema.query("SELECT user_id, key, part FROM logins ORDER BY at");
    let text = |row: &[Option<String>], at: usize| row[at].clone().unwrap();
    let distinct: HashSet<String> = rows.iter().map(|row| text(row, 0)).collect();
    assert_eq!((rows.len(), distinct.len()), (logins.good.len(), logins.good.len()), "{context}");
    assert!(distinct == logins.good, "{context}");
    let mut last: HashMap<String, u64> = HashMap::new();
    for row in &rows {
        let (key, part) = (text(row, 1), text(row, 2).parse().unwrap());
        let before = last.insert(key.clone(), part).unwrap_or_default();
        assert!(before <= part, "group {part} of key {key} came after {before}\n{context}");
    }
}

/// Puts logins while workers read them, one of which is killed again and again; then reads what is left.
fn soak(name: &str, workers: usize) {
    let Some(stream) = Stream::new(name, 2) else { return };
    let (records, kills) = (number("CLOAKROOM_TEST_SOAK", 2_000), number("CLOAKROOM_TEST_SOAK_KILLS", 3));
    let (room, schema) = (Room::new(), table());
    let logins = Logins::new(&room, records);
    let (kinesis, postgres) = (FaultProxy::http(&stream.url, faults()), before_postgres(&schema));
    // Where one alone reads the stream, this is a proxy that nobody asks.
    let leases = FaultProxy::http(&address("CLOAKROOM_TEST_DYNAMODB_URL"), faults());
    let more = match workers {
        1 => String::new(),
        _ => format!(
            ", leases: {{ table: soak-leases-{}, endpoint: '{}', duration_s: 3 }}",
            std::process::id(),
            leases.url()
        ),
    };
    let pipeline = pipeline(&room, &stream, &kinesis, &postgres, &more);
    let context = || format!("{}\n{}\n{}", kinesis.describe(), leases.describe(), postgres.describe());
    let began = Instant::now();
    let takes = Duration::from_millis(1_800) * u32::try_from(kills).unwrap();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| logins.put(&stream, takes, &done));
        // Whoever kills at random moments must be able to do it again.
        let mut random = Random(seed());
        let mut running: VecDeque<Started> = (1..workers).map(|_| start(&room, &pipeline)).collect();
        for kill in 0..kills {
            logins.wait(&done, kill, kills);
            let (before, started) = (schema.count("SELECT count(*) FROM logins"), Instant::now());
            running.push_back(start(&room, &pipeline));
            while started.elapsed() < Duration::from_secs(8) && schema.count("SELECT count(*) FROM logins") == before {
                std::thread::sleep(Duration::from_millis(50));
            }
            std::thread::sleep(Duration::from_millis(random.below(2_000)));
            let oldest = running.pop_front().unwrap();
            oldest.signal("KILL");
            let ended = oldest.wait();
            assert_eq!(ended.code, -1, "run {kill} ended before it was killed: {ended}\n{}", context());
        }
        for run in running {
            run.signal("TERM");
            let ended = run.wait();
            assert!(ended.code <= 1, "{ended}\n{}", context());
            common::assert_reconciled(&ended.json());
        }
    });
    let finish = || {
        let mut command = room.command(&["run", &pipeline, "--once", "--output", "json"]);
        let finished = Started::new(command.stdin(Stdio::null())).wait_for(Duration::from_secs(600));
        assert!(finished.code <= 1, "{finished}\n{}", context());
        let summary = finished.json();
        common::assert_reconciled(&summary);
        summary
    };
    let last = finish();
    let again = finish();
    assert_eq!(count(&again, "received"), 0, "everything was there: {last} {again}");
    assert_rows(&schema, &logins, &context());
    assert_eq!(room.dead_letters(&pipeline).len() as u64, logins.wrong, "{}", context());
    let counts = accounts(&room, &pipeline);
    let faults = [&kinesis, &leases, &postgres].map(|proxy| proxy.injected().total());
    assert!(faults[0] > 0 && (faults[1] > 0) == (workers > 1), "nothing went wrong\n{}", context());
    println!(
        "{workers} at once: {records} records, {kills} kills, faults before Kinesis, DynamoDB and PostgreSQL: {faults:?}, \
         {:.0} s; received, delivered, duplicate, dead as counted: {counts:?}; in the last run {}",
        began.elapsed().as_secs_f64(),
        count(&last, "received")
    );
}

#[test]
fn a_stream_into_postgresql() {
    soak("one", 1);
}

#[test]
fn a_stream_that_two_workers_share_into_postgresql() {
    soak("two", 2);
}
