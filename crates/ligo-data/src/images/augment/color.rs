//! Changes of color, with the arithmetic of Pillow's `ImageOps` and `ImageEnhance`.

use crate::images::draw::{Purpose, SampleKey, uniform};
use crate::images::image::Image;

/// Applies one table of 256 values per channel.
fn look_up(image: &mut Image, tables: &[[u8; 256]]) {
    let channels = image.channels();
    for pixel in image.pixels_mut().chunks_exact_mut(channels) {
        for (value, table) in pixel.iter_mut().zip(tables) {
            *value = table[usize::from(*value)];
        }
    }
}

fn same_for_all(image: &mut Image, map: impl Fn(u8) -> u8) {
    let table: [u8; 256] = std::array::from_fn(|value| map(value as u8));
    look_up(image, &[table; 3]);
}

fn histograms(image: &Image) -> Vec<[usize; 256]> {
    let mut histograms = vec![[0; 256]; image.channels()];
    for pixel in image.pixels().chunks_exact(image.channels()) {
        for (&value, histogram) in pixel.iter().zip(&mut histograms) {
            histogram[usize::from(value)] += 1;
        }
    }
    histograms
}

const IDENTITY: [u8; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = at as u8;
        at += 1;
    }
    table
};

/// Stretches every channel so that its darkest value becomes 0 and its lightest 255.
pub(super) fn auto_contrast(image: &mut Image) {
    let stretch = |histogram: &[usize; 256]| {
        let low = histogram.iter().position(|&count| count > 0).unwrap_or(0);
        let high = histogram.iter().rposition(|&count| count > 0).unwrap_or(0);
        if high <= low {
            return IDENTITY;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        std::array::from_fn(|value| (value as f64 * scale + offset).clamp(0.0, 255.0) as u8)
    };
    let tables: Vec<_> = histograms(image).iter().map(stretch).collect();
    look_up(image, &tables);
}

/// Spreads the values of every channel so that all are about equally frequent.
pub(super) fn equalize(image: &mut Image) {
    let spread = |histogram: &[usize; 256]| {
        let last = histogram.iter().rposition(|&count| count > 0).unwrap_or(0);
        let step = histogram[..last].iter().sum::<usize>() / 255;
        if step == 0 {
            return IDENTITY;
        }
        let mut below = step / 2;
        std::array::from_fn(|value| {
            let mapped = (below / step).min(255) as u8;
            below += histogram[value];
            mapped
        })
    };
    let tables: Vec<_> = histograms(image).iter().map(spread).collect();
    look_up(image, &tables);
}

/// The negative.
pub(super) fn invert(image: &mut Image) {
    same_for_all(image, |value| 255 - value);
}

/// Keeps the highest bits of every value.
pub(super) fn posterize(image: &mut Image, bits: u32) {
    let mask = !(0xff_u32 >> bits.min(8)) as u8;
    same_for_all(image, |value| value & mask);
}

/// Inverts the values from a threshold on.
pub(super) fn solarize(image: &mut Image, threshold: u32) {
    same_for_all(image, |value| {
        if u32::from(value) < threshold {
            value
        } else {
            255 - value
        }
    });
}

/// Makes the darker half lighter.
pub(super) fn solarize_add(image: &mut Image, add: u8) {
    same_for_all(
        image,
        |value| if value < 128 { value.saturating_add(add) } else { value },
    );
}

/// `degenerate + factor · (image − degenerate)`, clipped and rounded towards zero; 1 changes nothing (Haeberli and Voorhies, "Image processing by
/// linear interpolation and extrapolation", 1994).
fn blend(image: &mut Image, factor: f64, degenerate: impl Fn(usize) -> u8) {
    let factor = factor as f32;
    if factor == 1.0 {
        return;
    }
    for (at, value) in image.pixels_mut().iter_mut().enumerate() {
        let from = f32::from(degenerate(at));
        *value = (from + factor * (f32::from(*value) - from)).clamp(0.0, 255.0) as u8;
    }
}

/// Darker below 1, lighter above.
pub(super) fn brightness(image: &mut Image, factor: f64) {
    blend(image, factor, |_| 0);
}

/// Grayer below 1: towards the picture's mean brightness.
pub(super) fn contrast(image: &mut Image, factor: f64) {
    let luma = image.luma();
    let sum: u64 = luma.iter().copied().map(u64::from).sum();
    let mean = (sum as f64 / luma.len() as f64 + 0.5) as u8;
    blend(image, factor, |_| mean);
}

/// Less colorful below 1.
pub(super) fn saturation(image: &mut Image, factor: f64) {
    let channels = image.channels();
    if channels == 3 {
        let luma = image.luma();
        blend(image, factor, |at| luma[at / channels]);
    }
}

/// Blurred below 1.
pub(super) fn sharpness(image: &mut Image, factor: f64) {
    let smooth = smooth(image);
    blend(image, factor, |at| smooth[at]);
}

/// Pillow's `SMOOTH` filter: the pixel counts five times, its eight neighbors once; the border stays as it is.
fn smooth(image: &Image) -> Vec<u8> {
    let (width, channels, pixels) = (image.width(), image.channels(), image.pixels());
    let row = width * channels;
    let mut smooth = pixels.to_vec();
    for y in 1..image.height().saturating_sub(1) {
        for at in y * row + channels..((y + 1) * row).saturating_sub(channels) {
            let three = |middle: usize| {
                u32::from(pixels[middle - channels]) + u32::from(pixels[middle]) + u32::from(pixels[middle + channels])
            };
            let sum = three(at - row) + three(at) + three(at + row) + 4 * u32::from(pixels[at]);
            smooth[at] = ((2 * sum + 13) / 26) as u8;
        }
    }
    smooth
}

/// Changes brightness, contrast and saturation by factors from `1 − strength` to `1 + strength` in a random order (torchvision's `ColorJitter`).
pub(super) fn jitter(image: &mut Image, strength: f64, key: SampleKey) {
    let mut stream = key.stream(Purpose::ColorJitter);
    let mut changes: [fn(&mut Image, f64); 3] = [brightness, contrast, saturation];
    for at in 0..2 {
        let other = at + stream.below(3 - at as u64) as usize;
        changes.swap(at, other);
    }
    for change in changes {
        change(image, uniform(&mut stream, (1.0 - strength).max(0.0), 1.0 + strength));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gray(values: &[u8]) -> Image {
        Image::from_parts(1, values.len(), 1, values.to_vec())
    }

    fn changed(values: &[u8], change: impl Fn(&mut Image)) -> Vec<u8> {
        let mut image = gray(values);
        change(&mut image);
        image.pixels().to_vec()
    }

    #[test]
    fn tables_follow_their_formulas() {
        assert_eq!(changed(&[50, 100, 150], auto_contrast), [0, 127, 255]);
        assert_eq!(changed(&[9, 9], auto_contrast), [9, 9]);
        assert_eq!(changed(&[0, 200, 255], invert), [255, 55, 0]);
        assert_eq!(changed(&[255, 129, 63], |image| posterize(image, 2)), [192, 128, 0]);
        assert_eq!(changed(&[255, 1], |image| posterize(image, 0)), [0, 0]);
        assert_eq!(changed(&[255, 1], |image| posterize(image, 8)), [255, 1]);
        assert_eq!(changed(&[25, 26, 255], |image| solarize(image, 26)), [25, 229, 0]);
        assert_eq!(
            changed(&[0, 127, 128], |image| solarize_add(image, 110)),
            [110, 237, 128]
        );
    }

    #[test]
    fn equalising_a_dark_picture_spreads_it_over_the_range() {
        let values: Vec<u8> = (0..1024).map(|at| (at / 32) as u8).collect();
        let spread = changed(&values, equalize);
        // 32 of each value; step = (1024 - 32) / 255 = 3, so value v becomes (1 + 32 v) / 3, clipped.
        for (at, &value) in spread.iter().enumerate() {
            assert_eq!(usize::from(value), ((1 + at / 32 * 32) / 3).min(255));
        }
    }

    #[test]
    fn blends_clip_and_one_changes_nothing() {
        assert_eq!(changed(&[10, 100, 200], |image| brightness(image, 0.5)), [5, 50, 100]);
        assert_eq!(changed(&[10, 100, 200], |image| brightness(image, 1.9)), [19, 190, 255]);
        assert_eq!(changed(&[0, 100, 200], |image| contrast(image, 0.0)), [100, 100, 100]);
        assert_eq!(changed(&[0, 100, 200], |image| contrast(image, 1.5)), [0, 100, 250]);
        for change in [brightness, contrast, saturation, sharpness] {
            assert_eq!(changed(&[3, 7, 250], |image| change(image, 1.0)), [3, 7, 250]);
        }
        let mut image = Image::from_parts(1, 1, 3, vec![255, 0, 0]);
        saturation(&mut image, 0.0);
        assert_eq!(image.pixels(), [76, 76, 76]);
    }

    #[test]
    fn smoothing_counts_the_middle_five_times_and_leaves_the_border() {
        let mut values = [0; 25];
        values[12] = 130;
        let image = Image::from_parts(5, 5, 1, values.to_vec());
        let smooth = smooth(&image);
        assert_eq!(smooth[12], 50);
        assert_eq!(smooth[6], 10);
        assert_eq!(smooth[0], 0);
        for (height, width) in [(1, 1), (2, 5), (5, 1)] {
            let small = Image::from_parts(height, width, 1, vec![7; height * width]);
            assert_eq!(super::smooth(&small), small.pixels());
        }
    }
}
