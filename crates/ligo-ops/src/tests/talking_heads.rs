//! Talking-heads attention.

use burn::tensor::Tensor;

use super::{compare, device, host, noise};
use crate::{Dropout, HeadMix, attention, composed, talking_heads};

/// The operation on leaves q, k, v `[B·L, D]`, matrices `[H, H]` and the second bias `[1, H]`; the first one is `shift`.
fn run(
    leaves: [Tensor<2>; 6],
    shift: Tensor<1>,
    batch: usize,
    dropout: Option<Dropout>,
    op: impl Fn(Tensor<3>, Tensor<3>, Tensor<3>, HeadMix, HeadMix, Option<Dropout>) -> Tensor<3>,
) -> Tensor<3> {
    let [q, k, v, before, after, bias] = leaves;
    let split = |x: Tensor<2>| {
        let [rows, width] = x.dims();
        x.reshape([batch, rows / batch, width])
    };
    let before = HeadMix {
        weight: before,
        bias: shift,
    };
    let after = HeadMix {
        weight: after,
        bias: bias.squeeze_dim(0),
    };
    op(split(q), split(k), split(v), before, after, dropout)
}

#[test]
fn talking_heads_equal_their_composition() {
    let d = device();
    let some = Some(Dropout {
        probability: 0.3,
        seed: 5,
    });
    // Of one head, of a length below a tile, of blocks with a rest.
    for (batch, length, heads, width, dropout) in [
        (1, 1, 1, 3, None),
        (2, 7, 3, 4, None),
        (3, 50, 4, 8, some),
        (2, 197, 8, 5, some),
    ] {
        let rows = [batch * length, heads * width];
        let leaves = [
            noise(rows, 1, &d),
            noise(rows, 2, &d),
            noise(rows, 3, &d),
            noise([heads, heads], 4, &d),
            noise([heads, heads], 5, &d),
            noise([1, heads], 6, &d),
        ];
        let shift = || noise([heads], 7, &d);
        compare(
            &format!("talking heads {batch} {length} {heads} {width}"),
            leaves,
            |leaves| run(leaves, shift(), batch, dropout, talking_heads),
            |leaves| run(leaves, shift(), batch, dropout, composed::talking_heads),
        );
    }
}

#[test]
fn the_bias_before_the_softmax_cancels() {
    let d = device();
    let [q, k, v] = [1, 2, 3].map(|seed| noise([1, 5, 4], seed, &d));
    let after = HeadMix {
        weight: noise([2, 2], 5, &d),
        bias: noise([2], 6, &d),
    };
    let with = |bias: Tensor<1>| {
        let before = HeadMix {
            weight: noise([2, 2], 4, &d),
            bias,
        };
        talking_heads(q.clone(), k.clone(), v.clone(), before, after.clone(), None)
    };
    let bias = noise([2], 7, &d).require_grad();
    let out = with(bias.clone());
    assert_eq!(host(out.clone()), host(with(Tensor::zeros([2], &d))));
    let grads = out.sum().backward();
    assert_eq!(host(bias.grad(&grads).unwrap()), [0.0, 0.0]);
}

#[test]
fn heads_that_do_not_talk_are_plain_attention() {
    let d = device();
    let [q, k, v] = [1, 2, 3].map(|seed| noise([2, 9, 12], seed, &d));
    let silent = || HeadMix {
        weight: Tensor::eye(3, &d),
        bias: Tensor::zeros([3], &d),
    };
    let plain = attention(q.clone(), k.clone(), v.clone(), 3, None, false, None);
    let talking = talking_heads(q, k, v, silent(), silent(), None);
    super::assert_close("attention", &host(talking), &host(plain), 1e-5);
}
