//! Connections, and what the server's errors mean.

use std::time::Duration;

use cloakroom_core::{RecordError, RecordErrorKind};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use secrecy::ExposeSecret;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::tls::{self, TlsConfig};

/// Makes connections; holds the present one.
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    client: Option<Client>,
}

impl Connector {
    pub(super) fn new(url: &Template, tls: &TlsConfig) -> Result<Self, ConnectorError> {
        let url = url.resolve().map_err(|error| error.context("`sink.postgres.url`"))?;
        // Certificates are always verified in full, so these modes mean `require`, which the client knows.
        let text = url
            .expose_secret()
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config: Config = text.parse().map_err(|_| {
            ConnectorError::configuration("`sink.postgres.url` is not like postgres://user:password@host:5432/database")
        })?;
        let is_local = |host: &Host| match host {
            Host::Tcp(name) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
            #[cfg(unix)]
            Host::Unix(_) => true,
        };
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(ConnectorError::configuration("`sink.postgres.url` names no host; is it empty?"));
        }
        if config.get_ssl_mode() == SslMode::Prefer {
            // The default. Inside this machine nobody listens, and the certificates that packages make for
            // themselves are trusted by nobody; across a network there is no falling back to plain text.
            let local = config.get_hosts().iter().all(is_local)
                && config.get_hostaddrs().iter().all(std::net::IpAddr::is_loopback);
            config.ssl_mode(if local { SslMode::Disable } else { SslMode::Require });
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(10));
        }
        config.tcp_user_timeout(Duration::from_secs(30)).keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("cloakroom");
        }
        Ok(Self { config, tls: MakeRustlsConnect::new(tls::client(tls)?), client: None })
    }

    pub(super) fn is_open(&self) -> bool {
        self.client.as_ref().is_some_and(|client| !client.is_closed())
    }

    pub(super) async fn connect(&mut self) -> Result<(), ConnectorError> {
        let (client, connection) = self.config.connect(self.tls.clone()).await.map_err(|error| pg_error(&error))?;
        // Ends when the client is dropped. Its errors reach whoever waits for an answer.
        tokio::spawn(async move {
            let _ = connection.await;
        });
        client
            .batch_execute("SET client_min_messages = error; SET idle_in_transaction_session_timeout = '15min'")
            .await
            .map_err(|error| pg_error(&error))?;
        self.client = Some(client);
        Ok(())
    }

    pub(super) fn client(&self) -> Result<&Client, ConnectorError> {
        self.client.as_ref().ok_or_else(|| ConnectorError::unavailable("postgres: not connected"))
    }

    /// Gives the connection up; the server rolls back what it had open.
    pub(super) fn forget(&mut self) {
        self.client = None;
    }
}

/// An error by its SQLSTATE. Messages, details and hints of the server are left out: they hold values.
/// Names of constraints, tables and columns are names.
pub(super) fn pg_error(error: &Error) -> ConnectorError {
    let Some(database) = error.as_db_error() else {
        return client_error(error);
    };
    let code = database.code().code();
    let kind = match code {
        "40001" | "40P01" | "55P03" | "57P01" | "57P02" | "57P03" | "57P05" | "57014" | "25P03" | "25006" | "55006" => {
            ErrorKind::Unavailable
        }
        _ if ["08", "53", "58"].contains(&&code[..2]) => ErrorKind::Unavailable,
        "42501" => ErrorKind::Denied,
        _ if code.starts_with("28") => ErrorKind::Denied,
        _ if code.starts_with("XX") => ErrorKind::Corrupt,
        _ => ErrorKind::Configuration,
    };
    let what = match code {
        "40001" | "40P01" => "another transaction was in the way",
        "57P01" | "57P02" | "57P03" => "the server is stopping or starting",
        "53300" => "too many connections",
        "53100" => "the server's disk is full",
        "28P01" | "28000" => "user or password refused",
        "3D000" => "there is no such database",
        "3F000" => "there is no such schema",
        "42501" => "not permitted to this user",
        "42P01" => "there is no such table",
        "25006" => "the server is read-only",
        _ => "refused by the server",
    };
    ConnectorError::new(kind, format!("postgres: {what} (SQLSTATE {code})"))
}

fn client_error(error: &Error) -> ConnectorError {
    use std::error::Error as _;
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<std::io::Error>() {
            if io.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
                let text = "postgres: the server's certificate is not trusted; name its authority in `tls.ca_file`";
                return ConnectorError::configuration(text);
            }
            // Whatever happened to the connection, another may work: a host that restarts refuses first.
            let mut error = ConnectorError::io("postgres", io);
            error.kind = ErrorKind::Unavailable;
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => {
                    error.message.push_str("; is the server running, and are host and port in `url` right?");
                }
                // The resolver's errors are of no kind.
                _ if io.to_string().contains("lookup address") => {
                    "postgres: the host in `url` cannot be looked up; in a password write `#`, `/`, `@` and `:` as %23, \
                     %2F, %40 and %3A"
                        .clone_into(&mut error.message);
                }
                _ => {}
            }
            return error;
        }
        cause = inner.source();
    }
    let text = error.to_string();
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    if cause.contains("does not support TLS") {
        return ConnectorError::configuration(
            "postgres: the server does not offer TLS; add `sslmode=disable` to the URL only where the network is trusted",
        );
    }
    if text.contains("TLS") {
        return ConnectorError::configuration("postgres: the TLS handshake failed");
    }
    if text.contains("password") || text.contains("authentication") {
        return ConnectorError::new(
            ErrorKind::Denied,
            "postgres: a password is needed, or the server asks for one in a way not known",
        );
    }
    ConnectorError::unavailable("postgres: the connection was lost")
}

/// The reason for which a row is dead, when the error is about a row and not about the server.
pub(super) fn row_error(error: &Error, columns: &[&str], constraints: &[String]) -> Option<RecordError> {
    let database = error.as_db_error()?;
    let code = database.code().code();
    // Data exceptions, constraints, a trigger's or view's refusal, a row too large for an index.
    let about_row = ["22", "23", "44", "P0"].contains(&&code[..2]) || matches!(code, "54000" | "54011" | "42804");
    if !about_row {
        return None;
    }
    // A trigger's RAISE can put a value wherever a name stands: only names that the table has are taken.
    // COPY says `COPY table, line 3, column name: "value"`.
    let known = |name: &str| columns.iter().find(|column| **column == name).map(|name| (*name).to_owned());
    let named = database.column().and_then(known).or_else(|| {
        let after = database.where_()?.split(", column ").nth(1)?;
        let column = columns.iter().filter(|column| after.starts_with(**column)).max_by_key(|column| column.len())?;
        Some((*column).to_owned())
    });
    let constraint = database.constraint().filter(|name| constraints.iter().any(|known| known == name));
    let constraint = constraint.map_or_else(String::new, |name| format!(", constraint {name}"));
    Some(RecordError {
        kind: RecordErrorKind::Database,
        path: named,
        detail: format!("SQLSTATE {code}{constraint}").into(),
    })
}
