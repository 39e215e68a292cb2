//! TLS for the ports: a certificate authority made once, and a certificate for this machine signed by it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// What a server needs to speak TLS (HTTP/2 and HTTP/1.1 by ALPN), and what its clients need to trust it.
///
/// The certificate is for `localhost`, `127.0.0.1` and `::1`.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    ca_pem: Arc<str>,
}

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file of the certificate authority cannot be read or written.
    #[error("{}: {source}: give a folder that can be written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Keys or certificates cannot be made, or a file does not hold one.
    #[error("certificate: {problem}: remove {CA_KEY} and {CA} from the data folder if they were changed")]
    Certificate {
        /// What is wrong.
        problem: String,
    },
}

impl Tls {
    /// With an authority of its own, gone with the process.
    ///
    /// # Errors
    /// If the machine cannot make keys.
    pub fn generate() -> Result<Self, TlsError> {
        let key = KeyPair::generate().map_err(certificate)?;
        let ca_pem = ca().self_signed(&key).map_err(certificate)?.pem();
        Self::signed_by(key, &ca_pem)
    }

    /// With the authority in `folder`, which is made if there is none: clients that trust `ca.pem` once go on trusting
    /// it.
    ///
    /// # Errors
    /// If the files cannot be read or written, or hold something else.
    pub fn from_folder(folder: &Path) -> Result<Self, TlsError> {
        let (ca_file, key_file) = (folder.join(CA), folder.join(CA_KEY));
        if ca_file.exists() && key_file.exists() {
            let key = KeyPair::from_pem(&read(&key_file)?).map_err(certificate)?;
            return Self::signed_by(key, &read(&ca_file)?);
        }
        let key = KeyPair::generate().map_err(certificate)?;
        let ca_pem = ca().self_signed(&key).map_err(certificate)?.pem();
        write_secret(&key_file, &key.serialize_pem()).map_err(|source| TlsError::Io { path: key_file, source })?;
        std::fs::write(&ca_file, &ca_pem).map_err(|source| TlsError::Io { path: ca_file, source })?;
        Self::signed_by(key, &ca_pem)
    }

    /// The certificate of the authority, for `AWS_CA_BUNDLE` or a trust store.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    fn signed_by(ca_key: KeyPair, ca_pem: &str) -> Result<Self, TlsError> {
        let key = KeyPair::generate().map_err(certificate)?;
        let signed = server().map_err(certificate)?.signed_by(&key, &Issuer::new(ca(), ca_key)).map_err(certificate)?;
        let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // aws-lc gathers entropy for some 40 ms when it is first asked for chance; a double should be there at once.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let mut config = config
            .map_err(certificate)?
            .with_no_client_auth()
            .with_single_cert(vec![signed.der().clone()], secret)
            .map_err(certificate)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), ca_pem: ca_pem.into() })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Always the same but for the key: an authority that was read from a file signs as the one that was made.
fn ca() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "kcl-local test authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    params
}

fn server() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, "kcl-local");
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    params.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Python from 3.13 on refuses a certificate that does not say by which key it was signed.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn read(path: &Path) -> Result<String, TlsError> {
    std::fs::read_to_string(path).map_err(|source| TlsError::Io { path: path.to_owned(), source })
}

/// Whoever has the key can pretend to be any server that its clients talk to.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    let mut options = std::fs::File::options();
    options.create(true).write(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(text.as_bytes())
}

fn certificate(error: impl fmt::Display) -> TlsError {
    TlsError::Certificate { problem: error.to_string() }
}

const CA: &str = "ca.pem";
const CA_KEY: &str = "ca-key.pem";
