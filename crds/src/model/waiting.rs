//! Objects that are sound but name others which are not there yet.

use std::fmt;

use super::problem::{Kind, ObjectRef};

/// An object that comes into force as soon as what it names is there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The object that waits.
    pub object: ObjectRef,
    /// What it waits for; never empty.
    pub missing: Vec<Missing>,
}

/// Something that an object names and that is not there, or not in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// A BFDProfile of this name.
    BfdProfile(String),
    /// A Secret of this name.
    Secret(String),
    /// A Community object that defines this alias.
    CommunityAlias(String),
}

impl Waiting {
    /// The value, unless something is missing.
    pub(super) fn unless<T>(kind: Kind, name: &str, missing: Vec<Missing>, value: T) -> Result<T, Waiting> {
        if missing.is_empty() {
            Ok(value)
        } else {
            Err(Waiting { object: ObjectRef { kind, name: name.to_owned() }, missing })
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} waits for ", self.object)?;
        for (at, missing) in self.missing.iter().enumerate() {
            write!(f, "{}{missing}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BfdProfile(name) => write!(f, "the BFDProfile {name}"),
            Self::Secret(name) => write!(f, "the Secret {name}"),
            Self::CommunityAlias(name) => write!(f, "a Community that defines the alias \"{name}\""),
        }
    }
}
