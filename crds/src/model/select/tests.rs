use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelectorRequirement;

use super::*;

#[test]
fn every_operator_matches_as_in_kubernetes() {
    let zone = |value: &str| Labels::from([("zone".to_owned(), value.to_owned())]);
    let none = Labels::new();
    let table = [
        ("In", vec!["a", "b"], [true, false, false]),
        ("NotIn", vec!["a", "b"], [false, true, true]),
        ("Exists", vec![], [true, true, false]),
        ("DoesNotExist", vec![], [false, false, true]),
    ];
    for (operator, values, matches) in table {
        let selector = Selector::compile(&expressions(&[("zone", operator, &values)])).unwrap();
        assert_eq!([&zone("a"), &zone("c"), &none].map(|labels| selector.matches(labels)), matches, "{operator}");
    }
}

#[test]
fn all_requirements_must_hold() {
    let mut selector = expressions(&[("zone", "Exists", &[])]);
    selector.match_labels = Some(Labels::from([("app".to_owned(), "web".to_owned())]));
    let selector = Selector::compile(&selector).unwrap();
    let labels = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    assert!(selector.matches(&labels(&[("app", "web"), ("zone", "x")])));
    assert!(!selector.matches(&labels(&[("app", "web")])));
    assert!(!selector.matches(&labels(&[("zone", "x")])));
}

#[test]
fn an_empty_selector_matches_everything() {
    let selector = Selector::compile(&LabelSelector::default()).unwrap();
    assert_eq!(selector, Selector::everything());
    assert!(selector.matches(&Labels::new()));
}

#[test]
fn the_order_of_expressions_and_values_makes_no_difference() {
    let one = Selector::compile(&expressions(&[("a", "In", &["x", "y"]), ("b", "Exists", &[])]));
    let other = Selector::compile(&expressions(&[("b", "Exists", &[]), ("a", "In", &["y", "x"])]));
    assert_eq!(one, other);
}

#[test]
fn a_selector_that_makes_no_sense_is_refused() {
    let key = || "k".to_owned();
    let operator = |o: &str| o.to_owned();
    let table: [(&[Expression<'_>], SelectorError); 8] = [
        (&[("", "Exists", &[])], SelectorError::NoKey),
        (&[("k", "in", &["a"])], SelectorError::UnknownOperator { key: key(), operator: operator("in") }),
        (&[("k", "", &[])], SelectorError::UnknownOperator { key: key(), operator: operator("") }),
        (&[("k", "In", &[])], SelectorError::NoValues { key: key(), operator: operator("In") }),
        (&[("k", "NotIn", &[])], SelectorError::NoValues { key: key(), operator: operator("NotIn") }),
        (&[("k", "Exists", &["a"])], SelectorError::UnwantedValues { key: key(), operator: operator("Exists") }),
        (&[("k", "In", &["a", "a"])], SelectorError::DuplicateValue { key: key() }),
        (&[("k", "In", &["a", "b"]), ("k", "In", &["b", "a"])], SelectorError::DuplicateExpression { key: key() }),
    ];
    for (written, error) in table {
        assert_eq!(Selector::compile(&expressions(written)), Err(error), "{written:?}");
    }
}

type Expression<'a> = (&'a str, &'a str, &'a [&'a str]);

fn expressions(written: &[Expression<'_>]) -> LabelSelector {
    let expression = |(key, operator, values): &Expression<'_>| LabelSelectorRequirement {
        key: (*key).to_owned(),
        operator: (*operator).to_owned(),
        values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
    };
    LabelSelector { match_expressions: Some(written.iter().map(expression).collect()), match_labels: None }
}
