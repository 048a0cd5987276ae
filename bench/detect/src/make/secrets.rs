//! Secrets: tokens of vendors, keys, passwords. Random, in the shapes that vendors publish.

use super::checks::{base62_six, base64, crc32};
use super::{Kind, Made, kind};
use crate::rng::{BASE62, BASE64, BASE64_URL, DIGITS, HEX, Rng, UPPER_DIGITS};

/// Base 62 with the CRC-32 of itself in the last six places.
fn with_crc(rng: &mut Rng, prefix: &str) -> String {
    let body = rng.chars(BASE62, 30);
    format!("{prefix}{body}{}", base62_six(crc32(body.as_bytes())))
}

fn password(rng: &mut Rng) -> String {
    let words = ["Falcon", "teapot", "Granite", "violet", "Harbour", "quartz", "Meadow", "cobalt", "Tundra", "saffron"];
    match rng.range(0, 2) {
        0 => format!("{}{}{}", rng.pick(&words), rng.chars("!#%*?", 1), rng.digits(4)),
        1 => format!("{}-{}-{}", rng.pick(&words), rng.pick(&words), rng.range(10, 99)),
        _ => {
            let count = rng.range(10, 18) as usize;
            format!("{}{}x7", rng.chars(BASE62, count), rng.chars("!#*_", 1))
        }
    }
}

fn url_password(rng: &mut Rng) -> String {
    let count = rng.range(10, 20) as usize;
    rng.chars(BASE62, count)
}

/// The whole URL is sensitive; user and password, and the password alone, are also right.
fn basic_auth_url(rng: &mut Rng) -> Made {
    let (scheme, port, path) = *[
        ("postgres", ":5432", "/shop"),
        ("postgresql", "", "/app?sslmode=require"),
        ("mysql", ":3306", "/orders"),
        ("mongodb+srv", "", "/admin"),
        ("redis", ":6379", "/0"),
        ("amqp", ":5672", "/vhost"),
        ("https", "", "/repo.git"),
        ("http", ":8080", "/api/v1"),
    ]
    .get(rng.index(8))
    .unwrap_or(&("https", "", ""));
    let user = rng.pick(&["admin", "app", "svc_orders", "root", "deploy", "reader"]);
    let password = url_password(rng);
    let host = rng.pick(&["db.internal.example.com", "cache-01.prod.example.net", "git.example.org", "mq.example.io"]);
    let value = format!("{scheme}://{user}:{password}@{host}{port}{path}");
    let user_at = scheme.len() + 3;
    let password_at = user_at + user.len() + 1;
    let password_end = password_at + password.len();
    let host_end = password_end + 1 + host.len();
    let port_end = host_end + port.len();
    let mut made = Made::from(value);
    made.also = vec![
        password_at..password_end,
        user_at..password_end,
        user_at..password_end + 1,
        0..password_end,
        0..password_end + 1,
        0..host_end,
        0..port_end,
    ];
    made
}

fn basic_auth(rng: &mut Rng) -> Made {
    let text = format!("{}:{}", rng.pick(&["admin", "svc-billing", "deploy", "ci"]), url_password(rng));
    let word = rng.pick(&["Authorization: Basic ", "authorization: Basic ", "Authorization: basic "]).to_owned();
    Made { before: word, ..Made::from(base64(text.as_bytes(), false)) }
}

