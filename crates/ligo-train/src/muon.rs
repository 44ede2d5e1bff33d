//! Muon (Keller Jordan and others): gradient descent with momentum whose step is made orthogonal, for the matrices of a model's layers.

use burn::tensor::Tensor;
use ligo_arch::{Param, ParamTable, Role};
use serde::{Deserialize, Serialize};

/// Coefficients of the quintic of the Newton–Schulz iteration.
const QUINTIC: (f64, f64, f64) = (3.4445, -4.775, 2.0315);
/// The smallest norm that is divided by.
const SMALLEST_NORM: f32 = 1e-7;
/// More iterations than anyone makes; PyTorch allows fewer than 100.
const MOST_ITERATIONS: u32 = 99;

/// How the step of a matrix with `r` rows and `c` columns is scaled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MuonScale {
    /// By `0.2 √max(r, c)`: entries move as far as AdamW moves them, so that its learning rates and decay hold (arXiv:2502.16982).
    #[default]
    MatchRmsAdamw,
    /// By `√max(1, r / c)`, as its authors do; rates are then some ten times AdamW's.
    Original,
}

/// The numbers of Muon.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Muon {
    /// Decay of the momentum.
    pub momentum: f64,
    /// Whether the step looks ahead along the momentum.
    pub nesterov: bool,
    /// Iterations of Newton–Schulz.
    pub ns_steps: u32,
    /// How the step is scaled.
    pub scale: MuonScale,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            momentum: 0.95,
            nesterov: true,
            ns_steps: 5,
            scale: MuonScale::MatchRmsAdamw,
        }
    }
}

/// One matrix to update.
pub(crate) struct Matrix {
    pub(crate) value: Tensor<1>,
    pub(crate) gradient: Tensor<1>,
    pub(crate) momentum: Tensor<1>,
    pub(crate) shape: [usize; 2],
}

impl Muon {
    /// The new values and momentum of a matrix, as `torch.optim.Muon` has them:
    ///
    /// ```text
    /// m ← m + (1 - μ) (g - m)
    /// u = g + μ (m - g)                 with nesterov, else m
    /// w ← w (1 - lr · decay) - lr · scale · NS(u)
    /// ```
    pub(crate) fn update(&self, matrix: Matrix, lr: f64, weight_decay: f64) -> [Tensor<1>; 2] {
        let Matrix {
            value,
            gradient,
            momentum,
            shape,
        } = matrix;
        let momentum = momentum.clone() + (gradient.clone() - momentum).mul_scalar(1.0 - self.momentum);
        let step = match self.nesterov {
            true => gradient.clone() + (momentum.clone() - gradient).mul_scalar(self.momentum),
            false => momentum.clone(),
        };
        let step = orthogonalized(step.reshape(shape), self.ns_steps).reshape([shape[0] * shape[1]]);
        let value = value.mul_scalar(1.0 - lr * weight_decay) - step.mul_scalar(lr * self.ratio(shape));
        [value, momentum]
    }

    fn ratio(&self, [rows, columns]: [usize; 2]) -> f64 {
        match self.scale {
            MuonScale::MatchRmsAdamw => 0.2 * (rows.max(columns) as f64).sqrt(),
            MuonScale::Original => (rows as f64 / columns as f64).max(1.0).sqrt(),
        }
    }

    pub(crate) fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn faults(&self, faults: &mut Vec<String>) {
        if !(0.0..1.0).contains(&self.momentum) {
            let found = self.momentum;
            faults.push(format!("optimizer.muon.momentum must be in [0, 1), found {found}"));
        }
        if !(1..=MOST_ITERATIONS).contains(&self.ns_steps) {
            faults.push(format!(
                "optimizer.muon.ns_steps must be 1 to {MOST_ITERATIONS}, found {}",
                self.ns_steps
            ));
        }
    }
}

/// A matrix with the same singular vectors whose singular values are all about 1 (0.7 to 1.2 after 5 iterations), by the Newton–Schulz
/// iteration `X ← a X + (b A + c A²) X` with `A = X Xᵀ`. Nothing is read of the device.
fn orthogonalized(matrix: Tensor<2>, iterations: u32) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    // The smaller product of the two.
    let is_tall = rows > columns;
    let x = if is_tall { matrix.transpose() } else { matrix };
    let norm = (x.clone() * x.clone()).sum().sqrt().clamp_min(SMALLEST_NORM);
    let mut x = x / norm.reshape([1, 1]);
    let (a, b, c) = QUINTIC;
    for _ in 0..iterations {
        let gram = x.clone().matmul(x.clone().transpose());
        let update = gram.clone().mul_scalar(b) + gram.clone().matmul(gram).mul_scalar(c);
        x = x.clone().mul_scalar(a) + update.matmul(x);
    }
    if is_tall { x.transpose() } else { x }
}

/// Whether Muon updates a parameter: the matrices of the layers. Tables, heads, biases and norms are AdamW's.
pub(crate) fn is_for_muon(param: &Param<'_>) -> bool {
    param.spec.stack.is_some() && param.spec.role == Role::Weight && param.shape.len() == 2
}

/// The share of a model's parameters that Muon updates.
pub(crate) fn share_of(table: &ParamTable) -> f64 {
    let (mut matrices, mut all) = (0, 0);
    for param in table.params().filter(|param| param.spec.required) {
        all += param.num_elements();
        if is_for_muon(&param) {
            matrices += param.num_elements();
        }
    }
    matrices as f64 / all.max(1) as f64
}
