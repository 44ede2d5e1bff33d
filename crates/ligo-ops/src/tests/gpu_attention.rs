//! Attention and talking-heads attention on a GPU.

use std::{
    sync::{Arc, Mutex},
    thread::{self, ThreadId},
};

use burn::tensor::{DType, Device, FloatDType, Int, Tensor, TensorData};
use cubecl::{
    logging::{LaunchObservation, LaunchObserver},
    prelude::*,
};

use super::{
    assert_close,
    gpu::{gpu, held},
    host, loss, noise,
};
use crate::{
    AttentionOptions, Dropout, HeadMix, composed, cross_attention,
    cube::{
        self,
        chance::{Chance, Drops, chance, factor},
    },
    grouped_attention,
    mask::hash,
    talking_heads,
};

/// A seed whose halves both matter.
const SEED: u64 = 0xFEDC_BA98_7654_3210;

/// Sizes of a call.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    length: usize,
    heads: usize,
    groups: usize,
    width: usize,
}

/// `[batch, length, heads, groups, width]`
fn sizes([batch, length, heads, groups, width]: [usize; 5]) -> Sizes {
    Sizes {
        batch,
        length,
        heads,
        groups,
        width,
    }
}

/// What limits sight and drops weights.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    causal: bool,
    padded: bool,
    divided: bool,
    probability: f64,
}

impl Sizes {
    fn shapes(self) -> [[usize; 2]; 3] {
        let rows = self.batch * self.length;
        [self.heads, self.groups, self.groups].map(|heads| [rows, heads * self.width])
    }

    /// Every third key is padding, and all keys of the last sequence if there are several.
    fn mask(self, device: &Device) -> Tensor<2> {
        let keep = (0..self.batch * self.length).map(|at| {
            let (sequence, key) = (at / self.length, at % self.length);
            f32::from((sequence == 0 || sequence + 1 < self.batch) && (key % 3 != 1 || key == 0))
        });
        Tensor::from_data(TensorData::new(keep.collect(), [self.batch, self.length]), device)
    }

    /// Documents of seven positions; the first one comes back at the end.
    fn documents(self, device: &Device) -> Tensor<2, Int> {
        let ids = (0..self.batch * self.length).map(|at| {
            let position = at % self.length;
            if position + 3 > self.length {
                9
            } else {
                9 + (position / 7) as i32
            }
        });
        let data = TensorData::new(ids.collect::<Vec<_>>(), [self.batch, self.length]);
        Tensor::from_data(data, device)
    }

    fn options(self, limits: Limits, device: &Device) -> AttentionOptions {
        let device = device.clone().without_autodiff();
        AttentionOptions {
            num_heads: self.heads,
            key_padding_mask: limits.padded.then(|| self.mask(&device)),
            documents: limits.divided.then(|| self.documents(&device)),
            causal: limits.causal,
            dropout: Some(Dropout {
                probability: limits.probability,
                seed: SEED,
            }),
            ..AttentionOptions::default()
        }
    }

    fn split(self, x: [Tensor<2>; 3]) -> [Tensor<3>; 3] {
        x.map(|x| {
            let [_, width] = x.dims();
            x.reshape([self.batch, self.length, width])
        })
    }
}

/// Holds a call to the CPU's.
fn attention_is_the_cpus(sizes: Sizes, limits: Limits) {
    held(&format!("{sizes:?} {limits:?}"), sizes.shapes(), |x| {
        let options = sizes.options(limits, &x[0].device());
        let [q, k, v] = sizes.split(x);
        grouped_attention(q, k, v, options)
    });
}

const ALL: Limits = Limits {
    causal: true,
    padded: true,
    divided: true,
    probability: 0.3,
};

#[test]
fn attention_of_every_length_and_width_is_the_cpus() {
    for all in [
        [1, 1, 1, 1, 4],
        [2, 5, 3, 3, 5],
        [1, 31, 2, 2, 20],
        [1, 64, 1, 1, 64],
        [1, 65, 1, 1, 128],
        [1, 33, 1, 1, 137],
    ] {
        attention_is_the_cpus(sizes(all), Limits::default());
    }
}

