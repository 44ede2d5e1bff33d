//! Growing whole models on a device, all layers at once, and the gradients by the map's matrices.

mod matrices;
mod route;
mod weights;

use std::collections::{HashMap, HashSet};

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Param, ParamTable};
use ligo_ops::Rows;

pub(crate) use matrices::{MatrixGradients, MatrixKey};

use crate::host::host;
use crate::learned::Along;
use crate::term::source_name;
use crate::{Error, Fill, LigoOperator, LinearMap, OperatorTensor, WeightSource};
use matrices::Matrices;
use route::{Kept, Route};
use weights::SmallWeights;

/// The learning graph of an operator: the small model's weights as constants, the operator's matrices as variables. Where the operator's
/// settings say so the small model's weights are variables, too, and a variable of its own is added to each large tensor.
///
/// Nothing of it is recorded by autodiff. The large model is back-propagated like any model, and [`OperatorGraph::pull_back`] takes the
/// gradients by its tensors to those by the matrices:
///
/// ```text
/// ∂depth[i, j] = ⟨∂W[i], Out · W_small[j] · Inᵀ⟩
/// ∂Out = Σ_j ∂V[j] · (W_small[j] · Inᵀ)ᵀ,   ∂In = Σ_j ∂V[j]ᵀ · (Out · W_small[j]),   ∂V[j] = Σ_i depth[i, j] · ∂W[i]
/// ```
///
/// which is what autodiff would do, with all layers of a tensor in one product.
#[derive(Clone, Debug)]
pub struct OperatorGraph {
    operator: LigoOperator,
    templates: Vec<Template>,
    /// The large model's tensors that depend on a learned matrix.
    learned: HashSet<String>,
    /// Matrices that are not learned.
    constants: HashMap<String, Tensor<2>>,
    /// The fixed blocks of `B = [I; C]`, by their size.
    identities: HashMap<usize, Tensor<2>>,
    device: Device,
}

/// One row of the large model's table: the tensor of this name in all layers.
#[derive(Clone, Debug)]
struct Template {
    /// The names, by layer.
    names: Vec<String>,
    /// Whether the layer has it.
    is_there: Vec<bool>,
    /// The small model's, `[layers, rows, columns]`.
    small: Tensor<3>,
    /// What the small model's is called in a store, by layer, where it is learned along.
    tuned: Vec<String>,
    /// What the small model's is multiplied by.
    ratio: f64,
    /// One for each term that contributes.
    routes: Vec<Route>,
    /// What the map is added to, `[layers, rows · columns]`.
    added: Option<Tensor<2>>,
}

/// What [`OperatorGraph::pull_back`] needs of the growth whose gradients it takes.
#[derive(Debug)]
pub struct GrowthRecord {
    matrices: Matrices,
    /// By template and route.
    kept: Vec<Vec<Kept>>,
}

impl OperatorGraph {
    /// Loads the small model's weights onto `device` as constants.
    ///
    /// # Errors
    /// A tensor is missing or has another size than its table says.
    pub fn new(operator: LigoOperator, source: &mut dyn WeightSource, device: &Device) -> Result<Self, Error> {
        let device = device.clone().without_autodiff();
        let weights = SmallWeights::load(operator.small(), source, &device)?;
        let map = operator.matrices(&|_| None, &device);
        let tunes_small = operator.config().tune_small_model;
        let mut templates = templates(
            &map,
            operator.small(),
            operator.large(),
            &weights,
            &|key| operator.is_learned(key),
            tunes_small,
        )?;
        for template in &mut templates {
            template.added = added(&operator, &template.names, &device);
        }
        let fixed = operator.tensors().iter().filter(|t| !t.trainable);
        let constants = fixed.map(|t| (t.name.clone(), t.start(&device)));
        let identities = operator.identity_sizes().into_iter();
        let identities = identities.map(|size| (size, Tensor::eye(size, &device)));
        let tunes_residual = operator.config().tune_residual;
        let learned = templates.iter().filter(|t| tunes_residual || t.is_learned());
        Ok(Self {
            learned: learned.flat_map(|t| t.names.iter().cloned()).collect(),
            constants: constants.collect(),
            identities: identities.collect(),
            templates,
            operator,
            device,
        })
    }

