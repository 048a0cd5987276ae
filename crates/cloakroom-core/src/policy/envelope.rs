//! `envelope:`: protected records that are sealed whole, as the last step, in the format of another system.

use std::sync::Arc;

use cloakroom_crypto::eax_scrypt::MasterKey;
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::Deserialize;

use super::config::FieldType;
use super::{Column, ColumnSource};
use crate::eax_scrypt::{Layout, SealedField, Sealer};
use crate::error::{PolicyError, did_you_mean};
use crate::located::{Located, OrderedMap, Position};

/// The form that whole records get after all other rules. `K` is how the file gives a key, or the key itself.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EnvelopeConfig<K> {
    /// Documents of the format `eax-scrypt`: a key for each record, wrapped under user name and master key.
    EaxScrypt(EaxScryptConfig<K>),
}

/// Which members of protected records become what.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EaxScryptConfig<K> {
    /// The field with the user name, by its name in the protected record. It stays readable.
    pub user: Located<String>,
    /// The master key that all documents have in common: "${CLOAKROOM_MASTER_KEY}".
    pub master_key: K,
    /// The fields that are sealed, and what the names of their tag and nonce begin with: `cuenta_numero: cuenta` gives
    /// `cuenta_tag` and `cuenta_nonce`.
    pub fields: OrderedMap<Located<String>>,
    /// Of which of them a bcrypt hash is kept, and under which name. Slow by design: a twelfth of a second
    /// each.
    #[serde(default)]
    pub bcrypt: OrderedMap<Located<String>>,
}

impl<K> EnvelopeConfig<K> {
    /// The same with the key that `key` makes of what the file gives.
    ///
    /// # Errors
    /// What `key` refuses.
    pub fn with_key<L, E>(&self, key: impl FnOnce(&K) -> Result<L, E>) -> Result<EnvelopeConfig<L>, E> {
        let Self::EaxScrypt(EaxScryptConfig { user, master_key, fields, bcrypt }) = self;
        Ok(EnvelopeConfig::EaxScrypt(EaxScryptConfig {
            user: user.clone(),
            master_key: key(master_key)?,
            fields: fields.clone(),
            bcrypt: bcrypt.clone(),
        }))
    }
}

/// Checks the section against the columns, changes them to what records will be, and builds the sealer.
pub(super) fn compile(
    config: &EnvelopeConfig<Arc<MasterKey>>,
    columns: &mut Vec<Column>,
) -> Result<Sealer, PolicyError> {
    let EnvelopeConfig::EaxScrypt(EaxScryptConfig { user, master_key, fields, bcrypt }) = config;
    let mut sealed = Vec::new();
    let user_column = kept(user, columns)?;
    columns[user_column].never_null = true;
    if fields.0.is_empty() {
        return Err(PolicyError::new(user.at, "`envelope.eax_scrypt.fields` names no field to seal"));
    }
    for (name, stem) in &fields.0 {
        if name.value == user.value {
            return Err(PolicyError::new(name.at, format!("`{}` is the user name and must stay readable", name.value)));
        }
        let index = kept(name, columns)?;
        let column = &mut columns[index];
        column.source = ColumnSource::Protected("eax-scrypt".to_owned());
        (column.column_type, column.max_length, column.never_null) = (Some(FieldType::String), None, true);
        sealed.push(SealedField::new(name, stem));
    }
    let hash = |(of, name): &(Located<String>, Located<String>)| {
        let index = fields.0.iter().position(|(field, _)| field.value == of.value);
        let index = index.ok_or_else(|| {
            let near = did_you_mean(of, fields.0.iter().map(|(field, _)| field.as_str()));
            PolicyError::new(of.at, format!("`{}` is not among the sealed fields{near}", of.value))
        })?;
        Ok((index, CompactString::new(&name.value)))
    };
    let hashes = bcrypt.0.iter().map(hash).collect::<Result<Vec<_>, PolicyError>>()?;
    let layout = Layout { user: CompactString::new(&user.value), fields: sealed, hashes };
    for companion in layout.companions() {
        add(companion, user, columns)?;
    }
    Ok(Sealer::new(Arc::clone(master_key), layout))
}

/// The column of a field that reaches the envelope as a rule of its own keeps it. Fields without a rule do not: detection
/// could change them first.
fn kept(name: &Located<String>, columns: &[Column]) -> Result<usize, PolicyError> {
    let wrong = |at: Option<Position>, message: String| Err(PolicyError::new(at, message));
    match columns.iter().position(|column| column.name == name.value && column.source != ColumnSource::Dropped) {
        Some(index) if matches!(columns[index].source, ColumnSource::Protected(_)) => {
            wrong(name.at, format!("`{}` is protected by its own rule; the envelope needs it as it is", name.value))
        }
        Some(index) => Ok(index),
        None => {
            let near = did_you_mean(name, columns.iter().map(|column| column.name.as_str()));
            wrong(name.at, format!("`{}` is no field that `fields:` keeps, by its new name{near}", name.value))
        }
    }
}

