//! The secrets of one lab: a certificate authority with the API server's certificate, the front proxy's pair, the key that signs
//! ServiceAccount tokens, and one bearer token for each user.
//!
//! Everything is made anew for every lab and lives in its directory: nothing here protects anything outside it. Elliptic curve keys
//! only, because they cost microseconds to make.

use std::{fs, io::Read, net::IpAddr, os::unix::fs::OpenOptionsExt, path::Path};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};

/// Names under which a Pod reaches the API server.
const SERVICE_NAMES: [&str; 4] =
    ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];

/// Writes the certificate authority, the API server's certificate for `addresses`, the front proxy's authority and client pair,
/// and the ServiceAccount key pair into `directory`.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write(directory: &Path, addresses: &[IpAddr]) -> Result<()> {
    let cluster = Authority::new("herald-lab")?;
    let mut names: Vec<String> = SERVICE_NAMES.iter().map(ToString::to_string).collect();
    names.push("localhost".to_owned());
    names.extend(addresses.iter().map(ToString::to_string));
    let server = cluster.issue("kube-apiserver", names, ExtendedKeyUsagePurpose::ServerAuth)?;
    file(&directory.join("ca.crt"), &cluster.certificate)?;
    file(&directory.join("apiserver.crt"), &server.certificate)?;
    file(&directory.join("apiserver.key"), &server.key)?;

    let proxy = Authority::new("herald-lab-front-proxy")?;
    let client = proxy.issue("front-proxy-client", Vec::new(), ExtendedKeyUsagePurpose::ClientAuth)?;
    file(&directory.join("front-proxy-ca.crt"), &proxy.certificate)?;
    file(&directory.join("front-proxy.crt"), &client.certificate)?;
    file(&directory.join("front-proxy.key"), &client.key)?;

    let signer = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    file(&directory.join("service-account.key"), &signer.serialize_pem())?;
    file(&directory.join("service-account.pub"), &signer.public_key_pem())
}

/// A fresh bearer token.
///
/// # Errors
///
/// When the system gives no random bytes.
pub fn token() -> Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("reading random bytes")?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes `content` to a file that only its owner reads.
pub(crate) fn file(path: &Path, content: &str) -> Result<()> {
    use std::io::Write as _;
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .with_context(|| format!("writing {}", path.display()))
}

/// A certificate that nobody has signed and its key, both in DER: for a server that its only client does not check.
pub(crate) fn unsigned(name: &str) -> Result<(Vec<u8>, Vec<u8>)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = params(name, vec![name.to_owned()])?.self_signed(&key)?;
    Ok((certificate.der().to_vec(), key.serialize_der()))
}

struct Pair {
    certificate: String,
    key: String,
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    fn new(name: &str) -> Result<Self> {
        let mut params = params(name, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), certificate })
    }

    fn issue(&self, name: &str, alternative: Vec<String>, usage: ExtendedKeyUsagePurpose) -> Result<Pair> {
        let mut params = params(name, alternative)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let certificate = params.signed_by(&key, &self.issuer)?.pem();
        Ok(Pair { certificate, key: key.serialize_pem() })
    }
}

fn params(name: &str, alternative: Vec<String>) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(alternative)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
