//! What deletion protection forbids, and how it says so.

mod build;

use build::*;
use herald_allocator::{may_delete_pool, may_edit_pool};
use std::collections::BTreeMap;

fn annotations(value: &str) -> BTreeMap<String, String> {
    BTreeMap::from([("heraldlb.io/deletion-protection".to_owned(), value.to_owned())])
}

#[test]
fn what_is_not_protected_may_go() {
    let it = holding(&["10.0.0.1"], "a", service("web"));
    for value in ["false", "", "yes"] {
        let annotations = annotations(value);
        assert_eq!(may_delete_pool(&pool("a", &["10.0.0.0/24"]), Some(&annotations), [&it]), Ok(()));
    }
    assert_eq!(may_delete_pool(&pool("a", &["10.0.0.0/24"]), None, [&it]), Ok(()));
}

#[test]
fn a_refusal_names_who_uses_the_addresses_and_how_to_go_on() {
    let protected = annotations("true");
    let (x, y) = (holding(&["10.0.0.1"], "a", service("x")), holding(&["10.0.1.1"], "b", service("y")));
    let before = pool("a", &["10.0.0.0/24"]);
    let text = |result: Result<(), herald_allocator::Protection>| result.expect_err("protected").to_string();
    assert_eq!(
        text(may_delete_pool(&before, Some(&protected), [&x, &y])),
        "pool a is protected from deletion: in use by default/x (10.0.0.1); take the annotation heraldlb.io/deletion-protection off first if you mean it"
    );
    assert_eq!(
        text(may_edit_pool(&before, Some(&protected), &pool("a", &["10.0.0.2-10.0.0.9"]), [&x, &y])),
        "pool a is protected and the edit leaves out addresses in use: in use by default/x (10.0.0.1); take the annotation heraldlb.io/deletion-protection off first if you mean it"
    );
    assert_eq!(may_edit_pool(&before, Some(&protected), &pool("a", &["10.0.0.0/31"]), [&x, &y]), Ok(()));
}
