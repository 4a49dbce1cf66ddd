//! Guarded watches: one object that cannot be read stops nothing, and an API server that is away only delays news.
//!
//! [`watch`] follows one kind and yields [`Change`]s to apply to an index by key. Each object is parsed on arrival into
//! what its consumer needs, so that memory holds no managed fields or other ballast. [`watch_when_known`] does the same for a kind that the
//! cluster may not know.
//!
//! ```text
//!   list  ->  Reset { objects, invalid }          the whole set; what is not in it is gone
//!   watch ->  Apply(key, value) | Delete(key) | Invalid(key, error)
//!   away  ->  nothing: the consumer keeps what it knows; list again after 0.2 to 2 s, doubling
//! ```

use futures::{Stream, StreamExt, stream};
use kube::{
    Api, Resource, ResourceExt,
    api::ListParams,
    core::DeserializeGuard,
    runtime::{
        WatchStreamExt,
        utils::ResetTimerBackoff,
        watcher::{self, Event, ExponentialBackoff},
    },
};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, fmt, fmt::Debug, time::Duration};

/// The first try after a failure: an API server that only restarts is back at once.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// The longest wait: doubling it doubles how late a cluster hears of new Services after an outage, halving it doubles the
/// load with which thousands of speakers greet an API server that comes back. After an outage there are two: until the server
/// answers, and again when it answers that the place to resume from is gone.
const LAST_RETRY: Duration = Duration::from_secs(2);
/// How often to look whether a missing CRD is there: somebody who applies one expects its objects to count within half a minute.
const NO_KIND: Duration = Duration::from_secs(30);

/// Names an object of a kind that is known from the context.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// News about one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T> {
    /// The whole set as listed just now.
    Reset {
        /// Every object that could be read.
        objects: BTreeMap<Key, T>,
        /// Every object that could not, and why. The consumer should keep what it last knew of it.
        invalid: Vec<(Key, String)>,
    },
    /// An object is new or has changed.
    Apply(Key, T),
    /// An object is gone.
    Delete(Key),
    /// An object is new or has changed and cannot be read. The consumer should keep what it last knew of it.
    Invalid(Key, String),
}

/// Follows every object that `api` and `config` select, for ever. Failures are logged and tried again.
pub fn watch<K, T>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    parse: impl Fn(K) -> T + Send + 'static,
) -> impl Stream<Item = Change<T>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    T: Send + 'static,
{
    let kind = K::kind(&()).into_owned();
    let mut listing: Option<Listing<T>> = None;
    let delays = backon::ExponentialBuilder::new()
        .with_min_delay(FIRST_RETRY)
        .with_max_delay(LAST_RETRY)
        .with_factor(2.0)
        .without_max_times()
        .with_jitter();
    let backoff = ResetTimerBackoff::new(ExponentialBackoff::from(delays), 30 * LAST_RETRY);
    kube::runtime::watcher(api, config).backoff(backoff).filter_map(move |result| {
        let change = match result {
            Ok(Event::Init) => {
                listing = Some((BTreeMap::new(), Vec::new()));
                None
            }
            Ok(Event::InitApply(object)) => {
                let (objects, invalid) = listing.get_or_insert_default();
                let key = key_of(&object);
                match object.0 {
                    Ok(object) => drop(objects.insert(key, parse(object))),
                    Err(error) => invalid.push((key, error.error)),
                }
                None
            }
            Ok(Event::InitDone) => {
                let (objects, invalid) = listing.take().unwrap_or_default();
                tracing::debug!(kind, count = objects.len(), "listed");
                Some(Change::Reset { objects, invalid })
            }
            Ok(Event::Apply(object)) => {
                let key = key_of(&object);
                Some(match object.0 {
                    Ok(object) => Change::Apply(key, parse(object)),
                    Err(error) => Change::Invalid(key, error.error),
                })
            }
            Ok(Event::Delete(object)) => Some(Change::Delete(key_of(&object))),
            Err(error) => {
                tracing::warn!(kind, error = %chain(&error), "watch failed, trying again");
                None
            }
        };
        std::future::ready(change)
    })
}

/// Follows a kind as [`watch`] does, as soon as the cluster knows it. One whose CRD is not there, as with the CRDs of an older MetalLB, has no
/// objects until then.
pub fn watch_when_known<K, T>(
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
    parse: impl Fn(K) -> T + Send + 'static,
) -> impl Stream<Item = Change<T>> + Send
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + 'static,
    T: Send + 'static,
{
    let unknown = stream::unfold((api.clone(), false), |(api, again)| async move {
        if again {
            tokio::time::sleep(NO_KIND).await;
        }
        let none = || Change::Reset { objects: BTreeMap::new(), invalid: Vec::new() };
        is_unknown(&api).await.then(|| (none(), (api, true)))
    });
    unknown.chain(watch(api, config, parse))
}

/// Returns when the cluster knows a kind, or does not answer.
pub async fn until_known<K>(api: &Api<DeserializeGuard<K>>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    while is_unknown(api).await {
        tokio::time::sleep(NO_KIND).await;
    }
}

async fn is_unknown<K>(api: &Api<DeserializeGuard<K>>) -> bool
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let one = ListParams::default().limit(1);
    matches!(api.list_metadata(&one).await, Err(kube::Error::Api(status)) if status.is_not_found())
}

/// A list under way: what could be read and what could not.
type Listing<T> = (BTreeMap<Key, T>, Vec<(Key, String)>);

fn key_of<K: Resource<DynamicType = ()>>(object: &DeserializeGuard<K>) -> Key {
    Key { namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
}

/// Whether one resource version is older than another. They are decimal numbers that grow, except with API servers older than that guarantee; what
/// cannot be compared counts as news.
pub fn older(a: &str, b: &str) -> bool {
    matches!((a.parse::<u128>(), b.parse::<u128>()), (Ok(a), Ok(b)) if a < b)
}

/// An error with its causes in one line: the outermost alone often hides a missing permission.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers_and_what_is_none_is_news() {
        assert!(older("9", "10"));
        assert!(!older("10", "10") && !older("11", "10"));
        assert!(!older("abc", "10") && !older("9", ""));
    }
}
