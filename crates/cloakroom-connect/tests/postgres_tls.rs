//! TLS to a real PostgreSQL with a certificate of a private authority: verified in full, or refused.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cloakroom_connect::sinks::postgres::{self, Config};
use cloakroom_core::{Policy, PolicyConfig};
use cloakroom_pipeline::ErrorKind;
use cloakroom_pipeline::context::SinkContext;
use tokio_postgres::NoTls;

/// An instance of this test's own: TLS is a setting of the whole server.
struct Instance {
    name: String,
    url: String,
}

fn script(action: &str, name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/test-servers.sh");
    let done = Command::new(path).args([action, name]).output().expect("scripts/test-servers.sh");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

impl Instance {
    fn start() -> Self {
        let name = format!("tls-{}", std::process::id());
        let told = script("postgres-start", &name);
        let url = told.lines().find_map(|line| line.strip_prefix("url=")).expect("url=").to_owned();
        Self { name, url }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        script("postgres-stop", &self.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_verified() {
    let server = Instance::start();
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(parameters, &authority_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();

    // The server writes its own files, so that they belong to its account.
    let (client, connection) = tokio_postgres::connect(&server.url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let folder: String = client.query_one("SHOW data_directory", &[]).await.unwrap().get(0);
    for (file, pem) in [("server.crt", certificate.pem()), ("server.key", key.serialize_pem())] {
        let sql = format!(
            "COPY (SELECT unnest(string_to_array('{}', E'\\n'))) TO PROGRAM 'umask 077; cat > {folder}/{file}'",
            pem.trim()
        );
        client.batch_execute(&sql).await.unwrap();
    }
    if let Err(error) = client.batch_execute("ALTER SYSTEM SET ssl = on").await {
        // The server that PyPI brings has no TLS in it; a distribution's has.
        assert_eq!(error.code().map(|code| code.code()), Some("22023"), "{error}");
        eprintln!("not tested: this PostgreSQL was built without TLS");
        return;
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();

    let folder = tempfile::tempdir().unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, authority.pem()).unwrap();
    let policy = Arc::new(Policy::compile(&PolicyConfig::default(), None).unwrap());
    let open = async |host: &str, mode: &str, ca: bool| {
        let url = format!("{}?sslmode={mode}", server.url.replace("127.0.0.1", host));
        let tls = if ca { format!("tls: {{ ca_file: '{}' }}\n", ca_file.display()) } else { String::new() };
        let config: Config =
            serde_saphyr::from_str(&format!("url: '{url}'\ntable: t\ncreate_table: true\n{tls}")).unwrap();
        let context = SinkContext { pipeline: "test".to_owned(), policy: Arc::clone(&policy) };
        postgres::build(&config, &context).unwrap().check().await
    };
    // The reload takes a moment.
    let mut tried = open("localhost", "require", true).await;
    for _ in 0..50 {
        if tried.is_ok() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        tried = open("localhost", "require", true).await;
    }
    tried.expect("the authority is named and the name is right");
    open("localhost", "verify-full", true).await.expect("the modes of libpq are understood");
    let unknown = open("localhost", "require", false).await.unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::Configuration);
    assert!(unknown.message.contains("ca_file"), "{unknown}");
    let other_name = open("127.0.0.1", "require", true).await.unwrap_err();
    assert_eq!(other_name.kind, ErrorKind::Configuration, "the certificate is for another name: {other_name}");
    open("127.0.0.1", "disable", false).await.expect("without TLS, when asked");
}
