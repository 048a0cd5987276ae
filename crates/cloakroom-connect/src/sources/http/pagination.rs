//! From one page to the next.

use std::collections::HashSet;

use cloakroom_core::RecordId;
use cloakroom_core::decode::frame::locate;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};
use serde_json::Value;

use super::config::Pagination;
use super::items::Page;
use super::request::Answer;

/// How pages follow each other, checked.
pub(super) struct Plan {
    first: Url,
    style: Style,
}

enum Style {
    Single,
    Page { parameter: String, start: u64, size: Option<u64> },
    Cursor { parameter: String, next: Vec<String> },
    Link,
}

impl Plan {
    /// Checks how pages follow each other. `base` is the address without paging; `has_items` tells
    /// whether responses have something around their records.
    ///
    /// # Errors
    /// The setting that cannot work.
    pub(super) fn new(base: Url, config: Option<&Pagination>, has_items: bool) -> Result<Self, ConnectorError> {
        let style = match config {
            None => return Ok(Self { first: base, style: Style::Single }),
            Some(Pagination::Link) => return Ok(Self { first: base, style: Style::Link }),
            Some(Pagination::Page(page)) => {
                let first = with_size(base, "page", page.size_parameter.as_deref(), page.size)?;
                let first = with_parameter(first, "page", &page.parameter, None)?;
                let style = Style::Page { parameter: page.parameter.clone(), start: page.start, size: page.size };
                return Ok(Self { first, style });
            }
            Some(Pagination::Cursor(cursor)) if !has_items => {
                let next = &cursor.next;
                return Err(ConnectorError::configuration(format!(
                    "`pagination.cursor.next`: a response that is an array has no `{next}`; name the path of the records in `items`"
                )));
            }
            Some(Pagination::Cursor(cursor)) => cursor,
        };
        if style.size.is_some() && style.size_parameter.is_none() {
            return Err(ConnectorError::configuration(
                "`pagination.cursor.size` has no effect without `size_parameter`",
            ));
        }
        let first = with_size(base, "cursor", style.size_parameter.as_deref(), style.size)?;
        let first = with_parameter(first, "cursor", &style.parameter, None)?;
        let next = keys("pagination.cursor.next", &style.next)?;
        Ok(Self { first, style: Style::Cursor { parameter: style.parameter.clone(), next } })
    }

    /// Begins at the first page.
    pub(super) fn pager(&self) -> Pager<'_> {
        let number = if let Style::Page { start, .. } = self.style { start } else { 1 };
        Pager { plan: self, number, read: HashSet::new(), previous: Vec::new() }
    }
}

/// Adds the number of records per page, where it is given.
fn with_size(base: Url, style: &str, parameter: Option<&str>, size: Option<u64>) -> Result<Url, ConnectorError> {
    match (parameter, size) {
        (_, Some(0)) => Err(ConnectorError::configuration(format!("`pagination.{style}.size` must be at least 1"))),
        (Some(_), None) => Err(ConnectorError::configuration(format!(
            "`pagination.{style}.size_parameter` has no effect without `size`"
        ))),
        (Some(name), Some(size)) => with_parameter(base, style, name, Some(&size.to_string())),
        (None, _) => Ok(base),
    }
}

/// Adds a query parameter, or only makes sure that the name is free for later.
fn with_parameter(mut url: Url, style: &str, name: &str, value: Option<&str>) -> Result<Url, ConnectorError> {
    if name.is_empty() {
        return Err(ConnectorError::configuration(format!("`pagination.{style}`: a parameter without a name")));
    }
    // Two values of one parameter: servers differ in which one they take.
    if url.query_pairs().any(|(key, _)| key == name) {
        return Err(ConnectorError::configuration(format!(
            "`url` holds the parameter `{name}`, which `pagination.{style}` sets; leave it out of one of them"
        )));
    }
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
    Ok(url)
}

/// A dotted path as its keys.
///
/// # Errors
/// When one of them is empty.
pub(super) fn keys(setting: &str, path: &str) -> Result<Vec<String>, ConnectorError> {
    if path.split('.').any(str::is_empty) {
        return Err(ConnectorError::configuration(format!("`{setting}` is no dotted path: `data.items`")));
    }
    Ok(path.split('.').map(str::to_owned).collect())
}