    /// The operator.
    pub fn operator(&self) -> &LigoOperator {
        &self.operator
    }

    /// What is learned along with the matrices: names, shapes, and starting values.
    ///
    /// # Errors
    /// A device returns unreadable data.
    pub fn along(&self) -> Result<Vec<(String, Vec<usize>, Vec<f32>)>, Error> {
        let mut small = HashMap::new();
        for template in self.templates.iter().filter(|t| !t.tuned.is_empty()) {
            let layers = ligo_ops::unstack(template.small.clone().flatten(1, 2));
            for (name, layer) in template.tuned.iter().zip(layers) {
                small.insert(name.as_str(), host(layer)?);
            }
        }
        let all = self.operator.along().into_iter().map(|(name, shape)| {
            let values = small.remove(name.as_str()).unwrap_or_else(|| {
                let tensor = name.strip_prefix(Along::Residual.prefix()).unwrap_or(&name);
                self.operator.residual_start(tensor, shape.iter().product())
            });
            (name, shape, values)
        });
        Ok(all.collect())
    }

    /// Whether a tensor of the large model depends on anything that is learned.
    pub fn is_learned(&self, name: &str) -> bool {
        self.learned.contains(name)
    }

    /// All required tensors of the large model, flat, as functions of what is learned, the operator's matrices and what is learned along with
    /// them: `current(name)` is one of these, flat, or `None` for its starting values.
    ///
    /// # Errors
    /// The operator lacks a depth matrix.
    pub fn grow(&self, current: &dyn Fn(&str) -> Option<Tensor<1>>) -> Result<HashMap<String, Tensor<1>>, Error> {
        Ok(self.grow_recorded(current)?.0)
    }

    /// As [`OperatorGraph::grow`], with what [`OperatorGraph::pull_back`] needs.
    ///
    /// # Errors
    /// As [`OperatorGraph::grow`].
    pub fn grow_recorded(
        &self,
        current: &dyn Fn(&str) -> Option<Tensor<1>>,
    ) -> Result<(HashMap<String, Tensor<1>>, GrowthRecord), Error> {
        let value = |tensor: &OperatorTensor| match self.constants.get(&tensor.name) {
            Some(constant) => constant.clone(),
            None => match current(&tensor.name) {
                Some(learned) => learned.without_autodiff().reshape(tensor.shape),
                None => tensor.start(&self.device),
            },
        };
        let map = self.operator.assemble(&value, &|size| self.identities[&size].clone());
        let (mut grown, record) = grow_all(&map, &self.templates, current)?;
        if self.operator.config().tune_residual {
            for (name, tensor) in &mut grown {
                let residual = current(&Along::Residual.name(name)).map(Tensor::without_autodiff);
                let residual = residual.unwrap_or_else(|| {
                    let count = tensor.dims()[0];
                    let values = self.operator.residual_start(name, count);
                    Tensor::from_data(TensorData::new(values, [count]), &self.device)
                });
                *tensor = tensor.clone() + residual;
            }
        }
        Ok((grown, record))
    }

