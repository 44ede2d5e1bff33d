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
    format!("{:.1} %", 100.0 * share).replace('-', "−")
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
    }
}
