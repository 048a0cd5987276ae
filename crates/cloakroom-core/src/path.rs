//! Field paths: `user.address.city`, `cards[*].number`, `items[0].id`, `*.ssn`, `"odd.name".x`.

use std::fmt;

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// A member by name.
    Member(String),
    /// Every member of an object (`*`).
    AnyMember,
    /// An element by index, from 0.
    Element(usize),
    /// Every element of an array (`[*]`).
    AnyElement,
}

/// A path to one field, or with wildcards to many.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldPath(Vec<Segment>);

/// Why a text is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing stands where a name was expected.
    #[error("a field name is missing at character {0}; write names as in `user.address[0].city`")]
    MissingName(usize),
    /// A bracket that is not `[0]` or `[*]`.
    #[error("`[` at character {0} must be followed by an index or `*` and `]`")]
    Bracket(usize),
    /// A quote without its end.
    #[error("the quote at character {0} is not closed")]
    Quote(usize),
}

impl FieldPath {
    /// Reads a path.
    ///
    /// # Errors
    /// The place and the reason when the text is no path.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let characters: Vec<char> = text.chars().collect();
        let mut segments = Vec::new();
        let mut at = 0;
        loop {
            at = member(&characters, at, &mut segments)?;
            while characters.get(at) == Some(&'[') {
                let close = characters[at..].iter().position(|c| *c == ']').ok_or(PathError::Bracket(at + 1))? + at;
                let inside: String = characters[at + 1..close].iter().collect();
                segments.push(match inside.as_str() {
                    "*" => Segment::AnyElement,
                    index => Segment::Element(index.parse().map_err(|_| PathError::Bracket(at + 1))?),
                });
                at = close + 1;
            }
            match characters.get(at) {
                None => return Ok(Self(segments)),
                Some('.') => at += 1,
                Some(_) => return Err(PathError::MissingName(at + 1)),
            }
        }
    }

    /// Of these steps.
    pub(crate) fn of(segments: Vec<Segment>) -> Self {
        Self(segments)
    }

    /// The path of a sibling: the same with another name at its end.
    pub(crate) fn with_name(mut self, name: &str) -> Self {
        if let Some(Segment::Member(last)) = self.0.last_mut() {
            name.clone_into(last);
        }
        self
    }

    /// The steps.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// True when it names one field and not many.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.iter().any(|segment| matches!(segment, Segment::AnyMember | Segment::AnyElement))
    }
}

fn member(characters: &[char], start: usize, segments: &mut Vec<Segment>) -> Result<usize, PathError> {
    if characters.get(start) == Some(&'"') {
        let length = characters[start + 1..].iter().position(|c| *c == '"').ok_or(PathError::Quote(start + 1))?;
        segments.push(Segment::Member(characters[start + 1..start + 1 + length].iter().collect()));
        return Ok(start + length + 2);
    }
    let end =
        characters[start..].iter().position(|c| matches!(c, '.' | '[' | '"')).map_or(characters.len(), |n| start + n);
    match characters[start..end] {
        [] => Err(PathError::MissingName(start + 1)),
        ['*'] => {
            segments.push(Segment::AnyMember);
            Ok(end)
        }
        _ => {
            segments.push(Segment::Member(characters[start..end].iter().collect()));
            Ok(end)
        }
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, segment) in self.0.iter().enumerate() {
            if index > 0 && matches!(segment, Segment::Member(_) | Segment::AnyMember) {
                formatter.write_str(".")?;
            }
            match segment {
                Segment::Member(name) if name == "*" || name.contains(['.', '[', '"']) => {
                    write!(formatter, "\"{name}\"")?
                }
                Segment::Member(name) => formatter.write_str(name)?,
                Segment::AnyMember => formatter.write_str("*")?,
                Segment::Element(at) => write!(formatter, "[{at}]")?,
                Segment::AnyElement => formatter.write_str("[*]")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_print_as_they_are_read() {
        for text in ["a", "a.b.c", "a[0].b", "a[*][2].*", "*.ssn", "\"odd.name\".x", "\"*\"", "é"] {
            assert_eq!(FieldPath::parse(text).unwrap().to_string(), text);
        }
        assert!(!FieldPath::parse("a[*].b").unwrap().is_exact());
    }

    #[test]
    fn what_is_no_path_is_said_with_its_place() {
        assert_eq!(FieldPath::parse(""), Err(PathError::MissingName(1)));
        assert_eq!(FieldPath::parse("a..b"), Err(PathError::MissingName(3)));
        assert_eq!(FieldPath::parse("a."), Err(PathError::MissingName(3)));
        assert_eq!(FieldPath::parse("a[x]"), Err(PathError::Bracket(2)));
        assert_eq!(FieldPath::parse("a[0"), Err(PathError::Bracket(2)));
        assert_eq!(FieldPath::parse("a[0]b"), Err(PathError::MissingName(5)));
        assert_eq!(FieldPath::parse("\"a"), Err(PathError::Quote(1)));
    }
}
