//! Lines with nothing sensitive in them: logs, JSON, chat. What an observability pipeline carries all day.
//!
//! No client addresses, telephone numbers or e-mails here: these would be right findings. Access logs name an edge node
//! where others have an address.

use crate::rng::{BASE64, Rng};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Text {
    Logs,
    Json,
    Chat,
}

impl Text {
    pub const ALL: [Self; 3] = [Self::Logs, Self::Json, Self::Chat];

    pub fn name(self) -> &'static str {
        ["logs", "json", "chat"][self as usize]
    }
}

pub fn line(rng: &mut Rng, text: Text) -> String {
    match text {
        Text::Logs => log(rng),
        Text::Json => json(rng),
        Text::Chat => chat(rng),
    }
}

const SERVICES: &[&str] = &[
    "checkout",
    "inventory",
    "billing-worker",
    "search-api",
    "gateway",
    "ingest",
    "mailer",
    "scheduler",
    "catalog",
    "thumbnailer",
];
const LEVELS: &[&str] = &["DEBUG", "INFO", "INFO", "INFO", "WARN", "ERROR"];
const METHODS: &[&str] = &["GET", "GET", "GET", "POST", "PUT", "DELETE", "PATCH"];
const PATHS: &[&str] = &[
    "/api/v1/orders/",
    "/api/v2/products/",
    "/static/js/main.",
    "/health/",
    "/cart/items/",
    "/assets/img/",
    "/graphql/",
    "/users/",
    "/api/v3/reports/2024/",
    "/internal/metrics/",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:125.0) Gecko/20100101 Firefox/125.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/123.0.6312.118 Mobile Safari/537.36",
    "curl/8.5.0",
    "kube-probe/1.29",
    "Prometheus/2.51.2",
    "okhttp/4.12.0",
    "python-requests/2.31.0",
];
const CITIES: &[&str] = &[
    "Hamburg",
    "Lyon",
    "São Paulo",
    "Kraków",
    "Porto",
    "Osaka",
    "Toronto",
    "Zürich",
    "Göteborg",
    "Pune",
    "Lagos",
    "Izmir",
];
const MONTHS: &[&str] = &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const STATES: &[&str] = &["created", "paid", "packed", "shipped", "delivered", "returned", "cancelled", "pending"];

pub fn timestamp(rng: &mut Rng) -> String {
    format!(
        "2024-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z",
        rng.range(1, 12),
        rng.range(1, 28),
        rng.range(0, 23),
        rng.range(0, 59),
        rng.range(0, 59),
        rng.range(0, 999)
    )
}

fn clock(rng: &mut Rng) -> String {
    format!("{:02}:{:02}:{:02}", rng.range(0, 23), rng.range(0, 59), rng.range(0, 59))
}

fn node(rng: &mut Rng) -> String {
    format!(
        "{}-{}.{}",
        rng.pick(&["edge", "pod", "web", "worker", "db"]),
        rng.range(1, 64),
        rng.pick(&["fra", "iad", "sin", "gru"])
    )
}

/// The beginning of an application's log line.
pub fn log_head(rng: &mut Rng) -> String {
    let (time, level, service) = (timestamp(rng), rng.pick(LEVELS), rng.pick(SERVICES));
    match rng.range(0, 3) {
        0 => format!("{time} {level} [{service}] trace={} ", rng.hex(32)),
        1 => format!("ts={time} level={} svc={service} ", level.to_lowercase()),
        2 => format!("{time} [{service}-{}] {level} ", rng.range(1, 16)),
        _ => format!("{level} {} {service}: ", time.replace('T', " ").trim_end_matches('Z')),
    }
}

