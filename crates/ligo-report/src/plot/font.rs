//! The fonts that are compiled in, and how wide text is in them.

use std::sync::{Arc, OnceLock};

use resvg::usvg::{Node, Options, Tree, fontdb};

/// The compiled-in family first, then what browsers have.
pub(super) const FAMILY: &str = "Ubuntu, 'Helvetica Neue', Helvetica, Arial, sans-serif";

/// Renderer options that know the compiled-in fonts and no others.
pub(super) fn options() -> Options<'static> {
    static FONTS: OnceLock<Arc<fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
        // For arrows, and for letters that Ubuntu lacks: the renderer looks for them in all fonts.
        fonts.load_font_data(epaint_default_fonts::HACK_REGULAR.to_vec());
        fonts.set_sans_serif_family("Ubuntu");
        Arc::new(fonts)
    });
    Options {
        fontdb: Arc::clone(fonts),
        font_family: "Ubuntu".to_string(),
        ..Options::default()
    }
}

/// Width of a line of text at `size`, in SVG units.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let mut svg = super::svg::Svg::new(100.0, 100.0);
    svg.text(
        0.0,
        50.0,
        text,
        &super::svg::Text {
            size,
            ..Default::default()
        },
    );
    let measured = Tree::from_str(&svg.finish(), &options())
        .ok()
        .and_then(|tree| text_width(tree.root().children()));
    // Half an em a letter is about right for any sans-serif; it serves text without a glyph, such as spaces.
    measured.unwrap_or(0.5 * size * text.chars().count() as f64)
}

fn text_width(nodes: &[Node]) -> Option<f64> {
    nodes.iter().find_map(|node| match node {
        Node::Text(text) => Some(f64::from(text.bounding_box().width())),
        Node::Group(group) => text_width(group.children()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_in_the_compiled_in_font() {
        let narrow = width("iiii", 12.0);
        let wide = width("MMMM", 12.0);
        assert!(narrow > 5.0 && wide > 2.0 * narrow, "{narrow} {wide}");
        assert!((width("MMMM", 24.0) / wide - 2.0).abs() < 0.05);
    }
}
