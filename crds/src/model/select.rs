//! Label selectors, checked once and then only matched.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use thiserror::Error;

use super::Config;
use super::problem::{Mistakes, ProblemReason};

/// The labels of an object.
pub type Labels = BTreeMap<String, String>;

/// A label selector that is known to be valid. All requirements must hold; without any it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selector {
    requirements: BTreeSet<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Requirement {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Selector {
    /// The selector that matches everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Checks a selector and makes it ready to match.
    ///
    /// # Errors
    ///
    /// Refuses unknown operators, missing keys, operators with too few or too many values, and anything written twice.
    pub fn compile(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let labels = selector.match_labels.iter().flatten();
        let mut requirements: BTreeSet<_> =
            labels.map(|(key, value)| Requirement::In(key.clone(), BTreeSet::from([value.clone()]))).collect();
        let mut seen = BTreeSet::new();
        for expression in selector.match_expressions.iter().flatten() {
            let key = expression.key.clone();
            if key.is_empty() {
                return Err(SelectorError::NoKey);
            }
            let listed = expression.values.as_deref().unwrap_or_default();
            let values: BTreeSet<String> = listed.iter().cloned().collect();
            if values.len() < listed.len() {
                return Err(SelectorError::DuplicateValue { key });
            }
            let operator = expression.operator.as_str();
            let requirement = match (operator, values.is_empty()) {
                ("In" | "NotIn", true) => return Err(SelectorError::NoValues { key, operator: operator.to_owned() }),
                ("Exists" | "DoesNotExist", false) => {
                    return Err(SelectorError::UnwantedValues { key, operator: operator.to_owned() });
                }
                ("In", _) => Requirement::In(key.clone(), values),
                ("NotIn", _) => Requirement::NotIn(key.clone(), values),
                ("Exists", _) => Requirement::Exists(key.clone()),
                ("DoesNotExist", _) => Requirement::DoesNotExist(key.clone()),
                _ => return Err(SelectorError::UnknownOperator { key, operator: operator.to_owned() }),
            };
            if !seen.insert(requirement.clone()) {
                return Err(SelectorError::DuplicateExpression { key });
            }
            requirements.insert(requirement);
        }
        Ok(Self { requirements })
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.requirements.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => labels.get(key).is_some_and(|value| values.contains(value)),
            Requirement::NotIn(key, values) => labels.get(key).is_none_or(|value| !values.contains(value)),
            Requirement::Exists(key) => labels.contains_key(key),
            Requirement::DoesNotExist(key) => !labels.contains_key(key),
        })
    }
}

/// Compiles a list of selectors, of which any is enough.
pub(super) fn compile_all(field: &str, selectors: &[LabelSelector], mistakes: &mut Mistakes) -> Vec<Selector> {
    let mut compiled = Vec::new();
    for (at, selector) in selectors.iter().enumerate() {
        match Selector::compile(selector) {
            Err(why) => mistakes.add(ProblemReason::BadSelector, format!("{field}[{at}]: {why}")),
            Ok(selector) => match compiled.iter().position(|other| *other == selector) {
                Some(first) => mistakes.add(
                    ProblemReason::Duplicate,
                    format!("{field}[{at}] says the same as {field}[{first}]: remove one of them"),
                ),
                None => compiled.push(selector),
            },
        }
    }
    compiled
}

/// The nodes that any of the selectors matches, by name; all of them where no selector is `written`.
pub(super) fn matching_nodes(written: &[LabelSelector], selectors: &[Selector], config: &Config) -> BTreeSet<String> {
    let nodes = config.nodes.iter();
    nodes
        .filter(|(_, node)| written.is_empty() || any_matches(selectors, Some(&node.labels)))
        .map(|(name, _)| name.clone())
        .collect()
}

/// The pools that exist and are named or matched by any of the selectors; all of them where neither names nor selectors are written.
pub(super) fn matching_pools(
    names: &[String],
    written: &[LabelSelector],
    selectors: &[Selector],
    config: &Config,
) -> BTreeSet<String> {
    let every_pool = names.is_empty() && written.is_empty();
    let pools = config.pools.iter().filter(|(name, pool)| {
        every_pool || names.contains(*name) || any_matches(selectors, pool.metadata.labels.as_ref())
    });
    pools.map(|(name, _)| name.clone()).collect()
}

fn any_matches(selectors: &[Selector], labels: Option<&Labels>) -> bool {
    let none = Labels::new();
    let labels = labels.unwrap_or(&none);
    selectors.iter().any(|selector| selector.matches(labels))
}

/// Makes a set of a list of names.
pub(super) fn unique(field: &str, names: &[String], mistakes: &mut Mistakes) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    for name in names {
        if !set.insert(name.clone()) {
            mistakes.add(ProblemReason::Duplicate, format!("{field} lists \"{name}\" twice: remove one of them"));
        }
    }
    set
}

/// Why a label selector is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SelectorError {
    /// An expression names no label.
    #[error("a match expression has no key")]
    NoKey,
    /// The operator does not exist.
    #[error("the operator \"{operator}\" for the key \"{key}\" is unknown: use In, NotIn, Exists or DoesNotExist")]
    UnknownOperator {
        /// The label.
        key: String,
        /// The operator.
        operator: String,
    },
    /// In and NotIn need values.
    #[error("the operator {operator} for the key \"{key}\" needs at least one value")]
    NoValues {
        /// The label.
        key: String,
        /// The operator.
        operator: String,
    },
    /// Exists and DoesNotExist take no values.
    #[error("the operator {operator} for the key \"{key}\" takes no values")]
    UnwantedValues {
        /// The label.
        key: String,
        /// The operator.
        operator: String,
    },
    /// A value is listed twice.
    #[error("the match expression for the key \"{key}\" lists a value twice")]
    DuplicateValue {
        /// The label.
        key: String,
    },
    /// An expression is listed twice.
    #[error("the same match expression for the key \"{key}\" is listed twice")]
    DuplicateExpression {
        /// The label.
        key: String,
    },
}

#[cfg(test)]
mod tests;
