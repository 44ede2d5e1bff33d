//! What decoders need: grouped heads, documents, RMS norm, rotary embedding, SwiGLU.

use burn::tensor::{Device, FloatDType, Int, Tensor, TensorData};

use super::{assert_central_differences, assert_close, compare, device, frequencies, host, loss, noise};
use crate::{kernels::swiglu::Gate, *};

/// Three or more documents in each sequence, cut at other places in each; the first one comes back at the end.
pub(super) fn documents(batch: usize, length: usize, device: &Device) -> Tensor<2, Int> {
    let ids = (0..batch * length).map(|at| {
        let (b, l) = (at / length, at % length);
        if l < 2 || l + 2 >= length {
            70
        } else {
            (l / (length / 3 + b + 1)) as i32
        }
    });
    Tensor::from_data(TensorData::new(ids.collect::<Vec<_>>(), [batch, length]), device)
}

/// Padding in the last third.
pub(super) fn padding(batch: usize, length: usize, device: &Device) -> Tensor<2> {
    let keep = (0..batch * length).map(|i| f32::from(i % length <= length * 2 / 3));
    Tensor::from_data(TensorData::new(keep.collect::<Vec<_>>(), [batch, length]), device)
}

#[test]
fn grouped_attention_within_documents_equals_its_composition() {
    let d = device();
    for (batch, length, heads, groups, head) in
        [(2, 7, 6, 2, 5), (1, 150, 3, 1, 16), (2, 300, 4, 4, 8), (1, 9, 8, 4, 2)]
    {
        let leaves = [
            noise([batch * length, heads * head], 1, &d),
            noise([batch * length, groups * head], 2, &d),
            noise([batch * length, groups * head], 3, &d),
        ];
        let shaped = |x: [Tensor<2>; 3]| {
            x.map(|x| {
                let [_, width] = x.dims();
                x.reshape([batch, length, width])
            })
        };
        for (causal, divided, padded, probability) in [
            (true, true, false, 0.0),
            (true, true, true, 0.2),
            (false, true, false, 0.2),
            (true, false, true, 0.2),
            (false, false, false, 0.0),
        ] {
            let options = AttentionOptions {
                num_heads: heads,
                key_padding_mask: padded.then(|| padding(batch, length, &d)),
                documents: divided.then(|| documents(batch, length, &d)),
                causal,
                dropout: Some(Dropout { probability, seed: 5 }),
                ..AttentionOptions::default()
            };
            compare(
                &format!("{heads}/{groups} heads, length {length}, {causal} {divided} {padded} {probability}"),
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

#[test]
fn a_document_is_attended_to_as_if_it_were_alone() {
    let d = Device::flex();
    let (length, cut) = (200, 77);
    let [q, k, v] = [1, 2, 3].map(|seed| noise([1, length, 8], seed, &d));
    let ids: Vec<i32> = (0..length).map(|l| i32::from(l >= cut)).collect();
    let options = AttentionOptions {
        num_heads: 2,
        causal: true,
        ..AttentionOptions::default()
    };
    let packed = AttentionOptions {
        documents: Some(Tensor::from_data(TensorData::new(ids, [1, length]), &d)),
        ..options.clone()
    };
    let packed = grouped_attention(q.clone(), k.clone(), v.clone(), packed);
    for range in [0..cut, cut..length] {
        let alone = [&q, &k, &v].map(|x| x.clone().slice_dim(1, range.clone()));
        let [q, k, v] = alone;
        let alone = host(grouped_attention(q, k, v, options.clone()));
        let found = host(packed.clone().slice_dim(1, range));
        assert_close("a document", &found, &alone, 1e-6);
    }
}

#[test]
#[should_panic(expected = "3 key-value heads do not divide 4 query heads")]
fn key_value_heads_that_do_not_divide_the_query_heads_are_refused() {
    let d = Device::flex();
    let options = AttentionOptions {
        num_heads: 4,
        ..AttentionOptions::default()
    };
    let shared = noise([1, 2, 6], 2, &d);
    grouped_attention(noise([1, 2, 8], 1, &d), shared.clone(), shared, options);
}

#[test]
fn rms_norm_equals_its_composition() {
    let d = device();
    for (rows, width) in [(1, 1), (3, 17), (130, 256), (33, 300)] {
        compare(
            "RMS norm",
            [noise([rows, width], 1, &d).add_scalar(2.0), noise([1, width], 2, &d)],
            |[x, w]| rms_norm(x, w.squeeze_dim(0), 1e-5),
            |[x, w]| composed::rms_norm(x, w.squeeze_dim(0), 1e-5),
        );
    }
    // A view whose rows are columns.
    compare(
        "RMS norm of a view",
        [noise([12, 10], 1, &d), noise([1, 12], 2, &d)],
        |[x, w]| rms_norm(x.transpose(), w.squeeze_dim(0), 1e-5),
        |[x, w]| composed::rms_norm(x.transpose(), w.squeeze_dim(0), 1e-5),
    );
}

#[test]
fn gated_units_equal_their_composition_and_stay_finite() {
    let d = device();
    for (kind, unit) in [(Gate::Silu, swiglu as fn(_, _) -> _), (Gate::Gelu, geglu)] {
        compare(
            &format!("{kind:?}"),
            [noise([37, 610], 1, &d).mul_scalar(4.0), noise([37, 610], 2, &d)],
            |[gate, up]| unit(gate, up),
            |[gate, up]| composed::gated(gate, up, kind),
        );
        let gate = Tensor::<2>::from_data([[-1e4f32, -100.0, 0.0, 1e4, f32::NAN]], &Device::flex());
        let y = host(unit(gate, Tensor::full([1, 5], 2.0, &Device::flex())));
        assert!(
            y[..3].iter().all(|y| y.abs() < 1e-30) && y[3] == 2e4 && y[4].is_nan(),
            "{y:?}"
        );
    }
}

#[test]
fn rotary_equals_its_composition_for_shared_and_own_positions() {
    let d = device();
    // The last two turn a part of each head.
    for (batch, length, heads, head, turned) in [
        (1, 1, 1, 2, 2),
        (3, 50, 3, 6, 6),
        (2, 200, 4, 16, 16),
        (2, 30, 3, 8, 2),
        (1, 70, 2, 11, 6),
    ] {
        let own: Vec<usize> = (0..batch * length).map(|i| i * 7 % length).collect();
        let shared: Vec<usize> = (0..length).collect();
        for (rows, positions) in [(1, shared), (batch, own)] {
            let angles = RotaryAngles::new(&positions, [rows, length], &frequencies(turned, 10_000.0), 1.5, &d);
            let shape = [batch, length, heads * head];
            compare(
                "rotary embedding",
                [noise([batch * length, heads * head], 1, &d)],
                |[x]| rotary(x.reshape(shape), head, &angles),
                |[x]| composed::rotary(x.reshape(shape), head, &angles),
            );
        }
    }
}

#[test]
fn rotary_turns_pairs_by_position_times_frequency() {
    let d = Device::flex();
    let angles = RotaryAngles::new(&[0, 3], [1, 2], &frequencies(4, 100.0), 1.0, &d);
    let x = Tensor::<3>::from_data([[[1.0f32, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]]], &d);
    // Pairs (1, 3) and (2, 4); frequencies 1 and 100^(-1/2).
    let (s, c) = 3f64.sin_cos();
    let (t, e) = 0.3f64.sin_cos();
    let expected = [c - 3.0 * s, 2.0 * e - 4.0 * t, 3.0 * c + s, 4.0 * e + 2.0 * t];
    let found = host(rotary(x, 4, &angles));
    assert_eq!(found[..4], [1.0, 2.0, 3.0, 4.0]);
    assert_close("rotary embedding", &found[4..], &expected, 1e-6);
    // Of a head of five elements the first two are a pair, and the cosines and sines may be larger.
    let angles = RotaryAngles::new(&[3], [1, 1], &[1.0], 2.0, &d);
    let x = Tensor::<3>::from_data([[[1.0f32, 2.0, 3.0, 4.0, 5.0]]], &d);
    let expected = [2.0 * (c - 2.0 * s), 2.0 * (2.0 * c + s), 3.0, 4.0, 5.0];
    assert_close("a part of a head", &host(rotary(x, 5, &angles)), &expected, 1e-6);
}

#[test]
fn the_angles_at_some_places_are_those_of_their_positions() {
    let d = Device::flex();
    let places = Tensor::<2, Int>::from_data([[0, 2, 3], [1, 2, 4]], &d);
    let shared = [[0, 1, 2, 3, 4]; 2];
    let own = [[0, 1, 2, 0, 1], [0, 0, 1, 2, 3]];
    for (rows, positions) in [(1, shared), (2, own)] {
        let all = RotaryAngles::new(
            &positions.concat()[..5 * rows],
            [rows, 5],
            &frequencies(6, 100.0),
            1.0,
            &d,
        );
        let at = |sequence: usize, places: [usize; 3]| places.map(|place| positions[sequence][place]);
        let chosen = [at(0, [0, 2, 3]), at(1, [1, 2, 4])].concat();
        let expected = RotaryAngles::new(&chosen, [2, 3], &frequencies(6, 100.0), 1.0, &d);
        let x = noise([2 * 3, 12], 1, &d).reshape([2, 3, 12]);
        let found = rotary(x.clone(), 6, &all.at(places.clone()));
        assert_eq!(host(found), host(rotary(x, 6, &expected)));
    }
}

#[test]
fn composed_decoder_gradients_equal_central_differences_in_f64() {
    let d = device();
    let wide = |x: Tensor<2>| x.cast(FloatDType::F64);
    let leaves = [
        wide(noise([6, 12], 1, &d)),
        wide(noise([6, 8], 2, &d)),
        wide(noise([1, 12], 3, &d)),
    ];
    let angles = RotaryAngles::new(&[0, 1, 2, 0, 1, 0], [2, 3], &frequencies(4, 50.0), 1.0, &d);
    let ids = Tensor::<2, Int>::from_data([[4, 4, 4], [1, 1, 0]], &d);
    let model = |[x, shared, w]: [Tensor<2>; 3]| {
        let w = w.squeeze_dim::<1>(0);
        let q = rms_norm(x.clone(), w.clone(), 1e-5).reshape([2, 3, 12]);
        let parts = [0, 4].map(|at| shared.clone().slice([0..6, at..at + 4]).reshape([2, 3, 4]));
        let [k, v] = parts;
        let options = AttentionOptions {
            num_heads: 3,
            documents: Some(ids.clone()),
            causal: true,
            dropout: Some(Dropout {
                probability: 0.2,
                seed: 3,
            }),
            ..AttentionOptions::default()
        };
        let h = grouped_attention(rotary(q, 4, &angles), rotary(k, 4, &angles), v, options);
        loss(swiglu(rms_norm(h, w, 1e-5).reshape([6, 12]), x))
    };
    assert_central_differences(leaves, model);
}

#[test]
fn decoder_operations_do_not_depend_on_the_number_of_threads() {
    let run = || {
        let d = device();
        let leaves = [noise([300, 64], 1, &d), noise([300, 32], 2, &d), noise([1, 64], 3, &d)];
        let leaves = leaves.map(Tensor::require_grad);
        let [x, shared, w] = leaves.clone();
        let positions: Vec<usize> = (0..150).collect();
        let angles = RotaryAngles::new(&positions, [1, 150], &frequencies(16, 10_000.0), 1.0, &d);
        let q = rotary(rms_norm(x.reshape([2, 150, 64]), w.squeeze_dim(0), 1e-6), 16, &angles);
        let shared = shared.reshape([2, 150, 32]);
        let options = AttentionOptions {
            num_heads: 4,
            documents: Some(documents(2, 150, &d)),
            causal: true,
            ..AttentionOptions::default()
        };
        let y = grouped_attention(q.clone(), rotary(shared.clone(), 16, &angles), shared, options);
        let y = swiglu(y, q);
        let grads = loss(y.clone()).backward();
        (host(y), leaves.map(|leaf| host(leaf.grad(&grads).unwrap())))
    };
    let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    assert!(pool(1).install(run) == pool(3).install(run));
}
