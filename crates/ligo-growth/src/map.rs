use std::collections::{BTreeMap, BTreeSet};

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Axis, LAYER_PLACEHOLDER, Param, ParamSpec, ParamTable, Role, StackName};
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
    /// Axes whose matrices follow from those of the axis that they repeat.
    pub(crate) derived: BTreeSet<Axis>,
}

impl Factors {
    /// Matrices by axis: one per axis, or one per layer for axes that `sharing` does not share.
    pub fn new(sharing: Sharing, matrices: BTreeMap<Axis, Vec<Tensor<2>>>) -> Self {
        Self {
            sharing,
            matrices,
            derived: BTreeSet::new(),
        }
    }

    /// Adds the matrices of axes that repeat blocks of others, unless they have their own: entry (group, copy, d) follows entry (group, d).
    ///
    /// # Shapes
    /// `[G2·b2, G1·b1]` becomes `[G2·t·b2, G1·t·b1]`, block-diagonal over the copies.
    pub(crate) fn with_repeats(mut self, small: &ParamTable, large: &ParamTable) -> Self {
        for (axis, wide) in large.repeats() {
            let Some(matrices) = self.matrices.get(&wide.of) else {
                continue;
            };
            if self.matrices.contains_key(&axis) {
                continue;
            }
            let block = small.repeat(axis).map_or(wide.block, |r| r.block);
            let repeated = matrices
                .iter()
                .map(|m| repeat_blocks(m, [wide.block, block], wide.times));
            let repeated = repeated.collect();
            self.derived.insert(axis);
            self.matrices.insert(axis, repeated);
        }
        self
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
    /// Column expansions `In` of matrices; `None` ties them to `Out`, as LiGO does. Look-up tables have `Out` on their columns.
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
    /// What widens the columns of a tensor of this row. Those of a look-up table are outputs: an entry is what is written
    /// to the residual stream.
    fn columns(&self, spec: &ParamSpec) -> &Factors {
        match &self.input {
            Some(input) if !matches!(spec.role, Role::Embedding | Role::Token) => input,
            _ => &self.out,
        }
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
        let columns = self.columns(spec);
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
        let input = spec.axes.get(1).and_then(|a| self.columns(spec).get(*a, layer));
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
    ) -> Result<Option<Vec<f32>>, Error> {
        let spec = param.spec;
        let (Some(stack), Some(layer)) = (spec.stack, param.layer) else {
            let weight = load(small, spec, None, source)?;
            return Ok(Some(self.widen_values(spec, weight, 0, device)?));
        };
        let coefficients = self.coefficients(stack, spec.module, layer)?;
        let used = coefficients.into_iter().enumerate().filter(|(_, c)| *c != 0.0);
        if self.widens_small_layers(spec) {
            let mut sum: Option<Vec<f32>> = None;
            for (j, c) in used {
                let mut wide = self.widen_values(spec, load(small, spec, Some(j), source)?, j, device)?;
                match &mut sum {
                    Some(sum) => add(sum, &wide, c),
                    None => {
                        wide.iter_mut().for_each(|v| *v *= c);
                        sum = Some(wide);
                    }
                }
            }
            return Ok(sum);
        }
        // Mixing first needs memory for one small tensor only, however many layers there are.
        let mut mixed: Option<Loaded> = None;
        for (j, c) in used {
            let next = load(small, spec, Some(j), source)?;
            match &mut mixed {
                None => mixed = Some(next.scaled(c)),
                Some(sum) => add(&mut sum.values, &next.values, c),
            }
        }
        mixed.map(|m| self.widen_values(spec, m, layer, device)).transpose()
    }

    /// [`Term::widen`] from host to host. Tensors whose rows do not grow are widened in blocks of rows: a table of a whole
    /// vocabulary then needs its source and its target, and no third copy on the device.
    fn widen_values(&self, spec: &ParamSpec, weight: Loaded, layer: usize, device: &Device) -> Result<Vec<f32>, Error> {
        let grows = |factors: &Factors, axis: Option<&Axis>| axis.and_then(|a| factors.get(*a, layer)).is_some();
        let rows_grow = grows(&self.out, spec.axes.first());
        if !rows_grow && !grows(self.columns(spec), spec.axes.get(1)) {
            return Ok(weight.values);
        }
        let block = if rows_grow {
            weight.rows
        } else {
            BLOCK_ROWS.min(weight.rows)
        };
        let mut wide = Vec::new();
        for values in weight.values.chunks(block * weight.columns) {
            let part = Loaded {
                values: values.to_vec(),
                rows: values.len() / weight.columns,
                columns: weight.columns,
            };
            let grown = self.widen(spec, part.tensor(device), layer);
            let [rows, columns] = grown.dims();
            if wide.is_empty() {
                // One allocation: a vector that grows by copying would need the target twice.
                wide.reserve_exact(if rows_grow { rows } else { weight.rows } * columns);
            }
            wide.extend(host(grown.reshape([rows * columns]))?);
        }
        Ok(wide)
    }
}

fn repeat_blocks(matrix: &Tensor<2>, [large, small]: [usize; 2], times: usize) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let (groups, sources) = (rows / large, columns / small);
    let same_copy = Tensor::<2>::eye(times, &matrix.device()).reshape([1, times, 1, 1, times, 1]);
    let blocks = matrix.clone().reshape([groups, 1, large, sources, 1, small]);
    (blocks * same_copy).reshape([rows * times, columns * times])
}

/// Rows of a table that are widened at once.
const BLOCK_ROWS: usize = 4096;

fn add(sum: &mut [f32], values: &[f32], factor: f32) {
    sum.iter_mut().zip(values).for_each(|(s, v)| *s += factor * v);
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
        let values = self.grow_values(small, param, source, device)?;
        let count = values.len();
        Ok(Tensor::from_data(TensorData::new(values, [count]), device))
    }

    /// As [`LinearMap::grow_param`], with the result on the host.
    ///
    /// # Errors
    /// As [`LinearMap::grow_param`].
    pub fn grow_values(
        &self,
        small: &ParamTable,
        param: &Param<'_>,
        source: &mut dyn WeightSource,
        device: &Device,
    ) -> Result<Vec<f32>, Error> {
        let mut sum: Option<Vec<f32>> = None;
        for term in &self.terms {
            match (term.grow(small, param, source, device)?, &mut sum) {
                (Some(grown), Some(sum)) => add(sum, &grown, 1.0),
                (Some(grown), None) => sum = Some(grown),
                (None, _) => {}
            }
        }
        let has_source = sum.is_some();
        let mut values = sum.unwrap_or_else(|| vec![0.0; param.num_elements()]);
        self.fill.apply(small, param, has_source, &mut values);
        Ok(values)
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
