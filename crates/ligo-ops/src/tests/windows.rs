//! Attention that reaches over a window, scores of another scale, and scores that level off.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{
    compare,
    decoders::{documents, padding},
    device, host, noise,
};
use crate::*;

/// Where the tokens of each sequence stand when every third one was left out, other ones in each sequence.
fn places(batch: usize, length: usize, device: &Device) -> Tensor<2, Int> {
    let places = (0..batch).flat_map(|b| (0i32..).filter(move |place| (place + b as i32) % 3 != 1).take(length));
    Tensor::from_data(
        TensorData::new(places.collect::<Vec<_>>(), [batch, length]),
        &device.clone().without_autodiff(),
    )
}

#[test]
fn windows_scales_and_caps_equal_their_composition() {
    let d = device();
    for (batch, length, heads, groups, head) in [(2, 7, 6, 2, 5), (1, 150, 3, 1, 16), (2, 300, 2, 2, 8)] {
        let leaves = [
            noise([batch * length, heads * head], 1, &d).mul_scalar(2.0),
            noise([batch * length, groups * head], 2, &d),
            noise([batch * length, groups * head], 3, &d),
        ];
        let shaped = |x: [Tensor<2>; 3]| {
            x.map(|x| {
                let [_, width] = x.dims();
                x.reshape([batch, length, width])
            })
        };
        let plain = AttentionOptions {
            num_heads: heads,
            causal: true,
            ..AttentionOptions::default()
        };
        let apart = Some(places(batch, length, &d));
        let all = [
            AttentionOptions {
                window: Some(2),
                ..plain.clone()
            },
            AttentionOptions {
                window: Some(5),
                ..plain.clone()
            },
            AttentionOptions {
                window: Some(70),
                causal: false,
                ..plain.clone()
            },
            AttentionOptions {
                window: Some(5),
                causal: false,
                positions: apart.clone(),
                ..plain.clone()
            },
            AttentionOptions {
                window: Some(66),
                positions: apart,
                ..plain.clone()
            },
            AttentionOptions {
                soft_cap: Some(1.5),
                scale: Some(0.7),
                ..plain.clone()
            },
            AttentionOptions {
                window: Some(length / 2 + 2),
                soft_cap: Some(20.0),
                documents: Some(documents(batch, length, &d)),
                key_padding_mask: Some(padding(batch, length, &d)),
                dropout: Some(Dropout {
                    probability: 0.2,
                    seed: 5,
                }),
                ..plain.clone()
            },
        ];
        for options in all {
            let name = format!(
                "length {length}, window {:?}, causal {}, cap {:?}",
                options.window, options.causal, options.soft_cap
            );
            compare(
                &name,
                leaves.clone(),
                |x| {
                    let [q, k, v] = shaped(x);
                    grouped_attention(q, k, v, options.clone())
                },
                |x| {
                    let [q, k, v] = shaped(x);
                    composed::attention(q, k, v, groups, options.clone())
                },
            );
        }
    }
}

/// Which keys each query sees: those that a value gets to it from.
fn seen(length: usize, options: AttentionOptions) -> Vec<Vec<usize>> {
    let d = Device::flex();
    let q = Tensor::<3>::zeros([1, length, length], &d);
    let one: Vec<f32> = (0..length * length)
        .map(|i| f32::from(i % length == i / length))
        .collect();
    let v = Tensor::<3>::from_data(TensorData::new(one, [1, length, length]), &d);
    let y = host(grouped_attention(q.clone(), q, v, options));
    let rows = y.chunks_exact(length);
    rows.map(|row| (0..length).filter(|j| row[*j] > 0.0).collect())
        .collect()
}

#[test]
fn a_causal_window_holds_as_many_positions_as_it_says_and_one_to_both_sides_half_of_them_each() {
    let length = 300;
    for (window, causal) in [
        (1, true),
        (64, true),
        (299, true),
        (300, true),
        (9, false),
        (8, false),
        (1000, false),
    ] {
        let options = AttentionOptions {
            num_heads: 1,
            causal,
            window: Some(window),
            ..AttentionOptions::default()
        };
        for (i, found) in seen(length, options).into_iter().enumerate() {
            // As `masking_utils.py` and ModernBERT's configuration of transformers 5.23 say it.
            let sees = |j: &usize| match causal {
                true => *j <= i && j + window > i,
                false => i.abs_diff(*j) <= window / 2,
            };
            let expected: Vec<usize> = (0..length).filter(sees).collect();
            assert_eq!(found, expected, "window {window}, query {i}");
        }
    }
}

