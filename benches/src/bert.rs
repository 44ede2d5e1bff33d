//! A BERT with a masked-language-model head written straight on `ligo-ops`, and its training step.

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_ops::{
    AdamwStep, GeluKind, adamw, add_layer_norm, attention, cross_entropy, embedding, gelu, layer_norm, linear,
    sum_of_squares,
};

use crate::{Sizes, bits};

const EPS: f64 = 1e-12;

/// Parameters, optimiser state and the one batch that is trained on.
pub struct Trainer {
    sizes: Sizes,
    device: Device,
    parameters: Vec<Parameter>,
    step: u64,
    ids: Tensor<2, Int>,
    positions: Tensor<2, Int>,
    masked: Tensor<2, Int>,
    targets: Tensor<1, Int>,
}

struct Parameter {
    shape: Vec<usize>,
    value: Tensor<1>,
    m: Tensor<1>,
    v: Tensor<1>,
}

/// How a parameter starts.
#[derive(Clone, Copy)]
enum Start {
    Noise,
    One,
    Zero,
}

/// Shapes in the order in which [`Trainer::loss`] takes them.
fn shapes(s: &Sizes) -> Vec<(Vec<usize>, Start)> {
    let d = s.hidden;
    let mut all = vec![(vec![s.vocab, d], Start::Noise), (vec![s.length, d], Start::Noise)];
    let norm = |all: &mut Vec<_>| all.extend([(vec![d], Start::One), (vec![d], Start::Zero)]);
    let dense = |all: &mut Vec<_>, out: usize, inner: usize| {
        all.extend([(vec![out, inner], Start::Noise), (vec![out], Start::Zero)]);
    };
    norm(&mut all);
    for _ in 0..s.layers {
        (0..4).for_each(|_| dense(&mut all, d, d));
        norm(&mut all);
        dense(&mut all, s.ffn, d);
        dense(&mut all, d, s.ffn);
        norm(&mut all);
    }
    dense(&mut all, d, d);
    norm(&mut all);
    all.push((vec![s.vocab], Start::Zero));
    all
}

/// Hands out the leaves of one step in order, reshaped.
struct Leaves<'a> {
    leaves: std::slice::Iter<'a, Tensor<1>>,
    shapes: std::slice::Iter<'a, Parameter>,
}

impl Leaves<'_> {
    fn next<const D: usize>(&mut self) -> Tensor<D> {
        match (self.leaves.next(), self.shapes.next()) {
            (Some(leaf), Some(parameter)) => leaf
                .clone()
                .reshape::<D, [usize; D]>(std::array::from_fn(|i| parameter.shape[i])),
            _ => unreachable!("the model takes exactly the parameters of `shapes`"),
        }
    }

    fn linear(&mut self, x: Tensor<3>) -> Tensor<3> {
        let weight = self.next();
        linear(x, weight, Some(self.next()))
    }
}

impl Trainer {
    /// A model of these sizes with fixed pseudo-random weights and data.
    #[must_use]
    pub fn new(sizes: Sizes, device: &Device) -> Self {
        let parameters = shapes(&sizes)
            .into_iter()
            .enumerate()
            .map(|(index, (shape, start))| {
                let count = shape.iter().product::<usize>();
                let values: Vec<f32> = match start {
                    Start::One => vec![1.0; count],
                    Start::Zero => vec![0.0; count],
                    Start::Noise => (0..count as u32)
                        .map(|i| {
                            let unit = f64::from(bits(index as u32, i)) / 4_294_967_296.0;
                            ((unit - 0.5) * 0.07) as f32
                        })
                        .collect(),
                };
                Parameter {
                    shape,
                    value: Tensor::from_data(TensorData::new(values, [count]), device),
                    m: Tensor::zeros([count], device),
                    v: Tensor::zeros([count], device),
                }
            })
            .collect();
        let tokens = |seed: u32, count: usize| -> Vec<i32> {
            let token = |i| (bits(seed, i) % sizes.vocab as u32) as i32;
            (0..count as u32).map(token).collect()
        };
        let int =
            |values: Vec<i32>, shape: [usize; 2]| Tensor::<2, Int>::from_data(TensorData::new(values, shape), device);
        // Spread evenly over all positions.
        let spread = |i: usize| (i * sizes.tokens() / sizes.masked) as i32;
        let masked = (0..sizes.masked).map(spread).collect();
        Self {
            sizes,
            device: device.clone(),
            parameters,
            step: 0,
            ids: int(tokens(1000, sizes.tokens()), [sizes.batch, sizes.length]),
            positions: int((0..sizes.length as i32).collect(), [1, sizes.length]),
            masked: int(masked, [1, sizes.masked]),
            targets: int(tokens(1001, sizes.masked), [1, sizes.masked]).squeeze_dim(0),
        }
    }

    /// Number of parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters.iter().map(|p| p.value.dims()[0]).sum()
    }

    fn loss(&self, leaves: &[Tensor<1>]) -> Tensor<1> {
        let s = &self.sizes;
        let mut p = Leaves {
            leaves: leaves.iter(),
            shapes: self.parameters.iter(),
        };
        let table: Tensor<2> = p.next();
        let words = embedding(table.clone(), self.ids.clone());
        let places = embedding(p.next(), self.positions.clone());
        let weight = p.next();
        let mut h = layer_norm(words + places, weight, p.next(), EPS);
        for _ in 0..s.layers {
            let [q, k, v] = [(); 3].map(|()| p.linear(h.clone()));
            let mixed = attention(q, k, v, s.heads, None, false, None);
            let out = p.linear(mixed);
            let weight = p.next();
            h = add_layer_norm(out, h, weight, p.next(), EPS);
            let inner = gelu(p.linear(h.clone()), GeluKind::Erf);
            let out = p.linear(inner);
            let weight = p.next();
            h = add_layer_norm(out, h, weight, p.next(), EPS);
        }
        let rows = h.reshape([s.tokens(), s.hidden]);
        let h = gelu(p.linear(embedding(rows, self.masked.clone())), GeluKind::Erf);
        let weight = p.next();
        let h = layer_norm(h, weight, p.next(), EPS);
        let logits = linear(h, table, Some(p.next()));
        cross_entropy(logits.reshape([s.masked, s.vocab]), self.targets.clone())
    }

    /// One step: forward, backward, clipping of the global norm to 1, AdamW. Returns the loss before the update.
    pub fn step(&mut self) -> f64 {
        let device = self.device.clone().autodiff();
        let leaves: Vec<Tensor<1>> = self
            .parameters
            .iter()
            .map(|p| Tensor::from_inner(p.value.clone()).to_device(&device).require_grad())
            .collect();
        let loss = self.loss(&leaves);
        let mut grads = loss.backward();
        let grads: Vec<Option<Tensor<1>>> = leaves.iter().map(|leaf| leaf.grad_remove(&mut grads)).collect();
        drop(leaves);
        let squares: f64 = grads.iter().flatten().map(sum_of_squares).sum();
        self.step += 1;
        let step = AdamwStep {
            lr: 1e-4,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.01,
            step: self.step,
            grad_scale: (1.0 / (squares.sqrt() + 1e-6)).min(1.0),
        };
        let parameters = std::mem::take(&mut self.parameters);
        self.parameters = parameters
            .into_iter()
            .zip(grads)
            .map(|(Parameter { shape, value, m, v }, grad)| match grad {
                None => Parameter { shape, value, m, v },
                Some(grad) => {
                    let (value, m, v) = adamw(value, grad, m, v, &step);
                    Parameter { shape, value, m, v }
                }
            })
            .collect();
        loss.into_scalar::<f64>()
    }
}
