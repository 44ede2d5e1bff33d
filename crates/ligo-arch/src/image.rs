//! What configurations of image models have in common.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Error, Extent, Resample, limits, resample_positions};

/// Height and width of an image or a patch: one number, or both as `[height, width]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Sides {
    /// As high as wide.
    Square(usize),
    /// `[height, width]`.
    Each([usize; 2]),
}

impl Sides {
    /// From `[height, width]`; one number where they are equal, as most files write it.
    pub const fn of(sides: [usize; 2]) -> Self {
        if sides[0] == sides[1] {
            Self::Square(sides[0])
        } else {
            Self::Each(sides)
        }
    }

    /// `[height, width]`.
    pub const fn both(self) -> [usize; 2] {
        match self {
            Self::Square(side) => [side, side],
            Self::Each(sides) => sides,
        }
    }
}

/// How an image is cut into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patches {
    /// Colors of a pixel.
    pub channels: usize,
    /// `[height, width]` of an image.
    pub image: [usize; 2],
    /// `[height, width]` of a patch.
    pub patch: [usize; 2],
}

impl Patches {
    /// `[rows, columns]` of patches.
    pub fn grid(&self) -> [usize; 2] {
        [self.image[0] / self.patch[0], self.image[1] / self.patch[1]]
    }

    /// Patches of an image.
    pub fn count(&self) -> usize {
        self.grid().iter().product()
    }

    /// Numbers of a patch, in the order channel, row, column.
    pub fn numbers(&self) -> usize {
        self.channels * self.patch[0] * self.patch[1]
    }

    /// The last dimensions of a convolution that reads patches.
    pub(crate) fn kernel(&self) -> [Extent; 3] {
        [self.channels, self.patch[0], self.patch[1]].map(Extent::Exactly)
    }

    /// Refuses sizes of zero, and patches that do not fill the image.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let [[least_image, image], [least_patch, patch]] = [self.image, self.patch].map(|[y, x]| [y.min(x), y.max(x)]);
        limits::sizes([
            ("num_channels", self.channels, limits::CHANNELS),
            ("image_size", least_image, limits::PIXELS),
            ("image_size", image, limits::PIXELS),
            ("patch_size", least_patch, limits::PATCH),
            ("patch_size", patch, limits::PATCH),
        ])?;
        let fits = self.image.iter().zip(self.patch).all(|(i, p)| i.is_multiple_of(p));
        if fits {
            Ok(())
        } else {
            Err(Error::PatchesDoNotFill {
                image: self.image,
                patch: self.patch,
            })
        }
    }
}

/// Where the position table of an image model is, and what it means.
///
/// [`PositionGrid::resample`] makes a table for another grid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionGrid {
    /// Its name.
    pub tensor: String,
    /// Rows of tokens that are no patches (class, distillation); they come first.
    pub prefix: usize,
    /// `[rows, columns]` of patches, row by row.
    pub grid: [usize; 2],
    /// How the family's reference library makes a table for another grid.
    pub filter: Resample,
}

impl PositionGrid {
    /// The table for another grid, see [`resample_positions`]. `values` is `[prefix + rows · columns, width]`, whatever its width.
    ///
    /// # Panics
    /// When `values` does not fill this grid.
    pub fn resample(&self, values: &[f32], to: [usize; 2]) -> Vec<f32> {
        let width = values.len() / (self.prefix + self.grid[0] * self.grid[1]);
        resample_positions(values, self.prefix, self.grid, to, width, self.filter)
    }
}

/// The number of classes, counted as `transformers` does: the entries of `id2label`, or `num_labels`, or 2.
pub(crate) fn label_count(extra: &Map<String, Value>) -> usize {
    let names = extra.get("id2label").and_then(Value::as_object).map(Map::len);
    names.or_else(|| given_count(extra)).unwrap_or(2)
}

fn given_count(extra: &Map<String, Value>) -> Option<usize> {
    let given = extra.get("num_labels").and_then(Value::as_u64);
    given.and_then(|count| usize::try_from(count).ok())
}

/// Refuses a model without classes, and two numbers of classes that contradict each other.
pub(crate) fn check_labels(extra: &Map<String, Value>) -> Result<(), Error> {
    let labels = label_count(extra);
    limits::sizes([("num_labels", labels, limits::CLASSES)])?;
    match given_count(extra) {
        Some(given) if given != labels => Err(Error::Unsupported {
            field: "num_labels",
            found: given.to_string(),
            supported: "the number of entries of id2label",
        }),
        _ => Ok(()),
    }
}

/// Gives a model so many classes, without names.
pub(crate) fn set_labels(extra: &mut Map<String, Value>, labels: usize) {
    for field in ["id2label", "label2id"] {
        extra.remove(field);
    }
    extra.insert("num_labels".into(), labels.into());
}

pub(crate) fn default_image() -> Sides {
    Sides::Square(224)
}

pub(crate) fn default_patch() -> Sides {
    Sides::Square(16)
}

pub(crate) fn default_channels() -> usize {
    3
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(crate) fn is_zero(x: &f64) -> bool {
    *x == 0.0
}