#[test]
fn causal_attention_over_several_tiles_is_the_cpus() {
    let limits = Limits {
        causal: true,
        ..Limits::default()
    };
    attention_is_the_cpus(sizes([2, 130, 2, 2, 16]), limits);
    attention_is_the_cpus(sizes([1, 130, 1, 1, 64]), limits);
}

#[test]
fn attention_of_grouped_heads_is_the_cpus() {
    let limits = Limits {
        causal: true,
        ..Limits::default()
    };
    attention_is_the_cpus(sizes([2, 70, 4, 2, 16]), limits);
    attention_is_the_cpus(sizes([1, 31, 3, 1, 6]), Limits::default());
}

#[test]
fn attention_of_few_queries_to_many_keys_is_the_cpus_and_the_other_way_round() {
    for (queries, keys) in [(1, 70), (35, 6)] {
        held(
            &format!("{queries} queries and {keys} keys"),
            [[2 * queries, 8], [2 * keys, 8], [2 * keys, 8]],
            |x| {
                let [q, k, v] = x.map(|x| {
                    let [rows, width] = x.dims();
                    x.reshape([2, rows / 2, width])
                });
                cross_attention(q, k, v, 2)
            },
        );
    }
}

#[test]
fn masks_documents_and_dropout_are_the_cpus() {
    let none = Limits::default();
    for limits in [
        Limits { padded: true, ..none },
        Limits { divided: true, ..none },
        Limits {
            probability: 0.4,
            ..none
        },
        ALL,
    ] {
        attention_is_the_cpus(sizes([3, 30, 2, 2, 5]), limits);
    }
    attention_is_the_cpus(sizes([2, 67, 2, 1, 12]), ALL);
    // The last two positions share their document with the first ones alone: of three tiles, some see nothing of each other.
    attention_is_the_cpus(sizes([1, 130, 1, 1, 4]), Limits { divided: true, ..none });
}

/// Names of the kernels that a thread launches.
struct Launches(ThreadId, Mutex<Vec<&'static str>>);

impl LaunchObserver for Launches {
    fn launched(&self, kernel: &'static str) {
        if thread::current().id() == self.0 {
            self.1.lock().unwrap().push(kernel);
        }
    }
}

/// The kernels of ours that `act` launches.
fn launches(act: impl FnOnce()) -> Vec<&'static str> {
    let launches = Arc::new(Launches(thread::current().id(), Mutex::default()));
    let observer: Arc<dyn LaunchObserver> = Arc::clone(&launches) as _;
    let observation = LaunchObservation::new(observer);
    act();
    drop(observation);
    let mut names = std::mem::take(&mut *launches.1.lock().unwrap());
    names.retain(|name| name.contains("ligo_ops"));
    names
}

#[test]
fn attention_is_three_launches_and_talking_heads_are_twelve() {
    let Some(device) = gpu() else { return };
    let device = device.autodiff();
    let leaf = |shape: [usize; 3], seed| noise(shape, seed, &device).require_grad();
    let qkv = || [1, 2, 3].map(|seed| leaf([1, 5, 12], seed));
    let names = launches(|| {
        let [q, k, v] = qkv();
        let sizes = sizes([1, 5, 3, 3, 4]);
        grouped_attention(q, k, v, sizes.options(ALL, &device)).backward();
    });
    assert_eq!(names.len(), 3, "{names:?}");
    let names = launches(|| {
        let [q, k, v] = qkv();
        cross_attention(q.slice_dim(1, 0..1), k, v, 3).backward();
    });
    assert_eq!(names.len(), 3, "{names:?}");
    let names = launches(|| {
        let [q, k, v] = qkv();
        let mix = |seed| HeadMix {
            weight: noise([3, 3], seed, &device).require_grad(),
            bias: noise([3], seed, &device).require_grad(),
        };
        talking_heads(q, k, v, mix(4), mix(5), None).backward();
    });
    assert_eq!(names.len(), 12, "{names:?}");
}

#[cube(launch)]
fn factors(out: &mut [f32], row: usize, length: usize, chance: &Chance, #[comptime] drops: Drops) {
    let key = ABSOLUTE_POS;
    if key < out.len() {
        out[key] = factor(row, key, length, chance, drops);
    }
}