fn log(rng: &mut Rng) -> String {
    match rng.range(0, 15) {
        0..=2 => {
            let path = format!("{}{}", rng.pick(PATHS), rng.hex(8));
            let referrer =
                if rng.one_in(2) { "-".to_owned() } else { format!("https://shop.example.com{}", rng.pick(PATHS)) };
            format!(
                "{} - - [{:02}/{}/2024:{} +0000] \"{} {path} HTTP/1.1\" {} {} \"{referrer}\" \"{}\" {:.3}",
                node(rng),
                rng.range(1, 28),
                rng.pick(MONTHS),
                clock(rng),
                rng.pick(METHODS),
                rng.pick(&["200", "200", "200", "204", "301", "304", "404", "500", "503"]),
                rng.range(0, 250_000),
                rng.pick(AGENTS),
                rng.range(0, 4000) as f64 / 1000.0
            )
        }
        3..=5 => {
            let head = log_head(rng);
            let id = rng.range(1000, 99_999_999);
            match rng.range(0, 5) {
                0 => format!(
                    "{head}handled {} {}{id} status=200 in {}ms",
                    rng.pick(METHODS),
                    rng.pick(PATHS),
                    rng.range(1, 900)
                ),
                1 => format!("{head}order {id} moved from {} to {}", rng.pick(STATES), rng.pick(STATES)),
                2 => format!("{head}cache miss key=product:{id}:v{} ttl={}s", rng.range(1, 9), rng.range(30, 3600)),
                3 => format!(
                    "{head}retry {} of 5 after {}ms: connection reset by peer ({})",
                    rng.range(1, 5),
                    rng.range(50, 5000),
                    node(rng)
                ),
                4 => format!(
                    "{head}batch of {} rows written to orders_2024_{:02} in {:.2}s",
                    rng.range(10, 50_000),
                    rng.range(1, 12),
                    rng.range(1, 999) as f64 / 100.0
                ),
                _ => format!(
                    "{head}span={} parent={} request_id={} duration_us={}",
                    rng.hex(16),
                    rng.hex(16),
                    rng.uuid(),
                    rng.range(10, 9_999_999)
                ),
            }
        }
        6..=7 => format!(
            "{},{},{},{:.2},{},{},{},{},{}",
            rng.range(10_000, 9_999_999),
            &timestamp(rng)[..10],
            rng.pick(&["EUR", "USD", "BRL", "PLN"]),
            rng.range(99, 99_999) as f64 / 100.0,
            rng.range(1, 9),
            rng.pick(STATES),
            rng.pick(CITIES),
            rng.range(1_000_000, 9_999_999),
            rng.hex(12)
        ),
        8..=9 => {
            let class = rng.pick(&[
                "OrderService",
                "HttpClient",
                "RetryPolicy",
                "JdbcTemplate",
                "CartController",
                "KafkaListener",
            ]);
            match rng.range(0, 3) {
                0 => format!(
                    "\tat com.acme.shop.{}.{class}.{}({class}.java:{})",
                    rng.pick(&["web", "core", "db"]),
                    rng.pick(&["run", "handle", "lambda$0", "apply"]),
                    rng.range(10, 900)
                ),
                1 => format!(
                    "  File \"/srv/app/{}/{}.py\", line {}, in {}",
                    rng.pick(SERVICES),
                    rng.pick(&["views", "tasks", "models"]),
                    rng.range(1, 900),
                    rng.pick(&["dispatch", "save", "__call__"])
                ),
                2 => format!(
                    "    at {class}.handle (/usr/src/app/dist/{}.js:{}:{})",
                    rng.pick(SERVICES),
                    rng.range(1, 4000),
                    rng.range(1, 120)
                ),
                _ => format!(
                    "Caused by: java.lang.IllegalStateException: {class} not ready after {} ms (0x{})",
                    rng.range(100, 60_000),
                    rng.hex(8)
                ),
            }
        }
        10..=11 => match rng.range(0, 2) {
            0 => format!(
                "I{:02}{:02} {}.{:06}       1 controller.go:{}] \"Reconciled\" namespace=\"prod\" pod=\"{}-{}-{}\" generation={}",
                rng.range(1, 12),
                rng.range(1, 28),
                clock(rng),
                rng.range(0, 999_999),
                rng.range(10, 900),
                rng.pick(SERVICES),
                rng.hex(9),
                rng.chars("bcdfghjklmnpqrstvwxz2456789", 5),
                rng.range(1, 400)
            ),
            1 => format!(
                "Normal  Pulled  {}m  kubelet  Successfully pulled image \"registry.example.com/{}@sha256:{}\" in {:.3}s",
                rng.range(1, 59),
                rng.pick(SERVICES),
                rng.hex(64),
                rng.range(100, 9999) as f64 / 1000.0
            ),
            _ => format!(
                "{} Warning BackOff pod/{}-{} Back-off restarting failed container (count {})",
                timestamp(rng),
                rng.pick(SERVICES),
                rng.hex(10),
                rng.range(2, 90)
            ),
        },
        12..=13 => format!(
            "<{}>{} {:2} {} {} {}[{}]: {}",
            rng.range(1, 191),
            rng.pick(MONTHS),
            rng.range(1, 28),
            clock(rng),
            node(rng),
            rng.pick(&["sshd", "systemd", "cron", "kernel", "dockerd", "nginx"]),
            rng.range(100, 65_000),
            rng.pick(&[
                "Started Session 4211 of user deploy.",
                "pam_unix(cron:session): session opened for user root(uid=0)",
                "TCP: request_sock_TCP: Possible SYN flooding on port 8443. Sending cookies.",
                "eth0: link up, 10000 Mbps, full duplex, lpa 0x4DE1",
                "Out of memory: Killed process 31337 (java) total-vm:8123456kB, anon-rss:4012345kB",
            ])
        ),
        14 => match rng.range(0, 2) {
            0 => format!(
                "SELECT id, total, state FROM orders WHERE customer_id = {} AND created_at > '{}' ORDER BY id LIMIT {};",
                rng.range(1, 9_999_999),
                &timestamp(rng)[..10],
                rng.range(1, 500)
            ),
            1 => format!(
                "UPDATE stock SET count = count - {} WHERE sku = '{}-{}' AND warehouse = {};",
                rng.range(1, 20),
                rng.pick(&["TS", "HD", "BK"]),
                rng.number(6),
                rng.range(1, 40)
            ),
            _ => format!(
                "INSERT INTO events (id, kind, at) VALUES ({}, '{}', '{}') ON CONFLICT DO NOTHING;",
                rng.range(1, 999_999_999),
                rng.pick(STATES),
                timestamp(rng)
            ),
        },
        _ => match rng.range(0, 3) {
            0 => format!(
                "http_requests_total{{method=\"{}\",code=\"200\",pod=\"{}\"}} {} {}",
                rng.pick(METHODS),
                node(rng),
                rng.range(1, 99_999_999),
                epoch_ms(rng)
            ),
            1 => format!(
                "commit {} ({}): bump {} from {}.{}.{} to {}.{}.{}",
                rng.hex(40),
                rng.pick(&["main", "release/2.4", "fix/1234-cart"]),
                rng.pick(SERVICES),
                rng.range(0, 3),
                rng.range(0, 20),
                rng.range(0, 30),
                rng.range(3, 5),
                rng.range(0, 20),
                rng.range(0, 30)
            ),
            2 => format!(
                "GC(1{}) Pause Young (Normal) (G1 Evacuation Pause) {}M->{}M(4096M) {:.3}ms",
                rng.digits(3),
                rng.range(1000, 4000),
                rng.range(100, 1000),
                rng.range(900, 99_999) as f64 / 1000.0
            ),
            _ => format!(
                "etag W/\"{}-{}\" cache-status=HIT age={} payload={}",
                rng.hex(6),
                rng.chars(BASE64, 27),
                rng.range(1, 9000),
                rng.chars(BASE64, 64)
            ),
        },
    }
}

