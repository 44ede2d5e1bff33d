//! Fits a sine with two linear layers: `linear`, `gelu`, `adamw` and global-norm clipping without any model or training loop.
//!
//!     cargo run --release -p ligo-ops --example fit_sine
#![allow(clippy::print_stdout)]

use std::f32::consts::PI;

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use ligo_ops::{AdamwStep, GeluKind, adamw, gelu, linear, sum_of_squares, tune_allocator};

const POINTS: usize = 256;
const HIDDEN: usize = 64;
const STEPS: u64 = 500;
const MAX_NORM: f64 = 1.0;

fn main() {
    // Once, before the first tensor: glibc would otherwise hand every large block back to the system.
    tune_allocator();
    let device = Device::flex();
    device.seed(1);

    let xs: Vec<f32> = (0..POINTS)
        .map(|i| PI * (2.0 * i as f32 / POINTS as f32 - 1.0))
        .collect();
    let ys: Vec<f32> = xs.iter().map(|x| x.sin()).collect();
    let [x, y] = [xs, ys].map(|values| Tensor::<2>::from_data(TensorData::new(values, [POINTS, 1]), &device));

    // Parameters are flat between steps, as the optimizer wants them. Weights are [out, in], as in PyTorch.
    let random = |count: usize| Tensor::<1>::random([count], Distribution::Normal(0.0, 0.5), &device);
    let zeros = |count: usize| Tensor::<1>::zeros([count], &device);
    let mut params = [random(HIDDEN), zeros(HIDDEN), random(HIDDEN), zeros(1)];
    let mut moments = params.clone().map(|p| (p.zeros_like(), p.zeros_like()));

    for step in 1..=STEPS {
        let leaves = params.clone().map(|p| p.autodiff().require_grad());
        let [w1, b1, w2, b2] = leaves.clone();
        let hidden = gelu(linear(x.clone(), w1.reshape([HIDDEN, 1]), Some(b1)), GeluKind::Erf);
        let error = linear(hidden, w2.reshape([1, HIDDEN]), Some(b2)) - y.clone();
        let loss = (error.clone() * error).mean();

        let mut found = loss.backward();
        let grads: Vec<Tensor<1>> = leaves.iter().filter_map(|leaf| leaf.grad_remove(&mut found)).collect();
        let norm = grads.iter().map(sum_of_squares).sum::<f64>().sqrt();
        let update = AdamwStep {
            lr: 1e-2 * (1.0 - (step - 1) as f64 / STEPS as f64),
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            step,
            grad_scale: (MAX_NORM / norm).min(1.0),
        };
        for ((param, moment), grad) in params.iter_mut().zip(&mut moments).zip(grads) {
            let (p, m, v) = adamw(param.clone(), grad, moment.0.clone(), moment.1.clone(), &update);
            (*param, *moment) = (p, (m, v));
        }
        if step % 100 == 0 {
            println!(
                "step {step}  mean squared error {:.6}",
                loss.without_autodiff().into_scalar::<f32>()
            );
        }
    }
}
