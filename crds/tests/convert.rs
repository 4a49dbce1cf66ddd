//! The two versions of BGPPeer: nothing is lost on the way up, and on the way down only what the old version has no word for.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use herald_crds::api::bgp_peer::convert::{ConvertError, NEW, OLD, convert};
use serde_json::{Value, json};

#[test]
fn an_old_peer_goes_up_and_comes_back_as_it_was() {
    let spec = json!({
        "myASN": 64512, "peerASN": 64513, "peerAddress": "192.0.2.1", "sourceAddress": "192.0.2.2", "peerPort": 1179, "holdTime": "1m30s",
        "keepaliveTime": "0s", "routerID": "192.0.2.3", "password": "secret", "bfdProfile": "fast", "ebgpMultiHop": true,
        "nodeSelectors": [{"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "k", "operator": "In", "values": ["v"]}]}],
    });
    let old = object(OLD, spec.clone());
    let new = convert(&old, NEW).unwrap();
    let mut up = spec;
    for field in ["disableMP", "dualStackAddressFamily"] {
        up[field] = json!(false);
    }
    assert_eq!(new, object(NEW, up));
    assert_eq!(convert(&new, OLD).unwrap(), old);
}

#[test]
fn a_port_of_nothing_is_the_usual_one() {
    for port in [json!({}), json!({"peerPort": 0}), json!({"peerPort": null})] {
        let mut spec = json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1"});
        spec.as_object_mut().unwrap().extend(port.as_object().unwrap().clone());
        assert_eq!(convert(&object(OLD, spec), NEW).unwrap()["spec"]["peerPort"], json!(179));
    }
}

#[test]
fn what_the_old_version_has_no_word_for_is_left_out_of_it() {
    let new = object(
        NEW,
        json!({"myASN": 1, "dynamicASN": "external", "interface": "eth0", "vrf": "red", "localASN": 3, "connectTime": "10s",
        "passwordSecret": {"name": "s"}, "enableGracefulRestart": true, "disableMP": true, "dualStackAddressFamily": true}),
    );
    let old = convert(&new, OLD).unwrap();
    assert_eq!(old, object(OLD, json!({"myASN": 1, "peerASN": 0, "peerAddress": "", "peerPort": 179})));
}

#[test]
fn everything_around_the_spec_stays_as_it_is() {
    let mut old = object(OLD, json!({"myASN": 1, "peerASN": 2, "peerAddress": "192.0.2.1"}));
    old["metadata"]["aFieldOfALaterVersion"] = json!([1]);
    old["status"] = json!({});
    let new = convert(&old, NEW).unwrap();
    assert_eq!((&new["metadata"], &new["status"]), (&old["metadata"], &old["status"]));
}

#[test]
fn an_object_that_has_the_wanted_version_is_not_touched() {
    let odd = object(NEW, json!({"myASN": "no number"}));
    assert_eq!(convert(&odd, NEW), Ok(odd));
}

#[test]
fn what_cannot_be_converted_is_refused_with_a_reason() {
    let unknown = |version: &str| ConvertError::UnknownVersion { version: version.to_owned() };
    assert_eq!(convert(&object("metallb.io/v1", json!({})), NEW), Err(unknown("metallb.io/v1")));
    assert_eq!(convert(&object(OLD, json!({})), "v1beta2"), Err(unknown("v1beta2")));
    assert_eq!(convert(&json!(7), NEW), Err(unknown("")));
    let error = convert(&object(OLD, json!({"myASN": "no number"})), NEW).unwrap_err().to_string();
    assert!(error.starts_with("this is not a BGPPeer of metallb.io/v1beta1: spec: "), "{error}");
}

fn object(version: &str, spec: Value) -> Value {
    json!({"apiVersion": version, "kind": "BGPPeer", "metadata": {"name": "p", "uid": "u"}, "spec": spec})
}
