//! The results as Markdown: every row, then Herald beside the others.

use std::fmt::Write as _;

use crate::{
    measure::{EVERY, Fault, LATE, Seen},
    results::{Results, Row, Spread},
    systems::{EVERY_100_MS, EVERY_SECOND, HERALD},
};

/// All of it.
pub(crate) fn markdown(results: &Results) -> String {
    let parts = [head(results), rows(results), remarks(results), ratios(results)];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

fn head(results: &Results) -> String {
    let Results { machine, load_before, load_after, rows } = results;
    let discarded: usize = rows.iter().map(|row| row.discarded).sum();
    let runs: usize = rows.iter().map(|row| row.runs.len()).sum();
    format!(
        "{machine}; load {load_before} before, {load_after} after. A probe each {EVERY:?}; {discarded} of {} runs discarded because \
         the probe itself was late by more than {LATE:?}.\n",
        runs + discarded
    )
}

fn rows(results: &Results) -> String {
    let mut text = "\
| system | fault | outage ms, min / median / max | lost probes, median | new owner after ms, median | ARP unanswered ms, median | two owners | two owners on return | moved back |
|---|---|---|---|---|---|---|---|---|
"
    .to_owned();
    for row in &results.rows {
        for (ipv6, name) in [(false, row.system.to_owned()), (true, format!("{}, IPv6", row.system))] {
            let seen = row.seen(ipv6);
            if let Some(line) = line(&seen) {
                let _ = writeln!(text, "| {name} | {} | {line} |", row.fault);
            }
        }
    }
    text
}

/// The cells after the first two; nothing if nothing was seen.
fn line(seen: &[&Seen]) -> Option<String> {
    let outage = Spread::of(seen.iter().map(|seen| seen.outage_ms))?;
    let lost = Spread::of(seen.iter().map(|seen| seen.lost as f64))?;
    let new_owner = Spread::of(seen.iter().map(|seen| seen.new_owner_ms))?;
    let unanswered = Spread::of(seen.iter().map(|seen| seen.unanswered_ms))?;
    let share = |is_so: fn(&Seen) -> bool| format!("{}/{}", seen.iter().filter(|seen| is_so(seen)).count(), seen.len());
    Some(format!(
        "{:.0} / **{:.0}** / {:.0} | {:.0} | {:.0} | {:.0} | {} | {} | {}",
        outage.min,
        outage.median,
        outage.max,
        lost.median,
        new_owner.median,
        unanswered.median,
        share(|seen| seen.two_owners),
        share(|seen| seen.two_owners_on_return),
        share(|seen| seen.moved_back),
    ))
}

/// What does not fit into the table and must not be overlooked.
fn remarks(results: &Results) -> String {
    let mut text = String::new();
    for Row { system, fault, strays, failures, .. } in &results.rows {
        for failure in failures {
            let _ = writeln!(text, "* FAILED: {system}, {fault}: {failure}");
        }
        if *strays > 0 {
            let _ = writeln!(
                text,
                "* {system}, {fault}: the owner changed {strays} times between runs, with no fault of ours"
            );
        }
    }
    text
}

fn ratios(results: &Results) -> String {
    let mut text = format!(
        "| fault | {HERALD}, median outage ms | {EVERY_SECOND} | ratio | {EVERY_100_MS} | ratio |\n|---|---|---|---|---|---|\n"
    );
    for fault in Fault::ALL {
        let median = |system: &str| {
            let row = results.rows.iter().find(|row| row.system == system && row.fault == fault)?;
            Some(Spread::of(row.seen(false).iter().map(|seen| seen.outage_ms))?.median)
        };
        let Some(herald) = median(HERALD) else { continue };
        let [second, tenth] = [EVERY_SECOND, EVERY_100_MS].map(|system| against(herald, median(system)));
        let _ = writeln!(text, "| {fault} | {herald:.0} | {second} | {tenth} |");
    }
    text
}

/// Another system's median, and how many times Herald's it is.
fn against(herald: f64, other: Option<f64>) -> String {
    match other {
        None => "not measured | ".to_owned(),
        Some(0.0) if herald == 0.0 => "0 | neither loses a probe".to_owned(),
        Some(other) if herald == 0.0 => format!("{other:.0} | {HERALD} loses no probe"),
        Some(other) => format!("{other:.0} | {:.1} x", other / herald),
    }
}