fn jwt(rng: &mut Rng) -> String {
    let header = rng.pick(&[
        r#"{"alg":"HS256","typ":"JWT"}"#,
        r#"{"alg":"RS256","typ":"JWT","kid":"k1"}"#,
        r#"{"typ":"JWT","alg":"ES256"}"#,
    ]);
    let payload =
        format!(r#"{{"sub":"{}","iat":{},"scope":"read"}}"#, rng.uuid(), rng.range(1_700_000_000, 1_760_000_000));
    format!("{}.{}.{}", base64(header.as_bytes(), true), base64(payload.as_bytes(), true), rng.chars(BASE64_URL, 43))
}

/// A key in one line, as it stands in JSON and in environment variables.
fn pem(rng: &mut Rng) -> String {
    let name = rng.pick(&["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"]);
    let lines: Vec<String> = (0..rng.range(3, 12)).map(|_| rng.chars(BASE64, 64)).collect();
    format!("-----BEGIN {name}-----\\n{}\\n-----END {name}-----", lines.join("\\n"))
}

/// A random key that no pattern but its name gives away.
fn generic(rng: &mut Rng) -> String {
    match rng.range(0, 2) {
        0 => rng.hex(32),
        1 => rng.chars(BASE62, 40),
        _ => rng.chars(BASE64_URL, 32),
    }
}

/// A prefix and then characters: most vendors.
macro_rules! prefixed {
    ($entity:literal, $format:literal, [$($key:literal),*], $($prefix:literal + $alphabet:ident * $count:literal),+) => {
        kind!($entity, $format, [$($key),*], ["token", "API key", "key"], true, |rng| {
            let mut value = String::new();
            $( value.push_str($prefix); value.push_str(&rng.chars($alphabet, $count)); )+
            value
        })
    };
}

const BASE32: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub fn kinds() -> Vec<Kind> {
    vec![
        prefixed!("AWS_ACCESS_KEY", "long-lived", ["aws_access_key_id", "AWS_ACCESS_KEY_ID"], "AKIA" + BASE32 * 16),
        prefixed!("AWS_ACCESS_KEY", "session", ["aws_access_key_id", "accessKeyId"], "ASIA" + BASE32 * 16),
        kind!(
            "AWS_SECRET_KEY",
            "",
            ["aws_secret_access_key", "AWS_SECRET_ACCESS_KEY", "secretAccessKey"],
            ["AWS secret access key", "AWS secret key"],
            false,
            |rng| rng.chars(BASE62, 1) + &rng.chars(BASE64, 38) + &rng.chars(BASE62, 1)
        ),
        kind!(
            "AZURE_KEY",
            "storage",
            ["AzureWebJobsStorage", "connection_string"],
            ["connection string"],
            false,
            |rng| Made {
                before: format!(
                    "DefaultEndpointsProtocol=https;AccountName={};AccountKey=",
                    rng.pick(&["acmestore", "logsprod", "mediafiles"])
                ),
                after: ";EndpointSuffix=core.windows.net".to_owned(),
                ..Made::from(rng.chars(BASE64, 85) + &rng.chars("AQgw", 1) + "==")
            }
        ),
        prefixed!(
            "GOOGLE_API_KEY",
            "",
            ["google_api_key", "GOOGLE_MAPS_KEY"],
            "AIza" + BASE64_URL * 34,
            "" + BASE62 * 1
        ),
        kind!("GITHUB_TOKEN", "classic", ["github_token", "GITHUB_TOKEN"], ["GitHub token", "token"], true, |rng| {
            with_crc(rng, "ghp_")
        }),
        kind!("GITHUB_TOKEN", "server", ["github_token", "GH_TOKEN"], ["GitHub token", "token"], true, |rng| with_crc(
            rng, "ghs_"
        )),
        prefixed!(
            "GITHUB_TOKEN",
            "fine-grained",
            ["github_pat", "GITHUB_TOKEN"],
            "github_pat_" + BASE62 * 22,
            "_" + BASE62 * 59
        ),
        prefixed!("GITLAB_TOKEN", "", ["gitlab_token", "GITLAB_TOKEN"], "glpat-" + BASE62 * 20),
        kind!(
            "SLACK_TOKEN",
            "bot",
            ["slack_token", "SLACK_BOT_TOKEN"],
            ["Slack token", "bot token"],
            true,
            |rng| format!("xoxb-{}-{}-{}", rng.number(12), rng.number(12), rng.chars(BASE62, 24))
        ),
        kind!("SLACK_TOKEN", "user", ["slack_token"], ["Slack token"], true, |rng| format!(
            "xoxp-{}-{}-{}-{}",
            rng.number(12),
            rng.number(12),
            rng.number(12),
            rng.hex(32)
        )),
        kind!("SLACK_WEBHOOK", "", ["slack_webhook", "webhook_url"], ["webhook"], true, |rng| format!(
            "https://hooks.slack.com/services/T{}/B{}/{}",
            rng.chars(UPPER_DIGITS, 10),
            rng.chars(UPPER_DIGITS, 10),
            rng.chars(BASE62, 24)
        )),
        kind!(
            "DISCORD_TOKEN",
            "",
            ["discord_token", "DISCORD_BOT_TOKEN"],
            ["Discord bot token", "Discord token"],
            false,
            |rng| {
                // User id in base64, time, signature.
                let id = base64(rng.number(18).as_bytes(), true);
                format!("{id}.{}.{}", rng.chars("GHXYZ", 1) + &rng.chars(BASE64_URL, 5), rng.chars(BASE62, 38))
            }
        ),
        kind!(
            "TELEGRAM_TOKEN",
            "",
            ["telegram_token", "TELEGRAM_BOT_TOKEN"],
            ["Telegram bot token"],
            false,
            |rng| format!("{}:AA{}{}", rng.number(10), rng.chars(BASE64_URL, 32), rng.chars(BASE62, 1))
        ),
        prefixed!("STRIPE_KEY", "live", ["stripe_key", "STRIPE_SECRET_KEY"], "sk_live_" + BASE62 * 24),
        prefixed!("STRIPE_KEY", "long", ["stripe_secret_key"], "sk_live_51" + BASE62 * 97),
        prefixed!("SQUARE_TOKEN", "", ["square_token"], "sq0atp-" + BASE62 * 22),
        prefixed!("SHOPIFY_TOKEN", "", ["shopify_token"], "shpat_" + HEX * 32),
        prefixed!("TWILIO_KEY", "", ["twilio_api_key", "TWILIO_KEY_SID"], "SK" + HEX * 32),
        prefixed!("SENDGRID_KEY", "", ["sendgrid_api_key"], "SG." + BASE62 * 22, "." + BASE62 * 43),
        prefixed!("MAILCHIMP_KEY", "", ["mailchimp_api_key", "MAILCHIMP_KEY"], "" + HEX * 32, "-us1" + DIGITS * 1),
        prefixed!(
            "OPENAI_KEY",
            "old",
            ["openai_api_key", "OPENAI_API_KEY"],
            "sk-" + BASE62 * 20,
            "T3BlbkFJ" + BASE62 * 20
        ),
        prefixed!("OPENAI_KEY", "project", ["OPENAI_API_KEY"], "sk-proj-" + BASE62 * 74, "T3BlbkFJ" + BASE62 * 74),
        prefixed!(
            "ANTHROPIC_KEY",
            "",
            ["anthropic_api_key", "ANTHROPIC_API_KEY"],
            "sk-ant-api03-" + BASE62 * 93,
            "AA" + BASE62 * 0
        ),
        prefixed!("HUGGINGFACE_TOKEN", "", ["hf_token", "HUGGINGFACE_TOKEN"], "hf_" + LETTERS * 34),
        kind!("NPM_TOKEN", "", ["npm_token", "NPM_TOKEN"], ["npm token", "token"], true, |rng| with_crc(rng, "npm_")),
        prefixed!("PYPI_TOKEN", "", ["pypi_token", "TWINE_PASSWORD"], "pypi-AgEIcHlwaS5vcmc" + BASE62 * 120),
        prefixed!("DIGITALOCEAN_TOKEN", "", ["do_token", "DIGITALOCEAN_TOKEN"], "dop_v1_" + HEX * 64),
        prefixed!("DATABRICKS_TOKEN", "", ["databricks_token", "DATABRICKS_TOKEN"], "dapi" + HEX * 32),
        kind!("HEROKU_KEY", "", ["heroku_api_key", "HEROKU_API_KEY"], ["Heroku API key"], false, |rng| rng.uuid()),
        kind!("JWT", "", ["token", "access_token", "id_token"], ["token", "bearer"], true, jwt),
        kind!("PRIVATE_KEY", "", ["private_key", "SSH_KEY", "tls_key"], ["private key"], true, pem),
        kind!("BASIC_AUTH", "", ["header"], ["header"], true, basic_auth),
        kind!(
            "BASIC_AUTH_URL",
            "",
            ["database_url", "DATABASE_URL", "dsn"],
            ["connection string", "URL"],
            true,
            basic_auth_url
        ),
        kind!(
            "PASSWORD",
            "",
            ["password", "DB_PASSWORD", "passwd", "pwd", "userPassword"],
            ["password", "Passwort", "mot de passe"],
            false,
            password
        ),
        kind!(
            "GENERIC_SECRET",
            "",
            ["api_key", "apiKey", "client_secret", "SECRET_KEY", "auth_token"],
            ["API key", "client secret"],
            false,
            generic
        ),
        prefixed!("VENDOR_TOKEN", "grafana", ["grafana_token"], "glsa_" + BASE62 * 32, "_" + HEX * 8),
        prefixed!("VENDOR_TOKEN", "vault", ["vault_token", "VAULT_TOKEN"], "hvs." + BASE62 * 95),
        prefixed!("VENDOR_TOKEN", "terraform", ["tfe_token"], "" + BASE62 * 14, ".atlasv1." + BASE62 * 64),
        prefixed!("VENDOR_TOKEN", "linear", ["linear_api_key"], "lin_api_" + BASE62 * 40),
        prefixed!("VENDOR_TOKEN", "postman", ["postman_api_key"], "PMAK-" + HEX * 24, "-" + HEX * 34),
        prefixed!("VENDOR_TOKEN", "pulumi", ["pulumi_access_token"], "pul-" + HEX * 40),
        prefixed!("VENDOR_TOKEN", "doppler", ["doppler_token"], "dp.pt." + BASE62 * 43),
        prefixed!("VENDOR_TOKEN", "new-relic", ["new_relic_key"], "NRAK-" + UPPER_DIGITS * 27),
        prefixed!("VENDOR_TOKEN", "planetscale", ["pscale_token"], "pscale_tkn_" + BASE62 * 43),
        prefixed!("VENDOR_TOKEN", "docker", ["docker_pat"], "dckr_pat_" + BASE62 * 27),
        prefixed!("VENDOR_TOKEN", "rubygems", ["gem_host_api_key"], "rubygems_" + HEX * 48),
        prefixed!("VENDOR_TOKEN", "atlassian", ["jira_api_token"], "ATATT3xFfGF0" + BASE62 * 171, "=" + HEX_UPPER * 8),
        prefixed!("VENDOR_TOKEN", "sentry", ["sentry_auth_token"], "sntryu_" + HEX * 64),
        prefixed!("VENDOR_TOKEN", "shippo", ["shippo_token"], "shippo_live_" + HEX * 40),
        prefixed!(
            "VENDOR_TOKEN",
            "plaid",
            ["plaid_access_token"],
            "access-production-" + HEX * 8,
            "-" + HEX * 4,
            "-4" + HEX * 3,
            "-8" + HEX * 3,
            "-" + HEX * 12
        ),
        prefixed!("VENDOR_TOKEN", "dynatrace", ["dynatrace_token"], "dt0c01." + BASE32 * 24, "." + BASE32 * 64),
        prefixed!("VENDOR_TOKEN", "cargo", ["crates_io_token"], "cio" + BASE62 * 32),
        prefixed!("VENDOR_TOKEN", "alibaba", ["alibaba_access_key_id"], "LTAI5t" + BASE62 * 18),
        prefixed!("VENDOR_TOKEN", "infracost", ["infracost_api_key"], "ico-" + BASE62 * 32),
        prefixed!("VENDOR_TOKEN", "easypost", ["easypost_key"], "EZAK" + BASE62 * 54),
        prefixed!("VENDOR_TOKEN", "notion", ["notion_token"], "ntn_" + DIGITS * 11, "" + BASE62 * 35),
    ]
}

const HEX_UPPER: &str = "0123456789ABCDEF";
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
