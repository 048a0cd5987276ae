//! `cloakroom rules list` and `cloakroom rules show`

use cloakroom_core::detect::{Edges, Extend, Rule, built_in};
use cloakroom_core::error::did_you_mean;
use serde_json::{Value, json};

use crate::args::{ListOptions, Output, ShowOptions};
use crate::error::Failure;
use crate::{output, rule_files};

pub(super) fn list(options: &ListOptions) -> Result<u8, Failure> {
    let custom = rule_files::load(&options.rules)?;
    let every = || built_in().iter().chain(&custom);
    if let Some(entity) = &options.entity
        && !every().any(|rule| rule.entity == *entity)
    {
        let near = did_you_mean(entity, every().map(|rule| rule.entity.as_ref()));
        return Err(Failure::new(2, format!("no entity `{entity}`{near}{}", see_all(&near))));
    }
    let asked = |rule: &&Rule| options.entity.as_ref().is_none_or(|entity| rule.entity == *entity);
    let mut rules: Vec<&Rule> = every().filter(asked).collect();
    let hidden = rules.iter().filter(|rule| rule.opt_in && !options.all).count();
    rules.retain(|rule| options.all || !rule.opt_in);
    rules.sort_by_key(|rule| (&rule.entity, &rule.id));
    if options.format == Output::Json {
        output::json(&rules.into_iter().map(as_json).collect::<Vec<_>>())?;
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = rules
        .iter()
        .map(|rule| {
            let opt_in = if rule.opt_in { " (only when asked)" } else { "" };
            let checks = if rule.validate.is_empty() { "-".to_owned() } else { rule.validate.join(", ") };
            vec![
                rule.entity.to_string(),
                rule.id.to_string(),
                confidence(rule),
                checks,
                format!("{}{opt_in}", rule.description),
            ]
        })
        .collect();
    output::line(&output::table(&["ENTITY", "RULE", "CONFIDENCE", "CHECKS", "DESCRIPTION"], &rows));
    let more = if hidden > 0 { format!("; {hidden} more are used only when asked, see --all") } else { String::new() };
    output::note(&format!("{} rules{more}", rows.len()));
    Ok(0)
}

pub(super) fn show(options: &ShowOptions) -> Result<u8, Failure> {
    let custom = rule_files::load(&options.rules)?;
    let every = || built_in().iter().chain(&custom);
    let Some(rule) = every().find(|rule| rule.id == options.id) else {
        let id = &options.id;
        let of_entity: Vec<&str> = every().filter(|rule| rule.entity == *id).map(|rule| rule.id.as_ref()).collect();
        let hint = match of_entity.as_slice() {
            [] => did_you_mean(id, every().map(|rule| rule.id.as_ref())),
            ids => format!("; that entity's rules are {}", ids.join(", ")),
        };
        return Err(Failure::new(2, format!("no rule `{id}`{hint}{}", see_all(&hint))));
    };
    if options.format == Output::Json {
        output::json(&as_json(rule))?;
        return Ok(0);
    }
    output::line(&format!("{}: {}", output::bold(&rule.id), rule.description));
    let entropy = if rule.min_entropy > 0.0 { format!("{} bits a character", rule.min_entropy) } else { String::new() };
    let facts = [
        ("entity", rule.entity.to_string()),
        ("used", if rule.opt_in { "only when asked".to_owned() } else { "always".to_owned() }),
        ("confidence", confidence(rule)),
        ("regex", rule.regex.to_string()),
        ("checks", rule.validate.join(", ")),
        ("min entropy", entropy),
        ("edges", edges(rule).to_owned()),
        ("extends", if rule.extend == Extend::Pem { "to the end of the PEM block".to_owned() } else { String::new() }),
        ("context", rule.context.join(", ")),
        ("not context", rule.not_context.join(", ")),
    ];
    for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
        output::line(&format!("{name:<14}{value}"));
    }
    for (name, texts) in
        [("examples", &rule.examples), ("not found", &rule.counter_examples), ("references", &rule.references)]
    {
        for (number, text) in texts.iter().enumerate() {
            let name = if number == 0 { name } else { "" };
            output::line(&format!("{name:<14}{}", text.replace('\n', "\n              ")));
        }
    }
    Ok(0)
}

/// Where a mistaken word is near to nothing.
fn see_all(hint: &str) -> &'static str {
    if hint.is_empty() { "; `cloakroom rules list --all` shows all" } else { "" }
}

fn confidence(rule: &Rule) -> String {
    match rule.with_context == rule.confidence {
        true => rule.confidence.to_string(),
        false => format!("{}, {} in context", rule.confidence, rule.with_context),
    }
}

fn edges(rule: &Rule) -> &'static str {
    match rule.edges {
        Edges::Token => "no part of a longer token",
        Edges::Word => "as the regex says",
    }
}

fn as_json(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "entity": rule.entity,
        "description": rule.description,
        "regex": rule.regex,
        "validate": rule.validate,
        // Six digits are what a 32-bit number holds: 0.9, not 0.8999999762.
        "min_entropy": rounded(rule.min_entropy),
        "confidence": rounded(rule.confidence),
        "with_context": rounded(rule.with_context),
        "context": rule.context,
        "not_context": rule.not_context,
        "edges": if rule.edges == Edges::Token { "token" } else { "word" },
        "try_shorter": rule.try_shorter,
        "extend": if rule.extend == Extend::Pem { "pem" } else { "no" },
        "opt_in": rule.opt_in,
        "examples": rule.examples,
        "counter_examples": rule.counter_examples,
        "references": rule.references,
    })
}

fn rounded(number: f32) -> f64 {
    (f64::from(number) * 1e6).round() / 1e6
}