    /// Gradients by what is learned, flat, of a loss whose gradients by the grown tensors `gradient` gives away; `None` stands for
    /// zero. A matrix that none of them depends on is left out.
    ///
    /// The matrices are those that the tensors were grown with. Gradients of several micro-batches are summed first, so that the way back
    /// is gone once.
    ///
    /// # Shapes
    /// A gradient is flat, as the tensor is.
    pub fn pull_back(
        &self,
        record: GrowthRecord,
        gradient: &mut dyn FnMut(&str) -> Option<Tensor<1>>,
    ) -> HashMap<String, Tensor<1>> {
        let mut gradients = MatrixGradients::default();
        let mut along = HashMap::new();
        for (template, kept) in self.templates.iter().zip(record.kept) {
            let found: Vec<_> = template.names.iter().map(|name| gradient(name)).collect();
            if self.operator.config().tune_residual {
                // What is added has the gradient of the sum.
                let found = template.names.iter().zip(&found);
                let found =
                    found.filter_map(|(name, g)| Some((Along::Residual.name(name), g.clone()?.without_autodiff())));
                along.extend(found);
            }
            if !template.is_learned() {
                continue;
            }
            let Some(some) = found.iter().flatten().next() else {
                continue;
            };
            let zero = || some.zeros_like();
            let rows = found.iter().map(|g| g.clone().unwrap_or_else(zero).without_autodiff());
            let rows = Rows::new(rows.collect());
            let routes = template.routes.iter().zip(kept);
            let small =
                routes.filter_map(|(route, kept)| route.backward(kept, &rows, &record.matrices, &mut gradients));
            if let Some(small) = small.reduce(|a, b| a + b) {
                let layers = ligo_ops::unstack(scaled(small, template.ratio).flatten(1, 2));
                along.extend(template.tuned.iter().cloned().zip(layers));
            }
        }
        let mut gradients = self.operator.gradients(gradients);
        gradients.extend(along);
        gradients
    }
}

impl Template {
    fn is_learned(&self) -> bool {
        self.routes.iter().any(Route::is_learned)
    }

    /// The small model's tensor, or what is learned in its place.
    fn small(&self, current: &dyn Fn(&str) -> Option<Tensor<1>>) -> Tensor<3> {
        let learned = self.tuned.iter().map(|name| Some(current(name)?.without_autodiff()));
        let small = match learned.collect::<Option<Vec<_>>>() {
            Some(layers) if !layers.is_empty() => ligo_ops::stack(&layers).reshape(self.small.dims()),
            _ => self.small.clone(),
        };
        scaled(small, self.ratio)
    }

    /// The large model's tensors, `[layers, rows · columns]`.
    fn grow(&self, matrices: &Matrices, current: &dyn Fn(&str) -> Option<Tensor<1>>) -> (Tensor<2>, Vec<Kept>) {
        let small = self.small(current);
        let grown = self.routes.iter().map(|route| {
            let (grown, kept) = route.forward(small.clone(), matrices);
            let [layers, rows, columns] = grown.dims();
            (grown.reshape([layers, rows * columns]), kept)
        });
        let (terms, kept): (Vec<_>, Vec<_>) = grown.unzip();
        let sum = terms.into_iter().chain(self.added.clone()).reduce(|a, b| a + b);
        (sum.unwrap_or_else(|| small.flatten(1, 2)), kept)
    }
}

fn scaled(x: Tensor<3>, ratio: f64) -> Tensor<3> {
    if ratio == 1.0 { x } else { x.mul_scalar(ratio) }
}

/// The large model's table with the ways that lead to it. A template without a term is left out.
fn templates(
    map: &LinearMap,
    small_table: &ParamTable,
    large: &ParamTable,
    weights: &SmallWeights,
    is_learned: &dyn Fn(MatrixKey) -> bool,
    tunes_small: bool,
) -> Result<Vec<Template>, Error> {
    let mut templates = Vec::new();
    for spec in large.specs().iter().filter(|s| s.required) {
        let mut small = weights.get(&spec.template)?;
        let mut ratio = map.ratio(small_table, spec);
        if !tunes_small {
            // Once for all steps.
            (small, ratio) = (scaled(small, ratio), 1.0);
        }
        let terms = (0..map.terms.len()).filter(|t| map.terms[*t].covers(spec));
        let routes = terms.map(|term| Route::new(map, term, spec, small.dims(), is_learned, tunes_small));
        let routes = routes.collect::<Result<Vec<_>, _>>()?;
        if routes.is_empty() {
            continue;
        }
        let layers: Vec<Option<usize>> = match spec.stack {
            None => vec![None],
            Some(stack) => (0..large.depth(stack)).map(Some).collect(),
        };
        let own_layers: Vec<Option<usize>> = match spec.stack {
            _ if !tunes_small => Vec::new(),
            None => vec![None],
            Some(stack) => (0..small_table.depth(stack)).map(Some).collect(),
        };
        let tuned = own_layers.into_iter().map(|j| Along::Small.name(&source_name(spec, j)));
        templates.push(Template {
            is_there: layers.iter().map(|layer| layer.is_none_or(|i| spec.is_in(i))).collect(),
            names: layers.into_iter().map(|i| large.param(spec, i).name).collect(),
            small,
            tuned: tuned.collect(),
            ratio,
            routes,
            added: None,
        });
    }
    Ok(templates)
}