pub fn epoch_ms(rng: &mut Rng) -> u64 {
    rng.range(1_640_000_000_000, 1_760_000_000_000)
}

fn json(rng: &mut Rng) -> String {
    match rng.range(0, 6) {
        0 => format!(
            r#"{{"id":"{}","type":"{}","ts":"{}","source":"{}","seq":{},"attributes":{{"region":"eu-central-1","retries":{},"ok":{}}}}}"#,
            rng.uuid(),
            rng.pick(&["page_view", "add_to_cart", "checkout", "search", "login"]),
            timestamp(rng),
            rng.pick(SERVICES),
            rng.range(1, 99_999_999),
            rng.range(0, 4),
            rng.one_in(2)
        ),
        1 => format!(
            r#"{{"orderId":{},"state":"{}","items":[{{"sku":"{}-{}","qty":{},"price":{:.2}}},{{"sku":"{}","qty":1,"price":{:.2}}}],"currency":"EUR","placedAt":{}}}"#,
            rng.range(100_000, 999_999_999),
            rng.pick(STATES),
            rng.pick(&["TS", "HD", "BK"]),
            rng.number(6),
            rng.range(1, 9),
            rng.range(99, 99_999) as f64 / 100.0,
            rng.number(8),
            rng.range(99, 9_999) as f64 / 100.0,
            epoch_ms(rng)
        ),
        2 => format!(
            r#"{{"user":{{"id":{},"plan":"{}","locale":"{}","city":"{}","signupDays":{}}},"flags":["beta","dark-mode"],"session":"{}"}}"#,
            rng.range(1, 99_999_999),
            rng.pick(&["free", "team", "pro"]),
            rng.pick(&["en-GB", "de-DE", "pt-BR", "ja-JP"]),
            rng.pick(CITIES),
            rng.range(0, 3000),
            rng.hex(24)
        ),
        3 => format!(
            r#"{{"metric":"{}.latency","value":{:.6},"unit":"ms","tags":{{"host":"{}","az":"{}"}},"t":{}}}"#,
            rng.pick(SERVICES),
            rng.range(1, 99_999_999) as f64 / 1e5,
            node(rng),
            rng.pick(&["a", "b", "c"]),
            epoch_ms(rng)
        ),
        4 => format!(
            r#"{{"timestamp":"{}","level":"{}","logger":"com.acme.{}","thread":"worker-{}","message":"{} {} in {} ms","trace_id":"{}","span_id":"{}"}}"#,
            timestamp(rng),
            rng.pick(LEVELS),
            rng.pick(SERVICES),
            rng.range(1, 64),
            rng.pick(&["processed", "flushed", "indexed", "skipped"]),
            rng.range(1, 100_000),
            rng.range(1, 10_000),
            rng.hex(32),
            rng.hex(16)
        ),
        5 => format!(
            r#"{{"deployment":"{}","image":"registry.example.com/{}:{}.{}.{}","commit":"{}","replicas":{},"digest":"sha256:{}"}}"#,
            rng.pick(SERVICES),
            rng.pick(SERVICES),
            rng.range(0, 9),
            rng.range(0, 30),
            rng.range(0, 99),
            rng.hex(40),
            rng.range(1, 40),
            rng.hex(64)
        ),
        _ => format!(
            r##"{{"product":{{"ean":"{}","title":"{}","stock":{},"dimensions":[{}.{},{}.{}],"color":"#{}"}},"updated":"{}"}}"##,
            ean(rng),
            rng.pick(&["Regenjacke, blau", "Teekanne 1,2 l", "Café moulu 250 g", "折りたたみ傘", "Mochila de viaje"]),
            rng.range(0, 5000),
            rng.range(1, 99),
            rng.range(0, 9),
            rng.range(1, 99),
            rng.range(0, 9),
            rng.hex(6),
            &timestamp(rng)[..10]
        ),
    }
}

