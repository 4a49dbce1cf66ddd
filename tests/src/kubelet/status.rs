//! What is told about a pod: from the containers' states to the status object. Pure.

use std::net::IpAddr;

use k8s_openapi::{
    api::core::v1::{Pod, PodCondition},
    apimachinery::pkg::apis::meta::v1::Time,
};
use serde_json::{Value, json};

/// Set to `false` on a pod it makes the pod not Ready while its processes go on: a knob for tests.
pub const READY_ANNOTATION: &str = "lab.heraldlb.io/ready";

/// One container as its task last told about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Report {
    pub(super) state: State,
    pub(super) last: Option<Ended>,
    pub(super) id: String,
    pub(super) ready: bool,
    pub(super) started: bool,
    pub(super) restarts: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Waiting { reason: &'static str, message: String },
    Running { since: Time },
    Ended(Ended),
}

/// How a container's process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
    pub(super) message: String,
    pub(super) started: Time,
    pub(super) finished: Time,
    pub(super) id: String,
}

impl Report {
    pub(super) fn waiting(reason: &'static str, message: &str) -> Self {
        Self {
            state: State::Waiting { reason, message: message.to_owned() },
            last: None,
            id: String::new(),
            ready: false,
            started: false,
            restarts: 0,
        }
    }

    pub(super) fn succeeded(&self) -> bool {
        matches!(&self.state, State::Ended(ended) if ended.code == 0)
    }
}

/// Everything that a status is made of.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) pod: &'a Pod,
    pub(super) host_ips: &'a [IpAddr],
    pub(super) pod_ips: &'a [IpAddr],
    pub(super) since: &'a Time,
    pub(super) now: &'a Time,
    pub(super) init: &'a [Report],
    pub(super) containers: &'a [Report],
    /// The conditions told last, for the times of those that did not change.
    pub(super) told: &'a [PodCondition],
}

/// The status, and its conditions.
pub(super) fn status(view: &View<'_>) -> (Value, Vec<PodCondition>) {
    let spec = view.pod.spec.as_ref();
    let initialized = view.init.iter().all(Report::succeeded);
    let phase = phase(view, initialized);
    let conditions = conditions(view, initialized, phase);
    let specs = |init: bool| {
        let containers = if init {
            spec.and_then(|spec| spec.init_containers.as_deref())
        } else {
            spec.map(|spec| spec.containers.as_slice())
        };
        containers.unwrap_or_default().iter()
    };
    let statuses = |init: bool, reports: &[Report]| -> Vec<Value> {
        specs(init).zip(reports).map(|(container, report)| {
            json!({
                "name": container.name,
                "image": container.image,
                "imageID": container.image,
                "containerID": (!report.id.is_empty()).then(|| format!("process://{}", report.id)),
                "ready": if init { report.succeeded() } else { report.ready && gate(view.pod) },
                "started": report.started,
                "restartCount": report.restarts,
                "state": state(&report.state),
                "lastState": report.last.as_ref().map_or_else(|| json!({}), |last| json!({"terminated": ended(last)})),
            })
        }).collect()
    };
    let addresses = |all: &[IpAddr]| -> Vec<Value> { all.iter().map(|ip| json!({"ip": ip})).collect() };
    let mut status = json!({
        "phase": phase,
        "conditions": conditions,
        "startTime": view.since,
        "hostIP": view.host_ips.first(),
        "hostIPs": addresses(view.host_ips),
        "containerStatuses": statuses(false, view.containers),
    });
    if !view.init.is_empty() {
        status["initContainerStatuses"] = Value::Array(statuses(true, view.init));
    }
    if let Some(first) = view.pod_ips.first() {
        status["podIP"] = json!(first);
        status["podIPs"] = Value::Array(addresses(view.pod_ips));
    }
    (status, conditions)
}

/// Whether the pod's annotation lets it be Ready.
fn gate(pod: &Pod) -> bool {
    pod.metadata.annotations.as_ref().and_then(|all| all.get(READY_ANNOTATION)).is_none_or(|value| value != "false")
}

