//! Colors that people with any color vision tell apart: Okabe and Ito's palette, a little darker where it is too pale on white,
//! and lighter on dark.

pub(super) const INK: &str = "#262626";
pub(super) const FAINT: &str = "#6b6b6b";
pub(super) const GRID: &str = "#e6e6e6";
pub(super) const AXIS: &str = "#8c8c8c";
pub(super) const LINES: &str = "#7a7a7a";
pub(super) const WARNING: &str = "#b00020";

/// How the line of a method looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    /// On white.
    pub light: &'static str,
    /// On a dark ground.
    pub dark: &'static str,
    /// `stroke-dasharray`; empty for a solid line. Eight colors are as many as one can tell apart, so further methods
    /// differ in this.
    pub dashes: &'static str,
}

/// On white and on dark. The first four belong to known methods.
const COLORS: [(&str, &str); 8] = [
    ("#4d4d4d", "#b4b4b4"),
    ("#d55e00", "#ff8c42"),
    ("#0072b2", "#4b9fea"),
    ("#009e73", "#2ec79b"),
    ("#cc79a7", "#ec9dc7"),
    ("#2e9bd6", "#8fd6ff"),
    ("#b8860b", "#e6b844"),
    ("#7f4fbf", "#ab8bf0"),
];
const DASHES: [&str; 4] = ["", "8 4", "2 4", "10 4 2 4"];

/// A style for each method of a picture, by its name. The known methods keep their color from picture to picture; the others
/// take what is free, in their order.
pub(crate) fn styles<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Style> {
    let mut known: Vec<Option<usize>> = Vec::new();
    for name in names {
        let color = fixed(name).filter(|color| !known.contains(&Some(*color)));
        known.push(color);
    }
    let solid = [4, 5, 6, 7, 2, 3, 1].map(|color| (color, 0));
    let free = solid.into_iter().filter(|(color, _)| !known.contains(&Some(*color)));
    let broken = (1..DASHES.len()).flat_map(|dashes| (1..COLORS.len()).map(move |color| (color, dashes)));
    let all: Vec<(usize, usize)> = free.chain(broken).collect();
    let mut others = all.iter().copied().cycle();
    let mut style = |known: Option<usize>| {
        let (color, dashes) = known
            .map(|color| (color, 0))
            .or_else(|| others.next())
            .unwrap_or_default();
        Style {
            light: COLORS[color].0,
            dark: COLORS[color].1,
            dashes: DASHES[dashes],
        }
    };
    known.into_iter().map(&mut style).collect()
}

fn fixed(name: &str) -> Option<usize> {
    match name {
        "scratch" => Some(0),
        "ligo" => Some(1),
        "stackbert" | "stack" => Some(2),
        "direct_copy" | "direct-copy" => Some(3),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_methods_look_different_and_known_ones_keep_their_color() {
        let names: Vec<String> = (0..16).map(|index| format!("other-{index}")).collect();
        let names = ["ligo", "scratch", "ligo", "stackbert"]
            .into_iter()
            .chain(names.iter().map(String::as_str));
        let styles = styles(names);
        assert_eq!(styles.len(), 20);
        assert_eq!((styles[0].light, styles[1].light), (COLORS[1].0, COLORS[0].0));
        for (index, style) in styles.iter().enumerate() {
            assert!(!styles[..index].contains(style), "{index}: {style:?}");
        }
    }
}
