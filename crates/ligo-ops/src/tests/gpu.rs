//! The GPU's kernels against the CPU's, value by value and gradient by gradient, on whatever GPU there is: software Vulkan will do.

use std::sync::OnceLock;

use burn::tensor::DeviceKind;

use super::*;

/// A GPU, or nothing, which is said once.
pub(crate) fn gpu() -> Option<Device> {
    static FOUND: OnceLock<Option<Device>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        let works = |kind: DeviceKind| {
            let probe = move || {
                let device = Device::wgpu(kind);
                Tensor::<1>::ones([1], &device).into_data();
                device
            };
            std::panic::catch_unwind(probe).ok()
        };
        let found = works(DeviceKind::Cpu).or_else(|| works(DeviceKind::DefaultDevice));
        if found.is_none() {
            eprintln!("no GPU and no software Vulkan: the kernels are not tested");
        }
        found
    });
    found.clone()
}

/// Result and gradients of `op` on a GPU, equal to the CPU's to 1e-5 of the largest value, and the same bits at each call.
pub(super) fn held<const N: usize, const D: usize>(
    name: &str,
    shapes: [[usize; 2]; N],
    op: impl Fn([Tensor<2>; N]) -> Tensor<D>,
) {
    let Some(gpu) = gpu() else { return };
    let run = |device: &Device| {
        let device = device.clone().autodiff();
        let mut seed = 0;
        let leaves = shapes.map(|shape| {
            seed += 1;
            noise(shape, seed, &device).require_grad()
        });
        let y = op(leaves.clone());
        let grads = loss(y.clone()).backward();
        let grads = leaves.map(|leaf| leaf.grad(&grads).map(host));
        (host(y), grads)
    };
    let (expected, dexpected) = run(&Device::flex());
    let (y, dy) = run(&gpu);
    assert_close(name, &y, &expected, 1e-5);
    for (i, (found, expected)) in dy.iter().zip(&dexpected).enumerate() {
        match (found, expected) {
            (Some(found), Some(expected)) => {
                assert_close(&format!("gradient {i} of {name}"), found, expected, 1e-5);
            }
            (found, expected) => assert_eq!(found.is_some(), expected.is_some(), "gradient {i} of {name}"),
        }
    }
    assert_eq!(run(&gpu), (y, dy), "{name} is not repeatable");
}

/// A seed whose halves both matter.
const SEED: u64 = 0x1234_5678_9ABC_DEF1;

#[test]
fn linear_is_the_cpus() {
    for (rows, inner, outer) in [(1, 1, 1), (5, 3, 7), (66, 33, 130), (300, 64, 129)] {
        let shapes = [[rows, inner], [outer, inner], [1, outer]];
        held("linear", shapes, |[x, w, b]| linear(x, w, Some(b.squeeze_dim(0))));
        held("linear without bias", [[rows, inner], [outer, inner]], |[x, w]| {
            linear::<3>(x.unsqueeze_dim(1), w, None)
        });
    }
}

#[test]
fn what_is_computed_again_is_the_cpus() {
    held("recomputed", [[37, 61], [61, 61]], |[x, w]| {
        recomputed(x, vec![w.flatten(0, 1)], |x, parameters| {
            let [w] = parameters.try_into().unwrap_or_else(|_| unreachable!("one parameter"));
            x.clone() + gelu(linear(x, w.reshape([61, 61]), None), GeluKind::Tanh)
        })
    });
}

#[test]
fn activations_are_the_cpus() {
    for kind in [GeluKind::Erf, GeluKind::Tanh] {
        held("GELU", [[37, 61]], |[x]| gelu(x.mul_scalar(3.0), kind));
    }
    held("SwiGLU", [[37, 61], [37, 61]], |[gate, up]| {
        swiglu(gate.mul_scalar(3.0), up)
    });
    held("GeGLU", [[37, 61], [37, 61]], |[gate, up]| {
        geglu(gate.mul_scalar(3.0), up)
    });
}

#[test]
fn dropout_is_the_cpus_bit_for_bit() {
    let Some(gpu) = gpu() else { return };
    let drop = Some(Dropout {
        probability: 0.3,
        seed: SEED,
    });
    held("dropout", [[37, 61]], |[x]| dropout(x, drop));
    let of = |device: &Device| host(dropout(noise([100, 33], 4, device), drop));
    assert_eq!(of(&gpu), of(&Device::flex()));
}

#[test]
fn normalizations_are_the_cpus() {
    for (rows, width) in [(1, 3), (3, 5), (67, 256), (130, 300), (2, 1000)] {
        let shapes = [[rows, width], [1, width], [1, width]];
        held("layer norm", shapes, |[x, w, b]| {
            layer_norm(x, w.squeeze_dim(0), b.squeeze_dim(0), 1e-5)
        });
        let shapes = [[rows, width], [rows, width], [1, width], [1, width]];
        held("layer norm of a sum", shapes, |[x, r, w, b]| {
            add_layer_norm(x, r, w.squeeze_dim(0), b.squeeze_dim(0), 1e-5)
        });
        held("RMS norm", [[rows, width], [1, width]], |[x, w]| {
            rms_norm(x, w.squeeze_dim(0), 1e-5)
        });
    }
}

