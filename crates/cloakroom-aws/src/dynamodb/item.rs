//! Records as items: values in DynamoDB's types, the key, and the size as DynamoDB counts it.
//!
//! A member is what it was: a string `S`, a number `N`, `true` and `false` `BOOL`, `null` `NULL`, an array `L`, an object
//! `M`. A number that DynamoDB would round is refused, and so is an item that it would refuse: a whole request fails
//! by one of those.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use cloakroom_core::error::safe_path;
use cloakroom_core::{Number, Object, ProtectedRecord, RecordError, RecordErrorKind, Value};

use super::table::{KeyAttribute, KeyType, Schema};

/// The attributes of one item.
pub(super) type Attributes = HashMap<String, AttributeValue>;

// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
/// The most bytes of an item, as `measure` counts them.
const LARGEST_ITEM: usize = 400 * 1024;
/// Arrays and objects inside each other.
const DEEPEST: usize = 32;
/// Significant digits of a number.
const MOST_DIGITS: usize = 38;
/// The smallest and the largest power of ten that a number may begin with: 1E-130 to 9.99…E+125.
const EXPONENTS: std::ops::RangeInclusive<i64> = -130..=125;
/// Zeros that are written out before an exponent is.
const WRITTEN_ZEROS: i64 = 40;

/// What makes an item the same one: the values of its key, numbers in one form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    partition: String,
    sort: Option<String>,
}

/// A record that DynamoDB will take as far as can be told here.
pub(super) struct Measured {
    pub(super) identity: Identity,
    /// Bytes of its JSON in a request, nearly.
    pub(super) wire: usize,
}

/// What it takes to keep a value.
#[derive(Clone, Copy, Default)]
struct Size {
    /// Bytes of an item.
    stored: usize,
    /// Bytes of a request.
    wire: usize,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.wire += other.wire;
    }
}

/// Checks a record against DynamoDB's limits and takes its key.
///
/// # Errors
/// Why DynamoDB would refuse it.
pub(super) fn measure(record: &ProtectedRecord, schema: &Schema) -> Result<Measured, RecordError> {
    let identity = Identity {
        partition: key(record, &schema.partition)?,
        sort: schema.sort.as_ref().map(|attribute| key(record, attribute)).transpose()?,
    };
    let mut size = Size { stored: 0, wire: 40 };
    for (name, value) in record.content().iter() {
        if name.is_empty() {
            return Err(RecordError::new(RecordErrorKind::UnknownColumn, "an attribute must have a name"));
        }
        size.add(of_name(name));
        size.add(of_value(value, 0).map_err(|mut error| {
            error.path = Some(safe_path(name));
            error
        })?);
    }
    if size.stored > LARGEST_ITEM {
        return Err(RecordError::new(RecordErrorKind::TooLarge, "an item has at most 400 KB, its names included"));
    }
    Ok(Measured { identity, wire: size.wire })
}

/// The value of a key, in the one form by which items are compared.
fn key(record: &ProtectedRecord, attribute: &KeyAttribute) -> Result<String, RecordError> {
    let refuse = |kind, detail: String| Err(RecordError::at(kind, attribute.name.clone(), detail));
    let what = attribute.what();
    let text = match (record.get(&attribute.name), attribute.kind) {
        (None | Some(Value::Null), _) => {
            return refuse(RecordErrorKind::MissingField, format!("it is the table's {what} and must have a value"));
        }
        (Some(Value::String(text)), KeyType::Text) if text.is_empty() => {
            return refuse(RecordErrorKind::MissingField, format!("it is the table's {what} and must not be empty"));
        }
        (Some(Value::String(text)), KeyType::Text) => text.to_string(),
        (Some(Value::Number(number)), KeyType::Number) => canonical(number).map_err(|mut error| {
            error.path = Some(attribute.name.clone());
            error
        })?,
        (Some(value), kind) => {
            let detail = format!("the table's {what} is a {}, and this is a {}", kind.name(), value.kind());
            return refuse(RecordErrorKind::WrongType, detail);
        }
    };
    if text.len() > attribute.longest() {
        return refuse(RecordErrorKind::TooLong, format!("a {what} has at most {} bytes", attribute.longest()));
    }
    Ok(text)
}

/// The key of an item that came from DynamoDB.
pub(super) fn identity(item: &Attributes, schema: &Schema) -> Option<Identity> {
    let text = |attribute: &KeyAttribute| match item.get(&attribute.name)? {
        AttributeValue::S(text) => Some(text.clone()),
        AttributeValue::N(text) => canonical(&Number::parse(text)?).ok(),
        _ => None,
    };
    let sort = match &schema.sort {
        Some(attribute) => Some(text(attribute)?),
        None => None,
    };
    Some(Identity { partition: text(&schema.partition)?, sort })
}