/// Where a run stands in the pages.
pub(super) struct Pager<'a> {
    plan: &'a Plan,
    number: u64,
    read: HashSet<Url>,
    previous: Vec<RecordId>,
}

impl Pager<'_> {
    /// The address of the first page.
    pub(super) fn first(&mut self) -> Url {
        let first = match &self.plan.style {
            Style::Page { parameter, .. } => self.added(parameter, &self.number.to_string()),
            _ => self.plan.first.clone(),
        };
        self.read.insert(first.clone());
        first
    }

    /// True when an answer 404 means the end: numbered pages, after the first.
    pub(super) fn may_be_missing(&self) -> bool {
        matches!(self.plan.style, Style::Page { start, .. } if self.number > start)
    }

    /// The address of the page after this one, or `None` when it was the last.
    ///
    /// # Errors
    /// When the server does not come to an end, or names a page elsewhere.
    pub(super) fn after(&mut self, answer: &Answer, page: &Page) -> Result<Option<Url>, ConnectorError> {
        match &self.plan.style {
            Style::Single => Ok(None),
            Style::Page { parameter, size, .. } => {
                let count = page.deliveries.len() as u64;
                let short = size.is_some_and(|size| count < size);
                if page.whole && (count == 0 || short) {
                    return Ok(None);
                }
                self.refuse_repetition(page, parameter)?;
                self.number = self.number.saturating_add(1);
                Ok(Some(self.added(parameter, &self.number.to_string())))
            }
            Style::Cursor { parameter, next } => {
                let url = match cursor(page, next)? {
                    None => return Ok(None),
                    // Some APIs give the whole address of the next page instead of a cursor.
                    Some(cursor) if cursor.starts_with("http://") || cursor.starts_with("https://") => {
                        self.same_origin(&answer.url, &cursor, "the next page's address")?
                    }
                    Some(cursor) => self.added(parameter, &cursor),
                };
                self.unread(url, "the cursor does not move: the server gives one that it gave before").map(Some)
            }
            Style::Link => {
                let Some(target) = next_link(&answer.headers)? else { return Ok(None) };
                let url = self.same_origin(&answer.url, &target, "the `Link` to the next page")?;
                self.unread(url, "the `Link` to the next page leads back to one that was read").map(Some)
            }
        }
    }

    fn added(&self, parameter: &str, value: &str) -> Url {
        let mut url = self.plan.first.clone();
        url.query_pairs_mut().append_pair(parameter, value);
        url
    }

    /// An address that the server gives. Credentials go with it, so it must be at the same place.
    fn same_origin(&self, from: &Url, target: &str, what: &str) -> Result<Url, ConnectorError> {
        let url = from.join(target).map_err(|_| corrupt(format!("{what} is no address")))?;
        if url.origin() != self.plan.first.origin() || !url.username().is_empty() || url.password().is_some() {
            return Err(ConnectorError::configuration(format!(
                "{what} leaves the scheme, host and port of `url`; it is not followed, because the credentials would go there"
            )));
        }
        let mut url = url;
        url.set_fragment(None);
        Ok(url)
    }

    fn unread(&mut self, url: Url, otherwise: &str) -> Result<Url, ConnectorError> {
        if self.read.insert(url.clone()) { Ok(url) } else { Err(corrupt(otherwise)) }
    }

    /// A server that does not know the parameter gives the first page for ever.
    fn refuse_repetition(&mut self, page: &Page, parameter: &str) -> Result<(), ConnectorError> {
        let ids: Vec<RecordId> = page.deliveries.iter().map(|delivery| delivery.id.clone()).collect();
        // Records that are all alike prove nothing: two full pages of them look the same.
        let tells = ids.iter().any(|id| Some(id) != ids.first());
        if tells && ids == self.previous {
            return Err(corrupt(format!(
                "two pages in a row hold the same records; is `{parameter}` the server's name for the page number?"
            )));
        }
        self.previous = ids;
        Ok(())
    }
}

