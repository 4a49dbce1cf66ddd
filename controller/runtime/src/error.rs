//! What a failed write means for whoever asked for it.

use crate::watch::chain;

/// Why a write was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody changed the object meanwhile: decide again on the fresh one.
    #[error("the object changed meanwhile")]
    Conflict,
    /// The object is gone: its deletion will be seen.
    #[error("the object is gone")]
    Gone,
    /// The API server does not accept it: try again later, and say so.
    #[error("the API server refuses: {0}")]
    Refused(String),
    /// The API server did not answer: try again soon.
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
    /// The time in which it was permitted is over: another replica may write now.
    #[error("the time in which it may be written is over")]
    NotActing,
}

impl WriteError {
    /// A fixed word for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Gone => "gone",
            Self::Refused(_) => "refused",
            Self::Unreachable(_) => "unreachable",
            Self::NotActing => "not_acting",
        }
    }
}

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        match &error {
            kube::Error::Api(status) if status.is_conflict() => Self::Conflict,
            kube::Error::Api(status) if status.is_not_found() => Self::Gone,
            kube::Error::Api(status) if (400..500).contains(&status.code) && status.code != 429 => {
                Self::Refused(status.message.clone())
            }
            _ => Self::Unreachable(say(&error)),
        }
    }
}

/// An error in one line. What the API server says is said in its own words, without the frame around them.
pub fn say(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => chain(error),
    }
}