#[test]
fn tokens_that_stand_apart_count_the_places_between_them() {
    let place = |i: usize| i * 3 / 2 + i / 40;
    let length = 300;
    let places: Vec<i32> = (0..length).map(|i| place(i) as i32).collect();
    for (window, causal) in [(2, true), (90, true), (31, false)] {
        let options = AttentionOptions {
            num_heads: 1,
            causal,
            window: Some(window),
            positions: Some(Tensor::from_data(
                TensorData::new(places.clone(), [1, length]),
                &Device::flex(),
            )),
            ..AttentionOptions::default()
        };
        for (i, found) in seen(length, options).into_iter().enumerate() {
            let sees = |j: &usize| match causal {
                true => *j <= i && place(*j) + window > place(i),
                false => place(i).abs_diff(place(*j)) <= window / 2,
            };
            let expected: Vec<usize> = (0..length).filter(sees).collect();
            assert_eq!(found, expected, "window {window}, query {i}");
        }
    }
}

#[test]
fn what_the_window_hides_of_whole_blocks_is_not_computed() {
    let d = Device::flex();
    let length = 512;
    let [q, k] = [1, 2].map(|seed| noise([1, length, 4], seed, &d));
    // Whatever is multiplied with it shows, be the weight zero.
    let v: Vec<f32> = (0..4 * length).map(|i| if i < 4 { f32::NAN } else { 1.0 }).collect();
    let v = Tensor::<3>::from_data(TensorData::new(v, [1, length, 4]), &d);
    for causal in [true, false] {
        let options = AttentionOptions {
            num_heads: 1,
            causal,
            window: Some(16),
            ..AttentionOptions::default()
        };
        let y = host(grouped_attention(q.clone(), k.clone(), v.clone(), options));
        assert!(y[..4].iter().all(|y| y.is_nan()));
        let computed = y.iter().position(|y| !y.is_nan());
        assert!(computed.is_some_and(|at| at <= 4 * 128), "{computed:?}");
        assert!(y[4 * 128..].iter().all(|y| (y - 1.0).abs() < 1e-5));
    }
}

#[test]
fn a_window_that_hides_nothing_gives_the_bits_of_none() {
    let d = Device::flex();
    let [q, k, v] = [1, 2, 3].map(|seed| noise([2, 90, 8], seed, &d));
    for causal in [true, false] {
        let with = |window| AttentionOptions {
            num_heads: 2,
            causal,
            window,
            ..AttentionOptions::default()
        };
        let [wide, none] =
            [Some(180), None].map(|window| host(grouped_attention(q.clone(), k.clone(), v.clone(), with(window))));
        assert_eq!(wide, none);
    }
}

#[test]
fn the_hyperbolic_tangent_is_that_of_double_precision() {
    use crate::kernels::math::tanh;
    for i in -40_000..=40_000 {
        let x = i as f32 * 5e-4;
        let expected = f64::from(x).tanh();
        for found in [tanh::<false>(x), tanh::<true>(x)] {
            let error = (f64::from(found) - expected).abs();
            assert!(
                error <= 2.0 * f64::from(f32::EPSILON) * expected.abs(),
                "{found} of {x}"
            );
        }
    }
    assert_eq!([f32::INFINITY, f32::NEG_INFINITY].map(tanh::<false>), [1.0, -1.0]);
    assert!(tanh::<false>(f32::NAN).is_nan());
}

#[test]
#[should_panic(expected = "a window of attention holds one position at least")]
fn a_window_of_nothing_is_refused() {
    let x = noise([1, 2, 4], 1, &Device::flex());
    let options = AttentionOptions {
        num_heads: 1,
        window: Some(0),
        ..AttentionOptions::default()
    };
    grouped_attention(x.clone(), x.clone(), x, options);
}
