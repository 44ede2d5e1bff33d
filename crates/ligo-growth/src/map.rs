use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Axis, LAYER_PLACEHOLDER, Param, ParamSpec, ParamTable, StackName};
use serde::{Deserialize, Serialize};

use crate::{Error, Fill, WeightSource};

/// Which layers share the width matrices of axes that occur in layers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    /// One set for all layers (the paper's Algorithm 1).
    #[default]
    Shared,
    /// One set per layer of the small model; width is applied before depth (the paper's prose).
    PerSmallLayer,
    /// One set per layer of the large model; depth is applied before width (the official code).
    PerLargeLayer,
}

/// Width matrices by axis, each `[large, small]`. An axis without an entry is the identity.
#[derive(Clone, Debug, Default)]
pub struct Factors {
    pub(crate) sharing: Sharing,
    pub(crate) matrices: BTreeMap<Axis, Vec<Tensor<2>>>,
}

impl Factors {
    /// Matrices by axis: one per axis, or one per layer for axes that `sharing` does not share.
    pub fn new(sharing: Sharing, matrices: BTreeMap<Axis, Vec<Tensor<2>>>) -> Self {
        Self { sharing, matrices }
    }

    /// Whether this axis has a matrix per layer.
    fn is_per_layer(&self, axis: Axis) -> bool {
        self.sharing != Sharing::Shared && self.matrices.get(&axis).is_some_and(|m| m.len() > 1)
    }

    fn get(&self, axis: Axis, layer: usize) -> Option<&Tensor<2>> {
        let matrices = self.matrices.get(&axis)?;
        matrices.get(if matrices.len() == 1 { 0 } else { layer })
    }
}

/// One term of a [`LinearMap`]: depth coefficients per module and width matrices per axis.
#[derive(Clone, Debug, Default)]
pub struct Term {
    /// Depth coefficients `[L2, L1]` by stack and module.
    pub depth: BTreeMap<(StackName, &'static str), Tensor<2>>,
    /// Row expansions `Out`.
    pub out: Factors,
    /// Column expansions `In`; `None` ties them to `Out`, as LiGO does.
    pub input: Option<Factors>,
}

/// A growth operator: a sum of terms, and what stands where they write nothing.
#[derive(Clone, Debug, Default)]
pub struct LinearMap {
    /// The terms; none means that nothing is taken from the small model.
    pub terms: Vec<Term>,
    /// What fills the rest.
    pub fill: Fill,
}

impl Term {
    fn inputs(&self) -> &Factors {
        self.input.as_ref().unwrap_or(&self.out)
    }

    /// Whether a tensor of this row must be widened layer by layer before layers are mixed.
    fn widens_small_layers(&self, spec: &ParamSpec) -> bool {
        self.per_layer(spec, Sharing::PerSmallLayer)
    }

    /// Whether a tensor of this row is widened by matrices of the large model's layer.
    pub(crate) fn widens_large_layers(&self, spec: &ParamSpec) -> bool {
        self.per_layer(spec, Sharing::PerLargeLayer)
    }

    fn per_layer(&self, spec: &ParamSpec, sharing: Sharing) -> bool {
        let rows = &self.out;
        let columns = self.inputs();
        let out = rows.sharing == sharing && rows.is_per_layer(spec.axes[0]);
        let input = columns.sharing == sharing && spec.axes.get(1).is_some_and(|a| columns.is_per_layer(*a));
        out || input
    }

    /// `Out · W · Inᵀ` with the matrices of `layer`.
    ///
    /// # Shapes
    /// `[rows1, columns1]` to `[rows2, columns2]`; a vector is a matrix of one column.
    pub(crate) fn widen(&self, spec: &ParamSpec, weight: Tensor<2>, layer: usize) -> Tensor<2> {
        let out = self.out.get(spec.axes[0], layer);
        let input = spec.axes.get(1).and_then(|a| self.inputs().get(*a, layer));
        match (out, input) {
            (None, None) => weight,
            (Some(out), None) => out.clone().matmul(weight),
            (None, Some(input)) => weight.matmul(input.clone().transpose()),
            (Some(out), Some(input)) => {
                let [rows2, rows1] = out.dims();
                let [columns2, columns1] = input.dims();
                // Same product either way; the cheaper one first.
                let columns_first = rows1 * columns1 * columns2 + rows2 * rows1 * columns2;
                let rows_first = rows2 * rows1 * columns1 + rows2 * columns1 * columns2;
                let input = input.clone().transpose();
                if columns_first <= rows_first {
                    out.clone().matmul(weight.matmul(input))
                } else {
                    out.clone().matmul(weight).matmul(input)
                }
            }
        }
    }

    /// The depth coefficients of one layer of the large model, on the host.
    fn coefficients(&self, stack: StackName, module: &'static str, layer: usize) -> Result<Vec<f32>, Error> {
        let matrix = self.depth_matrix(stack, module)?;
        let [_, small] = matrix.dims();
        host(matrix.clone().slice([layer..layer + 1, 0..small]).reshape([small]))
    }

