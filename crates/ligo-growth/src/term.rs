use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor};
use ligo_arch::{Axis, LAYER_PLACEHOLDER, Param, ParamSpec, ParamTable, Role, StackName};
use serde::{Deserialize, Serialize};

use crate::host::{host, matrix};
use crate::picks::WidthMatrix;
use crate::{Error, Factors, Sharing, WeightSource};

/// One term of a [`LinearMap`](crate::LinearMap): depth coefficients per module and width matrices per axis.
#[derive(Clone, Debug, Default)]
pub struct Term {
    /// Depth coefficients `[L2, L1]` by stack and module.
    pub depth: BTreeMap<(StackName, &'static str), Tensor<2>>,
    /// Those of a module's biases and shifts, where they differ from `depth`.
    pub bias_depth: BTreeMap<(StackName, &'static str), Tensor<2>>,
    /// Row expansions `Out`.
    pub out: Factors,
    /// Row expansions of the tensors of some roles, where they differ from `Out`: normalizations, mostly.
    pub roles: BTreeMap<Role, Factors>,
    /// Column expansions `In` of matrices; `None` ties them to `Out`, as LiGO does. Look-up tables have `Out` on their columns.
    pub input: Option<Factors>,
    /// The tensors to which the term contributes.
    pub coverage: Coverage,
}

/// The tensors to which a term contributes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Coverage {
    /// All of them.
    #[default]
    Whole,
    /// Those whose outputs have a matrix. A term that adds rows to what another one has written says nothing about a tensor
    /// whose rows stay.
    Outputs,
    /// Those whose outputs have none.
    Readers,
    /// Matrices whose inputs have a matrix, but for those of words and classes, which have no copies to tell apart. What such a term adds sums to zero over the copies of an input, so that it moves
    /// weights and not the function; it says nothing about how gradients map.
    Noise,
}

/// Which matrices of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Row expansions, and column expansions where they follow rows.
    Out,
    /// Row expansions of the tensors of a role.
    Role(Role),
    /// Column expansions of their own.
    In,
}

/// The axis of what a tensor's rows write: of a look-up table the columns.
pub(crate) fn output_axis(spec: &ParamSpec) -> Option<Axis> {
    if is_lookup(spec) {
        spec.axes.last()
    } else {
        spec.axes.first()
    }
    .copied()
}

/// Whether layers of such tensors may be mixed apart from the rest of their module.
pub(crate) fn is_bias(spec: &ParamSpec) -> bool {
    matches!(spec.role, Role::Bias | Role::NormBias)
}

pub(crate) fn is_lookup(spec: &ParamSpec) -> bool {
    matches!(spec.role, Role::Embedding | Role::Token)
}

impl Term {
    /// Whether the term contributes to a tensor of this row.
    pub(crate) fn covers(&self, spec: &ParamSpec) -> bool {
        match self.coverage {
            Coverage::Whole => true,
            Coverage::Outputs => self.widens_outputs(spec),
            Coverage::Readers => !self.widens_outputs(spec),
            Coverage::Noise => {
                let reads_copies = spec.axes.get(1).is_some_and(|a| self.columns(spec).has(*a));
                reads_copies && !is_lookup(spec) && !spec.axes[0].is_fixed()
            }
        }
    }

    fn widens_outputs(&self, spec: &ParamSpec) -> bool {
        output_axis(spec).is_some_and(|axis| self.rows(spec).has(axis))
    }

    /// The matrices of a place; none where nothing is said of it.
    pub(crate) fn factors(&self, place: Place) -> &Factors {
        match place {
            Place::Out => &self.out,
            Place::Role(role) => self.roles.get(&role).unwrap_or(&self.out),
            Place::In => self.input.as_ref().unwrap_or(&self.out),
        }
    }

    /// What widens the rows of a tensor of this row.
    pub(crate) fn row_place(&self, spec: &ParamSpec) -> Place {
        match self.roles.contains_key(&spec.role) {
            true => Place::Role(spec.role),
            false => Place::Out,
        }
    }

    /// What widens the columns of a tensor of this row. Those of a look-up table are outputs: an entry is what is written
    /// to the residual stream.
    pub(crate) fn column_place(&self, spec: &ParamSpec) -> Place {
        match &self.input {
            Some(_) if !is_lookup(spec) => Place::In,
            _ => Place::Out,
        }
    }

    /// The matrices that widen rows and columns of a tensor of this row, in the form that they have.
    pub(crate) fn widths(&self, spec: &ParamSpec, layer: usize) -> [Option<&WidthMatrix>; 2] {
        let columns = spec.axes.get(1).and_then(|a| self.columns(spec).width(*a, layer));
        [self.rows(spec).width(spec.axes[0], layer), columns]
    }

    fn rows(&self, spec: &ParamSpec) -> &Factors {
        self.factors(self.row_place(spec))
    }

    fn columns(&self, spec: &ParamSpec) -> &Factors {
        self.factors(self.column_place(spec))
    }

    /// Whether a tensor of this row must be widened layer by layer before layers are mixed.
    pub(crate) fn widens_small_layers(&self, spec: &ParamSpec) -> bool {
        let is_per_layer = |factors: &Factors, axis| {
            factors.sharing == Sharing::PerSmallLayer && factors.matrices.get(axis).is_some_and(|m| m.len() > 1)
        };
        let columns = spec.axes.get(1);
        is_per_layer(self.rows(spec), &spec.axes[0]) || columns.is_some_and(|a| is_per_layer(self.columns(spec), a))
    }

