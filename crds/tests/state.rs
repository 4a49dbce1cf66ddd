//! What a ConfigurationState shows of the findings.

#![allow(clippy::unwrap_used, reason = "a test whose input cannot be built has failed")]

use herald_crds::api::{ConfigurationResult, ConfigurationStateStatus};
use herald_crds::keys::CONTROLLER_CONDITION;
use herald_crds::model::{Findings, Kind, Missing, ObjectRef, Problem, ProblemReason, Waiting, configuration_state};
use k8s_openapi::jiff::Timestamp;

const SOUND: Findings<'static> = Findings::Read { problems: &[], waiting: &[] };

#[test]
fn a_sound_configuration_is_valid_and_says_nothing() {
    let status = state(SOUND, None, 100);
    assert_eq!((status.result, status.error_summary.as_str()), (Some(ConfigurationResult::Valid), ""));
    assert_eq!(shown(&status), ("True", "Reconciled", "", 100));
}

#[test]
fn mistakes_stand_one_a_line_in_summary_and_condition() {
    let problems = [problem("a", "is wrong"), problem("b", "is wrong too")];
    let status = state(Findings::Read { problems: &problems, waiting: &[] }, None, 100);
    let text = "IPAddressPool a: is wrong\nIPAddressPool b: is wrong too";
    assert_eq!((status.result, status.error_summary.as_str()), (Some(ConfigurationResult::Invalid), text));
    assert_eq!(shown(&status), ("False", "ConfigurationError", text, 100));
}

#[test]
fn what_waits_is_named_and_is_no_mistake() {
    let object = ObjectRef { kind: Kind::BGPPeer, name: "tor".to_owned() };
    let waiting = [Waiting { object, missing: vec![Missing::BfdProfile("fast".to_owned())] }];
    let status = state(Findings::Read { problems: &[], waiting: &waiting }, None, 100);
    assert_eq!((status.result, status.error_summary.as_str()), (Some(ConfigurationResult::Valid), ""));
    assert_eq!(shown(&status), ("True", "Reconciled", "BGPPeer tor waits for the BFDProfile fast", 100));
}

#[test]
fn before_everything_is_read_nothing_is_known() {
    let status = state(Findings::Unknown("not listed yet: nodes"), None, 100);
    assert_eq!((status.result, status.error_summary.as_str()), (Some(ConfigurationResult::Unknown), ""));
    assert_eq!(shown(&status), ("Unknown", "UnknownError", "not listed yet: nodes", 100));
}

#[test]
fn the_time_moves_only_with_the_status_of_the_condition() {
    let valid = state(SOUND, None, 100);
    assert_eq!(state(SOUND, Some(&valid), 200), valid);

    let (first, second) = ([problem("a", "one")], [problem("a", "two")]);
    let invalid = state(Findings::Read { problems: &first, waiting: &[] }, Some(&valid), 300);
    assert_eq!(shown(&invalid).3, 300);
    let other = state(Findings::Read { problems: &second, waiting: &[] }, Some(&invalid), 400);
    assert_eq!(shown(&other), ("False", "ConfigurationError", "IPAddressPool a: two", 300));
    assert_eq!(shown(&state(SOUND, Some(&other), 500)).3, 500);
}

#[test]
fn a_flood_of_mistakes_fits_what_the_api_server_takes() {
    let problems: Vec<Problem> = (0..5000).map(|at| problem(&format!("pool-{at}"), "ü is wrong")).collect();
    let status = state(Findings::Read { problems: &problems, waiting: &[] }, None, 100);
    let message = shown(&status).2;
    assert!(message.len() <= 32_768, "{}", message.len());
    let (named, rest) = (message.lines().count() - 1, message.lines().last().unwrap());
    assert_eq!(rest, format!("and {} more", 5000 - named));
    let one = [problem("a", &"x".repeat(40_000))];
    assert_eq!(shown(&state(Findings::Read { problems: &one, waiting: &[] }, None, 1)).2, "and 1 more");
}

fn state(findings: Findings<'_>, before: Option<&ConfigurationStateStatus>, second: i64) -> ConfigurationStateStatus {
    configuration_state(CONTROLLER_CONDITION, findings, before, Timestamp::from_second(second).unwrap())
}

fn shown(status: &ConfigurationStateStatus) -> (&str, &str, &str, i64) {
    let [condition] = status.conditions.as_slice() else { panic!("one condition: {status:?}") };
    assert_eq!(condition.type_, "poolReconcilerValid");
    let since = condition.last_transition_time.0.as_second();
    (&condition.status, &condition.reason, &condition.message, since)
}

fn problem(name: &str, message: &str) -> Problem {
    let object = ObjectRef { kind: Kind::IPAddressPool, name: name.to_owned() };
    Problem { object, reason: ProblemReason::BadAddresses, message: message.to_owned() }
}
