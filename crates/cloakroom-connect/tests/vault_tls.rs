//! Root keys go to a Vault whose certificate is trusted, and to no other. The rest of the interface is tested with the
//! program, in `cloakroom-cli/tests/protected_keys/`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;

use cloakroom_connect::vault_transit::VaultTransit;
use cloakroom_crypto::{KeyId, SecretKey};
use cloakroom_pipeline::config::Template;
use cloakroom_pipeline::error::{ConnectorError, ErrorKind};
use cloakroom_pipeline::keys::protect::{Access, Provider, VaultConfig};
use serde_json::json;

/// Answers every request with the key of thirty-two zero bytes. Connections whose handshake fails are passed over.
fn serve(config: rustls::ServerConfig) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    let config = Arc::new(config);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream.unwrap()));
            let mut length = 0;
            let complete = loop {
                let mut line = String::new();
                match stream.read_line(&mut line) {
                    Ok(0) | Err(_) => break false,
                    Ok(_) if line == "\r\n" => break true,
                    Ok(_) => {}
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            };
            if complete && stream.read_exact(&mut vec![0; length]).is_ok() {
                let body = format!(r#"{{"data":{{"plaintext":"{}="}}}}"#, "A".repeat(43));
                let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                let stream = stream.get_mut();
                stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
                stream.conn.send_close_notify();
                stream.flush().unwrap();
            }
        }
    });
    address
}

async fn unwrap(address: &str, ca_file: Option<&str>) -> Result<SecretKey, ConnectorError> {
    let mut access = Access::new(&[]);
    let (token, ca_file) = (Some(Template::literal("token")), ca_file.map(Template::literal));
    access.vault = VaultConfig { token, token_file: None, ca_file };
    let settings = json!({ "address": address, "mount": "transit", "key": "k" });
    let vault = VaultTransit.prepare(&settings, &access).await?;
    vault.unwrap(&KeyId::parse("aaaaaaaa").unwrap(), "vault:v1:AAAA").await
}

#[tokio::test]
async fn only_a_trusted_vault_is_talked_to() {
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let server = |name: &str| {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let key = rustls_pki_types::PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let tls = tls.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        serve(tls.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let file = file.to_str().unwrap();

    let right = server("127.0.0.1");
    assert_eq!(unwrap(&right, Some(file)).await.unwrap().expose(), &[0; 32]);
    let wrong_name = server("example.com");
    for (address, ca_file) in [(&right, None), (&wrong_name, Some(file))] {
        let error = unwrap(address, ca_file).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Configuration, "not worth another try");
        assert!(error.message.contains("certificate is not trusted; check `keys.vault.ca_file`"), "{}", error.message);
    }
}
