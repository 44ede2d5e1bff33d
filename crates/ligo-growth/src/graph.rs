//! Growing whole models on a device, inside autodiff or not.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Param, ParamSpec, ParamTable};

use crate::term::{host, load_tensor};
use crate::{Error, Fill, LigoOperator, LinearMap, Term, WeightSource};

/// The small model's weights on a device, by template and layer.
#[derive(Clone, Debug)]
struct SmallWeights(HashMap<String, Vec<Tensor<2>>>);

impl SmallWeights {
    fn load(small: &ParamTable, source: &mut dyn WeightSource, device: &Device) -> Result<Self, Error> {
        let mut rows = HashMap::new();
        for spec in small.specs().iter().filter(|s| s.required) {
            let layers: Vec<Option<usize>> = match spec.stack {
                None => vec![None],
                Some(stack) => (0..small.depth(stack)).map(Some).collect(),
            };
            let tensors: Result<Vec<_>, _> = layers
                .into_iter()
                .map(|j| load_tensor(small, spec, j, source, device))
                .collect();
            rows.insert(spec.template.clone(), tensors?);
        }
        Ok(Self(rows))
    }
}

/// The learning graph of an operator: the small model's weights as constants, the operator's matrices as leaves.
#[derive(Clone, Debug)]
pub struct OperatorGraph {
    operator: LigoOperator,
    weights: SmallWeights,
    /// What the map is added to, by tensor.
    added: HashMap<String, Tensor<1>>,
    device: Device,
}

impl OperatorGraph {
    /// Loads the small model's weights onto `device` as constants.
    ///
    /// # Errors
    /// A tensor is missing or has another size than its table says.
    pub fn new(operator: LigoOperator, source: &mut dyn WeightSource, device: &Device) -> Result<Self, Error> {
        let weights = SmallWeights::load(operator.small(), source, device)?;
        let fill = operator.fill();
        let params = operator.large().params().filter(|p| p.spec.required);
        let added = params.filter_map(|param| {
            let values = fill.added(operator.small(), &param)?;
            let data = TensorData::new(values, [param.num_elements()]);
            Some((param.name, Tensor::from_data(data, device)))
        });
        let added = added.collect();
        Ok(Self {
            added,
            operator,
            weights,
            device: device.clone(),
        })
    }

    /// The operator.
    pub fn operator(&self) -> &LigoOperator {
        &self.operator
    }

    /// All required tensors of the large model, flat, as functions of the operator's matrices.
    ///
    /// With shared matrices width and depth commute, and widening the L1 small layers costs less than widening the L2
    /// mixed ones; matrices per large layer need depth first.
    ///
    /// # Errors
    /// The operator lacks a depth matrix.
    pub fn grow(&self, current: &dyn Fn(&str) -> Option<Tensor<1>>) -> Result<HashMap<String, Tensor<1>>, Error> {
        let map = self.operator.map(current, &self.device);
        let mut grown = grow_all(&map, self.operator.large(), &self.weights)?;
        for (name, added) in &self.added {
            if let Some(tensor) = grown.remove(name) {
                grown.insert(name.clone(), tensor + added.clone());
            }
        }
        Ok(grown)
    }
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
        let weights = SmallWeights::load(small, source, device)?;
        let mut grown = grow_all(self, large, &weights)?;
        for param in large.params().filter(|p| p.spec.required && self.fill != Fill::Zero) {
            let mut values: Vec<f64> = match grown.remove(&param.name) {
                Some(tensor) => host(tensor)?,
                None => vec![0.0; param.num_elements()],
            };
            self.fill.apply(small, &param, self.has_source(&param)?, &mut values);
            let data = TensorData::new(values, [param.num_elements()]);
            grown.insert(param.name.clone(), Tensor::from_data(data, device));
        }
        Ok(grown)
    }

    /// Whether any tensor of the small model contributes to this one.
    fn has_source(&self, param: &Param<'_>) -> Result<bool, Error> {
        for term in self.terms.iter().filter(|t| t.covers(param.spec)) {
            let (Some(stack), Some(layer)) = (param.spec.stack, param.layer) else {
                return Ok(true);
            };
            let coefficients = term.coefficients(stack, param.spec.module, layer)?;
            if coefficients.iter().any(|c| *c != 0.0) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn grow_all(map: &LinearMap, large: &ParamTable, weights: &SmallWeights) -> Result<HashMap<String, Tensor<1>>, Error> {
    let mut grown = HashMap::new();
    for spec in large.specs().iter().filter(|s| s.required) {
        let sources = weights.0.get(&spec.template);
        let sources = sources.ok_or_else(|| Error::MissingTensor {
            name: spec.template.clone(),
        })?;
        let mut total: Option<Vec<Tensor<1>>> = None;
        for term in map.terms.iter().filter(|term| term.covers(spec)) {
            let layers = grow_row(term, large, spec, sources)?;
            total = Some(match total {
                None => layers,
                Some(sum) => sum.into_iter().zip(layers).map(|(a, b)| a + b).collect(),
            });
        }
        for (i, tensor) in total.unwrap_or_default().into_iter().enumerate() {
            let layer = spec.stack.map(|_| i);
            grown.insert(large.param(spec, layer).name, tensor);
        }
    }
    Ok(grown)
}

/// One row of the table at every layer of the large model.
fn grow_row(term: &Term, large: &ParamTable, spec: &ParamSpec, sources: &[Tensor<2>]) -> Result<Vec<Tensor<1>>, Error> {
    let flat = |tensor: Tensor<2>| {
        let [rows, columns] = tensor.dims();
        tensor.reshape([rows * columns])
    };
    let Some(stack) = spec.stack else {
        return Ok(vec![flat(term.widen(spec, sources[0].clone(), 0))]);
    };
    let depth = term.depth_matrix(stack, spec.module)?;
    let [large_layers, small_layers] = depth.dims();
    let row = |i: usize| depth.clone().slice([i..i + 1, 0..small_layers]);
    debug_assert_eq!(large_layers, large.depth(stack));
    let stacked = |tensors: Vec<Tensor<2>>| {
        let rows = tensors.into_iter().map(|t| flat(t).unsqueeze::<2>());
        Tensor::<2>::cat(rows.collect(), 0)
    };
    if term.widens_large_layers(spec) {
        let [rows, columns] = sources[0].dims();
        let all = stacked(sources.to_vec());
        return Ok((0..large_layers)
            .map(|i| flat(term.widen(spec, row(i).matmul(all.clone()).reshape([rows, columns]), i)))
            .collect());
    }
    let wide = sources.iter().enumerate().map(|(j, w)| term.widen(spec, w.clone(), j));
    let all = stacked(wide.collect());
    Ok((0..large_layers)
        .map(|i| {
            let mixed = row(i).matmul(all.clone());
            let [_, count] = mixed.dims();
            mixed.reshape([count])
        })
        .collect())
}
