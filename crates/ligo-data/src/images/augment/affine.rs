//! Shearing, shifting and turning, as Pillow's `Image.transform` and `Image.rotate` with bicubic interpolation.

use crate::images::image::Image;

/// `[a, b, c, d, e, f]`: the output pixel with the middle (x, y) shows the input at (a·x + b·y + c, d·x + e·y + f).
pub(super) type Matrix = [f64; 6];

/// Shifts each row by a share of its distance from the top.
pub(super) fn shear_x(factor: f64) -> Matrix {
    [1.0, factor, 0.0, 0.0, 1.0, 0.0]
}

/// Shifts each column by a share of its distance from the left.
pub(super) fn shear_y(factor: f64) -> Matrix {
    [1.0, 0.0, 0.0, factor, 1.0, 0.0]
}

/// Shows what lies `x` and `y` pixels further right and down.
pub(super) fn shift(x: f64, y: f64) -> Matrix {
    [1.0, 0.0, x, 0.0, 1.0, y]
}

/// Turns counter-clockwise about the middle.
pub(super) fn rotation(degrees: f64, height: usize, width: usize) -> Matrix {
    let (sin, cos) = (-degrees.to_radians()).sin_cos();
    let (x, y) = (width as f64 / 2.0, height as f64 / 2.0);
    [cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y]
}

/// Cubic convolution with `a = -1` between `values[1]` and `values[2]`, in Pillow's order of operations, which keeps plain areas plain.
fn cubic(values: [f64; 4], d: f64) -> f64 {
    let [v1, v2, v3, v4] = values;
    v2 + d * ((v3 - v1) + d * ((2.0 * (v1 - v2) + v3 - v4) + d * (-v1 + v2 - v3 + v4)))
}

/// The picture seen through a matrix; what comes from outside has the color `fill`, one byte per channel.
pub(super) fn transform(image: &Image, matrix: Matrix, fill: &[u8]) -> Image {
    let [a, b, c, d, e, f] = matrix;
    let (height, width, channels) = (image.height(), image.width(), image.channels());
    let mut pixels = Vec::with_capacity(height * width * channels);
    for y in 0..height {
        for x in 0..width {
            let (x, y) = (x as f64 + 0.5, y as f64 + 0.5);
            let (from_x, from_y) = (a * x + b * y + c, d * x + e * y + f);
            let inside = from_x >= 0.0 && from_x < width as f64 && from_y >= 0.0 && from_y < height as f64;
            if !inside {
                pixels.extend_from_slice(&fill[..channels]);
                continue;
            }
            let (from_x, from_y) = (from_x - 0.5, from_y - 0.5);
            let (left, top) = (from_x.floor(), from_y.floor());
            // Negative numbers become 0, and `pixel` clamps at the far edge.
            let columns = [-1.0, 0.0, 1.0, 2.0].map(|offset| (left + offset) as usize);
            let rows = [-1.0, 0.0, 1.0, 2.0].map(|offset| (top + offset) as usize);
            let corners = rows.map(|row| columns.map(|column| image.pixel(row, column)));
            for channel in 0..channels {
                let lines = corners.map(|line| cubic(line.map(|pixel| f64::from(pixel[channel])), from_x - left));
                pixels.push(cubic(lines, from_y - top).clamp(0.0, 255.0) as u8);
            }
        }
    }
    Image::from_parts(height, width, channels, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Image {
        let pixels = (0..7 * 5 * 3).map(|at| (at * 41 % 251) as u8).collect();
        Image::from_parts(7, 5, 3, pixels)
    }

    #[test]
    fn whole_pixels_are_shifted_exactly_and_what_enters_is_filled() {
        let image = picture();
        assert_eq!(transform(&image, shift(0.0, 0.0), &[1, 2, 3]), image);
        let shifted = transform(&image, shift(2.0, -1.0), &[1, 2, 3]);
        for y in 0..7 {
            for x in 0..5 {
                let expected = if y < 1 || x + 2 >= 5 {
                    &[1, 2, 3]
                } else {
                    image.pixel(y - 1, x + 2)
                };
                assert_eq!(shifted.pixel(y, x), expected, "{y} {x}");
            }
        }
    }

    #[test]
    fn four_quarter_turns_of_a_square_come_back_and_one_goes_counter_clockwise() {
        let pixels: Vec<u8> = (0..36).map(|at| at * 7).collect();
        let image = Image::from_parts(6, 6, 1, pixels);
        let turn = |image: &Image| transform(image, rotation(90.0, 6, 6), &[0]);
        let once = turn(&image);
        // Up to the rounding towards zero of values that lie a hair below a whole number.
        let near = |a: &Image, b: &Image| a.pixels().iter().zip(b.pixels()).all(|(a, b)| a.abs_diff(*b) <= 4);
        assert!(once.pixel(0, 0)[0].abs_diff(image.pixel(0, 5)[0]) <= 1);
        assert!(near(&turn(&turn(&turn(&once))), &image));
    }

    #[test]
    fn a_plain_picture_stays_plain_inside() {
        let image = Image::from_parts(20, 20, 1, vec![37; 400]);
        for matrix in [rotation(13.0, 20, 20), shear_x(0.3), shear_y(-0.2), shift(1.3, 0.7)] {
            let seen = transform(&image, matrix, &[37]);
            assert_eq!(seen, image, "{matrix:?}");
        }
    }
}
