//! Numbers with units, as people read them.

/// FLOPs with three significant digits and a prefix: `12.3 TFLOP`.
#[must_use]
pub fn flops(value: f64) -> String {
    let (unit, size) = flops_unit(value);
    format!("{} {unit}", significant(value / size))
}

/// A duration: `4.2 s`, `43 s`, `2 min 05 s`, `1 h 12 min`.
#[must_use]
pub fn seconds(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_string();
    }
    let whole = value.round() as i64;
    match whole {
        ..0 => format!("{value:.1} s"),
        0..60 if value < 9.95 => format!("{value:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A share: `44.7 %`, `−3.1 %` for a loss.
#[must_use]
pub fn percent(share: f64) -> String {
    fixed(100.0 * share, None, 1, "%")
}

/// A loss with three decimals.
#[must_use]
pub fn loss(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.3}")
    } else {
        "–".to_string()
    }
}

/// A count with a thin separator: `30,522`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Bytes with a binary prefix: `1.25 GiB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    const UNITS: [(&str, f64); 4] = [
        ("TiB", 1_099_511_627_776.0),
        ("GiB", 1_073_741_824.0),
        ("MiB", 1_048_576.0),
        ("KiB", 1024.0),
    ];
    let (unit, size) = UNITS.into_iter().find(|&(_, size)| value >= size).unwrap_or(("B", 1.0));
    format!("{} {unit}", significant(value / size))
}

/// Energy: `3.10 kWh`, `12.3 Wh`.
#[must_use]
pub fn energy(kwh: f64) -> String {
    if kwh.abs() < 1.0 {
        format!("{} Wh", significant(1000.0 * kwh))
    } else {
        format!("{} kWh", significant(kwh))
    }
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
        return "–".to_string();
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

/// The prefix in which `largest` FLOPs read well, and its size.
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

/// The unit in which `largest` seconds read well, and its size.
#[must_use]
pub fn seconds_unit(largest: f64) -> (&'static str, f64) {
    match largest {
        l if l >= 3.0 * 86_400.0 => ("days", 86_400.0),
        l if l >= 3.0 * 3_600.0 => ("h", 3_600.0),
        l if l >= 180.0 => ("min", 60.0),
        _ => ("s", 1.0),
    }
}

fn significant(value: f64) -> String {
    match value.abs() {
        a if !a.is_finite() => "–".to_string(),
        a if a >= 99.95 => format!("{value:.0}"),
        a if a >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(flops(1.5068e13), "15.1 TFLOP");
        assert_eq!(flops(3.613e15), "3.61 PFLOP");
        assert_eq!(flops(0.0), "0.00 FLOP");
        assert_eq!(seconds(4.24), "4.2 s");
        assert_eq!(seconds(59.6), "1 min 00 s");
        assert_eq!(seconds(125.0), "2 min 05 s");
        assert_eq!(seconds(4321.0), "1 h 12 min");
        assert_eq!(seconds(f64::NAN), "–");
        assert_eq!(percent(0.4468), "44.7 %");
        assert_eq!(percent(-0.031), "−3.1 %");
        assert_eq!(count(30_522), "30,522");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(count(999), "999");
        assert_eq!(percent(-0.0001), "0.0 %");
        assert_eq!(bytes(1_342_177_280.0), "1.25 GiB");
        assert_eq!(energy(0.01234), "12.3 Wh");
        assert_eq!(energy(3.1), "3.10 kWh");
    }

    #[test]
    fn a_mean_and_its_interval_have_one_unit_and_the_same_digits() {
        assert_eq!(with_interval(1.316e12, Some(4e10), 1e12, "TFLOP"), "1.32 ± 0.04 TFLOP");
        assert_eq!(with_interval(123.4, Some(20.25), 1.0, "s"), "123 ± 20 s");
        assert_eq!(fixed(-2.0, Some(0.5), 1, "%"), "−2.0 ± 0.5 %");
        assert_eq!(fixed(2.1434, None, 3, ""), "2.143");
        assert_eq!(fixed(f64::NAN, Some(1.0), 3, ""), "–");
    }
}
