//! Addresses that are kept for somebody.
//!
//! A reserved address goes only to a Service that one of the reservations on it names; an address in use stays where it is, whoever reserves it.
//! A reservation that yields, as those of deleted Services do, gives way when a Service would get nothing otherwise.

use herald_crds::{
    api::herald::{AddressReservation, Beneficiary},
    model::{Labels, Range, Selector, Service},
};

/// One reservation as allocation needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// What it keeps.
    pub ranges: Vec<Range>,
    /// For whom.
    pub keeper: Keeper,
    /// Whether it gives way to whoever would get nothing otherwise.
    pub yields: bool,
}

/// Whom addresses are kept for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// Nobody gets them.
    Nobody,
    /// Every Service that all of this matches.
    Services {
        /// Its namespace.
        namespace: Option<String>,
        /// Its name.
        name: Option<String>,
        /// Its labels.
        selector: Selector,
    },
}

impl Keeper {
    /// Whether a Service may have them.
    pub fn includes(&self, service: &Service) -> bool {
        let is = |wanted: &Option<String>, found: &String| wanted.as_ref().is_none_or(|wanted| wanted == found);
        match self {
            Self::Nobody => false,
            Self::Services { namespace, name, selector } => {
                let labels: &Labels = &service.labels;
                is(namespace, &service.key.namespace) && is(name, &service.key.name) && selector.matches(labels)
            }
        }
    }
}

impl Reservation {
    /// Reads an object. What is not understood makes it a reservation of nothing.
    ///
    /// # Errors
    /// What is wrong, and what to write instead.
    pub fn read(object: &AddressReservation) -> Result<Self, String> {
        let spec = &object.spec;
        let mut ranges = Vec::new();
        for (at, entry) in spec.addresses.iter().enumerate() {
            ranges.push(Range::parse(entry).map_err(|why| format!("spec.addresses[{at}]: {why}"))?);
        }
        let keeper = match &spec.beneficiary {
            None => Keeper::Nobody,
            Some(Beneficiary { namespace: None, name: Some(_), .. }) => {
                return Err("spec.for.name needs spec.for.namespace beside it".to_owned());
            }
            Some(Beneficiary { namespace: None, name: None, selector: None }) => {
                return Err("spec.for is empty: give a namespace, a name or a selector, or leave it out".to_owned());
            }
            Some(Beneficiary { namespace, name, selector }) => Keeper::Services {
                namespace: namespace.clone(),
                name: name.clone(),
                selector: match selector {
                    Some(selector) => Selector::compile(selector).map_err(|why| format!("spec.for.selector: {why}"))?,
                    None => Selector::everything(),
                },
            },
        };
        Ok(Self { ranges, keeper, yields: spec.yields })
    }
}
