//! Multi-head scaled dot-product attention.

use std::collections::HashMap;

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
    AttentionOptions, Dropout, composed,
    graph::{self, Back, Part},
    kernels::attention::{self as kernel, Plan, Reach, Sequences},
};

/// `softmax(q·kᵀ / √(D/H) + mask)·v` for each of the `H` heads (Vaswani et al., arXiv:1706.03762).
///
/// Head `h` is the columns `h·D/H .. (h+1)·D/H`, read in place. `key_padding_mask` is 1 where a key may be attended to and 0 at padding;
/// with `causal` a position sees itself and earlier positions only. A query without any visible key gives zeros. For what else can be
/// asked, see [`grouped_attention`], of which this is the common case.
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
    assert!(
        q.dims() == k.dims(),
        "attention needs q, k and v of one shape, found {:?}, {:?} and {:?}",
        q.dims(),
        k.dims(),
        v.dims()
    );
    let options = AttentionOptions {
        num_heads,
        key_padding_mask,
        causal,
        dropout,
        ..AttentionOptions::default()
    };
    grouped_attention(q, k, v, options)
}

/// Attention whose keys and values may have fewer heads than its queries (Ainslie et al., arXiv:2305.13245), that may be limited
/// to documents and to a window, and whose scores may be capped.
///
/// Query head `h` of `H` reads key-value head `h / (H/G)` of `G`, in place: nothing is repeated in memory. `G` follows from the width
/// of the keys, since all heads are equally wide. A query without any visible key gives zeros.
///
/// # Shapes
/// `q` and the result `[B, L, H·d]`; `k` and `v` `[B, L, G·d]`.
///
/// # Panics
/// When the shapes do not fit each other, `num_heads` does not divide the width of `q`, `G` does not divide `num_heads`, a window is 0, or a
/// cap is not above 0.
pub fn grouped_attention(q: Tensor<3>, k: Tensor<3>, v: Tensor<3>, options: AttentionOptions) -> Tensor<3> {
    let plan = plan(&q, &k, &v, &options);
    #[cfg(feature = "cube")]
    if cube::attention::takes(&q, &k, &v, &plan, &options) {
        return cube::attention::attention(q, k, v, plan, options);
    }
    let fast = graph::is_fast(&q) && graph::is_fast(&k) && graph::is_fast(&v);
    if !fast || plan.batch * plan.length == 0 {
        return composed::attention(q, k, v, plan.groups, options);
    }
    let plan = Plan {
        visible: options
            .key_padding_mask
            .map(|mask| mask.into_data().iter::<f32>().map(|x| x > 0.5).collect()),
        documents: options
            .documents
            .map(|documents| first_positions(&graph::integers(documents), plan.length)),
        positions: options.positions.filter(|_| plan.reach.is_some()).map(graph::integers),
        ..plan
    };
    let parts = [q, k, v].map(|x| {
        let mut part = Part::new(x);
        part.values = rows_contiguous(part.values);
        part
    });
    let [qs, ks, vs] = parts.each_ref().map(|part| sequences(&part.values));
    let (out, log_sums) = kernel::forward(&plan, qs, ks, vs);
    let out = graph::tensor(out, [plan.batch, plan.length, plan.heads * plan.width]);
    graph::record(Node, parts, out, |qkv| State { qkv, plan, log_sums })
}

/// Checks all shapes; masks are not read yet.
fn plan(q: &Tensor<3>, k: &Tensor<3>, v: &Tensor<3>, options: &AttentionOptions) -> Plan {
    let [batch, length, width] = q.dims();
    let heads = options.num_heads;
    assert!(
        heads > 0 && width % heads == 0,
        "{heads} heads do not divide the width {width}"
    );
    let head = width / heads;
    let [_, _, shared] = k.dims();
    assert!(
        k.dims() == [batch, length, shared] && v.dims() == k.dims() && shared.is_multiple_of(head.max(1)),
        "attention needs q [B, L, {heads}·d], k and v [B, L, G·d], found {:?}, {:?} and {:?}",
        q.dims(),
        k.dims(),
        v.dims()
    );
    let groups = shared.checked_div(head).unwrap_or(heads);
    assert!(
        groups > 0 && heads.is_multiple_of(groups),
        "{groups} key-value heads do not divide {heads} query heads"
    );
    let masks = [
        options.key_padding_mask.as_ref().map(Tensor::dims),
        options.documents.as_ref().map(Tensor::dims),
        options.positions.as_ref().map(Tensor::dims),
    ];
    for found in masks.into_iter().flatten() {
        assert!(
            found == [batch, length],
            "attention needs a mask [{batch}, {length}], found {found:?}"
        );
    }
    assert!(
        options.window != Some(0),
        "a window of attention holds one position at least"
    );
    assert!(
        options.soft_cap.is_none_or(|cap| cap > 0.0),
        "scores level off at a number above 0, found {:?}",
        options.soft_cap
    );
    let reach = options.window.map(|window| Reach::of(window, options.causal));
    Plan {
        scale: options.scale.map(|scale| scale as f32),
        cap: options.soft_cap.map(|cap| cap as f32),
        // What hides nothing is no window, unless tokens stand further apart than their number says.
        reach: reach.filter(|reach| options.positions.is_some() || reach.hides_of(length)),
        causal: options.causal,
        dropout: options.dropout.filter(|dropout| dropout.probability > 0.0),
        ..Plan::all(batch, length, [heads, groups], head)
    }
}

/// For each position the first one of its sequence with the same document.
fn first_positions(documents: &[i64], length: usize) -> Vec<u32> {
    let mut firsts = Vec::with_capacity(documents.len());
    for sequence in documents.chunks_exact(length) {
        let mut seen = HashMap::new();
        firsts.extend(
            (0u32..)
                .zip(sequence)
                .map(|(i, document)| *seen.entry(*document).or_insert(i)),
        );
    }
    firsts
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
        let all = kernel::backward(plan, q, k, v, &state.log_sums, sequences(&dout));
        for (index, (grad, heads)) in all.into_iter().zip([plan.heads, plan.groups, plan.groups]).enumerate() {
            let shape = [plan.batch, plan.length, heads * plan.width];
            back.give(index, graph::tensor(grad, shape));
        }
    }
}
