use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{ParamSpec, ParamTable};

use crate::term::load_values;
use crate::{Error, WeightSource};

/// The small model's required tensors on a device, by template: all layers of one in one tensor.
#[derive(Clone, Debug)]
pub(crate) struct SmallWeights(HashMap<String, Tensor<3>>);

impl SmallWeights {
    pub(crate) fn load(small: &ParamTable, source: &mut dyn WeightSource, device: &Device) -> Result<Self, Error> {
        let mut stacks = HashMap::new();
        for spec in small.specs().iter().filter(|s| s.required) {
            let layers: Vec<Option<usize>> = match spec.stack {
                None => vec![None],
                Some(stack) => (0..small.depth(stack)).map(Some).collect(),
            };
            let shape = matrix_shape(small, spec);
            let mut values = Vec::with_capacity(layers.len() * shape[0] * shape[1]);
            for layer in &layers {
                match layer.is_none_or(|layer| spec.is_in(layer)) {
                    true => values.extend(load_values(small, spec, *layer, source)?),
                    // Nothing comes from a layer that lacks it.
                    false => values.extend(std::iter::repeat_n(0.0, shape[0] * shape[1])),
                }
            }
            let data = TensorData::new(values, [layers.len(), shape[0], shape[1]]);
            stacks.insert(spec.template.clone(), Tensor::from_data(data, device));
        }
        Ok(Self(stacks))
    }

    /// `[layers, rows, columns]` of a template; one layer where there are none, and one row of a vector.
    pub(crate) fn get(&self, template: &str) -> Result<Tensor<3>, Error> {
        let stack = self.0.get(template).cloned();
        stack.ok_or_else(|| Error::MissingTensor { name: template.into() })
    }
}

/// Rows and columns of a tensor; a vector is one row, so that its entries are what a matrix widens from the right.
fn matrix_shape(table: &ParamTable, spec: &ParamSpec) -> [usize; 2] {
    match spec.axes.as_slice() {
        [entries] => [1, table.size(*entries)],
        axes => [table.size(axes[0]), table.size(axes[1])],
    }
}
