//! The certificates of the webhooks: an authority of Herald's own, a serving certificate, and when to make either anew.
//!
//! Both live in one Secret, under the names that MetalLB uses (`ca.crt`, `ca.key`, `tls.crt`, `tls.key`), so that every replica serves the same.
//! When each ends is written beside them, in annotations; a Secret without those is somebody else's and is made anew.
//!
//! ```text
//!   no authority, or it ends in a year    -> make one; the old ones stay trusted
//!   somebody does not trust it yet        -> write `ca.crt` into the webhook configuration and the CRD
//!   trusted by all for ten seconds        -> issue a serving certificate under it     (at once, if no other one is in use)
//!   serving certificate ends in 90 days   -> issue another one
//!   an hour after the change              -> old authorities are trusted no more
//! ```
//!
//! At no instant does a replica serve what the API server does not trust: what is trusted changes before what is served. [`decide`] is a
//! function of values; [`keeper`] does what it says, and [`herald_runtime::tls`] hands the certificate to connections.

pub(crate) mod keeper;

use herald_runtime::tls;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use ring::digest::{SHA256, digest};
use std::{collections::BTreeMap, time::Duration};
use tokio_rustls::rustls::sign::CertifiedKey;

/// Life of an authority: that of MetalLB's.
const AUTHORITY_LIFE: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);
/// An authority that ends sooner than this is replaced: no certificate it issues shall outlive it.
const AUTHORITY_SPARE: SignedDuration = SignedDuration::from_hours(366 * 24);
/// Life of a serving certificate: that of MetalLB's.
const SERVING_LIFE: SignedDuration = SignedDuration::from_hours(365 * 24);
/// A serving certificate that ends sooner than this is replaced: a quarter of a year in which somebody notices that it is not.
const SERVING_SPARE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Certificates begin this much in the past: clocks differ.
const CLOCKS: SignedDuration = SignedDuration::from_hours(1);
/// From when all that trust certificates were told of an authority until it is used: API servers learn of it by watches of their own.
const SETTLE: Duration = Duration::from_secs(10);
/// How long old authorities stay trusted after the change.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// The common name of every authority: an issuer is made again from its key and this.
const AUTHORITY_NAME: &str = "herald-webhook-ca";
/// Authorities trusted at once, at most.
const TRUSTED: usize = 3;

const AUTHORITY_ENDS: &str = "heraldlb.io/ca-ends";
const SERVING_ENDS: &str = "heraldlb.io/cert-ends";
const SERVING_MADE: &str = "heraldlb.io/cert-made";
const SERVING_ISSUER: &str = "heraldlb.io/cert-issuer";
const SERVING_NAMES: &str = "heraldlb.io/cert-names";

/// What the Secret holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    authority: Option<Authority>,
    serving: Option<Serving>,
    /// Every authority to trust, in PEM, the newest first.
    trusted: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
struct Authority {
    certificate: String,
    key: String,
    ends: Timestamp,
}

/// A certificate to serve, and its key, in PEM.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Serving {
    pub(crate) certificate: String,
    pub(crate) key: String,
    ends: Timestamp,
    made: Timestamp,
    issuer: String,
    names: String,
}

// Keys are not shown.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("ends", &self.ends).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("ends", &self.ends).field("names", &self.names).finish_non_exhaustive()
    }
}

/// What to do about the certificates.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Store this.
    Store(Box<Stored>),
    /// Have this bundle trusted.
    Trust(String),
    /// Nothing before so much time has passed or something changed.
    Rest(Duration),
}

/// What is trusted by those who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trust {
    /// The bundle of each, in PEM; empty where there is none yet.
    pub(crate) bundles: Vec<String>,
    /// For how long they have all had what the Secret says.
    pub(crate) settled: Duration,
}

/// The names that a serving certificate is for.
pub(crate) fn names(service: &str, namespace: &str) -> Vec<String> {
    ["", ".cluster.local"].iter().map(|tail| format!("{service}.{namespace}.svc{tail}")).collect()
}

/// The next step. A pure function, but for the randomness of keys.
///
/// # Errors
/// No key can be made, which has no cause that a user could remove.
pub(crate) fn decide(stored: &Stored, trust: &Trust, names: &[String], now: Timestamp) -> Result<Step, rcgen::Error> {
    let lasting = stored.authority.as_ref().filter(|authority| authority.ends.duration_since(now) > AUTHORITY_SPARE);
    let Some(authority) = lasting else {
        let mut fresh = Stored { authority: Some(Authority::new(now)?), ..stored.clone() };
        // What is trusted now goes on being trusted: it may be what is served.
        let old = stored.trusted.iter().cloned().chain(trust.bundles.iter().flat_map(|bundle| split(bundle)));
        fresh.trusted = fresh.authority.iter().map(|authority| authority.certificate.clone()).collect();
        for certificate in old {
            if fresh.trusted.len() < TRUSTED && !fresh.trusted.contains(&certificate) {
                fresh.trusted.push(certificate);
            }
        }
        if trust.bundles.iter().all(String::is_empty) {
            fresh.serving = fresh.authority.as_ref().map(|authority| authority.issue(names, now)).transpose()?;
        }
        return Ok(Step::Store(Box::new(fresh)));
    };
    let bundle = stored.trusted.concat();
    if trust.bundles.iter().any(|trusted| *trusted != bundle) {
        return Ok(Step::Trust(bundle));
    }
    let issuer = authority.fingerprint();
    match stored.serving.as_ref() {
        Some(serving)
            if serving.issuer == issuer
                && serving.names == names.join(",")
                && serving.ends.duration_since(now) > SERVING_SPARE =>
        {
            let overlap = OVERLAP - now.duration_since(serving.made);
            if stored.trusted.len() > 1 && !overlap.is_positive() {
                let trusted = vec![authority.certificate.clone()];
                return Ok(Step::Store(Box::new(Stored { trusted, ..stored.clone() })));
            }
            let renewal = serving.ends.duration_since(now) - SERVING_SPARE;
            let rest = if stored.trusted.len() > 1 { overlap } else { renewal };
            Ok(Step::Rest(rest.try_into().unwrap_or(Duration::ZERO)))
        }
        // Only the authority is new to those who ask.
        serving if serving.is_none_or(|serving| serving.issuer != issuer) && trust.settled < SETTLE => {
            Ok(Step::Rest(SETTLE - trust.settled))
        }
        _ => {
            let serving = Some(authority.issue(names, now)?);
            Ok(Step::Store(Box::new(Stored { serving, ..stored.clone() })))
        }
    }
}