/// A product number with its check digit.
pub fn ean(rng: &mut Rng) -> String {
    let body = format!("{}{}", rng.pick(&["400", "50", "871", "978", "45", "779"]), rng.digits(10));
    let body = &body[..12];
    let sum: u64 = body.bytes().enumerate().map(|(at, byte)| u64::from(byte - b'0') * (1 + 2 * (at as u64 % 2))).sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// Sentences: `#` a number, `@` a name, `%` a time, `$` a price, `&` a city. Two or three make a message.
const SENTENCES: &[&[&str]] = &[
    &[
        "hey @, did you see the build from % ?",
        "the parcel for & is still stuck since yesterday, can someone have a look please",
        "I forgot my password again, the reset page says it is sent but nothing comes",
        "meeting moved to %, room #, bring the numbers for &",
        "that is about $ cheaper than last year, nice",
        "ticket # is done, please review when you have time",
        "lol same here, restarting it # times helped",
        "we need # chairs and # tables for the stand in &",
        "could you call the customer back before %? they were not happy",
        "the card on file was declined, they will try another one",
    ],
    &[
        "Hallo @, die Lieferung nach & kommt erst um % Uhr.",
        "Können wir das bitte auf Dienstag schieben? Um % passt es mir nicht.",
        "Der Kunde aus & hat schon wieder reklamiert, Vorgang #.",
        "Das kostet uns ungefähr $, müssen wir noch prüfen.",
        "Schönen Gruß und danke für die schnelle Hilfe!",
        "Ich habe # Stück gezählt, im System stehen aber #.",
    ],
    &[
        "Bonjour @, le colis pour & est bien arrivé à %.",
        "Il manque encore # pièces à la commande, peux-tu vérifier ?",
        "Ça coûte environ $, on en parle demain à la réunion.",
        "Désolé pour le retard, le train était bloqué près de &.",
    ],
    &[
        "Hola @, ¿puedes revisar el pedido # antes de las %?",
        "El envío a & salió ayer, debería llegar mañana.",
        "Son $ en total, ya está pagado. ¡Gracias!",
    ],
    &[
        "Oi @, a reunião ficou para as %, tudo bem?",
        "O pedido # já saiu de &, chega amanhã.",
        "Não consegui abrir o arquivo, você pode enviar de novo?",
    ],
    &[
        "Ciao @, ci vediamo alle % davanti all'ufficio.",
        "L'ordine # è già partito per &, arriverà giovedì.",
        "Perché costa $? Ieri era meno.",
    ],
    &[
        "Cześć @, spotkanie o % jest odwołane.",
        "Zamówienie # wysłano wczoraj do &, dziękuję za pomoc!",
        "Łącznie $, zgadza się?",
    ],
    &[
        "Merhaba @, toplantı saat %'de başlıyor.",
        "# numaralı sipariş &'e gönderildi, teşekkürler.",
        "Bu fiyat çok yüksek: $",
    ],
    &["Привет, @! Заказ # уже отправлен в &.", "Созвон перенесли на %, предупреди всех.", "Итого $, спасибо!"],
    &["@さん、お疲れ様です。会議は%からです。", "注文#は&に発送済みです。よろしくお願いします。", "合計は$でした。"],
    &["@，会议改到%了。", "订单#已经发往&，请注意查收。", "一共$，谢谢！"],
    &["@님, 회의는 %에 시작합니다.", "주문 #은 &(으)로 발송되었습니다.", "감사합니다!"],
    &["Γεια σου @, η παραγγελία # έφυγε για &.", "Τα λέμε στις %."],
    &["नमस्ते @, बैठक % बजे है।", "ऑर्डर # भेज दिया गया है।"],
    &["مرحبا @، الاجتماع الساعة %.", "تم إرسال الطلب # إلى &."],
];
const NAMES: &[&str] =
    &["Anna", "José", "Łukasz", "Mei", "Omar", "Søren", "Zoë", "Priya", "Jürgen", "Chloé", "Kenji", "Oksana"];

/// One or more sentences of a language.
pub fn chat(rng: &mut Rng) -> String {
    // English half of the time.
    let language = if rng.one_in(2) { SENTENCES[0] } else { SENTENCES[rng.index(SENTENCES.len())] };
    let mut text = if rng.one_in(2) { format!("[{}] {}: ", clock(rng), rng.pick(NAMES)) } else { String::new() };
    for at in 0..rng.range(1, 4) {
        if at > 0 {
            text.push(' ');
        }
        for c in rng.pick(language).chars() {
            match c {
                '#' => text += &rng.range(2, 99_999).to_string(),
                '@' => text += rng.pick(NAMES),
                '%' => text += &clock(rng)[..5],
                '$' => {
                    text += &format!(
                        "{}.{:02} {}",
                        rng.range(1, 4000),
                        rng.range(0, 99),
                        rng.pick(&["EUR", "€", "USD", "zł"])
                    )
                }
                '&' => text += rng.pick(CITIES),
                c => text.push(c),
            }
        }
    }
    if rng.one_in(8) {
        text += rng.pick(&[" 🙂", " 👍", " 🚀🚀", " 😅"]);
    }
    text
}
