//! Secrets: read from files, never from the configuration or the environment, and never one that
//! everybody can look up.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sha2::{Digest, Sha256};

/// Longest secret file, in bytes.
const SECRET_MAX_BYTES: u64 = 4096;

/// SHA-256 of the secrets and passwords that gateways publish for demo and test accounts: anyone can
/// sign with them. Hashes, so that scanners for leaked secrets find nothing here.
const PUBLISHED: &[&str] = &include!("published_secrets.in");

/// Why a secret can't be used. Says nothing of its text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotASecret {
    #[error("can't read {path}: {why}")]
    Unreadable { path: String, why: String },
    #[error("{path} is empty")]
    Empty { path: String },
    #[error("{path} is longer than {SECRET_MAX_BYTES} bytes")]
    TooLong { path: String },
    #[error("{path} is not UTF-8 text")]
    NotText { path: String },
    #[error("{path} holds several lines; a secret is one")]
    SeveralLines { path: String },
}

/// Where `name` points: a bare name is a systemd credential where systemd gives any and has this
/// one; everything else is relative to the configuration's folder.
pub fn locate(name: &str, folder: &Path, credentials: Option<&Path>) -> PathBuf {
    if let Some(credentials) = credentials
        && !name.contains('/')
    {
        let credential = credentials.join(name);
        if credential.exists() {
            return credential;
        }
    }
    folder.join(name)
}

/// Reads one secret: one line; the line's end does not belong to it.
pub fn read(path: &Path) -> Result<SecretString, NotASecret> {
    let shown = path.display().to_string();
    let bytes = bounded(path)?;
    let text = String::from_utf8(bytes).map_err(|_| NotASecret::NotText { path: shown.clone() })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() {
        return Err(NotASecret::Empty { path: shown });
    }
    if line.contains(['\n', '\r']) {
        return Err(NotASecret::SeveralLines { path: shown });
    }
    Ok(SecretString::from(line))
}

/// Reads a pinned public key: DER, or PEM of one `PUBLIC KEY`.
pub fn read_pin(path: &Path) -> Result<Vec<u8>, NotASecret> {
    use base64::Engine as _;
    let bytes = bounded(path)?;
    let Some(text) = std::str::from_utf8(&bytes).ok().filter(|t| t.contains("-----BEGIN PUBLIC KEY-----")) else {
        return Ok(bytes);
    };
    let inner: String = text.lines().filter(|l| !l.starts_with("-----")).map(str::trim).collect();
    base64::engine::general_purpose::STANDARD
        .decode(inner)
        .map_err(|_| NotASecret::NotText { path: path.display().to_string() })
}

fn bounded(path: &Path) -> Result<Vec<u8>, NotASecret> {
    use std::io::Read;
    let shown = path.display().to_string();
    let unreadable = |e: std::io::Error| NotASecret::Unreadable { path: shown.clone(), why: e.to_string() };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(SECRET_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > SECRET_MAX_BYTES {
        return Err(NotASecret::TooLong { path: shown });
    }
    Ok(bytes)
}

/// Whether a file holds the key the sandbox signs XML with, which comes with the program: anyone can sign with it.
pub fn is_sandbox_pin(path: &Path) -> bool {
    const SANDBOX: &str = include_str!("../../../config/sandbox/gateway.pub");
    let read = |text: &str| crate::wire::wpg::pin_from_pem(text).ok();
    let pin = std::fs::read_to_string(path).ok().and_then(|text| read(&text));
    pin.is_some() && pin == read(SANDBOX)
}

/// Whether everybody can look this secret up.
pub fn is_published(secret: &str) -> bool {
    let digest = Sha256::digest(secret.as_bytes());
    let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
    PUBLISHED.contains(&hex.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s");
        for (content, expected) in [("abc\n", Some("abc")), ("abc\r\n", Some("abc")), (" a b ", Some(" a b "))] {
            std::fs::write(&path, content).expect("written");
            assert_eq!(read(&path).ok().as_ref().map(|s| s.expose_secret()), expected);
        }
        for bad in ["", "\n", "a\nb"] {
            std::fs::write(&path, bad).expect("written");
            assert!(read(&path).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_bare_name_is_a_credential_where_systemd_gives_one() {
        let credentials = tempfile::tempdir().expect("a folder");
        std::fs::write(credentials.path().join("wpg-secret"), "x").expect("written");
        let folder = Path::new("/etc/reconciled");
        let at = |name| locate(name, folder, Some(credentials.path()));
        assert_eq!(at("wpg-secret"), credentials.path().join("wpg-secret"));
        assert_eq!(at("other"), folder.join("other"));
        assert_eq!(at("secrets/wpg-secret"), folder.join("secrets/wpg-secret"));
        assert_eq!(locate("/abs", folder, None), Path::new("/abs"));
    }

    #[test]
    fn every_published_secret_is_known_by_its_hash() {
        assert!(PUBLISHED.len() > 50);
        assert!(PUBLISHED.iter().all(|h| h.len() == 64));
        assert!(!is_published("a secret of our own"));
    }
}