#[test]
fn branches_are_the_cpus() {
    let drop = Some(Dropout {
        probability: 0.3,
        seed: SEED,
    });
    for (rows, inner, outer) in [(3, 4, 5), (70, 33, 130), (40, 64, 300)] {
        let dense = |w: Tensor<2>, b: Tensor<2>| Dense {
            weight: w,
            bias: Some(b.squeeze_dim(0)),
        };
        for kind in [GeluKind::Erf, GeluKind::Tanh] {
            let shapes = [[rows, inner], [outer, inner], [1, outer]];
            held("linear and GELU", shapes, |[x, w, b]| {
                linear_gelu::<3>(x.unsqueeze(), dense(w, b), kind)
            });
        }
        for drop in [None, drop] {
            let shapes = [[rows, inner], [outer, inner], [1, outer], [rows, outer]];
            held("linear and residual", shapes, |[x, w, b, r]| {
                linear_add::<3>(x.unsqueeze(), dense(w, b), drop, r.unsqueeze())
            });
            let shapes = [[rows, inner], [outer, inner], [rows, outer]];
            held("linear without bias, and residual", shapes, |[x, w, r]| {
                let dense = Dense { weight: w, bias: None };
                linear_add(x, dense, drop, r)
            });
            let vector = [1, outer];
            let shapes = [[rows, inner], [outer, inner], vector, [rows, outer], vector, vector];
            held("linear, residual and norm", shapes, |[x, w, b, r, g, s]| {
                let norm = Norm {
                    weight: g.squeeze_dim(0),
                    bias: s.squeeze_dim(0),
                    eps: 1e-5,
                };
                linear_add_norm(x, dense(w, b), drop, r, norm)
            });
            let shapes = [[rows, outer], vector, vector];
            held("norm and dropout", shapes, |[x, w, b]| {
                layer_norm_dropout(x, w.squeeze_dim(0), b.squeeze_dim(0), 1e-5, drop)
            });
        }
    }
}

#[test]
fn cross_entropy_is_the_cpus() {
    for (rows, classes) in [(1, 1), (5, 3), (40, 1000), (300, 77)] {
        held("cross-entropy", [[rows, classes]], |[x]| {
            let targets: Vec<i32> = (0..rows as i32)
                .map(|i| if i % 4 == 3 { -100 } else { (i * 7) % classes as i32 })
                .collect();
            let targets = Tensor::from_data(TensorData::new(targets, [rows]), &x.device());
            cross_entropy(x.mul_scalar(4.0), targets)
        });
    }
    held("cross-entropy without a label", [[3, 5]], |[x]| {
        let none = Tensor::full([3], -100, &x.device().without_autodiff());
        cross_entropy(x, none)
    });
}

#[test]
fn distillation_is_the_cpus() {
    for labeled in [false, true] {
        held("distillation", [[23, 300], [23, 300]], |[student, teacher]| {
            let device = student.device().without_autodiff();
            let labels = labeled.then(|| Tensor::<1, Int>::arange(-3..20, &device));
            distillation(student, teacher, labels, 2.5)
        });
    }
}

#[test]
fn embedding_is_the_cpus() {
    for (rows, width, batch, length) in [(1, 1, 1, 1), (7, 33, 3, 5), (50, 64, 4, 150), (2, 40, 8, 40)] {
        held("embedding", [[rows, width]], |[table]| {
            let ids: Vec<i32> = (0..(batch * length) as i32).map(|i| (i * i) % rows as i32).collect();
            let ids = TensorData::new(ids, [batch, length]);
            embedding(table.clone(), Tensor::from_data(ids, &table.device()))
        });
    }
    held("rows", [[9, 17]], |[x]| {
        let places = Tensor::from_data([2, 3, 8], &x.device());
        rows(x, places)
    });
}

#[test]
fn positions_are_the_cpus() {
    for (batch, length, rows, types) in [(1, 1, 1, 1), (3, 5, 5, 2), (4, 7, 20, 2)] {
        let shapes = [[batch * length, 33], [rows, 33], [types, 33]];
        held("positions and types", shapes, |[x, p, t]| {
            add_positions(x.reshape([batch, length, 33]), p, Some(t))
        });
        held("positions", [[batch * length, 33], [rows, 33]], |[x, p]| {
            add_positions(x.reshape([batch, length, 33]), p, None)
        });
    }
}

#[test]
fn rotation_is_the_cpus() {
    for (rows, turned) in [(1, 8), (3, 8), (3, 2)] {
        held("rotary", [[3 * 5, 24]], |[x]| {
            let positions: Vec<usize> = (0..rows * 5).map(|i| i * 3 % 11).collect();
            let device = x.device().without_autodiff();
            let angles = RotaryAngles::new(&positions, [rows, 5], &frequencies(turned, 100.0), 1.5, &device);
            rotary(x.reshape([3, 5, 24]), 8, &angles)
        });
    }
}

