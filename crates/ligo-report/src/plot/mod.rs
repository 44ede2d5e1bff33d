//! Pictures of a comparison and of a learned operator.
//!
//! Everything is drawn as SVG; the PNG is made from the same SVG with fonts that are compiled in (Ubuntu Light
//! under the Ubuntu font license, Hack under MIT for rare signs), so it needs no font on the machine. In a browser the SVG falls back to the fonts there.

mod axis;
pub(crate) mod color;
mod comparison;
mod font;
mod frontier;
mod heat_map;
mod legend;
pub(crate) mod losses;
mod operator;
mod panel;
mod series;
mod svg;

use std::path::{Path, PathBuf};

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::Tree;

pub use comparison::{comparison, curves};
pub use frontier::frontier;
pub use heat_map::heat_maps;
pub use operator::{Matrix, OperatorPicture, operator};

use ligo_metrics::files;

use crate::{Error, Result};

/// Pixels per SVG unit of the PNG files that [`save`] writes: sharp on screens with small pixels.
pub const PNG_SCALE: f32 = 2.0;

/// The largest side of a PNG; a taller or wider picture is scaled down to it.
const PNG_LIMIT: f32 = 12_000.0;

/// Draws an SVG's pixels and returns them as a PNG file.
///
/// # Errors
/// [`Error::Picture`] when `svg` is no SVG.
pub fn render_png(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let tree = Tree::from_str(svg, &font::options()).map_err(|error| picture(&error))?;
    let size = tree.size();
    let scale = scale.min(PNG_LIMIT / size.width().max(size.height()));
    let pixels = |length: f32| (length * scale).round().max(1.0) as u32;
    let mut pixmap =
        Pixmap::new(pixels(size.width()), pixels(size.height())).ok_or_else(|| picture(&"the picture has no size"))?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|error| picture(&error))
}

/// Writes `svg` as `STEM.svg` and `STEM.png` and returns the two paths.
///
/// # Errors
/// [`Error::File`] when the disk refuses, [`Error::Picture`] when `svg` is no SVG.
pub fn save(svg: &str, stem: impl AsRef<Path>) -> Result<(PathBuf, PathBuf)> {
    let with = |extension: &str| {
        let mut name = stem.as_ref().as_os_str().to_os_string();
        name.push(extension);
        PathBuf::from(name)
    };
    let (vector, pixels) = (with(".svg"), with(".png"));
    let png = render_png(svg, PNG_SCALE)?;
    files::replace(&vector, svg.as_bytes())?;
    files::replace(&pixels, &png)?;
    Ok((vector, pixels))
}

fn picture(reason: &dyn std::fmt::Display) -> Error {
    Error::Picture {
        reason: reason.to_string(),
    }
}