    pub(crate) fn depth_matrix(&self, stack: StackName, module: &'static str) -> Result<&Tensor<2>, Error> {
        let matrix = self.depth.get(&(stack, module));
        matrix.ok_or_else(|| Error::MissingOperatorTensor {
            name: format!("depth.{stack}.{module}"),
        })
    }

    /// Grows one tensor; `None` when no layer of the small model contributes.
    fn grow(
        &self,
        small: &ParamTable,
        param: &Param<'_>,
        source: &mut dyn WeightSource,
        device: &Device,
    ) -> Result<Option<Tensor<2>>, Error> {
        let spec = param.spec;
        let (Some(stack), Some(layer)) = (spec.stack, param.layer) else {
            let weight = load(small, spec, None, source)?;
            return Ok(Some(self.widen(spec, weight.tensor(device), 0)));
        };
        let coefficients = self.coefficients(stack, spec.module, layer)?;
        let used = coefficients.into_iter().enumerate().filter(|(_, c)| *c != 0.0);
        if self.widens_small_layers(spec) {
            let mut sum: Option<Tensor<2>> = None;
            for (j, c) in used {
                let wide = self.widen(spec, load(small, spec, Some(j), source)?.tensor(device), j) * c;
                sum = Some(match sum {
                    Some(sum) => sum + wide,
                    None => wide,
                });
            }
            return Ok(sum);
        }
        // Mixing first needs memory for one small tensor only, however many layers there are.
        let mut mixed: Option<Loaded> = None;
        for (j, c) in used {
            let next = load(small, spec, Some(j), source)?;
            match &mut mixed {
                None => mixed = Some(next.scaled(c)),
                Some(sum) => sum.values.iter_mut().zip(next.values).for_each(|(s, v)| *s += c * v),
            }
        }
        Ok(mixed.map(|m| self.widen(spec, m.tensor(device), layer)))
    }
}

impl LinearMap {
    /// Grows one tensor of the large model.
    ///
    /// `W_large[i] = Σ_t Σ_j depth_t[i, j] · Out_t · W_small[j] · In_tᵀ` (LiGO, arXiv 2303.00980, section 3.2), plus the
    /// fill where nothing is written. Reads one source layer at a time.
    ///
    /// # Shapes
    /// The result is flat; its shape is `param.shape`.
    ///
    /// # Errors
    /// The small model lacks a source tensor or it has another size than its table says.
    pub fn grow_param(
        &self,
        small: &ParamTable,
        param: &Param<'_>,
        source: &mut dyn WeightSource,
        device: &Device,
    ) -> Result<Tensor<1>, Error> {
        let count = param.num_elements();
        let mut sum: Option<Tensor<2>> = None;
        for term in &self.terms {
            if let Some(grown) = term.grow(small, param, source, device)? {
                sum = Some(match sum {
                    Some(sum) => sum + grown,
                    None => grown,
                });
            }
        }
        let has_source = sum.is_some();
        let grown = match sum {
            Some(sum) => sum.reshape([count]),
            None => Tensor::zeros([count], device),
        };
        if self.fill == Fill::Zero {
            return Ok(grown);
        }
        let mut values = host(grown)?;
        self.fill.apply(small, param, has_source, &mut values);
        Ok(Tensor::from_data(TensorData::new(values, [count]), device))
    }
}

/// A tensor of the small model on the host, as a matrix.
struct Loaded {
    values: Vec<f32>,
    rows: usize,
    columns: usize,
}

impl Loaded {
    fn scaled(mut self, factor: f32) -> Self {
        if factor != 1.0 {
            self.values.iter_mut().for_each(|v| *v *= factor);
        }
        self
    }

    fn tensor(self, device: &Device) -> Tensor<2> {
        Tensor::from_data(TensorData::new(self.values, [self.rows, self.columns]), device)
    }
}

fn load(
    small: &ParamTable,
    spec: &ParamSpec,
    layer: Option<usize>,
    source: &mut dyn WeightSource,
) -> Result<Loaded, Error> {
    let name = match layer {
        Some(j) => spec.template.replace(LAYER_PLACEHOLDER, &j.to_string()),
        None => spec.template.clone(),
    };
    let rows = small.size(spec.axes[0]);
    let columns = spec.axes.get(1).map_or(1, |a| small.size(*a));
    let values = source.values(&name)?.into_owned();
    if values.len() != rows * columns {
        return Err(Error::Shape {
            name,
            expected: spec.axes.iter().map(|a| small.size(*a)).collect(),
            found: vec![values.len()],
        });
    }
    Ok(Loaded { values, rows, columns })
}

/// A small tensor of the small model as a matrix on a device, for learning.
pub(crate) fn load_tensor(
    small: &ParamTable,
    spec: &ParamSpec,
    layer: Option<usize>,
    source: &mut dyn WeightSource,
    device: &Device,
) -> Result<Tensor<2>, Error> {
    Ok(load(small, spec, layer, source)?.tensor(device))
}

/// Copies a tensor's values to the host as f32, whatever the device computes in.
pub(crate) fn host(tensor: Tensor<1>) -> Result<Vec<f32>, Error> {
    let data = tensor.into_data().convert::<f32>();
    data.try_into_vec::<f32>()
        .map_err(|e| Error::Settings(format!("a device returned unreadable data: {e:?}")))
}