/// The next cursor inside a response.
fn cursor(page: &Page, path: &[String]) -> Result<Option<String>, ConnectorError> {
    let Some(envelope) = &page.envelope else {
        // An empty answer (204) has no next page; a broken one may have one that cannot be read.
        return if page.whole {
            Ok(None)
        } else {
            Err(corrupt("the response is broken, so that the next cursor cannot be read"))
        };
    };
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    let text = locate(envelope, &keys).and_then(|range| envelope.get(range));
    match text.map(serde_json::from_slice::<Value>) {
        None | Some(Ok(Value::Null)) => Ok(None),
        Some(Ok(Value::String(text))) if text.is_empty() => Ok(None),
        Some(Ok(Value::String(text))) => Ok(Some(text)),
        Some(Ok(Value::Number(number))) => Ok(Some(number.to_string())),
        Some(_) => Err(corrupt(format!("`{}` of the response is neither text nor a number", path.join(".")))),
    }
}

/// The target of the link `rel="next"` (RFC 8288, section 3), as it is written.
fn next_link(headers: &HeaderMap) -> Result<Option<String>, ConnectorError> {
    // A header that cannot be read may hold the next page: taking it for the end would lose records.
    let broken = || corrupt("the `Link` header is not as RFC 8288 says");
    for value in headers.get_all(LINK) {
        let mut rest = std::str::from_utf8(value.as_bytes()).map_err(|_| broken())?;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                break;
            }
            let (target, after) = rest.strip_prefix('<').and_then(|r| r.split_once('>')).ok_or_else(broken)?;
            let (is_next, after) = link_parameters(after).ok_or_else(broken)?;
            if is_next {
                return Ok(Some(target.to_owned()));
            }
            rest = after;
        }
    }
    Ok(None)
}

/// Reads the parameters of one link: whether it leads to the next page, and what follows the link.
fn link_parameters(mut rest: &str) -> Option<(bool, &str)> {
    let mut rel: Option<bool> = None;
    let mut elsewhere = false;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        if rest.is_empty() || rest.starts_with(',') {
            return Some((rel == Some(true) && !elsewhere, rest));
        }
        rest = rest.strip_prefix(';')?.trim_start_matches([' ', '\t']);
        let end = rest.find(['=', ';', ',']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let name = name.trim_end();
        let (value, after) = match after.strip_prefix('=') {
            None => (String::new(), after),
            Some(after) => parameter_value(after.trim_start_matches([' ', '\t']))?,
        };
        if name.eq_ignore_ascii_case("rel") {
            // Only the first `rel` counts; it may name several relations.
            rel = rel.or(Some(value.split_ascii_whitespace().any(|r| r.eq_ignore_ascii_case("next"))));
        }
        // A link about something else than this response.
        elsewhere |= name.eq_ignore_ascii_case("anchor");
        rest = after;
    }
}

/// A token or a quoted string, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (token, rest) = text.split_at(text.find([';', ',']).unwrap_or(text.len()));
        return Some((token.trim_end().to_owned(), rest));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

fn corrupt(message: impl Into<String>) -> ConnectorError {
    ConnectorError::new(ErrorKind::Corrupt, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(values: &[&str]) -> Result<Option<String>, ConnectorError> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(LINK, value.parse().unwrap());
        }
        next_link(&headers)
    }

    #[test]
    fn the_next_link_is_found_as_rfc_8288_writes_it() {
        for (values, expected) in [
            (&["<https://a/?p=2>; rel=\"next\""][..], Some("https://a/?p=2")),
            (&["<?p=2>;rel=next"], Some("?p=2")),
            (&["</1>; rel=\"prev\", </3>; rel=\"next\", </9>; rel=\"last\""], Some("/3")),
            (&["</1>; rel=prev", "</3> ; REL = \"Next\" ; title=\"x\""], Some("/3")),
            (&["</3?a=1,2>; title=\"a, \\\"b; rel=x\"; rel=\"foo next\""], Some("/3?a=1,2")),
            (&["</3>; rel=prev; rel=next"], None),
            (&["</3>; rel=nextish, </4>; rel=\"next\"; anchor=\"/other\""], None),
            (&["</3>; crossorigin; rel=next,"], Some("/3")),
            (&["</3>"], None),
            (&[""], None),
            (&[], None),
        ] {
            assert_eq!(next(values).unwrap().as_deref(), expected, "{values:?}");
        }
        for broken in ["/3; rel=next", "</3; rel=next", "</3> rel=next", "</3>; rel=\"next"] {
            assert_eq!(next(&[broken]).unwrap_err().kind, ErrorKind::Corrupt, "{broken}");
        }
    }
}
