//! Attention whose heads exchange scores and weights.

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

#[cfg(feature = "cube")]
use crate::cube;
use crate::{
    Dropout, HeadMix, composed,
    graph::{self, Back, Part},
    kernels::talking_heads::{self as kernel, Operands, Plan},
};

/// Talking-heads attention (Shazeer et al., arXiv:2003.02436): `after(softmax(before(q·kᵀ / √(D/H))))·v`.
///
/// Head `h` is the columns `h·D/H .. (h+1)·D/H`. The bias of `before` cancels in the softmax: its gradient is zero. `dropout` acts on what `after`
/// makes; element `((b·H + h)·L + i)·L + j` of the mask belongs to query `i` and key `j` of head `h` in batch element `b`.
///
/// # Shapes
/// `q`, `k`, `v` and the result `[B, L, D]`.
///
/// # Panics
/// When the shapes differ, or the number of heads does not divide `D`.
pub fn talking_heads(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    before: HeadMix,
    after: HeadMix,
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
    let [heads] = before.bias.dims();
    assert!(
        heads > 0 && width % heads == 0,
        "{heads} heads do not divide the width {width}"
    );
    assert!(
        before.weight.dims() == [heads; 2] && after.weight.dims() == [heads; 2] && after.bias.dims() == [heads],
        "{heads} heads need matrices [{heads}, {heads}] and biases [{heads}]"
    );
    let dropout = dropout.filter(|dropout| dropout.probability > 0.0);
    #[cfg(feature = "cube")]
    if cube::talking_heads::takes(&q, &k, &v, &before, &after) {
        return cube::talking_heads::talking_heads(q, k, v, before, after, dropout);
    }
    let fast = [&q, &k, &v].into_iter().all(graph::is_fast)
        && [&before.weight, &after.weight].into_iter().all(graph::is_fast)
        && [&before.bias, &after.bias].into_iter().all(graph::is_fast);
    if !fast || batch * length == 0 {
        return composed::talking_heads(q, k, v, before, after, dropout);
    }
    let plan = Plan {
        batch,
        length,
        heads,
        width: width / heads,
        dropout,
    };
    let mut parts = [
        Part::new(q),
        Part::new(k),
        Part::new(v),
        Part::new(before.weight),
        Part::new(before.bias),
        Part::new(after.weight),
        Part::new(after.bias),
    ];
    for part in &mut parts {
        part.values = graph::contiguous(part.values.clone());
    }
    let (out, log_sums) = kernel::forward(&plan, operands(&parts.each_ref().map(|part| &part.values)));
    let out = graph::tensor(out, [batch, length, width]);
    graph::record(Node, parts, out, |values| State { values, plan, log_sums })
}

fn operands<'a>([q, k, v, before, _, after, bias]: &[&'a FlexTensor; 7]) -> Operands<'a> {
    Operands {
        q: graph::slice(q),
        k: graph::slice(k),
        v: graph::slice(v),
        before: graph::slice(before),
        after: graph::slice(after),
        bias: graph::slice(bias),
    }
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    values: [FlexTensor; 7],
    plan: Plan,
    log_sums: Vec<f32>,
}

impl Backward<Flex, 7> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 7>, grads: &mut Gradients, check: &mut Checkpointer) {
        let (dout, state, mut back) = Back::open(ops, grads, check);
        let dout = graph::contiguous(dout);
        let plan = &state.plan;
        let x = operands(&state.values.each_ref());
        let d = kernel::backward(plan, x, &state.log_sums, graph::slice(&dout));
        let (heads, shape) = (plan.heads, [plan.batch, plan.length, plan.heads * plan.width]);
        for (index, grad) in [d.q, d.k, d.v].into_iter().enumerate() {
            back.give(index, graph::tensor(grad, shape));
        }
        back.give(3, graph::tensor(d.before, [heads; 2]));
        back.give(4, graph::tensor(vec![0.0; heads], [heads]));
        back.give(5, graph::tensor(d.after, [heads; 2]));
        back.give(6, graph::tensor(d.bias, [heads]));
    }
}