fn of_name(name: &str) -> Size {
    Size { stored: name.len(), wire: escaped(name) + 4 }
}

/// The size of a value
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
fn of_value(value: &Value, depth: usize) -> Result<Size, RecordError> {
    if depth > DEEPEST {
        return Err(RecordError::new(RecordErrorKind::TooDeep, "DynamoDB nests at most 32 levels"));
    }
    Ok(match value {
        Value::Null | Value::Bool(_) => Size { stored: 1, wire: 14 },
        Value::Number(number) => {
            let text = canonical(number)?;
            Size { stored: stored_number(number), wire: text.len() + 8 }
        }
        Value::String(text) => Size { stored: text.len(), wire: escaped(text) + 8 },
        Value::Array(elements) => {
            let mut size = Size { stored: 3, wire: 8 };
            for element in elements {
                size.add(of_value(element, depth + 1)?);
                size.stored += 1;
                size.wire += 1;
            }
            size
        }
        Value::Object(object) => {
            let mut size = Size { stored: 3, wire: 8 };
            for (name, value) in object.iter() {
                if name.is_empty() {
                    return Err(RecordError::new(RecordErrorKind::UnknownColumn, "an attribute must have a name"));
                }
                size.add(of_name(name));
                size.add(of_value(value, depth + 1)?);
                size.stored += 1;
            }
            size
        }
    })
}

/// Bytes of a text in JSON.
fn escaped(text: &str) -> usize {
    let more = |byte: u8| match byte {
        0..=0x1f => 5,
        b'"' | b'\\' => 1,
        _ => 0,
    };
    text.len() + text.bytes().map(more).sum::<usize>()
}

/// A byte, one for each two digits that stand together, and one for a minus.
fn stored_number(number: &Number) -> usize {
    number.decimal().filter(|decimal| !decimal.digits.is_empty()).map_or(1, |decimal| {
        let first_is_alone = usize::from(decimal.point.rem_euclid(2) == 1);
        1 + usize::from(decimal.negative) + (decimal.digits.len() + first_is_alone).div_ceil(2)
    })
}

/// A number with no more digits than it needs: equal numbers have equal texts.
///
/// # Errors
/// When DynamoDB cannot keep it exactly.
pub(super) fn canonical(number: &Number) -> Result<String, RecordError> {
    let refuse = |detail| Err(RecordError::new(RecordErrorKind::Unrepresentable, detail));
    let outside = "DynamoDB keeps numbers from 1E-130 to 9.9E125";
    let Some(decimal) = number.decimal() else { return refuse(outside) };
    if decimal.digits.is_empty() {
        return Ok("0".to_owned());
    }
    if decimal.digits.len() > MOST_DIGITS {
        return refuse("DynamoDB keeps 38 significant digits");
    }
    if !EXPONENTS.contains(&(decimal.point - 1)) {
        return refuse(outside);
    }
    let mut text = String::with_capacity(48);
    if decimal.negative {
        text.push('-');
    }
    let after = decimal.point - decimal.digits.len() as i64;
    let mut digits = decimal.digits.iter().map(|digit| char::from(b'0' + digit));
    let zeros = |text: &mut String, count: i64| (0..count).for_each(|_| text.push('0'));
    match decimal.point {
        _ if (0..=WRITTEN_ZEROS).contains(&after) => {
            text.extend(digits);
            zeros(&mut text, after);
        }
        point if point > 0 && after < 0 => {
            text.extend(digits.by_ref().take(usize::try_from(point).unwrap_or(0)));
            text.push('.');
            text.extend(digits);
        }
        point if point <= 0 && -point <= WRITTEN_ZEROS => {
            text.push_str("0.");
            zeros(&mut text, -point);
            text.extend(digits);
        }
        _ => {
            text.extend(digits);
            text.push('E');
            text.push_str(&after.to_string());
        }
    }
    Ok(text)
}

/// The members of a measured record as attributes.
pub(super) fn attributes(object: &Object) -> Attributes {
    object.iter().map(|(name, value)| (name.to_owned(), attribute(value))).collect()
}

/// One value in DynamoDB's types.
pub(super) fn attribute(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(truth) => AttributeValue::Bool(*truth),
        // What has no such form was refused before; the server would refuse it again.
        Value::Number(number) => AttributeValue::N(canonical(number).unwrap_or_else(|_| number.as_str().to_owned())),
        Value::String(text) => AttributeValue::S(text.to_string()),
        Value::Array(elements) => AttributeValue::L(elements.iter().map(attribute).collect()),
        Value::Object(object) => AttributeValue::M(attributes(object)),
    }
}

