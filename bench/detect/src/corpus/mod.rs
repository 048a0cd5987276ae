//! The corpus: mixed text with planted values and hard negatives, and the truth about them. The same seed gives the same
//! bytes.

mod negative;
pub mod plain;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use plain::{Text, log_head, timestamp};
use serde_json::json;

use crate::make::{Kind, Made, kinds};
use crate::rng::Rng;

/// Of 1,000 bytes: logs, JSON, chat.
const SHARES: [u64; 3] = [540, 350, 110];
/// Lines with a planted value, and lines with a hard negative: one in so many.
const ONE_IN: u64 = 100;

/// What stands in a line that is not plain.
pub struct Mark {
    pub planted: bool,
    /// The entity, or what kind of hard negative it is.
    pub name: &'static str,
    pub format: &'static str,
    /// How it is written: `json`, `prose` ...
    pub form: &'static str,
    /// A word near it says what it is.
    pub context: bool,
    pub span: Range<usize>,
    pub also: Vec<Range<usize>>,
}

pub struct Line {
    pub text: String,
    pub mark: Option<Mark>,
}

/// Makes line after line.
pub struct Generator {
    rng: Rng,
    /// Bytes so far of each kind of text.
    written: [u64; 3],
    planted: Deck,
    negative: Deck,
}

/// Draws every kind once before any comes again, so that all are planted equally often.
struct Deck {
    kinds: Vec<Kind>,
    order: Vec<usize>,
}

impl Deck {
    fn new(kinds: Vec<Kind>) -> Self {
        Self { kinds, order: Vec::new() }
    }

    fn draw(&mut self, rng: &mut Rng) -> &Kind {
        if self.order.is_empty() {
            self.order = (0..self.kinds.len()).collect();
            rng.shuffle(&mut self.order);
        }
        let at = self.order.pop().unwrap_or(0);
        &self.kinds[at]
    }
}

impl Generator {
    pub fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed),
            written: [0; 3],
            planted: Deck::new(kinds()),
            negative: Deck::new(negative::kinds()),
        }
    }

    pub fn line(&mut self) -> Line {
        let text = self.next_text();
        let Self { rng, planted, negative, .. } = self;
        let line = match rng.range(1, ONE_IN) {
            1 => {
                let kind = planted.draw(rng);
                marked(rng, text, true, kind)
            }
            2 => {
                let kind = negative.draw(rng);
                marked(rng, text, false, kind)
            }
            _ => Line { text: plain::line(rng, text), mark: None },
        };
        self.written[text as usize] += line.text.len() as u64 + 1;
        line
    }

    /// The kind of text that is behind its share, mostly: always taking it would make the order regular.
    fn next_text(&mut self) -> Text {
        let total: u64 = self.written.iter().sum::<u64>() + 1;
        let lag =
            |text: &Text| SHARES[*text as usize] as f64 - self.written[*text as usize] as f64 * 1000.0 / total as f64;
        let behind = Text::ALL.into_iter().max_by(|a, b| lag(a).total_cmp(&lag(b))).unwrap_or(Text::Logs);
        if self.rng.one_in(3) { Text::ALL[self.rng.index(3)] } else { behind }
    }
}

/// Puts a value into surroundings.
fn marked(rng: &mut Rng, text: Text, planted: bool, kind: &Kind) -> Line {
    let made = (kind.make)(rng);
    let (key, label) = (rng.pick(kind.keys), rng.pick(kind.labels));
    // Values that speak for themselves stand without a word about what they are one time in three.
    let context = !(kind.strong && rng.one_in(3));
    let (before, after, form) = if context { with_context(rng, text, key, label) } else { without_context(rng, text) };
    let Made { before: own_before, value, after: own_after, also } = made;
    let start = before.len() + own_before.len();
    let span = start..start + value.len();
    let also = also.into_iter().map(|slice| start + slice.start..start + slice.end).collect();
    let text = format!("{before}{own_before}{value}{own_after}{after}");
    Line { text, mark: Some(Mark { planted, name: kind.entity, format: kind.format, form, context, span, also }) }
}

