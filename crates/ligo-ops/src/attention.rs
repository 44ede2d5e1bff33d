//! Multi-head scaled dot-product attention.

use burn::backend::{
    Flex,
    autodiff::{
        checkpoint::base::Checkpointer,
        grads::Gradients,
        ops::{Backward, Ops},
    },
};
use burn::tensor::Tensor;
use burn_flex::FlexTensor;

use crate::{
    Dropout, composed,
    graph::{self, Back, Part},
    kernels::attention::{self as kernel, Plan, Sequences},
};

/// `softmax(q·kᵀ / √(D/H) + mask)·v` for each of the `H` heads (Vaswani et al., arXiv:1706.03762).
///
/// Head `h` is the columns `h·D/H .. (h+1)·D/H`, read in place. `key_padding_mask` is 1 where a key may be attended to and 0 at padding;
/// with `causal` a position sees itself and earlier positions only. A query without any visible key gives zeros. `dropout` acts on the
/// attention weights; element `((b·H + h)·L + i)·L + j` of the mask belongs to query `i` and key `j` of head `h` in batch element `b`.
///
/// # Shapes
/// `q`, `k`, `v` and the result `[B, L, D]`; `key_padding_mask [B, L]`.
///
/// # Panics
/// When the shapes differ, or `num_heads` does not divide `D`.
pub fn attention(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    num_heads: usize,
    key_padding_mask: Option<Tensor<2>>,
    causal: bool,
    dropout: Option<Dropout>,
) -> Tensor<3> {
    let [batch, length, width] = q.dims();
    assert!(
        k.dims() == [batch, length, width] && v.dims() == [batch, length, width],
        "attention needs q, k and v of one shape, found {:?}, {:?} and {:?}",
        q.dims(),
        k.dims(),
        v.dims()
    );
    assert!(
        num_heads > 0 && width % num_heads == 0,
        "{num_heads} heads do not divide the width {width}"
    );
    let dropout = dropout.filter(|dropout| dropout.probability > 0.0);
    let fast = graph::is_fast(&q) && graph::is_fast(&k) && graph::is_fast(&v);
    if !fast || batch * length == 0 {
        return composed::attention(q, k, v, num_heads, key_padding_mask, causal, dropout);
    }
    let visible = key_padding_mask.map(|mask| {
        assert!(
            mask.dims() == [batch, length],
            "attention needs a key mask [{batch}, {length}], found {:?}",
            mask.dims()
        );
        mask.into_data().iter::<f32>().map(|x| x > 0.5).collect()
    });
    let plan = Plan {
        batch,
        length,
        heads: num_heads,
        width: width / num_heads,
        causal,
        visible,
        dropout,
    };
    let parts = [q, k, v].map(|x| {
        let mut part = Part::new(x);
        part.values = rows_contiguous(part.values);
        part
    });
    let [qs, ks, vs] = parts.each_ref().map(|part| sequences(&part.values));
    let (out, log_sums) = kernel::forward(&plan, qs, ks, vs);
    let out = graph::tensor(out, [batch, length, width]);
    graph::record(Node, parts, out, |qkv| State { qkv, plan, log_sums })
}

/// Copies only where the elements of a row are not side by side.
fn rows_contiguous(x: FlexTensor) -> FlexTensor {
    let strides = x.layout().strides();
    if strides[2] == 1 && strides[0] >= 0 && strides[1] >= 0 {
        x
    } else {
        x.to_contiguous()
    }
}

fn sequences(x: &FlexTensor) -> Sequences<'_> {
    let layout = x.layout();
    let strides = layout.strides();
    Sequences {
        data: &x.storage::<f32>()[layout.start_offset()..],
        batch: strides[0].unsigned_abs(),
        row: strides[1].unsigned_abs(),
    }
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    qkv: [FlexTensor; 3],
    plan: Plan,
    log_sums: Vec<f32>,
}

impl Backward<Flex, 3> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dout, state, mut back) = Back::open(ops, grads, check);
        let dout = rows_contiguous(dout);
        let [q, k, v] = state.qkv.each_ref().map(sequences);
        let plan = &state.plan;
        let shape = [plan.batch, plan.length, plan.heads * plan.width];
        let all = kernel::backward(plan, q, k, v, &state.log_sums, sequences(&dout));
        for (index, grad) in all.into_iter().enumerate() {
            back.give(index, graph::tensor(grad, shape));
        }
    }
}
