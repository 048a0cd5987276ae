//! Turns the rule files in `rules/` into constants, so that the catalogue costs nothing to load.
#![allow(clippy::expect_used, clippy::panic, reason = "a build that cannot read its rules must stop")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[path = "src/detect/rule/file.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the library")]
mod file;

fn main() {
    println!("cargo::rerun-if-changed=rules");
    println!("cargo::rerun-if-changed=src/detect/rule/file.rs");
    let mut paths: Vec<PathBuf> = fs::read_dir("rules")
        .expect("the folder `rules`")
        .map(|entry| entry.expect("an entry of `rules`").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
        .collect();
    paths.sort();
    let mut code = String::from("static BUILT_IN: &[Rule] = &[\n");
    for path in &paths {
        for rule in read(path) {
            rule_as_code(&rule, &mut code);
        }
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("catalogue.rs"), code).expect("OUT_DIR can be written");
}

fn read(path: &Path) -> Vec<file::RuleSpec> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file: file::RuleFile =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.rules
}

fn rule_as_code(rule: &file::RuleSpec, code: &mut String) {
    let with_context = rule.with_context.unwrap_or(rule.confidence);
    writeln!(
        code,
        "Rule {{ id: Cow::Borrowed({:?}), entity: Cow::Borrowed({:?}), description: Cow::Borrowed({:?}), \
         regex: Cow::Borrowed({:?}), validate: {}, min_entropy: {:?}_f32, confidence: {:?}_f32, \
         with_context: {with_context:?}_f32, context: {}, not_context: {}, edges: Edges::{:?}, try_shorter: {}, \
         extend: Extend::{:?}, opt_in: {}, examples: {}, counter_examples: {}, references: {} }},",
        rule.id,
        rule.entity,
        rule.description,
        rule.regex,
        list(&rule.validate),
        rule.min_entropy,
        rule.confidence,
        list(&rule.context),
        list(&rule.not_context),
        rule.edges,
        rule.try_shorter,
        rule.extend,
        rule.opt_in,
        list(&rule.examples),
        list(&rule.counter_examples),
        list(&rule.references),
    )
    .expect("a String takes all");
}

fn list(texts: &[String]) -> String {
    let items: Vec<String> = texts.iter().map(|text| format!("Cow::Borrowed({text:?})")).collect();
    format!("Cow::Borrowed(&[{}])", items.join(", "))
}
