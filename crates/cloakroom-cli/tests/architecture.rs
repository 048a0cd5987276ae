//! Holds the workspace against the picture in ARCHITECTURE.md: who may use whom, what the inner crates stay free of,
//! and the few habits that a compiler does not check. Every message says what to do.
#![allow(clippy::expect_used, clippy::panic, reason = "a check that cannot run must fail loudly")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which crates of the workspace each crate may use. A new crate gets a line here and a line in ARCHITECTURE.md.
const MAY_USE: &[(&str, &[&str])] = &[
    ("scrypt", &[]),
    ("crypto", &["scrypt"]),
    ("prefilter", &[]),
    ("core", &["crypto", "prefilter"]),
    ("pipeline", &["core", "crypto"]),
    ("connect", &["pipeline", "core", "crypto"]),
    ("aws", &["pipeline", "core", "crypto"]),
    ("service", &["pipeline", "core", "crypto"]),
    ("lambda", &["pipeline", "core", "crypto", "connect", "aws"]),
    ("python", &["core", "crypto"]),
    ("faults", &[]),
    ("cli", &["*"]),
];

/// Crates for tests: any crate may use them as a dev-dependency, and none otherwise.
const FOR_TESTS: &[&str] = &["faults"];

/// Crates without I/O, runtime, randomness of their own or logging.
const PURE: &[&str] = &["scrypt", "crypto", "prefilter", "core"];
const NOT_IN_PURE: &[&str] = &["tokio", "reqwest", "rusqlite", "tokio-postgres", "rand", "tracing"];

/// Only this crate names dependencies that begin so.
const AWS_CRATE: &str = "aws";
const AWS_PREFIX: &str = "aws-";

/// Lines of a source file without its test module.
const MAX_LINES: usize = 800;

#[test]
fn crates_use_each_other_only_inwards() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages() {
        let Some(may_use) = allowed.get(package.short.as_str()) else {
            wrong.push(format!(
                "crate `{}` is in no line of MAY_USE in {}: say there which crates it may use, and draw it in ARCHITECTURE.md",
                package.name,
                file!()
            ));
            continue;
        };
        for used in package.dependencies.iter().filter(|d| d.in_workspace) {
            let (used, normal) = (short(&used.name), used.normal);
            if FOR_TESTS.contains(&used) {
                if normal {
                    wrong.push(format!("`{}` uses `cloakroom-{used}`: name it in [dev-dependencies]", package.name));
                }
                continue;
            }
            if !may_use.contains(&"*") && !may_use.contains(&used) {
                wrong.push(format!(
                    "`{}` uses `cloakroom-{used}`, but may use only [{}]: move the shared part inwards, or pass it in \
                     from cloakroom-cli, where all meets",
                    package.name,
                    may_use.join(", ")
                ));
            }
        }
    }
    report(&wrong);
}

#[test]
fn inner_crates_stay_free_of_the_outside_world() {
    let mut wrong = Vec::new();
    for package in packages().iter().filter(|p| PURE.contains(&p.short.as_str())) {
        for used in package.dependencies.iter().filter(|d| d.normal) {
            if NOT_IN_PURE.contains(&used.name.as_str()) {
                wrong.push(format!(
                    "`{}` depends on `{}`: it has no I/O, runtime or log of its own; do this in cloakroom-pipeline or a \
                     connector and hand the result in",
                    package.name, used.name
                ));
            }
        }
    }
    report(&wrong);
}

#[test]
fn only_one_crate_names_aws() {
    let mut wrong = Vec::new();
    for package in packages().iter().filter(|p| p.short != AWS_CRATE) {
        for used in package.dependencies.iter().filter(|d| d.name.starts_with(AWS_PREFIX)) {
            wrong.push(format!(
                "`{}` depends on `{}`: put what needs it behind a type of cloakroom-aws",
                package.name, used.name
            ));
        }
    }
    report(&wrong);
}

#[test]
fn every_dependency_says_what_it_is_for() {
    let manifest = read(&root().join("Cargo.toml"));
    let undocumented: Vec<String> = dependencies_without_comment(&manifest)
        .into_iter()
        .map(|(line, name)| {
            format!("Cargo.toml:{line}: `{name}` has no comment: add `# what it is for` at the end of its line")
        })
        .collect();
    report(&undocumented);
}

#[test]
fn every_crate_has_a_readme() {
    let missing: Vec<String> = crate_folders()
        .iter()
        .filter(|folder| !folder.join("README.md").is_file())
        .map(|folder| {
            format!("{} has no README.md: say in one page what the crate is for, with a small example", shown(folder))
        })
        .collect();
    report(&missing);
}

