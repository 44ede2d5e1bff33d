//! Round numbers along an axis.

/// Ticks at 1, 2 or 5 times a power of ten within `[low, high]`, about `count` of them.
pub(super) fn ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    if !low.is_finite() || !high.is_finite() || high <= low {
        return vec![];
    }
    let step = step(high - low, count);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).map(|index| index as f64 * step).collect()
}

/// Ticks as text, all with the digits that their distance needs.
pub(super) fn labels(ticks: &[f64]) -> Vec<String> {
    let distance = ticks
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .fold(f64::INFINITY, f64::min);
    let digits = if distance.is_finite() {
        (-distance.log10() - 1e-6).ceil().clamp(0.0, 6.0) as usize
    } else {
        0
    };
    ticks.iter().map(|tick| format!("{tick:.digits$}")).collect()
}

fn step(range: f64, count: usize) -> f64 {
    let rough = range / count.max(1) as f64;
    let power = 10f64.powf(rough.log10().floor());
    let factor = match rough / power {
        ..1.5 => 1.0,
        1.5..3.5 => 2.0,
        3.5..7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(&ticks(0.0, 9.6, 5)), ["0", "2", "4", "6", "8"]);
        assert_eq!(labels(&ticks(0.0, 12.1, 6)), ["0", "2", "4", "6", "8", "10", "12"]);
        assert_eq!(
            labels(&ticks(4.21, 5.41, 6)),
            ["4.4", "4.6", "4.8", "5.0", "5.2", "5.4"]
        );
        assert_eq!(labels(&ticks(0.0, 0.31, 4)), ["0.0", "0.1", "0.2", "0.3"]);
        assert!(ticks(1.0, 1.0, 5).is_empty());
        assert!(ticks(0.0, f64::NAN, 5).is_empty());
    }
}
