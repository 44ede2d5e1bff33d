//! What every sequence of a batch gets added.

use burn::tensor::Tensor;

#[cfg(feature = "cube")]
use crate::cube;

/// `y[b, l] = x[b, l] + (positions[l] + shared[0])`: learned positions and, where there is one, a row that all tokens get.
///
/// # Shapes
/// `x` and the result `[B, L, D]`, `positions [P, D]` with `P` at least `L`, `shared [T, D]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn add_positions(x: Tensor<3>, positions: Tensor<2>, shared: Option<Tensor<2>>) -> Tensor<3> {
    let [_, length, width] = x.dims();
    let [rows, columns] = positions.dims();
    assert!(
        rows >= length && columns == width && shared.as_ref().is_none_or(|row| row.dims()[1] == width),
        "{length} tokens of width {width} need as many positions, found {rows} of width {columns}"
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&positions) && shared.as_ref().is_none_or(cube::is_native) {
        return cube::positions::add(x, positions, shared);
    }
    // The small tables are added first: that leaves one addition over the whole batch.
    let first = |table: Tensor<2>, rows: usize| table.slice_dim(0, 0..rows).unsqueeze::<3>();
    let rest = match shared {
        Some(shared) => first(positions, length) + first(shared, 1),
        None => first(positions, length),
    };
    x + rest
}