#[test]
fn no_source_file_is_too_long() {
    let mut files = Vec::new();
    for folder in crate_folders() {
        rust_files(&folder.join("src"), &mut files);
    }
    assert!(!files.is_empty(), "no source files found below {}", root().display());
    let long: Vec<String> = files
        .iter()
        .map(|file| (file, lines_without_tests(&read(file))))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| {
            format!(
                "{} has {lines} lines without its tests, more than {MAX_LINES}: split it, one idea each",
                shown(file)
            )
        })
        .collect();
    report(&long);
}

#[test]
fn the_checks_see_what_they_are_for() {
    let manifest = "[workspace.dependencies]\n\
                    cloakroom-core = { path = \"x\" }\n\
                    good = \"1\" # why\n\
                    bad = \"1\"\n\
                    # a heading\n\
                    tricky = { version = \"1\", git = \"https://host/#tag\" }\n\
                    long = { version = \"1\", features = [\n    \"a\",\n] } # why\n\
                    [profile.dev]\n\
                    debug = 1\n";
    assert_eq!(dependencies_without_comment(manifest), [(4, "bad".to_owned()), (6, "tricky".to_owned())]);

    assert_eq!(lines_without_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
    assert_eq!(lines_without_tests("#[cfg(test)]\nmod tests;\na\nb\n"), 4);
}

// --- What cargo says -------------------------------------------------------------------------------------------------

struct Package {
    name: String,
    /// The name without `cloakroom-`.
    short: String,
    dependencies: Vec<Dependency>,
}

struct Dependency {
    name: String,
    /// Neither a dev-dependency nor a build-dependency.
    normal: bool,
    in_workspace: bool,
}

fn packages() -> Vec<Package> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo metadata starts");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages: Vec<Package> = list(&metadata, "packages").iter().map(package).collect();
    assert!(packages.len() > 1, "cargo metadata names {} packages", packages.len());
    packages
}

fn package(json: &Value) -> Package {
    let name = text(json, "name");
    let dependencies = list(json, "dependencies")
        .iter()
        .map(|dependency| Dependency {
            name: text(dependency, "name"),
            normal: dependency["kind"].is_null(),
            in_workspace: dependency["path"].is_string(),
        })
        .collect();
    Package { short: short(&name).to_owned(), name, dependencies }
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json[key].as_array().unwrap_or_else(|| panic!("cargo metadata: `{key}` is no list"))
}

fn text(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_else(|| panic!("cargo metadata: `{key}` is no text")).to_owned()
}

fn short(name: &str) -> &str {
    name.strip_prefix("cloakroom-").unwrap_or(name)
}

// --- What stands in the files ----------------------------------------------------------------------------------------

/// Line number and name of every entry of `[workspace.dependencies]` that has no comment on any of its lines.
fn dependencies_without_comment(manifest: &str) -> Vec<(usize, String)> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut inside = false;
    let mut open = false; // the entry of the last line has no comment so far
    for (number, line) in (1..).zip(manifest.lines()) {
        if line.starts_with('[') {
            inside = line.trim_end() == "[workspace.dependencies]";
            open = false;
            continue;
        }
        if !inside || line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        let begins = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_\"".contains(c));
        if begins {
            open = !name.starts_with("cloakroom-") && !has_comment(line);
            if open {
                found.push((number, name.to_owned()));
            }
        } else if open && has_comment(line) {
            found.pop();
            open = false;
        }
    }
    found
}

/// A `#` outside of quotes with words after it.
fn has_comment(line: &str) -> bool {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return !line[at + 1..].trim().is_empty(),
            _ => {}
        }
    }
    false
}

/// Counts up to the test module that stands at the end of a file; `#[cfg(test)] mod tests;` ends nothing.
fn lines_without_tests(source: &str) -> usize {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let begins = |at: &usize| {
        lines[*at] == "#[cfg(test)]"
            && lines[at + 1..]
                .iter()
                .find(|line| !line.starts_with("#["))
                .is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
    };
    (0..lines.len()).find(begins).unwrap_or(lines.len())
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the workspace is two folders up")
}

fn crate_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = entries(&root().join("crates")).into_iter().filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a folder entry").path())
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// Fails with all that is wrong, not with the first of it.
#[track_caller]
fn report(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n  {}\n", wrong.join("\n  "));
}