/// What stands before a value and behind it, with its name.
fn with_context(rng: &mut Rng, text: Text, key: &str, label: &str) -> (String, String, &'static str) {
    match text {
        Text::Logs => {
            let head = log_head(rng);
            match rng.range(0, 6) {
                0 => (
                    format!("{head}{key}="),
                    format!(" status={} dur={}ms", rng.pick(&["ok", "failed"]), rng.range(1, 900)),
                    "key=value",
                ),
                1 => (format!("{head}update {key}=\""), format!("\" rows={}", rng.range(1, 9)), "quoted"),
                2 => (format!("{head}{key}: "), String::new(), "key: value"),
                3 => (
                    format!("{},{label},", rng.range(1000, 99_999)),
                    format!(",{},{}", rng.pick(&["active", "closed"]), &timestamp(rng)[..10]),
                    "csv",
                ),
                4 => (
                    format!("UPDATE customers SET {key} = '"),
                    format!("' WHERE id = {};", rng.range(1, 99_999)),
                    "sql",
                ),
                5 => (format!("<customer><{key}>"), format!("</{key}></customer>"), "xml"),
                _ => (format!("{head}invalid {label} ("), "), giving up".to_owned(), "punctuation"),
            }
        }
        Text::Json => match rng.range(0, 3) {
            0 => (
                format!(r#"{{"id":{},"{key}":""#, rng.range(1, 99_999)),
                format!(r#"","created":"{}"}}"#, timestamp(rng)),
                "json",
            ),
            1 => (
                format!(r#"{{"event":"profile_saved","profile":{{"{key}": ""#),
                r#"", "lang": "en"}}"#.to_owned(),
                "json",
            ),
            2 => (
                format!(r#"{{"message":"new {label}: "#),
                format!(r#"","level":"info","seq":{}}}"#, rng.range(1, 99_999)),
                "json text",
            ),
            _ => (format!(r#"{{"field":"{key}","value":""#), r#"","op":"set"}"#.to_owned(), "json pair"),
        },
        Text::Chat => match rng.range(0, 5) {
            0 => (format!("hi, my {label} is "), ", can you check please?".to_owned(), "prose"),
            1 => (format!("{} {label}: ", plain::chat(rng)), String::new(), "prose"),
            2 => (format!("Guten Tag, {label}: "), ". Vielen Dank für die Hilfe!".to_owned(), "prose"),
            3 => (format!("voilà le {label} \""), "\" merci :)".to_owned(), "quoted"),
            4 => (format!("{label} = "), format!("; {}", plain::chat(rng)), "prose"),
            _ => (format!("the customer says ({label} "), ") — thanks".to_owned(), "punctuation"),
        },
    }
}

/// The same without any word that helps.
fn without_context(rng: &mut Rng, text: Text) -> (String, String, &'static str) {
    match text {
        Text::Logs => match rng.range(0, 2) {
            0 => (format!("{}value=", log_head(rng)), format!(" rows={}", rng.range(1, 9)), "bare"),
            1 => (format!("{}unexpected input '", log_head(rng)), "'".to_owned(), "bare"),
            _ => (
                format!("{},", rng.range(1000, 99_999)),
                format!(",{},{}", rng.pick(&["active", "closed"]), rng.range(1, 99)),
                "bare",
            ),
        },
        Text::Json => match rng.range(0, 1) {
            0 => (format!(r#"{{"n":{},"text":""#, rng.range(1, 99_999)), r#"","ok":true}"#.to_owned(), "bare"),
            _ => {
                (format!(r#"{{"args":["{}",""#, rng.pick(&["a", "x", "first"])), r#""],"took":12}"#.to_owned(), "bare")
            }
        },
        Text::Chat => match rng.range(0, 2) {
            0 => ("ok here it is: ".to_owned(), String::new(), "bare"),
            1 => (format!("{} ", plain::chat(rng)), " is that right?".to_owned(), "bare"),
            _ => ("es steht da: ".to_owned(), ". Stimmt das?".to_owned(), "bare"),
        },
    }
}

/// Writes `corpus.txt`, `truth.jsonl` and `messages.jsonl`.
pub fn write(folder: &Path, bytes: u64, seed: u64) -> Result<(), Box<dyn std::error::Error>> {
    let create = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
    let (mut corpus, mut truth, mut messages) =
        (create("corpus.txt")?, create("truth.jsonl")?, create("messages.jsonl")?);
    let (mut generator, mut written, mut number) = (Generator::new(seed), 0, 0_u64);
    let (mut planted, mut negative) = (0, 0);
    while written < bytes {
        let line = generator.line();
        number += 1;
        written += line.text.len() as u64 + 1;
        writeln!(corpus, "{}", line.text)?;
        writeln!(messages, "{}", json!({"id": number, "text": line.text}))?;
        if let Some(mark) = line.mark {
            *if mark.planted { &mut planted } else { &mut negative } += 1;
            let also: Vec<[usize; 2]> = mark.also.iter().map(|slice| [slice.start, slice.end]).collect();
            let row = json!({
                "line": number, "kind": if mark.planted { "planted" } else { "negative" }, "name": mark.name, "format": mark.format,
                "form": mark.form, "context": mark.context, "start": mark.span.start, "end": mark.span.end, "also": also,
                "value": line.text[mark.span.clone()],
            });
            writeln!(truth, "{row}")?;
        }
    }
    for file in [&mut corpus, &mut truth, &mut messages] {
        file.flush()?;
    }
    println!("{written} bytes, {number} lines, {planted} planted values, {negative} hard negatives");
    Ok(())
}

/// Text of one kind without planted values, for speed by kind.
pub fn only(text: Text, bytes: usize, seed: u64) -> String {
    let (mut rng, mut out) = (Rng::new(seed), String::with_capacity(bytes + 1000));
    while out.len() < bytes {
        out += &plain::line(&mut rng, text);
        out.push('\n');
    }
    out
}
