//! `cloakroom plan`: what a change of the policy uncovers, weakens or newly covers, on a sample.

mod compare;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::Arc;

use cloakroom_connect::sources;
use cloakroom_core::error::safe_path;
use cloakroom_core::{Cloak, Object, Record, Value};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::sink::NoLedger;
use cloakroom_pipeline::{ConnectorError, Delivery};
use serde::Serialize;
use serde_json::json;

use self::compare::{Change, Difference, compare};
use crate::args::{Output, PlanOptions};
use crate::error::Failure;
use crate::load::{Loaded, rehearsal};
use crate::output;

pub(crate) async fn plan(options: PlanOptions) -> Result<u8, Failure> {
    let (old, new) = (rehearsal(&options.old).await?, rehearsal(&options.new).await?);
    let mut plan = Plan::new(&old, &new);
    // A sample that is not there is a mistake of whoever typed its name, like a policy that is not there.
    let usage = |error: ConnectorError| Failure::new(2, format!("sample: {error}"));
    let config = sources::file::Config { path: Template::literal(&options.sample) };
    let mut source = sources::file::build(&config, &old.source_context(true)?).map_err(usage)?;
    source.open(&mut NoLedger).await.map_err(usage)?;
    while let Some(batch) = source.next_batch(&mut NoLedger).await.map_err(usage)? {
        batch.deliveries.iter().for_each(|delivery| plan.record(delivery));
    }
    if plan.records.read == 0 {
        return Err(Failure::new(2, format!("sample: {} holds no record that both policies can read", options.sample)));
    }
    let uncovers = plan.rows.keys().any(|row| row.difference.change == Change::Uncovered);
    if options.output == Output::Json {
        output::json(&plan.json(&options.old, &options.new))?;
    } else {
        plan.show(&options.old, &options.new);
    }
    Ok(u8::from(uncovers))
}

/// One line of the result.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    difference: Difference,
    field: String,
    is_name: bool,
}

#[derive(Default)]
struct Count {
    records: u64,
    values: u64,
}

/// What became of the sample's records as wholes.
#[derive(Default, Serialize)]
struct Records {
    read: u64,
    unreadable: u64,
    rejected_by_both: u64,
    rejected_by_old_only: u64,
    rejected_by_new_only: u64,
}

struct Plan {
    old: Cloak,
    new: Cloak,
    records: Records,
    rows: BTreeMap<Row, Count>,
    /// Fields of protected records, and in how many they stand.
    fields: [BTreeMap<String, u64>; 2],
}

impl Plan {
    fn new(old: &Loaded, new: &Loaded) -> Self {
        let cloak = |loaded: &Loaded| Cloak::new(Arc::clone(&loaded.policy));
        Self {
            old: cloak(old),
            new: cloak(new),
            records: Records::default(),
            rows: BTreeMap::new(),
            fields: [BTreeMap::new(), BTreeMap::new()],
        }
    }

    fn record(&mut self, delivery: &Delivery) {
        let Ok(content) = delivery.payload.decode(self.old.policy().limits()) else {
            self.records.unreadable += 1;
            return;
        };
        self.records.read += 1;
        let now = cloakroom_pipeline::run::now();
        let apply = |cloak: &Cloak| cloak.rehearse(Record { id: delivery.id.clone(), content: content.clone() }, now);
        let outcomes = (apply(&self.old), apply(&self.new));
        if outcomes.0.is_ok() || outcomes.1.is_ok() {
            self.values(&content, outcomes.1.is_err());
        }
        match outcomes {
            (Err(_), Err(_)) => self.records.rejected_by_both += 1,
            (Err(_), Ok(_)) => self.records.rejected_by_old_only += 1,
            (Ok(_), Err(_)) => self.records.rejected_by_new_only += 1,
            (Ok(old), Ok(new)) => {
                for (record, fields) in [old, new].iter().zip(&mut self.fields) {
                    let mut names = BTreeSet::new();
                    let members = record.iter();
                    members.for_each(|(name, value)| field_names(&mut name.to_owned(), value, &mut names));
                    names.into_iter().for_each(|name| *fields.entry(name).or_default() += 1);
                }
            }
        }
    }

    /// Holds every value against both policies. Of a record that the new one rejects, nothing leaves: there is no
    /// less then.
    fn values(&mut self, content: &Object, rejected: bool) {
        let mut found = Vec::new();
        let mut here: BTreeMap<Row, u64> = BTreeMap::new();
        for (was, becomes) in self.old.explain(content).iter().zip(&self.new.explain(content)) {
            compare(was, becomes, &mut found);
            for difference in found.drain(..).filter(|one| !rejected || one.change >= Change::Stronger) {
                let row = Row { difference, field: was.path.clone(), is_name: was.is_name };
                *here.entry(row).or_default() += 1;
            }
        }
        for (row, values) in here {
            let count = self.rows.entry(row).or_default();
            count.records += 1;
            count.values += values;
        }
    }

