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

/// Learned tokens in front of each sequence, then positions: `y[b, l] = (l < P ? prefix[l] : x[b, l - P]) + positions[l]`, as vision
/// transformers begin.
///
/// # Shapes
/// `x [B, N, D]`, one or two tokens `[D]` in `prefix`, `positions [P + N, D]`; the result is `[B, P + N, D]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn prefix_positions(x: Tensor<3>, prefix: Vec<Tensor<1>>, positions: Tensor<2>) -> Tensor<3> {
    let [batch, length, width] = x.dims();
    assert!(
        positions.dims() == [length + prefix.len(), width],
        "{} tokens of width {width} need as many positions, found {:?}",
        length + prefix.len(),
        positions.dims()
    );
    #[cfg(feature = "cube")]
    if cube::is_native(&x) && cube::is_native(&positions) && prefix.iter().all(cube::is_native) {
        match <[Tensor<1>; 1]>::try_from(prefix) {
            Ok([token]) => return cube::positions::prefixed(x, [token], positions),
            Err(prefix) => match <[Tensor<1>; 2]>::try_from(prefix) {
                Ok(tokens) => return cube::positions::prefixed(x, tokens, positions),
                Err(prefix) => return composed(x, prefix, positions, batch),
            },
        }
    }
    composed(x, prefix, positions, batch)
}

fn composed(x: Tensor<3>, prefix: Vec<Tensor<1>>, positions: Tensor<2>, batch: usize) -> Tensor<3> {
    let repeated = prefix.into_iter().map(|token| {
        let [width] = token.dims();
        token.reshape([1, 1, width]).expand([batch, 1, width])
    });
    Tensor::cat(repeated.chain([x]).collect(), 1) + positions.unsqueeze()
}
