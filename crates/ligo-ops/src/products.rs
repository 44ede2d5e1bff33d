//! Matrix products of many matrices at once, and sums of such products.
//!
//! These are what a backward pass outside of autodiff needs. One output of a product is the work of one thread on a GPU, and a sum over a
//! whole vocabulary would keep few of them busy for long: it is cut into parts of at most [`LONGEST_SUM`](composed::LONGEST_SUM) terms.

use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::{
    composed::{self, multiply},
    graph,
    simd::{self, Matrix},
};

/// `y[l] = a[l] · b[l]`. Nothing is recorded for differentiation.
///
/// # Shapes
/// `a [L, m, k]`, `b [L, k, n]`; the result is `[L, m, n]`. Where one of the two has one matrix only, it serves for all of the other's.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn product(a: Tensor<3>, b: Tensor<3>) -> Tensor<3> {
    let (a, b) = (a.without_autodiff(), b.without_autodiff());
    let [count, m, n, k] = fit(&a, &b);
    if !(graph::is_fast(&a) && graph::is_fast(&b)) {
        return multiply(a, b);
    }
    let (a, b) = (Operand::new(a), Operand::new(b));
    let y = simd::products(count, [m, n, k], |l| a.matrix(l), |l| b.matrix(l));
    graph::untracked(graph::tensor(y, [count, m, n]))
}

/// `Σ_l a[l] · b[l]`. Nothing is recorded for differentiation.
///
/// # Shapes
/// `a [L, m, k]`, `b [L, k, n]`; the result is `[m, n]`.
///
/// # Panics
/// When the shapes do not fit each other.
pub fn product_sum(a: Tensor<3>, b: Tensor<3>) -> Tensor<2> {
    let (a, b) = (a.without_autodiff(), b.without_autodiff());
    let [count, m, n, k] = fit(&a, &b);
    if !(graph::is_fast(&a) && graph::is_fast(&b)) {
        return composed::product_sum(a, b);
    }
    let (a, b) = (Operand::new(a), Operand::new(b));
    let y = simd::product_sum(count, [m, n, k], |l| a.matrix(l), |l| b.matrix(l));
    graph::untracked(graph::tensor(y, [m, n]))
}

/// `aᵀ · b`, a sum over rows. Nothing is recorded for differentiation.
///
/// # Shapes
/// `a [k, m]`, `b [k, n]`; the result is `[m, n]`.
///
/// # Panics
/// When the numbers of rows differ.
pub fn transposed_product(a: Tensor<2>, b: Tensor<2>) -> Tensor<2> {
    let (a, b) = (a.without_autodiff(), b.without_autodiff());
    if graph::is_fast(&a) && graph::is_fast(&b) {
        return product_sum(a.unsqueeze::<3>().swap_dims(1, 2), b.unsqueeze::<3>());
    }
    composed::transposed_product(a, b)
}

/// `[L, m, n, k]` of a product.
fn fit(a: &Tensor<3>, b: &Tensor<3>) -> [usize; 4] {
    let ([left, m, k], [right, inner, n]) = (a.dims(), b.dims());
    assert!(
        inner == k && (left == right || left == 1 || right == 1),
        "no product of {:?} and {:?}",
        a.dims(),
        b.dims()
    );
    [left.max(right), m, n, k]
}

/// The matrices of a tensor `[L, rows, columns]`, however its dimensions lie in memory.
struct Operand {
    tensor: FlexTensor,
    start: usize,
    /// Distances between matrices, rows and columns.
    strides: [usize; 3],
}

impl Operand {
    fn new(x: Tensor<3>) -> Self {
        let is_one = x.dims()[0] == 1;
        let mut tensor = graph::values(x);
        if tensor.layout().strides().iter().any(|s| *s < 0) {
            tensor = tensor.to_contiguous();
        }
        let layout = tensor.layout();
        let stride = |dim: usize| layout.strides()[dim].unsigned_abs();
        Self {
            start: layout.start_offset(),
            strides: [if is_one { 0 } else { stride(0) }, stride(1), stride(2)],
            tensor,
        }
    }

    fn matrix(&self, index: usize) -> Matrix<'_> {
        let [step, rows, cols] = self.strides;
        let data: &[f32] = self.tensor.storage();
        let start = (self.start + index * step).min(data.len());
        Matrix {
            data: &data[start..],
            rows,
            cols,
        }
    }
}
