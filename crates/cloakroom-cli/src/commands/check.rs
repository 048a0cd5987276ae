//! `cloakroom check`: what will happen to each field, before anything happens.

use cloakroom_core::policy::{Column, ColumnSource, DetectConfig, RevealConfig, Unlisted};
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::run::check_together;
use serde_json::json;

use crate::args::{CheckOptions, Output};
use crate::error::Failure;
use crate::load::load;
use crate::output;
use crate::registry::sink_context;

/// What was built; or why it was not, where that is only for want of an environment that a run has.
fn known<T>(built: Result<T, ConnectorError>, connect: bool) -> Result<Result<T, String>, ConnectorError> {
    match built {
        Err(error) if error.kind == ErrorKind::Unset && !connect => Ok(Err(format!("not checked: {error}"))),
        built => built.map(Ok),
    }
}

pub(crate) async fn check(options: CheckOptions) -> Result<u8, Failure> {
    let CheckOptions { file, connect, output } = options;
    let loaded = load(&file).await?;
    let section = loaded.file.detect.as_ref();
    let detects = section.and_then(DetectConfig::describe);
    // By path: also fields that are no columns, nested ones and those that a wildcard names.
    let searched: Vec<(&str, String)> = loaded
        .file
        .fields
        .0
        .iter()
        .filter_map(|(path, field)| Some((path.as_str(), field.detect.as_ref()?.describe(section))))
        .collect();
    let everything = DetectConfig::default().describe_selection();
    let looks_for = section.map_or_else(|| everything.clone(), DetectConfig::describe_selection);
    let unlisted = match (loaded.policy.unlisted(), &detects) {
        (Unlisted::Keep, None) => "kept as they are".to_owned(),
        (Unlisted::Keep, Some(detect)) => format!("kept; sensitive values in them: {detect}"),
        (Unlisted::Drop, _) => "dropped".to_owned(),
        (Unlisted::Reject, _) => "the record is rejected".to_owned(),
    };
    let how = |column: &Column| match &column.source {
        ColumnSource::Kept => match searched.iter().find(|(path, _)| *path == column.from) {
            Some((_, detect)) => format!("kept; sensitive values in it: {detect}"),
            None => "kept".to_owned(),
        },
        ColumnSource::Protected(how) => how.clone(),
        ColumnSource::Set(what) => format!("set to {what}"),
        ColumnSource::Dropped => "dropped".to_owned(),
    };
    let metrics = loaded.metrics()?;
    let mut connections = Vec::new();
    // Built also when nothing is asked for: most mistakes in their settings show then.
    let context = loaded.source_context(true)?;
    let source = loaded.file.source.as_ref().map(|source| known(source.build(&context), connect)).transpose()?;
    let context = sink_context(&loaded.name, &loaded.policy);
    let sink = loaded.file.sink.as_ref().map(|sink| known(sink.build(&context), connect)).transpose()?;
    if let (Some(Ok(source)), Some(Ok(sink))) = (&source, &sink) {
        check_together(&**source, &**sink)?;
    }
    match source {
        Some(Ok(mut source)) if connect => connections.push(("source", source.check().await?)),
        Some(Err(why)) => connections.push(("source", why)),
        _ => {}
    }
    match sink {
        Some(Ok(mut sink)) if connect => connections.push(("sink", sink.check().await?)),
        Some(Err(why)) => connections.push(("sink", why)),
        _ => {}
    }
    if connect {
        if let Some(mut metrics) = metrics {
            connections.push(("metrics", metrics.check().await?));
        }
        let store = loaded.dead_letters()?;
        let waiting = store.list(Some(&loaded.name), false, 1_000_000).await?.len();
        connections.push(("dead letters", format!("{waiting} waiting")));
    }
    let columns = loaded.policy.columns();
    if output == Output::Json {
        let fields: Vec<_> = columns
            .iter()
            .map(|column| {
                let column_type = column.column_type.map(|kind| kind.name());
                json!({ "field": column.from, "becomes": column.name, "how": how(column), "type": column_type })
            })
            .collect();
        let in_fields: serde_json::Map<_, _> =
            searched.iter().map(|(path, detect)| ((*path).to_owned(), detect.as_str().into())).collect();
        let detection = (section.is_some() || !searched.is_empty())
            .then(|| json!({ "looks_for": looks_for, "everywhere": detects, "fields": in_fields }));
        let connections: serde_json::Map<_, _> =
            connections.into_iter().map(|(name, found)| (name.to_owned(), found.into())).collect();
        output::json(&json!({
            "pipeline": loaded.name,
            "fields": fields,
            "unlisted": unlisted,
            "detection": detection,
            "reveal": loaded.file.reveal.as_ref().map(RevealConfig::describe),
            "connections": connections,
        }))?;
        return Ok(0);
    }
    output::line(&format!("{}: {} is valid", output::bold(&loaded.name), file.display()));
    let rows: Vec<Vec<String>> = columns
        .iter()
        .map(|column| {
            let becomes = if column.source == ColumnSource::Dropped { "-" } else { &column.name };
            let column_type = column.column_type.map_or("any", |kind| kind.name());
            vec![column.from.clone(), becomes.to_owned(), column_type.to_owned(), how(column)]
        })
        .collect();
    if !rows.is_empty() {
        output::line(&output::table(&["FIELD", "BECOMES", "TYPE", "HOW"], &rows));
    }
    output::line(&format!("other fields: {unlisted}"));
    for (path, detect) in searched.iter().filter(|(path, _)| !columns.iter().any(|column| column.from == *path)) {
        output::line(&format!("sensitive values in {path}: {detect}"));
    }
    if looks_for != everything {
        output::line(&format!("detection looks for: {looks_for}"));
    }
    for line in loaded.file.reveal.as_ref().map(RevealConfig::describe).unwrap_or_default() {
        output::line(&format!("seen again: {line}"));
    }
    for (name, found) in connections {
        output::line(&format!("{name}: {found}"));
    }
    for (name, is_there) in [("source", loaded.file.source.is_some()), ("sink", loaded.file.sink.is_some())] {
        if !is_there {
            output::line(&format!("{name}: none; for `cloakroom run` the file needs a `{name}:` section"));
        }
    }
    Ok(0)
}
