//! BGP communities, and the names that users give them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use super::Config;
use super::age::age;
use super::problem::{Kind, Mistakes, Problem, ProblemReason};

/// A community that routes are tagged with. Displays as users write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Community {
    /// `11:22` (RFC 1997)
    Standard(u16, u16),
    /// `large:11:22:33` (RFC 8092)
    Large(u32, u32, u32),
}

impl fmt::Display for Community {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standard(high, low) => write!(f, "{high}:{low}"),
            Self::Large(global, first, second) => write!(f, "large:{global}:{first}:{second}"),
        }
    }
}

impl FromStr for Community {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let read = match parts[..] {
            [high, low] => number(high).zip(number(low)).map(|(high, low)| Self::Standard(high, low)),
            ["large", global, first, second] => match (number(global), number(first), number(second)) {
                (Some(global), Some(first), Some(second)) => Some(Self::Large(global, first, second)),
                _ => None,
            },
            _ => None,
        };
        read.ok_or_else(|| {
            format!(
                "\"{text}\" is not a community: write 11:22 with numbers up to 65535, or large:11:22:33 with numbers up to 4294967295"
            )
        })
    }
}

/// Digits only: no sign, no space.
fn number<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// The aliases in force, by name. An object that defines an alias of an older object is set aside whole.
pub(super) fn read_aliases(config: &Config, problems: &mut Vec<Problem>) -> BTreeMap<String, Community> {
    let mut oldest_first: Vec<_> = config.communities.iter().collect();
    oldest_first.sort_by_key(|(name, object)| age(name, &object.metadata));
    let mut owners: BTreeMap<String, (Community, &str)> = BTreeMap::new();
    for (name, object) in oldest_first {
        let mut mistakes = Mistakes::of(Kind::Community, name);
        let mut own: BTreeMap<String, Community> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (at, alias) in object.spec.communities.iter().enumerate() {
            let field = format!("spec.communities[{at}]");
            if alias.name.is_empty() {
                mistakes.add(ProblemReason::BadCommunity, format!("{field}.name is empty: give the community a name"));
            } else if !seen.insert(alias.name.as_str()) {
                let message = format!("{field}.name \"{}\" is defined twice: remove one of them", alias.name);
                mistakes.add(ProblemReason::Duplicate, message);
            } else if let Some((_, owner)) = owners.get(&alias.name) {
                let message = format!(
                    "{field}.name \"{}\" is defined by the older Community {owner}, which stays in force: choose another name",
                    alias.name
                );
                mistakes.add(ProblemReason::AliasTaken, message);
            }
            match alias.value.parse() {
                Ok(value) => drop(own.insert(alias.name.clone(), value)),
                Err(why) => mistakes.add(ProblemReason::BadCommunity, format!("{field}.value: {why}")),
            }
        }
        match mistakes.or(own) {
            Ok(own) => {
                owners.extend(own.into_iter().map(|(alias, value)| (alias, (value, name.as_str()))));
            }
            Err(found) => problems.extend(found),
        }
    }
    owners.into_iter().map(|(alias, (value, _))| (alias, value)).collect()
}
