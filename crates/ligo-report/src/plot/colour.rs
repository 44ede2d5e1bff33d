//! Colours that people with any colour vision tell apart (Okabe and Ito's palette) on white.

pub(super) const INK: &str = "#262626";
pub(super) const FAINT: &str = "#6b6b6b";
pub(super) const GRID: &str = "#e6e6e6";
pub(super) const AXIS: &str = "#8c8c8c";
pub(super) const LINES: &str = "#7a7a7a";
pub(super) const WARNING: &str = "#b00020";

/// Colours of methods that have no fixed one.
const OTHERS: [&str; 4] = ["#cc79a7", "#56b4e9", "#b8860b", "#7f4fbf"];

/// The colour of a method; `index` counts the methods without a fixed colour.
pub(super) fn method(name: &str, index: usize) -> &'static str {
    fixed(name).unwrap_or(OTHERS[index % OTHERS.len()])
}

/// The known methods keep their colour from picture to picture.
pub(super) fn fixed(name: &str) -> Option<&'static str> {
    match name {
        "scratch" => Some("#4d4d4d"),
        "ligo" => Some("#d55e00"),
        "stackbert" | "stack" => Some("#0072b2"),
        "direct_copy" | "direct-copy" => Some("#009e73"),
        _ => None,
    }
}

/// Blue for −1, white for 0, orange for +1, as `#rrggbb`.
pub(super) fn diverging(value: f64) -> String {
    let (end, share) = if value < 0.0 {
        ([0, 90, 160], -value)
    } else {
        ([200, 80, 0], value)
    };
    let mix = |end: i32| (255.0 + (f64::from(end) - 255.0) * share.clamp(0.0, 1.0)).round() as i32;
    let [red, green, blue] = end.map(mix);
    format!("#{red:02x}{green:02x}{blue:02x}")
}
