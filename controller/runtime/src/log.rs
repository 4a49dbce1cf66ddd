//! Logs: lines for people on a terminal, JSON for machines, on standard error.
//!
//! Messages are constant phrases and values are fields (`service`, `ip`, `node`, `reason` …), so that a log can be searched
//! without regular expressions. The levels' names are MetalLB's, so that existing manifests keep their `--log-level`.

use clap::{Args, ValueEnum};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// The two log flags of both binaries.
#[derive(Args, Debug, Clone)]
pub struct LogArgs {
    /// Least severe level that is written.
    #[arg(long, value_enum, default_value_t = Level::Info)]
    pub log_level: Level,
    /// Lines for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub log_format: Format,
}

/// Least severe level that is written.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Everything, per packet.
    All,
    /// Decisions.
    Debug,
    /// What users notice.
    Info,
    /// Odd, but coping.
    Warn,
    /// Cannot do its job.
    Error,
    /// Nothing.
    None,
}

/// How a line looks.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sends the process's logs to standard error from here on. To be called once, first.
pub fn init(args: &LogArgs) {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(args.log_level))
        .with_writer(std::io::stderr)
        .with_target(args.log_level == Level::All);
    match args.log_format {
        Format::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        Format::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}

/// Our own level for our own crates; libraries speak up only for what hinders them, except at `all`.
fn filter(level: Level) -> EnvFilter {
    let directives = match level {
        Level::All => "trace,h2=info,hyper_util=info",
        Level::Debug => "debug,h2=warn,hyper_util=warn,kube_client=info,tower=warn,rustls=warn,netlink_proto=warn",
        Level::Info => "info,kube_runtime=error,kube_client=error",
        Level::Warn => "warn,kube_runtime=error,kube_client=error",
        Level::Error => "error",
        Level::None => "off",
    };
    EnvFilter::new(directives)
}
