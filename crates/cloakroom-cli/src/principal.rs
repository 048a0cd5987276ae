//! Who runs this program: the name that audit events carry.

use cloakroom_pipeline::ConnectorError;
use cloakroom_pipeline::audit::AuditText;

/// The operating system's user: its name where the local list of users has one, else its number. Not from
/// the environment, which anybody sets.
pub(crate) fn principal() -> Result<AuditText, ConnectorError> {
    AuditText::new("name of the user", &user())
}

#[cfg(unix)]
fn user() -> String {
    let uid = rustix::process::getuid().as_raw().to_string();
    let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    name_of(&list, &uid).unwrap_or_else(|| format!("uid {uid}"))
}

/// The name in a line `name:password:uid:…` (passwd(5)).
#[cfg(unix)]
fn name_of(list: &str, uid: &str) -> Option<String> {
    let mut lines = list.lines().map(|line| line.split(':').collect::<Vec<_>>());
    lines.find(|parts| parts.get(2) == Some(&uid))?.first().map(|name| (*name).to_owned())
}

#[cfg(not(unix))]
fn user() -> String {
    std::env::var("USERNAME").unwrap_or_else(|_| "unknown user".to_owned())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn names_come_from_the_list_of_users() {
        let list = "root:x:0:0:root:/root:/bin/sh\n\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(name_of(list, "1000").as_deref(), Some("alice"));
        assert_eq!(name_of(list, "100"), None);
        assert!(!principal().unwrap().as_str().is_empty());
    }
}
