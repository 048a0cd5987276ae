//! What people copy must work: every file in `examples/` loads and fits the published schema, the schema in the
//! repository is the one that the program prints, and every connector is described and shown somewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs)]

mod common;

use std::path::PathBuf;

use common::{Room, root};
use serde_json::Value;

/// Examples that a program without the feature `aws` does not load.
const NEED_AWS: &[&str] = &["logins-kinesis.yaml", "logins-sqs.yaml", "user-data.yaml"];

/// All of `examples/`, with their content as the schema sees it.
fn examples() -> Vec<(PathBuf, Value)> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    if cfg!(not(feature = "aws")) {
        files.retain(|path| !NEED_AWS.iter().any(|name| path.ends_with(name)));
    }
    let examples: Vec<_> =
        files.into_iter().map(|path| (path.clone(), yaml(&std::fs::read_to_string(path).unwrap()))).collect();
    assert!(examples.len() >= 3, "the examples were not found");
    examples
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn printed_schema() -> Value {
    let printed = Room::without_keys().run(&["schema"]);
    printed.expect_code(0).json()
}

#[test]
fn every_example_loads() {
    let mut room = Room::new();
    room.set("DATABASE_URL", "postgres://user:password@localhost:5432/database");
    room.set("CLOAKROOM_MASTER_KEY", "any");
    for (path, _) in examples() {
        let checked = room.run(&["check", path.to_str().unwrap()]);
        assert!(checked.expect_code(0).out().contains("is valid"), "{}: {checked}", path.display());
        let checked = room.run(&["check", path.to_str().unwrap(), "--output", "json"]).expect_code(0).json();
        assert!(!checked["fields"].as_array().unwrap().is_empty(), "{}: names no field", path.display());
    }
}

/// Ledger and dead letters go by the name: two files with one name would replay each other's.
#[test]
fn every_example_has_a_name_of_its_own() {
    let mut names: Vec<String> = examples()
        .iter()
        .map(|(path, example)| example["name"].as_str().map_or_else(|| path.display().to_string(), str::to_owned))
        .collect();
    names.sort();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count, "{names:?}");
}

#[test]
#[cfg(feature = "aws")]
fn the_published_schema_is_the_programs_own() {
    let path = root().join("schemas/pipeline.schema.json");
    let published = std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("schemas/pipeline.schema.json is missing: run `make schema`"));
    let printed = Room::without_keys().run(&["schema"]).out();
    assert!(
        published == printed,
        "schemas/pipeline.schema.json is not what `cloakroom schema` prints: run `make schema`"
    );
}

#[test]
fn the_schema_accepts_the_examples_and_refuses_mistakes() {
    let schema = jsonschema::validator_for(&printed_schema()).unwrap();
    for (path, example) in examples() {
        let wrong: Vec<String> =
            schema.iter_errors(&example).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{}:\n{}", path.display(), wrong.join("\n"));
    }
    for good in
        ["{}", "fields: { a: { protect: ~ } }", "fields: { a: { protect: { hash: md5, allow_reversible: true } } }"]
    {
        assert!(schema.is_valid(&yaml(good)), "{good}");
    }
    let room = Room::new();
    for wrong in [
        "surce: { file: { path: a } }",
        "source: { fiel: { path: a } }",
        "source: { file: { pth: a } }",
        "source: { file: {} }",
        "source: { file: { path: a }, http: { url: a } }",
        "sink: { postgres: { url: a } }",
        "fields: { a: { tpye: string } }",
        "fields: { a: { type: strnig } }",
        "fields: { a: { protect: hmca } }",
        "fields: { a: { protect: { hmca: {} } } }",
        "fields: { a: { max_length: long } }",
        "record: { unlisted: maybe }",
        "record: { require: id }",
        "detect: {}",
        "batch: { records: many }",
        "retry: { base_ms: -1 }",
        "metrics: { emf: { pth: a } }",
        "metrics: { emf: { every_s: 0 } }",
        "- a list",
    ] {
        assert!(!schema.is_valid(&yaml(wrong)), "the schema takes `{wrong}`");
        room.run(&["check", &room.write("wrong.yaml", wrong)]).expect_code(2);
    }
}

#[test]
fn every_connector_is_described_and_shown() {
    let schema = printed_schema();
    let mut readme = std::fs::read_to_string(root().join("README.md")).unwrap_or_default();
    for entry in std::fs::read_dir(root().join("crates")).unwrap() {
        readme += &std::fs::read_to_string(entry.unwrap().path().join("README.md")).unwrap_or_default();
    }
    let examples = examples();
    for (section, definition, expected) in [
        (
            "source",
            "SourceConfig",
            if cfg!(feature = "aws") { &["file", "http", "sqs"][..] } else { &["file", "http"] },
        ),
        ("sink", "SinkConfig", &["file", "postgres", "sqlite"]),
        ("metrics", "MetricsConfig", if cfg!(feature = "aws") { &["cloudwatch", "emf"][..] } else { &["emf"] }),
    ] {
        let variants = schema["$defs"][definition]["oneOf"].as_array().expect("one variant for each connector");
        let mut names = Vec::new();
        for variant in variants {
            let name = variant["required"][0].as_str().unwrap();
            names.push(name);
            let described = variant["description"].as_str().is_some_and(|text| text.len() > 10);
            assert!(described, "{section} `{name}` has no description: write a `///` line in registry.rs");
            let shown = examples.iter().any(|(_, example)| example[section].get(name).is_some())
                || readme.contains(&format!("`{section}.{name}`"))
                || readme.contains(&format!("{section}: {{ {name}:"))
                || readme.contains(&format!("{section}:\n  {name}:"));
            assert!(
                shown,
                "{section} `{name}` is shown nowhere: use it in a file of examples/, or write `{section}: {{ {name}: … }}` in a README.md"
            );
        }
        names.sort_unstable();
        for name in expected {
            assert!(names.contains(name), "{section} `{name}` is gone from the registry");
        }
    }
}

#[test]
fn the_examples_say_how_they_are_run() {
    for (path, _) in examples() {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(
            text.starts_with("# ") && text.contains(&format!("cloakroom run examples/{name}")),
            "{name}: begin with what it is and how it is run"
        );
    }
}
