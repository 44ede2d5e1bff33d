//! One picture in memory.

use crate::{Error, Result};

/// A rectangle of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rect {
    /// First row.
    pub top: usize,
    /// First column.
    pub left: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// A picture of bytes, `[height, width, channels]` row after row; three channels are red, green, blue, one is gray.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    height: usize,
    width: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl Image {
    /// A picture from its pixels.
    ///
    /// # Errors
    /// [`Error::BadSetting`] when it has no pixel, neither one nor three channels, or `pixels` another length than `height · width · channels`.
    pub fn new(height: usize, width: usize, channels: usize, pixels: Vec<u8>) -> Result<Self> {
        let expected = height.checked_mul(width).and_then(|area| area.checked_mul(channels));
        if ![1, 3].contains(&channels) || pixels.is_empty() || expected != Some(pixels.len()) {
            return Err(Error::BadSetting {
                name: "image",
                expected: "height · width · channels bytes, with 1 or 3 channels and at least one pixel",
                found: format!("{} bytes for {height}×{width}×{channels}", pixels.len()),
            });
        }
        Ok(Self::from_parts(height, width, channels, pixels))
    }

    /// As [`Self::new`], for lengths that are right by construction.
    pub(super) fn from_parts(height: usize, width: usize, channels: usize, pixels: Vec<u8>) -> Self {
        debug_assert_eq!(pixels.len(), height * width * channels);
        Self {
            height,
            width,
            channels,
            pixels,
        }
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 or 3.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The bytes, `[height, width, channels]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    pub(super) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// The whole picture as a rectangle.
    pub fn rect(&self) -> Rect {
        Rect {
            top: 0,
            left: 0,
            height: self.height,
            width: self.width,
        }
    }

    /// The bytes of the pixel in a row and a column, both clamped to the picture.
    pub(super) fn pixel(&self, row: usize, column: usize) -> &[u8] {
        let at = (row.min(self.height - 1) * self.width + column.min(self.width - 1)) * self.channels;
        &self.pixels[at..at + self.channels]
    }

    /// Brightness of every pixel, `[height, width]`: ITU-R 601 in 16-bit fixed point, as Pillow converts to its mode `L`.
    pub fn luma(&self) -> Vec<u8> {
        if self.channels == 1 {
            return self.pixels.clone();
        }
        let luma = |rgb: &[u8]| {
            let weighted = u32::from(rgb[0]) * 19_595 + u32::from(rgb[1]) * 38_470 + u32::from(rgb[2]) * 7_471;
            ((weighted + 0x8000) >> 16) as u8
        };
        self.pixels.chunks_exact(3).map(luma).collect()
    }

    /// The picture in gray (1) or color (3): gray is repeated, color is turned into its brightness.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        if channels == self.channels {
            return self;
        }
        let pixels = if channels == 1 {
            self.luma()
        } else {
            self.pixels.iter().flat_map(|&gray| [gray; 3]).collect()
        };
        Self::from_parts(self.height, self.width, if channels == 1 { 1 } else { 3 }, pixels)
    }

    /// Mirrored left to right.
    #[must_use]
    pub fn flipped(&self) -> Self {
        let mut pixels = Vec::with_capacity(self.pixels.len());
        for row in self.pixels.chunks_exact(self.width * self.channels) {
            for pixel in row.chunks_exact(self.channels).rev() {
                pixels.extend_from_slice(pixel);
            }
        }
        Self::from_parts(self.height, self.width, self.channels, pixels)
    }

    /// The `height × width` pixels whose upper left corner is at (`top`, `left`); what lies outside the picture is black.
    pub(super) fn window(&self, top: isize, left: isize, height: usize, width: usize) -> Self {
        let mut pixels = vec![0; height * width * self.channels];
        for (y, row) in pixels.chunks_exact_mut(width * self.channels).enumerate() {
            let Some(source_y) = top.checked_add_unsigned(y).and_then(|y| usize::try_from(y).ok()) else {
                continue;
            };
            if source_y >= self.height {
                continue;
            }
            let from = left.max(0).unsigned_abs();
            let to = left
                .saturating_add_unsigned(width)
                .clamp(0, self.width.cast_signed())
                .unsigned_abs();
            if from >= to {
                continue;
            }
            let source = &self.pixels[(source_y * self.width + from) * self.channels..][..(to - from) * self.channels];
            let skip = left.min(0).unsigned_abs() * self.channels;
            row[skip..skip + source.len()].copy_from_slice(source);
        }
        Self::from_parts(height, width, self.channels, pixels)
    }

    /// The middle `height × width` pixels. An odd rest is divided as torchvision's `CenterCrop` does: half of it, ties to even.
    pub(super) fn center(&self, height: usize, width: usize) -> Self {
        let offset = |have: usize, want: usize| ((have as f64 - want as f64) / 2.0).round_ties_even() as isize;
        self.window(offset(self.height, height), offset(self.width, width), height, width)
    }

    /// The middle `height × width` pixels as the image processors of `transformers` cut them out: of an odd rest the smaller half lies above
    /// and to the left.
    pub(super) fn processed_center(&self, height: usize, width: usize) -> Self {
        let offset = |have: usize, want: usize| (have.cast_signed() - want.cast_signed()).div_euclid(2);
        self.window(offset(self.height, height), offset(self.width, width), height, width)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_over_the_edge_is_black_outside() {
        let image = Image::new(2, 2, 1, vec![1, 2, 3, 4]).unwrap();
        assert_eq!(
            image.window(-1, -1, 4, 4).pixels(),
            [0, 0, 0, 0, 0, 1, 2, 0, 0, 3, 4, 0, 0, 0, 0, 0]
        );
        assert_eq!(image.window(1, 1, 1, 3).pixels(), [4, 0, 0]);
        assert_eq!(image.window(-9, 0, 2, 2).pixels(), [0; 4]);
        assert_eq!(image.window(0, 7, 2, 2).pixels(), [0; 4]);
        assert_eq!(image.center(1, 1).pixels(), [1]);
    }

    #[test]
    fn brightness_is_that_of_pillow() {
        // Image.new("RGB", (1, 1), c).convert("L") for the primaries.
        let image = Image::new(1, 3, 3, vec![255, 0, 0, 0, 255, 0, 0, 0, 255]).unwrap();
        assert_eq!(image.luma(), [76, 150, 29]);
        assert_eq!(
            image.with_channels(1).with_channels(3).pixels(),
            [76, 76, 76, 150, 150, 150, 29, 29, 29]
        );
    }

    #[test]
    fn a_picture_of_the_wrong_length_is_refused() {
        for (height, width, channels, bytes) in [(2, 2, 3, 11), (0, 2, 3, 0), (2, 2, 2, 8), (usize::MAX, 2, 3, 6)] {
            assert!(matches!(
                Image::new(height, width, channels, vec![0; bytes]),
                Err(Error::BadSetting { name: "image", .. })
            ));
        }
    }

    proptest! {
        #[test]
        fn flipping_twice_changes_nothing(height in 1usize..9, width in 1usize..9, color: bool, seed: u8) {
            let channels = if color { 3 } else { 1 };
            let pixels: Vec<u8> = (0..height * width * channels).map(|at| (at as u8).wrapping_mul(37).wrapping_add(seed)).collect();
            let image = Image::new(height, width, channels, pixels).unwrap();
            let flipped = image.flipped();
            prop_assert_eq!(flipped.pixel(0, 0), image.pixel(0, width - 1));
            prop_assert_eq!(flipped.flipped(), image);
        }
    }
}
