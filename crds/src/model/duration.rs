//! Durations as Go and Kubernetes write them: `90s`, `1m30s`, `1.5h`, `500ms`.

use std::time::Duration;

/// Reads a duration; nothing where it cannot be read, is negative, or is too long to be counted.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (count, tail) = rest.split_at(end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let nanos_per_unit: u64 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        total = total.checked_add(times(count, nanos_per_unit)?)?;
        rest = tail;
    }
    Some(total)
}

/// A decimal number of units.
fn times(count: &str, nanos_per_unit: u64) -> Option<Duration> {
    let (whole, fraction) = count.split_once('.').unwrap_or((count, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = whole.checked_mul(nanos_per_unit)?;
    let mut scale = nanos_per_unit;
    for digit in fraction.bytes() {
        scale /= 10;
        nanos = nanos.checked_add(u64::from(digit - b'0') * scale)?;
    }
    Some(Duration::from_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_reads_them() {
        let ms = Duration::from_millis;
        let table = [
            ("0", Some(ms(0))),
            ("0s", Some(ms(0))),
            ("90s", Some(ms(90_000))),
            ("1m30s", Some(ms(90_000))),
            ("1.5h", Some(ms(5_400_000))),
            (".5s", Some(ms(500))),
            ("2.s", Some(ms(2_000))),
            ("250ms", Some(ms(250))),
            ("1h0m0.25s", Some(ms(3_600_250))),
            ("", None),
            ("90", None),
            ("s", None),
            (".s", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1 s", None),
            ("1d", None),
            ("99999999999999999999h", None),
            ("ünf", None),
        ];
        for (text, read) in table {
            assert_eq!(parse_duration(text), read, "{text}");
        }
    }
}
