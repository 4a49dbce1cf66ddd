//! The conversion webhook: a `BGPPeer` in the version that the API server asks for. No I/O.

use herald_crds::api::bgp_peer::convert::convert;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Review {
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    #[serde(rename = "desiredAPIVersion")]
    wanted: String,
    objects: Vec<Value>,
}

/// The answer to a ConversionReview: every object, in order, or why the first one that cannot be converted cannot.
///
/// # Errors
/// Says what is no question in the body.
pub(super) fn answer(body: &[u8]) -> Result<String, String> {
    let review: Review = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let request = review.request.ok_or("it has no request")?;
    let converted: Result<Vec<_>, _> = request.objects.iter().map(|object| convert(object, &request.wanted)).collect();
    let response = match converted {
        Ok(objects) => json!({"uid": request.uid, "convertedObjects": objects, "result": {"status": "Success"}}),
        Err(error) => {
            json!({"uid": request.uid, "convertedObjects": [], "result": {"status": "Failure", "message": error.to_string()}})
        }
    };
    Ok(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(wanted: &str) -> Value {
        let peer = json!({"apiVersion": "metallb.io/v1beta1", "kind": "BGPPeer", "metadata": {"name": "a", "uid": "b"},
            "spec": {"myASN": 64500, "peerASN": 64501, "peerAddress": "192.0.2.1"}});
        let review = json!({"request": {"uid": "u", "desiredAPIVersion": wanted, "objects": [peer]}});
        serde_json::from_str(&answer(review.to_string().as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn an_object_comes_back_in_the_version_that_is_wanted() {
        let response = &ask("metallb.io/v1beta2")["response"];
        assert_eq!(response["uid"], "u");
        assert_eq!(response["result"]["status"], "Success");
        let object = &response["convertedObjects"][0];
        assert_eq!(object["apiVersion"], "metallb.io/v1beta2");
        assert_eq!(object["spec"]["peerAddress"], "192.0.2.1");
        assert_eq!(object["metadata"], json!({"name": "a", "uid": "b"}));
    }

    #[test]
    fn a_version_that_does_not_exist_fails_with_its_name() {
        let result = &ask("metallb.io/v9")["response"]["result"];
        assert_eq!(result["status"], "Failure");
        assert!(result["message"].as_str().unwrap().contains("metallb.io/v9"), "{result}");
    }

    #[test]
    fn garbage_is_no_question() {
        for body in ["", "{}", "[]", "{\"request\":{}}", "{\"request\":{\"uid\":1}}"] {
            assert!(answer(body.as_bytes()).is_err(), "{body}");
        }
    }
}
