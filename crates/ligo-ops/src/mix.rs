//! Linear combinations of a few long vectors, as layers of a model are mixed into layers of another one.

use burn::tensor::Tensor;

#[cfg(feature = "cube")]
use crate::cube;
use crate::{Rows, composed, graph, kernels};

/// `y[i] = Σ_j weights[i, j] · x[j]`. Nothing is recorded for differentiation; see [`mix_backward`].
///
/// A matrix product with few rows and very long ones, for which a pass over memory is all the work.
///
/// # Shapes
/// `weights [R, S]`, `x [S, n]`; the result is `[R, n]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn mix(weights: Tensor<2>, x: Tensor<2>) -> Tensor<2> {
    let (weights, x) = (weights.without_autodiff(), x.without_autodiff());
    let [rows, sources] = weights.dims();
    let [count, len] = x.dims();
    assert_eq!(sources, count, "mix needs one weight for each of the mixed rows");
    if !(graph::is_fast(&weights) && graph::is_fast(&x)) {
        return composed::mix(weights, x);
    }
    let [weights, x] = [weights, x].map(|x| graph::contiguous(graph::values(x)));
    let y = kernels::mix::forward(graph::slice(&weights), graph::slice(&x), [rows, sources, len]);
    graph::untracked(graph::tensor(y, [rows, len]))
}

/// The gradients of [`mix`] by its weights and by what it mixes, `(dY·xᵀ, weightsᵀ·dY)`; each only where it is asked for.
///
/// On a GPU the sum over `n` for an entry of `dY·xᵀ` is cut into parts of about a thousand terms.
///
/// # Shapes
/// `weights [R, S]`, `dy [R, n]`, and `x [S, n]` where the gradient by the weights is asked for; the results are `[R, S]` and `[S, n]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn mix_backward(
    weights: Tensor<2>,
    x: Option<Tensor<2>>,
    dy: &Rows,
    wants_dx: bool,
) -> (Option<Tensor<2>>, Option<Tensor<2>>) {
    let weights = weights.without_autodiff();
    let x = x.map(Tensor::without_autodiff);
    let [rows, sources] = weights.dims();
    let [count, len] = dy.dims();
    assert_eq!(rows, count, "mix_backward needs a gradient for each row that was mixed");
    assert!(
        x.as_ref().is_none_or(|x| x.dims() == [sources, len]),
        "mix_backward needs what was mixed, [{sources}, {len}]"
    );
    if !(graph::is_fast(&weights) && x.as_ref().is_none_or(graph::is_fast) && dy.is_fast()) {
        let dy = dy.together();
        #[cfg(feature = "cube")]
        if sources <= cube::mix::SOURCES && [&weights, &dy].into_iter().chain(&x).all(cube::is_native) {
            let dw = x.map(|x| cube::mix::weights_gradient(dy.clone(), x));
            return (dw, wants_dx.then(|| weights.transpose().matmul(dy)));
        }
        return composed::mix_backward(weights, x, dy, wants_dx);
    }
    let weights = graph::contiguous(graph::values(weights));
    let x = x.map(|x| graph::contiguous(graph::values(x)));
    let dy = dy.apart().into_iter();
    let dy: Vec<_> = dy.map(|dy| graph::contiguous(graph::values(dy))).collect();
    let dy: Vec<&[f32]> = dy.iter().map(graph::slice).collect();
    let (dw, dx) = kernels::mix::backward(
        graph::slice(&weights),
        x.as_ref().map(graph::slice),
        &dy,
        [sources, len],
        wants_dx,
    );
    let dw = dw.map(|dw| graph::untracked(graph::tensor(dw, [rows, sources])));
    (dw, dx.map(|dx| graph::untracked(graph::tensor(dx, [sources, len]))))
}