    /// Fields that only one of the policies writes, and in how many records.
    fn only_in(&self, one: usize) -> impl Iterator<Item = (&String, u64)> {
        let others = &self.fields[1 - one];
        self.fields[one].iter().filter(|(name, _)| !others.contains_key(*name)).map(|(name, count)| (name, *count))
    }

    fn json(&self, old: &Path, new: &Path) -> serde_json::Value {
        let changes: Vec<_> = self
            .rows
            .iter()
            .map(|(row, count)| {
                let Difference { change, entity, was, becomes } = &row.difference;
                json!({
                    "field": row.field, "of": if row.is_name { "name" } else { "value" }, "change": change,
                    "found": entity, "was": was, "becomes": becomes,
                    "records": count.records, "values": count.values,
                })
            })
            .collect();
        let fields = |one| {
            let list = self.only_in(one).map(|(name, records)| json!({ "field": name, "records": records }));
            list.collect::<Vec<_>>()
        };
        json!({
            "old": old.display().to_string(),
            "new": new.display().to_string(),
            "records": self.records,
            "uncovers": self.rows.keys().any(|row| row.difference.change == Change::Uncovered),
            "changes": changes,
            "fields": { "gone": fields(0), "new": fields(1) },
        })
    }

    fn show(&self, old: &Path, new: &Path) {
        let Records { read, unreadable, rejected_by_both, rejected_by_old_only, rejected_by_new_only } = &self.records;
        let title = format!("{} to {}", old.display(), new.display());
        output::line(&format!("{}: {} records", output::bold(&title), output::grouped(*read)));
        let rows: Vec<Vec<String>> = self.rows.iter().map(|(row, count)| cells(row, count)).collect();
        if rows.is_empty() {
            output::line("nothing that is covered changes");
        } else {
            let header = ["CHANGE", "FIELD", "FOUND", "WAS", "BECOMES", "RECORDS", "VALUES"];
            let table = output::table(&header, &rows);
            let styles = std::iter::once("0").chain(self.rows.keys().map(|row| style(row.difference.change)));
            let colour = io::stdout().is_terminal();
            for (line, style) in table.lines().zip(styles) {
                output::line(&output::styled(colour && style != "0", style, line));
            }
        }
        for (one, what) in [(0, "gone"), (1, "new")] {
            for (name, records) in self.only_in(one) {
                output::line(&format!("field {what}: {name}, in {} records", output::grouped(records)));
            }
        }
        for (count, what) in [
            (unreadable, "cannot be read and are not counted"),
            (rejected_by_both, "are rejected by both"),
            (rejected_by_old_only, "are rejected by the old policy only"),
            (rejected_by_new_only, "are rejected by the new policy only"),
        ] {
            if *count > 0 {
                output::line(&format!("{} records {what}", output::grouped(*count)));
            }
        }
    }
}

fn cells(row: &Row, count: &Count) -> Vec<String> {
    let Difference { change, entity, was, becomes } = &row.difference;
    let change = match change {
        Change::Uncovered => "uncovered",
        Change::Weaker => "weaker",
        Change::Changed => "changed",
        Change::Stronger => "stronger",
        Change::Covered => "covered",
    };
    let field = if row.is_name { format!("{} (name)", row.field) } else { row.field.clone() };
    let found = entity.clone().unwrap_or_else(|| "-".to_owned());
    let (records, values) = (output::grouped(count.records), output::grouped(count.values));
    vec![change.to_owned(), field, found, was.clone(), becomes.clone(), records, values]
}

/// Red for what gets worse, green for what gets better.
fn style(change: Change) -> &'static str {
    match change {
        Change::Uncovered => "1;31",
        Change::Weaker => "31",
        Change::Changed => "33",
        Change::Stronger | Change::Covered => "32",
    }
}

/// The fields of a protected record, indexes as `[*]`, fit to be printed.
fn field_names(path: &mut String, value: &Value, names: &mut BTreeSet<String>) {
    let length = path.len();
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (name, value) in object.iter() {
                path.push('.');
                path.push_str(name);
                field_names(path, value, names);
                path.truncate(length);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            path.push_str("[*]");
            items.iter().for_each(|item| field_names(path, item, names));
            path.truncate(length);
        }
        _ => drop(names.insert(safe_path(path))),
    }
}
