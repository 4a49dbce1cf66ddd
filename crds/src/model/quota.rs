//! How many addresses of one pool a namespace may hold at once.
//!
//! ```text
//!   heraldlb.io/namespace-quotas: "team-a=5, team-b=20, *=10"      `*` is every namespace that is not named
//! ```
//!
//! Without the annotation there is no limit, and without `*` there is none for namespaces that are not named.

use std::collections::BTreeMap;

use super::problem::{Mistakes, ProblemReason};
use crate::keys::QUOTAS_ANNOTATION;

/// The limits of one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    named: BTreeMap<String, u32>,
    others: Option<u32>,
}

impl Quotas {
    /// How many addresses a namespace may hold; nothing means any number.
    pub fn of(&self, namespace: &str) -> Option<u32> {
        self.named.get(namespace).copied().or(self.others)
    }

    /// Whether nobody is limited.
    pub fn is_empty(&self) -> bool {
        self.named.is_empty() && self.others.is_none()
    }

    /// Reads the value of the annotation.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut quotas = Self::default();
        for entry in text.split(',').map(str::trim) {
            let Some((namespace, number)) = entry.split_once('=').map(|(a, b)| (a.trim(), b.trim())) else {
                return Err(format!("\"{entry}\" is no limit: write NAMESPACE=NUMBER, and *=NUMBER for all others"));
            };
            let Ok(number) = number.parse() else {
                return Err(format!("\"{entry}\" ends in no number: write how many addresses {namespace} may hold"));
            };
            let first = if namespace == "*" {
                quotas.others.replace(number).is_none()
            } else if is_name(namespace) {
                quotas.named.insert(namespace.to_owned(), number).is_none()
            } else {
                return Err(format!("\"{namespace}\" is no name of a namespace"));
            };
            if !first {
                return Err(format!("\"{namespace}\" is listed twice: remove one of the two limits"));
            }
        }
        Ok(quotas)
    }

    pub(super) fn read(annotation: Option<&String>, mistakes: &mut Mistakes) -> Self {
        match annotation.map(|text| Self::parse(text)) {
            None => Self::default(),
            Some(Ok(quotas)) => quotas,
            Some(Err(why)) => {
                mistakes.add(ProblemReason::BadQuota, format!("annotation {QUOTAS_ANNOTATION}: {why}"));
                Self::default()
            }
        }
    }
}

/// RFC 1123 label, as the API server takes it for a namespace.
fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