fn phase(view: &View<'_>, initialized: bool) -> &'static str {
    let policy = view.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let deleting = view.pod.metadata.deletion_timestamp.is_some();
    let over =
        !view.containers.is_empty() && view.containers.iter().all(|report| matches!(report.state, State::Ended(_)));
    if over && (policy != "Always" || deleting) {
        return if view.containers.iter().all(Report::succeeded) { "Succeeded" } else { "Failed" };
    }
    if policy == "Never"
        && view.init.iter().any(|report| matches!(report.state, State::Ended(_)) && !report.succeeded())
    {
        return "Failed";
    }
    let never_ran =
        view.containers.iter().any(|report| matches!(report.state, State::Waiting { .. }) && report.last.is_none());
    if !initialized || never_ran { "Pending" } else { "Running" }
}

fn conditions(view: &View<'_>, initialized: bool, phase: &str) -> Vec<PodCondition> {
    let present = view.pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let over = matches!(phase, "Succeeded" | "Failed");
    let containers_ready = !over && gate(view.pod) && view.containers.iter().all(|report| report.ready);
    let gates_open = view.pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten()).all(|gate| {
        present.iter().any(|condition| condition.type_ == gate.condition_type && condition.status == "True")
    });
    let ours = [
        ("PodReadyToStartContainers", !view.pod_ips.is_empty() && !over, None),
        ("Initialized", initialized, Some("ContainersNotInitialized")),
        (
            "Ready",
            containers_ready && gates_open,
            Some(if containers_ready { "ReadinessGatesNotReady" } else { "ContainersNotReady" }),
        ),
        ("ContainersReady", containers_ready, Some("ContainersNotReady")),
    ];
    let mut conditions: Vec<PodCondition> = ours
        .iter()
        .map(|(kind, value, reason)| {
            let status = if *value { "True" } else { "False" };
            let before = view.told.iter().find(|condition| condition.type_ == *kind && condition.status == status);
            PodCondition {
                type_: (*kind).to_owned(),
                status: status.to_owned(),
                reason: reason.filter(|_| !value).map(str::to_owned),
                last_transition_time: before
                    .and_then(|before| before.last_transition_time.clone())
                    .or_else(|| Some(view.now.clone())),
                ..PodCondition::default()
            }
        })
        .collect();
    // What others put there stays: the list is written as a whole.
    let others = present.iter().filter(|condition| ours.iter().all(|(kind, ..)| condition.type_ != *kind));
    conditions.extend(others.cloned());
    conditions
}

fn state(state: &State) -> Value {
    match state {
        State::Waiting { reason, message } => json!({"waiting": {"reason": reason, "message": message}}),
        State::Running { since } => json!({"running": {"startedAt": since}}),
        State::Ended(how) => json!({"terminated": ended(how)}),
    }
}

fn ended(how: &Ended) -> Value {
    json!({
        "exitCode": how.code,
        "signal": how.signal,
        "reason": if how.code == 0 { "Completed" } else { "Error" },
        "message": (!how.message.is_empty()).then_some(&how.message),
        "startedAt": how.started,
        "finishedAt": how.finished,
        "containerID": format!("process://{}", how.id),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    #[test]
    fn a_pod_is_ready_when_its_containers_are_and_no_gate_is_shut() {
        assert_eq!(phase_and_ready(&pod(""), &[running(true)]), ("Running".to_owned(), "True".to_owned()));
        assert_eq!(phase_and_ready(&pod(""), &[running(false)]), ("Running".to_owned(), "False".to_owned()));
        assert_eq!(phase_and_ready(&pod("false"), &[running(true)]), ("Running".to_owned(), "False".to_owned()));
        assert_eq!(phase_and_ready(&pod("true"), &[running(true)]), ("Running".to_owned(), "True".to_owned()));
    }

    #[test]
    fn a_pod_is_pending_until_every_container_has_run() {
        let waiting = Report::waiting("ContainerCreating", "");
        assert_eq!(phase_and_ready(&pod(""), &[running(true), waiting.clone()]).0, "Pending");
        let crashed = Report { last: Some(end(1)), ..waiting };
        assert_eq!(phase_and_ready(&pod(""), &[running(true), crashed]).0, "Running");
    }

    #[test]
    fn a_condition_that_does_not_change_keeps_its_time() {
        let pod = pod("");
        let (early, late) = (time(1), time(2));
        let (_, told) = status(&view(&pod, &[running(true)], &early, &[]));
        let (_, again) = status(&view(&pod, &[running(true)], &late, &told));
        assert_eq!(again, told);
        let (_, changed) = status(&view(&pod, &[running(false)], &late, &told));
        let ready = changed
            .iter()
            .find(|condition| condition.type_ == "Ready")
            .and_then(|ready| ready.last_transition_time.clone());
        assert_eq!(ready, Some(late));
    }

    fn phase_and_ready(pod: &Pod, containers: &[Report]) -> (String, String) {
        let (status, conditions) = status(&view(pod, containers, &time(1), &[]));
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready").map(|ready| ready.status.clone());
        (status["phase"].as_str().unwrap_or_default().to_owned(), ready.unwrap_or_default())
    }

    fn view<'a>(pod: &'a Pod, containers: &'a [Report], now: &'a Time, told: &'a [PodCondition]) -> View<'a> {
        View { pod, host_ips: &[], pod_ips: &[], since: now, now, init: &[], containers, told }
    }

    fn pod(ready: &str) -> Pod {
        let mut pod = Pod::default();
        if !ready.is_empty() {
            pod.metadata.annotations = Some([(READY_ANNOTATION.to_owned(), ready.to_owned())].into());
        }
        pod
    }

    fn running(ready: bool) -> Report {
        Report { state: State::Running { since: time(0) }, ready, started: true, ..Report::waiting("", "") }
    }

    fn end(code: i32) -> Ended {
        Ended { code, signal: None, message: String::new(), started: time(0), finished: time(0), id: String::new() }
    }

    fn time(second: i64) -> Time {
        Time(Timestamp::from_second(second).unwrap())
    }
}
