//! Numbers for people: one decimal, a unit that fits, a space before the unit.

use std::time::Duration;

const PREFIXES: [&str; 8] = ["", "k", "M", "G", "T", "P", "E", "Z"];
const COUNTS: [&str; 5] = ["", "k", "M", "B", "T"];
/// In place of a number that there is not.
const NONE: &str = "–";

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

/// Energy: `86 J`, `1440 J`, `12.5 Wh`, `12.5 kWh`, `3.1 MWh`. Joules up to one Wh, so that what little runs take stands in one unit.
#[must_use]
pub fn energy(kwh: f64) -> String {
    if kwh.abs() < 9.5e-4 {
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
    fixed(100.0 * share, None, 1, "%")
}

/// A loss in nats: `2.143`.
#[must_use]
pub fn loss(nats: f64) -> String {
    fixed(nats, None, 3, "")
}

/// A whole number in groups of three digits: `30,522`.
#[must_use]
pub fn whole(count: u64) -> String {
    let digits = count.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A mean with half the width of its interval where there is one, in one unit of which there are `size` in 1 and with the
/// digits that suit the mean: `1.32 ± 0.04 TFLOP`.
#[must_use]
pub fn with_interval(mean: f64, half: Option<f64>, size: f64, unit: &str) -> String {
    let digits = match (mean / size).abs() {
        a if a >= 99.95 => 0,
        a if a >= 9.995 => 1,
        _ => 2,
    };
    fixed(mean / size, half.map(|half| half / size), digits, unit)
}

/// The same with a number of digits that the caller gives: `2.143 ± 0.012`.
#[must_use]
pub fn fixed(mean: f64, half: Option<f64>, digits: usize, unit: &str) -> String {
    if !mean.is_finite() {
        return NONE.into();
    }
    let half = half.map_or(String::new(), |half| format!(" ± {half:.digits$}"));
    let space = if unit.is_empty() { "" } else { " " };
    format!("{}{half}{space}{unit}", minus(format!("{mean:.digits$}")))
}

/// A true minus sign, and none before a zero.
fn minus(number: String) -> String {
    match number.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|byte| b"0.".contains(&byte)) => rest.to_string(),
        Some(rest) => format!("−{rest}"),
        None => number,
    }
}

/// The unit in which `largest` FLOPs and all below them read well, and its size; for a column of a table.
#[must_use]
pub fn flops_unit(largest: f64) -> (&'static str, f64) {
    const UNITS: [(&str, f64); 6] = [
        ("EFLOP", 1e18),
        ("PFLOP", 1e15),
        ("TFLOP", 1e12),
        ("GFLOP", 1e9),
        ("MFLOP", 1e6),
        ("kFLOP", 1e3),
    ];
    UNITS
        .into_iter()
        .find(|&(_, size)| largest.abs() >= size)
        .unwrap_or(("FLOP", 1.0))
}

/// The unit in which `largest` seconds and all below them read well, and its size; for a column of a table.
#[must_use]
pub fn seconds_unit(largest: f64) -> (&'static str, f64) {
    match largest {
        l if l >= 3.0 * 86_400.0 => ("days", 86_400.0),
        l if l >= 3.0 * 3_600.0 => ("h", 3_600.0),
        l if l >= 180.0 => ("min", 60.0),
        _ => ("s", 1.0),
    }
}

/// As [`duration`], of seconds; a dash for what is no number, and none for what is below zero.
#[must_use]
pub fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() {
        return NONE.into();
    }
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
    if !value.is_finite() {
        return (NONE.into(), "");
    }
    let mut scaled = value;
    let mut rest = prefixes;
    // 999.96 would be printed as 1000.0, so the prefix is chosen after rounding.
    while let [_, next @ ..] = rest {
        if next.is_empty() || (scaled.abs() * 10.0).round() < 10_000.0 {
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
