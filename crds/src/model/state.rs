//! What a ConfigurationState says, made from what a component found in its configuration.
//!
//! ```text
//!   nothing wrong ........ Valid    condition True     Reconciled           the message names what waits for something
//!   objects set aside .... Invalid  condition False    ConfigurationError   one mistake a line, in both summary and message
//!   not everything read .. Unknown  condition Unknown  UnknownError         the message says what is not known
//! ```
//!
//! A reference to something that may come later is no mistake. The time of the last change stays as it is until the status of the condition
//! changes, so that the same findings give the same object and there is nothing to write.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

use super::{Problem, Waiting};
use crate::api::reason::ConfigurationReason;
use crate::api::{ConfigurationResult, ConfigurationStateStatus};

/// The longest message that the API server takes.
const MESSAGE: usize = 32_768;
/// The longest summary: a message, less the line that counts what is left out.
const SUMMARY: usize = MESSAGE - 64;

/// What a component found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Findings<'a> {
    /// It has read every object.
    Read {
        /// Why objects were set aside.
        problems: &'a [Problem],
        /// The objects that wait for others.
        waiting: &'a [Waiting],
    },
    /// It has not, for the reason given.
    Unknown(&'a str),
}

/// The status that a ConfigurationState shall have, with one condition of the type `condition`. `before` is the status that it has.
pub fn configuration_state(
    condition: &str,
    findings: Findings<'_>,
    before: Option<&ConfigurationStateStatus>,
    now: Timestamp,
) -> ConfigurationStateStatus {
    let (result, status, reason, message) = match findings {
        Findings::Unknown(why) => {
            (ConfigurationResult::Unknown, "Unknown", ConfigurationReason::UnknownError, lines([why].into_iter()))
        }
        Findings::Read { problems: [], waiting } => {
            (ConfigurationResult::Valid, "True", ConfigurationReason::Reconciled, lines(waiting.iter()))
        }
        Findings::Read { problems, .. } => {
            (ConfigurationResult::Invalid, "False", ConfigurationReason::ConfigurationError, lines(problems.iter()))
        }
    };
    let known = before.and_then(|before| before.conditions.iter().find(|known| known.type_ == condition));
    let since = known.filter(|known| known.status == status).map(|known| known.last_transition_time.clone());
    ConfigurationStateStatus {
        result: Some(result),
        error_summary: if result == ConfigurationResult::Invalid { message.clone() } else { String::new() },
        conditions: vec![Condition {
            type_: condition.to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message,
            // Objects keep whole seconds.
            last_transition_time: since.unwrap_or_else(|| Time(whole_seconds(now))),
            observed_generation: None,
        }],
    }
}

/// One a line, as many as the API server takes.
fn lines<T: ToString>(all: impl ExactSizeIterator<Item = T>) -> String {
    let mut text = String::new();
    let mut left = all.len();
    for one in all {
        let line = one.to_string();
        if text.len() + 1 + line.len() > SUMMARY {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
        left -= 1;
    }
    if left > 0 {
        text.push_str(&format!("{}and {left} more", if text.is_empty() { "" } else { "\n" }));
    }
    text
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
