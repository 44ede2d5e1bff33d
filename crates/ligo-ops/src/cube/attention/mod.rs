//! Attention in tiles, after FlashAttention-2 (Dao, arXiv:2307.08691): no scores in memory, so that memory grows with `L` and not with `L²`.
//!
//! Forward is one launch, backward two. Forward keeps `log Σ exp` of each query's scores, from which backward makes the weights anew. Sums over
//! keys (or over queries, for the gradients of keys and values) are partial sums of one tile each, added up in the order of the tiles. Tiles of
//! queries and keys that see nothing of each other are left out: behind the causal diagonal, beyond the window, of padding, of other documents.

mod backward;
mod forward;
mod weights;

use burn::backend::autodiff::{
    checkpoint::base::Checkpointer,
    grads::Gradients,
    ops::{Backward, Ops},
};
use burn::tensor::Tensor;

use self::weights::Call;
use super::{Back, Cube, CubeTensor, Part, integers, into_contiguous, is_native, part, values};
use crate::{AttentionOptions, graph, kernels::attention::Plan};

/// The widest head that the kernels take: beyond it a thread has no registers left for its sums.
const WIDEST: usize = 256;
/// Buffers of the backward kernels.
const BUFFERS: u32 = 10;
/// Cubes along one dimension of a launch, on every device.
const CUBES: usize = 65_535;

/// Whether the kernels can take this call.
pub(crate) fn takes(q: &Tensor<3>, k: &Tensor<3>, v: &Tensor<3>, plan: &Plan, options: &AttentionOptions) -> bool {
    if !(is_native(q) && is_native(k) && is_native(v)) {
        return false;
    }
    let mask = options.key_padding_mask.as_ref();
    plan.batch * plan.length > 0
        && (1..=WIDEST).contains(&plan.width)
        && plan.batch.max(plan.heads) <= CUBES
        && mask.is_none_or(is_native)
        // Tokens that stand apart are rare enough for the composed body.
        && (plan.reach.is_none() || options.positions.is_none())
        && Part::on(q.clone()).values.client.properties().hardware.max_bindings >= BUFFERS
}

/// [`crate::grouped_attention`] on a GPU, for a call that it [`takes`], or [`crate::cross_attention`].
pub(crate) fn attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, plan: Plan, options: AttentionOptions) -> Tensor<3> {
    let mask = options.key_padding_mask.map(values);
    let documents = options.documents.map(integers);
    let parts: [Part; 3] = [part(q), part(k), part(v)];
    let [q, k, v] = parts.each_ref().map(|part| &part.values);
    let call = Call::new(q, plan, mask, documents);
    let (out, log_sums) = forward::run(&call, q, k, v);
    let result = out.clone();
    graph::record(Node, parts, result, |qkv| State {
        call,
        qkv,
        out,
        log_sums,
    })
}

#[derive(Debug)]
struct Node;

#[derive(Debug, Clone)]
struct State {
    call: Call,
    qkv: [CubeTensor; 3],
    out: CubeTensor,
    log_sums: CubeTensor,
}

impl Backward<Cube, 3> for Node {
    type State = State;

    fn backward(self, ops: Ops<State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (dout, state, mut back) = Back::on(ops, grads);
        let dout = into_contiguous(dout);
        let (dq, dots) = backward::queries(&state, &dout);
        back.give(0, dq);
        if back.wants(1) || back.wants(2) {
            let [dk, dv] = backward::keys(&state, &dout, &dots);
            back.give(1, dk);
            back.give(2, dv);
        }
    }
}