fn add(name: &str, user: &Located<String>, columns: &mut Vec<Column>) -> Result<(), PolicyError> {
    if columns.iter().any(|column| column.name == name && column.source != ColumnSource::Dropped) {
        return Err(PolicyError::new(
            user.at,
            format!("the envelope adds `{name}`, and there is such a field already"),
        ));
    }
    columns.push(Column {
        name: name.to_owned(),
        from: name.to_owned(),
        column_type: Some(FieldType::String),
        max_length: None,
        fixed_length: None,
        never_null: true,
        source: ColumnSource::Set("a part of the envelope".to_owned()),
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::config::{FieldConfig, PolicyConfig};
    use super::super::{Policy, RecordConfig};
    use super::*;
    use crate::cloak::Cloak;
    use crate::dates::IngestTime;
    use crate::decode::Payload;
    use crate::eax_scrypt::Opener;
    use crate::error::RecordErrorKind;
    use crate::record::{Place, RecordId};

    #[derive(Deserialize)]
    struct File {
        fields: OrderedMap<FieldConfig>,
        envelope: EnvelopeConfig<String>,
    }

    const FIELDS: &str =
        "fields: { user_name: { as: username }, card: { as: cc, type: string }, ccv: {}, old: { protect: drop } }\n";
    const ENVELOPE: &str =
        "envelope: { eax_scrypt: { user: username, master_key: m, fields: { cc: cc, ccv: code } } }\n";

    fn policy(text: &str) -> Result<Policy, PolicyError> {
        let file: File = serde_saphyr::from_str(text).unwrap();
        let key = |text: &String| MasterKey::new(text).map(Arc::new);
        Policy::compile(
            &PolicyConfig {
                fields: file.fields,
                record: RecordConfig::default(),
                envelope: Some(file.envelope.with_key(key).unwrap()),
                ..PolicyConfig::default()
            },
            None,
        )
    }

    #[test]
    fn records_of_a_batch_are_sealed_after_the_other_rules() {
        let policy = policy(&format!("{FIELDS}{ENVELOPE}")).unwrap_or_else(|error| unreachable!("{error}"));
        let columns: Vec<&str> = policy.columns().iter().map(|column| column.name.as_str()).collect();
        let parts = ["cc_tag", "cc_nonce", "code_tag", "code_nonce", "dek", "dek_tag", "dek_nonce", "kek_salt"];
        assert_eq!(columns[4..], parts, "{columns:?}");
        let cloak = Cloak::new(Arc::new(policy));
        let id = RecordId { partition: "p".into(), position: Place::Offset { byte: 0, number: 1 } };
        let payload = |json: String| Payload::Json(json.into_bytes().into());
        let line = |number| format!(r#"{{"user_name":"u{number}","card":"4111","ccv":"12","old":1}}"#);
        let mut payloads: Vec<Payload> = (0..11).map(|number| payload(line(number))).collect();
        payloads[3] = payload("{".to_owned());
        payloads[4] = payload(r#"{"user_name":"u","card":"4111"}"#.to_owned());
        let records =
            cloak.process_batch(payloads.iter().map(|payload| (&id, payload)), IngestTime::from_unix_seconds(0));
        let kinds: Vec<_> = records.iter().map(|record| record.as_ref().err().map(|error| error.kind)).collect();
        assert_eq!(kinds[3..5], [Some(RecordErrorKind::InvalidFormat), Some(RecordErrorKind::MissingField)]);
        assert_eq!(kinds.iter().flatten().count(), 2);
        let record = records[0].as_ref().ok().unwrap();
        assert!(record.get("old").is_none() && record.get("kek_salt").is_some());
        let alone = cloak.process(id, &payloads[0], IngestTime::from_unix_seconds(0)).ok().unwrap();
        assert!(alone.get("dek").is_some());
        // The reader of the original layout knows `cc`; the other field has companions of another name.
        let opened = Opener::new(MasterKey::new("m").unwrap()).open(vec![record.content().clone()]).pop().unwrap();
        assert!(opened.err().unwrap().to_string().contains("`ccv_tag` is missing"));
    }

    #[test]
    fn mistakes_are_refused() {
        for (fields, envelope, message) in [
            (
                FIELDS,
                ENVELOPE.replace("user: username", "user: user_name"),
                "`user_name` is no field that `fields:` keeps",
            ),
            (FIELDS, ENVELOPE.replace("cc: cc,", "cd: cc,"), "; did you mean `cc`?"),
            (FIELDS, ENVELOPE.replace("cc: cc,", "username: cc,"), "must stay readable"),
            (FIELDS, ENVELOPE.replace("cc: cc,", "old: cc,"), "`old` is no field"),
            (FIELDS, ENVELOPE.replace("ccv: code", "ccv: cc"), "the envelope adds `cc_tag`"),
            (FIELDS, ENVELOPE.replace("{ cc: cc, ccv: code }", "{}"), "names no field to seal"),
            (
                FIELDS,
                ENVELOPE.replace("code } }", "code }, bcrypt: { cw: h } }"),
                "`cw` is not among the sealed fields",
            ),
            (
                "fields: { username: {}, cc: { protect: redact }, ccv: {} }\n",
                ENVELOPE.to_owned(),
                "protected by its own rule",
            ),
        ] {
            let found = policy(&format!("{fields}{envelope}")).err().unwrap();
            assert!(found.message.contains(message), "{found}");
            assert!(found.at.is_some());
        }
    }
}
