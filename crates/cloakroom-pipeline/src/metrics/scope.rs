//! Under which names metrics are published.

use std::collections::BTreeMap;
use std::time::Duration;

use super::interval::NAMES;
use crate::config::Template;
use crate::error::ConnectorError;

/// The namespace where a pipeline file names none.
pub const DEFAULT_NAMESPACE: &str = "Cloakroom";
/// Seconds of an interval where a pipeline file does not say it.
pub const EVERY_S: u64 = 60;
/// The dimension that every metric has.
const PIPELINE: &str = "pipeline";

// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_Dimension.html and API_MetricDatum.html
const MOST_DIMENSIONS: usize = 30;
const LONGEST_NAME: usize = 255;
const LONGEST_VALUE: usize = 1024;

/// The namespace and the dimensions of all metrics of a pipeline, within the limits of CloudWatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The namespace.
    pub namespace: String,
    /// Names and values: the pipeline's, and those of the pipeline file.
    pub dimensions: Vec<(String, String)>,
}

impl Scope {
    /// Fills in variables, and checks all of it.
    ///
    /// # Errors
    /// When a variable is not set, or CloudWatch would refuse or mistake a name or a value. The message names the setting and not
    /// its value.
    pub fn new(namespace: &Template, pipeline: &str, own: &BTreeMap<String, Template>) -> Result<Self, ConnectorError> {
        let wrong = |message: String| Err(ConnectorError::configuration(format!("metrics: {message}")));
        let namespace = namespace.resolve_plain()?;
        let of_namespace = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/#:".contains(&byte);
        if !(1..=LONGEST_NAME).contains(&namespace.len())
            || namespace.starts_with(':')
            || namespace.starts_with("AWS/")
            || !namespace.bytes().all(of_namespace)
        {
            return wrong(format!(
                "`namespace` takes 1 to {LONGEST_NAME} letters, digits and . _ - / # :, and begins neither with `:` nor with AWS/"
            ));
        }
        if own.len() >= MOST_DIMENSIONS {
            return wrong(format!("`dimensions` takes at most {}", MOST_DIMENSIONS - 1));
        }
        if !is_value(pipeline) {
            return wrong(
                "the pipeline's name is a dimension, and those are ASCII: give it another with `name:`".to_owned(),
            );
        }
        let mut dimensions = vec![(PIPELINE.to_owned(), pipeline.to_owned())];
        for (name, value) in own {
            if name == PIPELINE || name == "_aws" || NAMES.contains(&name.as_str()) {
                return wrong(format!("the dimension `{name}` has a name that is taken; choose another"));
            }
            if name.len() > LONGEST_NAME || name.starts_with(':') || !is_value(name) {
                return wrong(format!(
                    "the name of a dimension has 1 to {LONGEST_NAME} ASCII characters and does not begin with `:`"
                ));
            }
            let value = value.resolve_plain()?;
            if !is_value(&value) {
                return wrong(format!("the dimension `{name}` takes 1 to {LONGEST_VALUE} ASCII characters"));
            }
            dimensions.push((name.clone(), value));
        }
        Ok(Self { namespace, dimensions })
    }

    /// An interval's length.
    ///
    /// # Errors
    /// When it is not 1 to 3,600 seconds.
    pub fn every(seconds: u64) -> Result<Duration, ConnectorError> {
        match seconds {
            1..=3600 => Ok(Duration::from_secs(seconds)),
            _ => Err(ConnectorError::configuration("metrics: `every_s` takes 1 to 3600 seconds")),
        }
    }
}

/// Printable ASCII, something of it no space.
fn is_value(text: &str) -> bool {
    (1..=LONGEST_VALUE).contains(&text.len())
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !text.trim().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(namespace: &str, pipeline: &str, own: &[(&str, &str)]) -> Result<Scope, String> {
        let own = own.iter().map(|(name, value)| ((*name).to_owned(), Template::new(value))).collect();
        Scope::new(&Template::new(namespace), pipeline, &own).map_err(|error| error.message)
    }

    #[test]
    fn a_scope_is_what_cloudwatch_takes() {
        let good = scope("My/App-${CLOAKROOM_NOT_SET:-x}", "logins", &[("stage", "prod"), ("a b", "${PATH}")]).unwrap();
        assert_eq!((&*good.namespace, good.dimensions.len()), ("My/App-x", 3));
        assert_eq!(good.dimensions[0], ("pipeline".to_owned(), "logins".to_owned()));
        for (bad, told) in [
            (scope("", "p", &[]), "namespace"),
            (scope("AWS/SQS", "p", &[]), "AWS/"),
            (scope(":x", "p", &[]), "namespace"),
            (scope("x\"", "p", &[]), "namespace"),
            (scope("a b", "p", &[]), "namespace"),
            (scope("${CLOAKROOM_NOT_SET}", "p", &[]), "CLOAKROOM_NOT_SET is not set"),
            (scope("x", "größe", &[]), "`name:`"),
            (scope("x", "p", &[("pipeline", "a")]), "taken"),
            (scope("x", "p", &[("dead", "a")]), "taken"),
            (scope("x", "p", &[(":a", "a")]), "does not begin with"),
            (scope("x", "p", &[("", "a")]), "the name of a dimension"),
            (scope("x", "p", &[("a", "")]), "`a` takes"),
            (scope("x", "p", &[("a", "  ")]), "`a` takes"),
            (scope("x", "p", &[("a", "s3cret\n")]), "`a` takes"),
            (scope("x", "p", &[("a", &"x".repeat(1025))]), "`a` takes"),
        ] {
            let message = bad.unwrap_err();
            assert!(message.contains(told) && !message.contains("s3cret"), "{message}");
        }
        let many: Vec<String> = (0..30).map(|number| format!("d{number}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(scope("x", "p", &many[..29]).unwrap().dimensions.len(), 30);
        assert!(scope("x", "p", &many).unwrap_err().contains("at most 29"));
    }

    #[test]
    fn intervals_have_some_length() {
        assert!(Scope::every(0).is_err() && Scope::every(3601).is_err());
        assert_eq!(Scope::every(60).unwrap(), Duration::from_secs(60));
    }
}