/// The certificates of a bundle, each as its own text.
fn split(bundle: &str) -> Vec<String> {
    const END: &str = "-----END CERTIFICATE-----";
    let parts = bundle.split_inclusive(END).filter(|part| part.ends_with(END));
    parts.filter_map(|part| part.find("-----BEGIN").map(|at| format!("{}\n", &part[at..]))).collect()
}

impl Authority {
    fn new(now: Timestamp) -> Result<Self, rcgen::Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let ends = now + AUTHORITY_LIFE;
        let mut params = Self::params()?;
        valid(&mut params, now - CLOCKS, ends);
        Ok(Self { certificate: params.self_signed(&key)?.pem(), key: key.serialize_pem(), ends })
    }

    fn params() -> Result<CertificateParams, rcgen::Error> {
        let mut params = named(AUTHORITY_NAME, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(params)
    }

    fn issue(&self, names: &[String], now: Timestamp) -> Result<Serving, rcgen::Error> {
        let issuer = Issuer::new(Self::params()?, KeyPair::from_pem(&self.key)?);
        let mut params = named("herald-webhook", names.to_vec())?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let ends = now + SERVING_LIFE;
        valid(&mut params, now - CLOCKS, ends);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        Ok(Serving {
            certificate: params.signed_by(&key, &issuer)?.pem(),
            key: key.serialize_pem(),
            ends,
            made: now,
            issuer: self.fingerprint(),
            names: names.join(","),
        })
    }

    fn fingerprint(&self) -> String {
        let digest = digest(&SHA256, self.certificate.as_bytes());
        digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

fn named(name: &str, alternative: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(alternative)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// Sets when a certificate begins and ends, in whole seconds, as certificates have them.
fn valid(params: &mut CertificateParams, from: Timestamp, until: Timestamp) {
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    params.not_before = epoch + since(from);
    params.not_after = epoch + since(until);
}

impl Stored {
    /// Reads a Secret. What is missing or not ours is left out.
    pub(crate) fn read(secret: &Secret) -> Self {
        let text = |key: &str| {
            let bytes = secret.data.as_ref()?.get(key)?.0.clone();
            String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
        };
        let note = |key: &str| secret.metadata.annotations.as_ref()?.get(key).cloned();
        let at = |key: &str| note(key)?.parse::<Timestamp>().ok();
        let trusted = text("ca.crt").map(|bundle| split(&bundle)).unwrap_or_default();
        let authority = || {
            let key = text("ca.key").filter(|key| KeyPair::from_pem(key).is_ok())?;
            Some(Authority { certificate: trusted.first()?.clone(), key, ends: at(AUTHORITY_ENDS)? })
        };
        let serving = || {
            Some(Serving {
                certificate: text("tls.crt")?,
                key: text("tls.key")?,
                ends: at(SERVING_ENDS).unwrap_or(Timestamp::MIN),
                made: at(SERVING_MADE).unwrap_or(Timestamp::MIN),
                issuer: note(SERVING_ISSUER).unwrap_or_default(),
                names: note(SERVING_NAMES).unwrap_or_default(),
            })
        };
        Self { authority: authority(), serving: serving(), trusted }
    }

    /// What there is to serve.
    pub(crate) fn serving(&self) -> Option<&Serving> {
        self.serving.as_ref()
    }

    /// Puts everything into a Secret. What else is in it stays.
    pub(crate) fn write(&self, into: &mut Secret) {
        let mut data = BTreeMap::from([("ca.crt", self.trusted.concat())]);
        let mut notes = BTreeMap::new();
        if let Some(authority) = &self.authority {
            data.insert("ca.key", authority.key.clone());
            notes.insert(AUTHORITY_ENDS, authority.ends.to_string());
        }
        if let Some(serving) = &self.serving {
            data.insert("tls.crt", serving.certificate.clone());
            data.insert("tls.key", serving.key.clone());
            notes.insert(SERVING_ENDS, serving.ends.to_string());
            notes.insert(SERVING_MADE, serving.made.to_string());
            notes.insert(SERVING_ISSUER, serving.issuer.clone());
            notes.insert(SERVING_NAMES, serving.names.clone());
        }
        let all = into.data.get_or_insert_default();
        all.extend(data.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))));
        let annotations = into.metadata.annotations.get_or_insert_default();
        annotations.extend(notes.into_iter().map(|(key, text)| (key.to_owned(), text)));
    }
}

/// Reads a certificate and its key, so that they can be served.
///
/// # Errors
/// Says what is wrong with them, without showing the key.
fn certified(serving: &Serving) -> Result<CertifiedKey, String> {
    tls::read(serving.certificate.as_bytes(), serving.key.as_bytes())
}

/// A Secret that does not exist yet.
pub(crate) fn empty(name: &str) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests;