    /// `Out · W · Inᵀ` with the matrices of `layer`.
    ///
    /// # Shapes
    /// `[rows1, columns1]` to `[rows2, columns2]`; a vector is a matrix of one column.
    pub(crate) fn widen(&self, spec: &ParamSpec, weight: Tensor<2>, layer: usize) -> Tensor<2> {
        let out = self.rows(spec).get(spec.axes[0], layer);
        let input = spec.axes.get(1).and_then(|a| self.columns(spec).get(*a, layer));
        match (out, input) {
            (None, None) => weight,
            (Some(out), None) => out.clone().matmul(weight),
            (None, Some(input)) => weight.matmul(input.clone().transpose()),
            (Some(out), Some(input)) => {
                let [rows2, rows1] = out.dims();
                let [columns2, columns1] = input.dims();
                let input = input.clone().transpose();
                if columns_first([rows1, columns1], [rows2, columns2]) {
                    out.clone().matmul(weight.matmul(input))
                } else {
                    out.clone().matmul(weight).matmul(input)
                }
            }
        }
    }

    /// The depth coefficients of one layer of the large model, on the host.
    pub(crate) fn coefficients(&self, stack: StackName, spec: &ParamSpec, layer: usize) -> Result<Vec<f32>, Error> {
        let matrix = self.depth_matrix(stack, spec)?;
        let [_, small] = matrix.dims();
        host(matrix.clone().slice([layer..layer + 1, 0..small]).reshape([small]))
    }

    /// What mixes the layers of a tensor of this row.
    pub(crate) fn depth_matrix(&self, stack: StackName, spec: &ParamSpec) -> Result<&Tensor<2>, Error> {
        self.depth_of(stack, spec.module, self.mixes_apart(spec))
    }

    /// Whether layers of tensors of this row are mixed apart from the rest of their module.
    pub(crate) fn mixes_apart(&self, spec: &ParamSpec) -> bool {
        let key = spec.stack.map(|stack| (stack, spec.module));
        is_bias(spec) && key.is_some_and(|key| self.bias_depth.contains_key(&key))
    }

    /// The depth coefficients of a module, or those of its biases.
    pub(crate) fn depth_of(&self, stack: StackName, module: &'static str, biases: bool) -> Result<&Tensor<2>, Error> {
        let depth = if biases { &self.bias_depth } else { &self.depth };
        let matrix = depth.get(&(stack, module));
        matrix.ok_or_else(|| Error::MissingOperatorTensor {
            name: format!("depth.{stack}.{module}"),
        })
    }

    /// Grows one tensor; `None` when nothing of the small model contributes.
    pub(crate) fn grow(
        &self,
        small: &ParamTable,
        param: &Param<'_>,
        source: &mut dyn WeightSource,
        device: &Device,
    ) -> Result<Option<Vec<f32>>, Error> {
        let spec = param.spec;
        if !self.covers(spec) {
            return Ok(None);
        }
        let (Some(stack), Some(layer)) = (spec.stack, param.layer) else {
            let weight = load(small, spec, None, source)?;
            return Ok(Some(self.widen_values(spec, weight, 0, device)?));
        };
        let coefficients = self.coefficients(stack, spec, layer)?;
        let used = coefficients.into_iter().enumerate();
        let used = used.filter(|(j, c)| *c != 0.0 && small.has_in(spec, *j));
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
        let rows_grow = grows(self.rows(spec), spec.axes.first());
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
            wide.extend(host::<f32>(grown.reshape([rows * columns]))?);
        }
        Ok(wide)
    }
}

/// Whether widening columns before rows is the cheaper one of two ways to the same product.
pub(crate) fn columns_first([rows1, columns1]: [usize; 2], [rows2, columns2]: [usize; 2]) -> bool {
    let columns_first = rows1 * columns1 * columns2 + rows2 * rows1 * columns2;
    let rows_first = rows2 * rows1 * columns1 + rows2 * columns1 * columns2;
    columns_first <= rows_first
}

/// Rows of a table that are widened at once.
const BLOCK_ROWS: usize = 4096;

pub(crate) fn add(sum: &mut [f32], values: &[f32], factor: f32) {
    sum.iter_mut().zip(values).for_each(|(s, v)| *s += factor * v);
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
        matrix(self.values, self.rows, self.columns, device)
    }
}

/// The name of a tensor of this row in a layer.
pub(crate) fn source_name(spec: &ParamSpec, layer: Option<usize>) -> String {
    match layer {
        Some(j) => spec.template.replace(LAYER_PLACEHOLDER, &j.to_string()),
        None => spec.template.clone(),
    }
}

fn load(
    small: &ParamTable,
    spec: &ParamSpec,
    layer: Option<usize>,
    source: &mut dyn WeightSource,
) -> Result<Loaded, Error> {
    let name = source_name(spec, layer);
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

/// The values of a tensor of the small model.
pub(crate) fn load_values(
    small: &ParamTable,
    spec: &ParamSpec,
    layer: Option<usize>,
    source: &mut dyn WeightSource,
) -> Result<Vec<f32>, Error> {
    Ok(load(small, spec, layer, source)?.values)
}