#[test]
fn weights_that_32_bits_cannot_number_are_dropped_as_on_the_cpu() {
    let Some(device) = gpu() else { return };
    let dropout = Dropout {
        probability: 0.5,
        seed: SEED,
    };
    // The first row's numbers pass 2³² between its first key and its second.
    for (row, length) in [(65_535, 65_537), (4_000_000, 4_096)] {
        let out = cube::values(Tensor::<1>::zeros([100], &device));
        factors::launch(
            &out.client,
            CubeCount::Static(1, 1, 1),
            CubeDim::new_1d(128),
            cube::arg(&out),
            row,
            length,
            chance(Some(&dropout)),
            Drops { any: true, wide: true },
        );
        let found = host(cube::untracked::<1>(out));
        let expected = (0..100).map(|key| {
            let index = row as u64 * length as u64 + key;
            f64::from(u8::from(hash(SEED, index) >= dropout.threshold()) * 2)
        });
        assert_eq!(found, expected.collect::<Vec<_>>(), "row {row}");
    }
}

#[test]
fn queries_that_see_nothing_give_zeros_and_zero_gradients() {
    let Some(device) = gpu() else { return };
    let device = device.autodiff();
    let sizes = sizes([2, 40, 2, 2, 4]);
    let leaves = [1, 2, 3].map(|seed| noise([80, 8], seed, &device).require_grad());
    let [q, k, v] = sizes.split(leaves.clone());
    let limits = Limits {
        padded: true,
        ..Limits::default()
    };
    // Nothing of the second sequence can be seen.
    let y = grouped_attention(q, k, v, sizes.options(limits, &device));
    let grads = loss(y.clone()).backward();
    let hidden = 40 * 8;
    let (seen, unseen) = (host(y.clone()), host(y.slice_dim(0, 1..2)));
    assert!(unseen.iter().all(|y| *y == 0.0) && seen[..hidden].iter().all(|y| *y != 0.0));
    for leaf in leaves {
        let grad = host(leaf.grad(&grads).unwrap());
        assert!(grad[hidden..].iter().all(|g| *g == 0.0));
        assert!(grad[..hidden].iter().any(|g| *g != 0.0) && grad.iter().all(|g| g.is_finite()));
    }
}

#[test]
fn tiles_of_keys_that_nobody_sees_are_left_out() {
    let Some(device) = gpu() else { return };
    let (length, hidden) = (130, 64..128);
    let [q, k] = [1, 2].map(|seed| noise([1, length, 4], seed, &device));
    // Whatever is multiplied with it shows, be the weight zero.
    let v: Vec<f32> = (0..4 * length)
        .map(|i| if hidden.contains(&(i / 4)) { f32::NAN } else { 1.0 })
        .collect();
    let v = Tensor::<3>::from_data(TensorData::new(v, [1, length, 4]), &device);
    let keep: Vec<f32> = (0..length).map(|key| f32::from(!hidden.contains(&key))).collect();
    let mask = Tensor::<2>::from_data(TensorData::new(keep, [1, length]), &device);
    let documents: Vec<i32> = (0..length).map(|key| i32::from(hidden.contains(&key))).collect();
    let documents = Tensor::<2, Int>::from_data(TensorData::new(documents, [1, length]), &device);
    let plain = AttentionOptions {
        num_heads: 1,
        ..AttentionOptions::default()
    };
    let padded = AttentionOptions {
        key_padding_mask: Some(mask),
        ..plain.clone()
    };
    let y = host(grouped_attention(q.clone(), k.clone(), v.clone(), padded));
    assert!(y.iter().all(|y| (y - 1.0).abs() < 1e-5), "{y:?}");
    let divided = AttentionOptions {
        documents: Some(documents),
        ..plain
    };
    let y = host(grouped_attention(q, k, v, divided));
    for (i, y) in y.iter().enumerate() {
        assert_eq!(y.is_nan(), hidden.contains(&(i / 4)), "{y} at {i}");
    }
}

#[test]
fn a_number_that_is_none_stays_visible() {
    let Some(device) = gpu() else { return };
    let mut values = vec![0.5f32; 3 * 4];
    values[5] = f32::NAN;
    let q = Tensor::<3>::from_data(TensorData::new(values, [1, 3, 4]), &device);
    let k = noise([1, 3, 4], 1, &device);
    let options = AttentionOptions {
        num_heads: 1,
        ..AttentionOptions::default()
    };
    let y = host(grouped_attention(q, k.clone(), k, options));
    assert!(y[4..8].iter().all(|y| y.is_nan()), "{y:?}");
    assert!(y[..4].iter().chain(&y[8..]).all(|y| y.is_finite()), "{y:?}");
}