/// Losses and gradients of a step with tensors of several lengths, more of them than one launch takes.
fn step(device: &Device) -> (Vec<Tensor<1>>, Vec<Option<Tensor<1>>>) {
    let losses = [0.5f32, 0.25].map(|loss| Tensor::from_data([loss], device));
    let gradients = (0..21).map(|i| (i % 5 != 4).then(|| noise([1 + i * i * 7], i as u64, device)));
    (losses.into(), gradients.collect())
}

#[test]
fn loss_and_norm_of_a_step_are_the_cpus() {
    let Some(gpu) = gpu() else { return };
    for clip in [0.0, 1.0, 1e4] {
        let of = |device: &Device| {
            let (losses, gradients) = step(device);
            StepStatistics::of(&losses, &gradients, clip).unwrap()
        };
        let (found, expected) = (of(&gpu), of(&Device::flex()));
        assert_eq!((found.on_host(), expected.on_host().is_some()), (None, true));
        let (found, expected) = (found.read().unwrap(), expected.read().unwrap());
        assert!(found.is_finite());
        let pairs = [
            (found.loss, expected.loss),
            (found.grad_norm, expected.grad_norm),
            (found.scale, expected.scale),
        ];
        for (found, expected) in pairs {
            assert!((found - expected).abs() <= 2e-6 * expected, "{found} and {expected}");
        }
    }
}

/// Five updates of parameters of several lengths, some with decay; the gradient of one becomes NaN in the third.
fn updated(device: &Device, broken: bool) -> Vec<Vec<f64>> {
    let lengths = [1, 5, 300, 70_000, 64, 64, 64, 64, 64, 64, 64, 64, 33];
    let tensor = |seed: usize, i: usize| noise([lengths[i]], (seed * 100 + i) as u64, device);
    let mut state: Vec<[Tensor<1>; 3]> = (0..lengths.len())
        .map(|i| [tensor(0, i), tensor(1, i).zeros_like(), tensor(1, i).zeros_like()])
        .collect();
    for step in 1..=5 {
        let gradients: Vec<Option<Tensor<1>>> = (0..lengths.len())
            .map(|i| {
                let gradient = tensor(step, i);
                Some(if broken && step == 3 && i == 1 {
                    gradient * f32::NAN
                } else {
                    gradient
                })
            })
            .collect();
        let loss = Tensor::from_data([1.0f32], device);
        let statistics = StepStatistics::of(&[loss], &gradients, 1.0).unwrap();
        if statistics.on_host().is_some_and(|numbers| !numbers.is_finite()) {
            continue;
        }
        let updates = state.into_iter().zip(gradients).enumerate();
        let updates = updates.map(|(i, ([param, m, v], grad))| AdamwUpdate {
            param,
            grad: grad.unwrap(),
            m,
            v,
            step: AdamwStep {
                lr: 1e-2,
                beta1: 0.9,
                beta2: 0.99,
                eps: 1e-6,
                weight_decay: if i % 2 == 0 { 0.1 } else { 0.0 },
                step: step as u64,
                grad_scale: 1.0,
            },
        });
        state = adamw_all(updates.collect(), &statistics).unwrap();
        assert_eq!(statistics.read().unwrap().is_finite(), !(broken && step == 3));
    }
    state.into_iter().flatten().map(host).collect()
}

#[test]
fn updates_are_the_cpus_and_leave_everything_alone_in_a_step_that_is_not_finite() {
    let Some(gpu) = gpu() else { return };
    for broken in [false, true] {
        let (found, expected) = (updated(&gpu, broken), updated(&Device::flex(), broken));
        for (found, expected) in found.iter().zip(&expected) {
            assert_close("AdamW", found, expected, 1e-5);
        }
        assert_eq!(updated(&gpu, broken), found);
    }
}

#[test]
fn stacked_tensors_are_the_cpus() {
    let Some(gpu) = gpu() else { return };
    for (number, length) in [(1, 5), (16, 300), (37, 64)] {
        let of = |device: &Device| {
            let rows: Vec<Tensor<1>> = (0..number).map(|i| noise([length], i, device)).collect();
            host(stack(&rows))
        };
        assert_eq!(of(&gpu), of(&Device::flex()));
    }
}

#[test]
fn gradients_of_micro_batches_add_up() {
    let Some(gpu) = gpu() else { return };
    let of = |device: &Device| {
        let (_, first) = step(device);
        let (_, mut second) = step(device);
        second[3] = None;
        let sums = accumulate(first, second);
        let sums: Vec<Option<Vec<f64>>> = sums.into_iter().map(|sum| sum.map(host)).collect();
        sums
    };
    assert_eq!(of(&gpu), of(&Device::flex()));
}
