//! Flags and environment, read as MetalLB's Go programs read theirs, so that its manifests start these binaries.
//!
//! - One dash or two: `-port=9120` is `--port=9120`.
//! - An empty variable is one that is not set.
//! - `true` has many spellings, [`switch`], and a flag alone is true.
//! - What has no effect here is read all the same and named once in a warning, with the reason: [`Ignored`].

use clap::{Command, CommandFactory, FromArgMatches};
use std::{env, ffi::OsString};

/// Reads the process's arguments and variables; ends the process with an explanation where they make no sense.
pub fn parse<A: CommandFactory + FromArgMatches>() -> A {
    let command = command::<A>(|name| env::var_os(name).is_some_and(|value| value.is_empty()));
    let mut matches = command.get_matches_from(env::args_os().map(two_dashes));
    match A::from_arg_matches_mut(&mut matches) {
        Ok(args) => args,
        Err(error) => error.format(&mut A::command()).exit(),
    }
}

/// The same from the arguments given, without any variables, for tests.
///
/// # Errors
/// They make no sense.
pub fn try_parse<A: CommandFactory + FromArgMatches>(name: &str, args: &[&str]) -> Result<A, clap::Error> {
    let args = std::iter::once(name).chain(args.iter().copied()).map(|arg| two_dashes(OsString::from(arg)));
    A::from_arg_matches_mut(&mut command::<A>(|_| true).try_get_matches_from(args)?)
}

/// The command with those variables forgotten that `unset` says are not set.
fn command<A: CommandFactory>(unset: impl Fn(&str) -> bool) -> Command {
    A::command().mut_args(|arg| {
        let forget = arg.get_env().and_then(|name| name.to_str()).is_some_and(&unset);
        if forget { arg.env(None) } else { arg }
    })
}

/// `-port` becomes `--port`; a single letter, a number and a lone dash stay.
fn two_dashes(arg: OsString) -> OsString {
    match arg.to_str().and_then(|text| text.strip_prefix('-')) {
        Some(rest) if rest.len() > 1 && rest.starts_with(|first: char| first.is_ascii_alphabetic()) => {
            format!("--{rest}").into()
        }
        _ => arg,
    }
}

/// A value parser for what Go takes as true and false.
///
/// # Errors
/// It is neither.
pub fn switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false"),
    }
}

/// A flag or variable that was given and does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ignored {
    /// Its name, as the user wrote it.
    pub flag: &'static str,
    /// Why it does nothing.
    pub reason: &'static str,
}

impl Ignored {
    /// The flags that were given: each with whether it was, and why it does nothing.
    pub fn given(flags: &[(&'static str, bool, &'static str)]) -> Vec<Self> {
        flags.iter().filter(|(_, given, _)| *given).map(|&(flag, _, reason)| Self { flag, reason }).collect()
    }

    /// Names it in the log.
    pub fn warn(&self) {
        tracing::warn!(flag = self.flag, reason = self.reason, "flag has no effect");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Args {
        #[arg(long, env = "PATH")]
        path: Option<String>,
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value = "false", value_parser = switch, action = clap::ArgAction::Set)]
        quick: bool,
    }

    fn quick(args: &[&str]) -> Option<bool> {
        try_parse::<Args>("program", args).ok().map(|args| args.quick)
    }

    #[test]
    fn a_switch_is_spelt_as_in_go() {
        for given in ["--quick", "-quick", "--quick=true", "-quick=1", "--quick=T"] {
            assert_eq!(quick(&[given]), Some(true), "{given}");
        }
        for given in ["--quick=false", "-quick=0", "--quick=False"] {
            assert_eq!(quick(&[given]), Some(false), "{given}");
        }
        assert_eq!(quick(&[]), Some(false));
        assert_eq!(quick(&["--quick=maybe"]), None);
    }

    #[test]
    fn an_unset_variable_gives_no_value() {
        assert_eq!(try_parse::<Args>("program", &[]).unwrap().path, None, "there is a PATH, and it is taken as unset");
        let command = command::<Args>(|_| false);
        let matches = command.try_get_matches_from(["program"]).unwrap();
        assert!(Args::from_arg_matches(&matches).unwrap().path.is_some());
    }

    #[test]
    fn values_keep_their_dashes() {
        let args = try_parse::<Args>("program", &["-path", "a-b"]).unwrap();
        assert_eq!(args.path.as_deref(), Some("a-b"));
        for same in ["-", "-h", "--path", "-1", "a"] {
            assert_eq!(two_dashes(same.into()), OsString::from(same));
        }
    }
}