#[test]
fn attention_is_its_composition_in_double_precision() {
    let Some(device) = gpu() else { return };
    let sizes = sizes([2, 66, 4, 2, 12]);
    let run = |device: &Device, dtype: DType| {
        let device = device.clone().autodiff();
        let mut seed = 0;
        let leaves = sizes.shapes().map(|shape| {
            seed += 1;
            noise(shape, seed, &device).cast(dtype).detach().require_grad()
        });
        let options = sizes.options(ALL, &device);
        let [q, k, v] = sizes.split(leaves.clone());
        let y = if dtype == DType::F64 {
            composed::attention(q, k, v, sizes.groups, options)
        } else {
            grouped_attention(q, k, v, options)
        };
        let grads = loss(y.clone()).backward();
        (host(y), leaves.map(|leaf| host(leaf.grad(&grads).unwrap())))
    };
    let (y, dy) = run(&device, DType::F32);
    let (expected, dexpected) = run(&Device::flex(), DType::F64);
    assert_close("attention", &y, &expected, 1e-5);
    for (found, expected) in dy.iter().zip(&dexpected) {
        assert_close("gradient", found, expected, 1e-5);
    }
}

#[test]
fn talking_heads_are_the_cpus() {
    for ([batch, length, heads, width], probability) in [
        ([1, 1, 1, 3], 0.0),
        ([2, 7, 3, 4], 0.3),
        ([1, 66, 4, 8], 0.0),
        ([2, 34, 5, 5], 0.3),
        ([1, 70, 16, 3], 0.1),
    ] {
        let rows = [batch * length, heads * width];
        let square = [heads, heads];
        let shapes = [rows, rows, rows, square, [1, heads], square, [1, heads]];
        held(
            &format!("talking heads {batch} {length} {heads} {width}"),
            shapes,
            |[q, k, v, before, shift, after, bias]| {
                let [q, k, v] = [q, k, v].map(|x| x.reshape([batch, length, heads * width]));
                let mix = |weight, bias: Tensor<2>| HeadMix {
                    weight,
                    bias: bias.squeeze_dim(0),
                };
                let dropout = Dropout {
                    probability,
                    seed: SEED,
                };
                talking_heads(q, k, v, mix(before, shift), mix(after, bias), Some(dropout))
            },
        );
    }
}

#[test]
fn talking_heads_are_their_composition_in_double_precision() {
    let Some(device) = gpu() else { return };
    let run = |device: &Device, dtype: FloatDType| {
        let device = device.clone().autodiff();
        let leaf = |shape: [usize; 2], seed| noise(shape, seed, &device).cast(dtype).detach().require_grad();
        let leaves = [
            leaf([2 * 35, 18], 1),
            leaf([2 * 35, 18], 2),
            leaf([2 * 35, 18], 3),
            leaf([6, 6], 4),
            leaf([6, 6], 5),
            leaf([1, 6], 6),
        ];
        let [q, k, v, before, after, bias] = leaves.clone();
        let [q, k, v] = [q, k, v].map(|x| x.reshape([2, 35, 18]));
        let before = HeadMix {
            weight: before,
            bias: noise([6], 7, &device).cast(dtype),
        };
        let after = HeadMix {
            weight: after,
            bias: bias.squeeze_dim(0),
        };
        let dropout = Some(Dropout {
            probability: 0.2,
            seed: SEED,
        });
        let y = match dtype {
            FloatDType::F64 => composed::talking_heads(q, k, v, before, after, dropout),
            _ => talking_heads(q, k, v, before, after, dropout),
        };
        let grads = loss(y.clone()).backward();
        (host(y), leaves.map(|leaf| host(leaf.grad(&grads).unwrap())))
    };
    let (y, dy) = run(&device, FloatDType::F32);
    let (expected, dexpected) = run(&Device::flex(), FloatDType::F64);
    assert_close("talking heads", &y, &expected, 1e-5);
    for (found, expected) in dy.iter().zip(&dexpected) {
        assert_close("gradient", found, expected, 1e-5);
    }
}
