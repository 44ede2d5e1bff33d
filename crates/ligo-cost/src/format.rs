//! Numbers for people: one decimal, a unit that fits, a space before the unit.

use std::time::Duration;

const PREFIXES: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];
const COUNTS: [&str; 5] = ["", "k", "M", "B", "T"];

/// FLOPs: `3.6 PFLOP`.
#[must_use]
pub fn flops(flops: f64) -> String {
    scaled(flops, &PREFIXES, "FLOP")
}

/// Speed: `62.8 GFLOP/s`.
#[must_use]
pub fn flops_per_second(flops_per_second: f64) -> String {
    scaled(flops_per_second, &PREFIXES, "FLOP/s")
}

/// A number of tokens: `512 tokens`, `65.5 k tokens`, `13.1 B tokens`.
#[must_use]
pub fn tokens(tokens: f64) -> String {
    scaled_count(tokens, "tokens")
}

/// Speed in tokens: `2.8 k tokens/s`.
#[must_use]
pub fn tokens_per_second(tokens_per_second: f64) -> String {
    scaled_count(tokens_per_second, "tokens/s")
}

/// Speed in images: `2.8 k images/s`.
#[must_use]
pub fn images_per_second(images_per_second: f64) -> String {
    scaled_count(images_per_second, "images/s")
}

/// A plain count: `109.5 M`.
#[must_use]
pub fn count(count: f64) -> String {
    match scale(count, &COUNTS) {
        (number, "") => number,
        (number, prefix) => format!("{number} {prefix}"),
    }
}

/// Memory in powers of 1000: `1.3 GB`.
#[must_use]
pub fn bytes(bytes: f64) -> String {
    scaled(bytes.round(), &PREFIXES, "B")
}

/// Energy: `86 J`, `0.4 Wh`, `12.5 kWh`, `3.1 MWh`.
#[must_use]
pub fn energy(kwh: f64) -> String {
    if kwh.abs() < 9.5e-5 {
        return format!("{:.0} J", kwh * 3.6e6);
    }
    scaled(kwh * 1e3, &PREFIXES, "Wh")
}

/// A mass: `38 mg`, `0.2 g`, `5.6 kg`, `1.4 t`.
#[must_use]
pub fn mass(kg: f64) -> String {
    match kg {
        kg if kg.abs() >= 999.95 => format!("{:.1} t", kg / 1e3),
        kg if kg.abs() >= 0.999_95 => format!("{kg:.1} kg"),
        kg if kg.abs() >= 9.5e-5 => format!("{:.1} g", kg * 1e3),
        kg => format!("{:.0} mg", kg * 1e6),
    }
}

/// US dollars: `$0.003`, `$1.25`, `$1234`.
#[must_use]
pub fn usd(usd: f64) -> String {
    match usd.abs() {
        a if a >= 99.995 => format!("${usd:.0}"),
        a if a >= 0.095 => format!("${usd:.2}"),
        _ => format!("${usd:.3}"),
    }
}

/// A share as a percentage: 0.447 is `44.7 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    let percent = format!("{:.1}", share * 100.0);
    // A tiny loss rounds to "-0.0".
    let percent = if percent == "-0.0" { "0.0" } else { &percent };
    format!("{} %", percent.replace('-', "−"))
}

/// As [`duration`], of seconds; what is no time is none.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// A duration in its two largest units: `850 ms`, `12.3 s`, `4 min 05 s`, `2 h 03 min`, `3 d 04 h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let milliseconds = (duration.as_secs_f64() * 1e3).round();
    if milliseconds < 1e3 {
        return format!("{milliseconds} ms");
    }
    let tenths = (duration.as_secs_f64() * 10.0).round();
    if tenths < 600.0 {
        return format!("{:.1} s", tenths / 10.0);
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let minutes = (seconds + 30) / 60;
    let hours = (minutes + 30) / 60;
    if seconds < 3600 {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    } else if minutes < 24 * 60 {
        format!("{} h {:02} min", minutes / 60, minutes % 60)
    } else {
        format!("{} d {:02} h", hours / 24, hours % 24)
    }
}

fn scaled(value: f64, prefixes: &[&str], unit: &str) -> String {
    let (number, prefix) = scale(value, prefixes);
    format!("{number} {prefix}{unit}")
}

fn scaled_count(value: f64, unit: &str) -> String {
    match scale(value, &COUNTS) {
        (number, "") => format!("{number} {unit}"),
        (number, prefix) => format!("{number} {prefix} {unit}"),
    }
}

/// The number with one decimal (none below 1000, unless it has a fraction) and its prefix.
fn scale<'a>(value: f64, prefixes: &[&'a str]) -> (String, &'a str) {
    let mut scaled = value;
    let mut rest = prefixes;
    // 999.96 would be printed as 1000.0, so the prefix is chosen after rounding.
    while let [_, next @ ..] = rest {
        if next.is_empty() || (scaled.abs() * 10.0).round() < 10_000.0 || !scaled.is_finite() {
            break;
        }
        scaled /= 1e3;
        rest = next;
    }
    let prefix = rest.first().copied().unwrap_or_default();
    let is_whole = prefix.is_empty() && scaled.fract() == 0.0;
    (
        if is_whole {
            format!("{scaled}")
        } else {
            format!("{scaled:.1}")
        },
        prefix,
    )
}
