//! Who was there first. Where two objects contradict each other the older one stays in force, as it may be in use.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

/// Sorts older objects first. An object without a creation time (a file) is younger than every one that has it; equal ages go by name.
pub(super) type Age<'a> = (bool, Option<Timestamp>, &'a str);

pub(super) fn age<'a>(name: &'a str, metadata: &ObjectMeta) -> Age<'a> {
    let created = metadata.creation_timestamp.as_ref().map(|time| time.0);
    (created.is_none(), created, name)
}
