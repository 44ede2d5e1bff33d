//! Attention against its composition, and where it has nothing to see.

use burn::tensor::{Tensor, TensorData};

use super::{compare, compare_within, device, host, loss, noise, options};
use crate::{Dropout, attention, composed};

#[test]
fn attention_equals_its_composition() {
    let d = device();
    for (batch, length, heads, head) in [(1, 1, 1, 1), (2, 7, 3, 5), (2, 150, 2, 16), (1, 300, 1, 8)] {
        let width = heads * head;
        let leaves = [1, 2, 3].map(|seed| noise([batch * length, width], seed, &d));
        let mut keep = vec![1.0f32; batch * length];
        // Padding at the end of every element, and no key at all in the last one's case.
        for (i, keep) in keep.iter_mut().enumerate() {
            if i % length > length * 2 / 3 {
                *keep = 0.0;
            }
        }
        let mask = Tensor::<2>::from_data(TensorData::new(keep, [batch, length]), &d);
        for causal in [false, true] {
            for mask in [None, Some(mask.clone())] {
                for drop in [
                    None,
                    Some(Dropout {
                        probability: 0.2,
                        seed: 5,
                    }),
                ] {
                    let shape = [batch, length, width];
                    compare(
                        &format!(
                            "attention {shape:?} causal {causal} mask {} dropout {}",
                            mask.is_some(),
                            drop.is_some()
                        ),
                        leaves.clone(),
                        |x| {
                            let [q, k, v] = x.map(|x| x.reshape(shape));
                            attention(q, k, v, heads, mask.clone(), causal, drop)
                        },
                        |x| {
                            let [q, k, v] = x.map(|x| x.reshape(shape));
                            composed::attention(q, k, v, heads, options(heads, mask.clone(), causal, drop))
                        },
                    );
                }
            }
        }
    }
}

#[test]
fn sharp_attention_equals_its_composition() {
    // Scores up to a hundred apart, as after training at too high a rate; their rounding is that much larger too.
    let (shape, heads) = ([2, 70, 24], 6);
    let [q, k, v] = [1, 2, 3].map(|seed| noise([140, 24], seed, &device()));
    let sharp = |x: Tensor<2>| x.mul_scalar(6.0);
    for causal in [false, true] {
        compare_within(
            3e-5,
            "sharp attention",
            [sharp(q.clone()), sharp(k.clone()), v.clone()],
            |x| {
                let [q, k, v] = x.map(|x| x.reshape(shape));
                attention(q, k, v, heads, None, causal, None)
            },
            |x| {
                let [q, k, v] = x.map(|x| x.reshape(shape));
                composed::attention(q, k, v, heads, options(heads, None, causal, None))
            },
        );
    }
}

#[test]
fn a_query_without_visible_keys_gives_zeros_and_no_gradient() {
    let d = device();
    let mask = Tensor::<2>::from_data([[0.0f32, 0.0], [1.0, 1.0]], &d);
    let leaves = [1, 2, 3].map(|seed| noise([4, 6], seed, &d).require_grad());
    let [q, k, v] = leaves.clone().map(|x| x.reshape([2, 2, 6]));
    let y = attention(q, k, v, 2, Some(mask), false, None);
    assert!(host(y.clone())[..12].iter().all(|x| *x == 0.0));
    let grads = loss(y).backward();
    for leaf in leaves {
        let grad = host(leaf.grad(&grads).unwrap());
        assert!(grad[..12].iter().all(|x| *x == 0.0) && grad.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn attention_reads_slices_of_one_tensor_in_place() {
    let d = device();
    compare(
        "attention on slices",
        [noise([2 * 9, 3 * 8], 1, &d)],
        |[x]| {
            let x = x.reshape([2, 9, 24]);
            let part = |i: usize| x.clone().slice([0..2, 0..9, 8 * i..8 * i + 8]);
            attention(part(0), part(1), part(2), 2, None, false, None)
        },
        |[x]| {
            let x = x.reshape([2, 9, 24]);
            let part = |i: usize| x.clone().slice([0..2, 0..9, 8 * i..8 * i + 8]);
            composed::attention(part(0), part(1), part(2), 2, options(2, None, false, None))
        },
    );
}