/// What the map is added to, for all layers of one template.
fn added(operator: &LigoOperator, names: &[String], device: &Device) -> Option<Tensor<2>> {
    let table = operator.large();
    let spec = names.iter().find_map(|name| table.get(name))?.spec;
    let layers = (0..names.len()).map(|layer| {
        let param = table.param(spec, spec.stack.map(|_| layer));
        operator
            .fill()
            .added(operator.small(), &param, true, 0..param.num_elements())
    });
    let values = layers.collect::<Option<Vec<_>>>()?.concat();
    let shape = [names.len(), values.len() / names.len()];
    Some(Tensor::from_data(TensorData::new(values, shape), device))
}

fn grow_all(
    map: &LinearMap,
    templates: &[Template],
    current: &dyn Fn(&str) -> Option<Tensor<1>>,
) -> Result<(HashMap<String, Tensor<1>>, GrowthRecord), Error> {
    let keys = templates.iter().flat_map(|t| t.routes.iter().flat_map(Route::keys));
    let matrices = Matrices::new(map, keys)?;
    let mut grown = HashMap::new();
    let mut kept = Vec::new();
    for template in templates {
        let (layers, inputs) = template.grow(&matrices, current);
        let named = template
            .names
            .iter()
            .zip(&template.is_there)
            .zip(ligo_ops::unstack(layers));
        let there = named.filter(|((_, is_there), _)| **is_there);
        grown.extend(there.map(|((name, _), layer)| (name.clone(), layer)));
        kept.push(inputs);
    }
    Ok((grown, GrowthRecord { matrices, kept }))
}

impl LinearMap {
    /// All required tensors of the large model at once, flat, on a device and in its number type: what
    /// [`LinearMap::grow_param`] gives one by one in `f32`.
    ///
    /// # Errors
    /// As [`LinearMap::grow_param`].
    pub fn grow_tensors(
        &self,
        small: &ParamTable,
        large: &ParamTable,
        source: &mut dyn WeightSource,
        device: &Device,
    ) -> Result<HashMap<String, Tensor<1>>, Error> {
        let weights = SmallWeights::load(small, &mut self.over(source), device)?;
        let templates = templates(self, small, large, &weights, &|_| false, false)?;
        let (mut grown, _) = grow_all(self, &templates, &|_| None)?;
        for param in large.params().filter(|p| p.spec.required && self.fill != Fill::Zero) {
            let mut values: Vec<f64> = match grown.remove(&param.name) {
                Some(tensor) => host(tensor)?,
                None => vec![0.0; param.num_elements()],
            };
            self.fill
                .apply(small, &param, self.has_source(small, &param)?, &mut values);
            let data = TensorData::new(values, [param.num_elements()]);
            grown.insert(param.name.clone(), Tensor::from_data(data, device));
        }
        for (name, tensor) in &mut grown {
            if let Some(residual) = self.residual.get(name) {
                *tensor = tensor.clone() + residual.clone().to_device(device);
            }
        }
        Ok(grown)
    }

    /// Whether any tensor of the small model contributes to this one.
    fn has_source(&self, small: &ParamTable, param: &Param<'_>) -> Result<bool, Error> {
        for term in self.terms.iter().filter(|t| t.covers(param.spec)) {
            let (Some(stack), Some(layer)) = (param.spec.stack, param.layer) else {
                return Ok(true);
            };
            let coefficients = term.coefficients(stack, param.spec, layer)?;
            let mut taken = coefficients.iter().enumerate();
            if taken.any(|(j, c)| *c != 0.0 && small.has_in(param.spec, j)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