/// True when the item holds what the record holds, and nothing else.
pub(super) fn holds(item: &Attributes, object: &Object) -> bool {
    item.len() == object.len() && object.iter().all(|(name, value)| item.get(name).is_some_and(|kept| is(kept, value)))
}

fn is(kept: &AttributeValue, value: &Value) -> bool {
    match (kept, value) {
        (AttributeValue::Null(_), Value::Null) => true,
        (AttributeValue::Bool(kept), Value::Bool(truth)) => kept == truth,
        (AttributeValue::S(kept), Value::String(text)) => kept == text.as_str(),
        (AttributeValue::N(kept), Value::Number(number)) => {
            let kept = Number::parse(kept).and_then(|kept| canonical(&kept).ok());
            kept.is_some() && kept == canonical(number).ok()
        }
        (AttributeValue::L(kept), Value::Array(elements)) => {
            kept.len() == elements.len() && kept.iter().zip(elements).all(|(kept, value)| is(kept, value))
        }
        (AttributeValue::M(kept), Value::Object(object)) => holds(kept, object),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Result<String, RecordErrorKind> {
        canonical(&Number::parse(text).unwrap()).map_err(|error| error.kind)
    }

    #[test]
    fn equal_numbers_have_one_text() {
        for (texts, expected) in [
            (&["0", "-0", "0.000", "0e500"][..], "0"),
            (&["1", "1.0", "10e-1", "0.1e1", "1E0"], "1"),
            (&["-12.50", "-1250e-2"], "-12.5"),
            (&["100", "1e2"], "100"),
            (&["0.001", "1e-3"], "0.001"),
            (&["1e125"], "1E125"),
            (&["-2.5e-130"], "-25E-131"),
        ] {
            for text in texts {
                assert_eq!(number(text).as_deref(), Ok(expected), "{text}");
                assert!(Number::parse(expected).is_some(), "{expected}");
            }
        }
        let digits = "12345678901234567890123456789012345678";
        assert_eq!(number(digits).as_deref(), Ok(digits));
        assert_eq!(number(&format!("{digits}000")), Ok(format!("{digits}000")), "zeros are no significant digits");
        assert_eq!(number(&format!("0.{digits}")), Ok(format!("0.{digits}")));
    }

    #[test]
    fn numbers_that_would_change_are_refused() {
        for text in [
            "123456789012345678901234567890123456789",
            "0.1000000000000000000000000000000000000001",
            "1e126",
            "9e-131",
            "1e400",
            "1e99999999999999999999",
        ] {
            assert_eq!(number(text), Err(RecordErrorKind::Unrepresentable), "{text}");
        }
        assert!(number("9.9999999999999999999999999999999999999e125").is_ok());
        assert!(number("1e-130").is_ok());
    }

    #[test]
    fn numbers_are_counted_as_dynamodb_counts_them() {
        // Measured with items of nearly 400 KB in DynamoDB Local 2.6.1.
        for (text, bytes) in
            [("0", 1), ("1", 2), ("12", 2), ("123", 3), ("-1", 3), ("-12", 3), ("0.1", 2), ("10", 2), ("100", 2)]
        {
            assert_eq!(stored_number(&Number::parse(text).unwrap()), bytes, "{text}");
        }
        for (text, bytes) in [("1.5", 3), ("12.5", 3), ("11111111111111111111111111111111111111", 20)] {
            assert_eq!(stored_number(&Number::parse(text).unwrap()), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_recognised() {
        let object = |json: &str| cloakroom_core::decode::parse_json_object(json.as_bytes(), 40).unwrap();
        let record = object(r#"{"id":"a","n":1.50,"list":[1,"1",null,true,{"x":{}}]}"#);
        let kept = attributes(&record);
        assert!(holds(&kept, &record));
        assert!(holds(&kept, &object(r#"{"n":15e-1,"id":"a","list":[1,"1",null,true,{"x":{}}]}"#)));
        for other in [
            r#"{"id":"a","n":1.50}"#,
            r#"{"id":"a","n":"1.5","list":[1,"1",null,true,{"x":{}}]}"#,
            r#"{"id":"a","n":1.5,"list":[1,1,null,true,{"x":{}}]}"#,
            r#"{"id":"a","n":1.5,"list":[1,"1",null,true,{"x":{"y":1}}]}"#,
            r#"{"id":"a","n":1.5,"list":[1,"1",null,true,{"x":{}},2]}"#,
        ] {
            assert!(!holds(&kept, &object(other)), "{other}");
        }
    }
}
