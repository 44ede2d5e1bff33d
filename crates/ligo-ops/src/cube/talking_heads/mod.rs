//! Talking-heads attention. Scores of all heads are in memory for the length of one call: heads exchange them.
//!
//! Forward is three launches: scores, what happens to the rows of scores, the product with the values. It keeps nothing of size `L²`;
//! backward makes the scores again, turns them and the weights' gradients into weights and the scores' gradients, in place, and multiplies.

mod finish;
mod heads;
mod products;
mod rows;

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;

use super::{Back, Cube, CubeTensor, Part, dims, empty, into_contiguous, is_native, part};
use crate::{Dropout, HeadMix, graph};
use rows::Call;

/// Heads that fit into a thread's registers.
const HEADS: usize = 16;
/// Cubes along one dimension of a launch, on every device.
const CUBES: usize = 65_535;

/// Whether the kernels can take this call.
pub(crate) fn takes(q: &Tensor<3>, k: &Tensor<3>, v: &Tensor<3>, before: &HeadMix, after: &HeadMix) -> bool {
    let [batch, length, width] = q.dims();
    let [heads] = before.bias.dims();
    [q, k, v].into_iter().all(is_native)
        && [&before.weight, &after.weight].into_iter().all(is_native)
        && [&before.bias, &after.bias].into_iter().all(is_native)
        && batch * length * width > 0
        && heads <= HEADS
        && batch * heads <= CUBES
        && rows::fits(&Part::on(q.clone()).values.client, heads)
}

/// [`crate::talking_heads`] on a GPU, for a call that it [`takes`].
pub(crate) fn talking_heads(
    q: Tensor<3>,
    k: Tensor<3>,
    v: Tensor<3>,
    before: HeadMix,
    after: HeadMix,
    dropout: Option<Dropout>,
) -> Tensor<3> {
    let [batch, length, width] = q.dims();
    let [heads] = before.bias.dims();
    let parts: [Part; 7] = [
        part(q),
        part(k),
        part(v),
        part(before.weight),
        part(before.bias),
        part(after.weight),
        part(after.bias),
    ];
    let [q, k, v, before, _, after, bias] = parts.each_ref().map(|part| &part.values);
    let call = Call {
        batch,
        length,
        heads,
        width: width / heads,
        dropout,
    };
    let scores = products::scores(&call, q, k);
    let (weights, log_sums) = rows::forward(&call, &scores, before, after, bias);
    let out = products::of_rows(&call, &weights, v);
    graph::record(Node, parts, out, |inputs| State { call, inputs, log_sums })
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    call: Call,
    inputs: [CubeTensor; 7],
    log_sums: CubeTensor,
}

impl Backward<Cube, 7> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 7>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dout, state, mut back) = Back::on(ops, grads);
        let dout = into_contiguous(dout);
        let State {
            call,
            inputs: [q, k, v, before, _, after, bias],
            log_sums,
        } = &state;
        let scores = products::scores(call, q, k);
        let grads = products::scores(call, &dout, v);
        let partial = rows::backward(call, &scores, &grads, log_sums, [before, after, bias]);
        // Now `scores` are the weights that met the values, and `grads` the gradients of the scores.
        if back.wants(0) {
            back.give(0, products::of_rows(call, &grads, k));
        }
        if back.wants(1) {
            back.give(1, products::of_columns(call, &grads, q));
        }
        if back.wants(2) {
            back.give(2, products::of_columns(call, &scores, &dout));
        }
        if (3..7).any(|index| back.wants(index)) {
            for (index, grad) in (3..7).zip(finish::sums(call, &partial)) {
                back.give(index, grad);
            }
        }
    }
}
