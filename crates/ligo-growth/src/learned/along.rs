//! What may be learned along with an operator's matrices: the small model's weights, and what is added to the grown ones.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Param, ParamTable};
use rand::Rng;

use super::LigoOperator;
use crate::{LigoConfig, LinearMap, init};

/// Which of both a tensor is, in stores and files a prefix of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Along {
    /// A weight of the small model.
    Small,
    /// What is added to a weight of the large model.
    Residual,
}

impl Along {
    pub(crate) const ALL: [Self; 2] = [Self::Small, Self::Residual];

    pub(crate) fn prefix(self) -> &'static str {
        match self {
            Self::Small => "small.",
            Self::Residual => "residual.",
        }
    }

    /// What a map holds of it.
    pub(crate) fn of(self, map: &LinearMap) -> &BTreeMap<String, Tensor<1>> {
        match self {
            Self::Small => &map.small,
            Self::Residual => &map.residual,
        }
    }

    /// The tensors of the small or of the large model that something is learned for.
    pub(crate) fn params<'t>(
        self,
        config: &LigoConfig,
        small: &'t ParamTable,
        large: &'t ParamTable,
    ) -> Vec<Param<'t>> {
        let is_grown = |template: &str| {
            let mut specs = large.specs().iter();
            specs.any(|spec| spec.required && spec.template == template)
        };
        match self {
            Self::Small if config.tune_small_model => {
                let small = small.params().filter(|p| p.spec.required);
                small.filter(|p| is_grown(&p.spec.template)).collect()
            }
            Self::Residual if config.tune_residual => large.params().filter(|p| p.spec.required).collect(),
            _ => Vec::new(),
        }
    }

    /// What it is called beside a model's tensor of this name.
    pub(crate) fn name(self, tensor: &str) -> String {
        format!("{}{tensor}", self.prefix())
    }
}

impl LigoOperator {
    /// The tensors that are learned along with the matrices, by their names in a store, with their shapes.
    pub fn along(&self) -> Vec<(String, Vec<usize>)> {
        let all = Along::ALL.into_iter().flat_map(|along| {
            let params = self.params_along(along).into_iter();
            params.map(move |param| (along.name(&param.name), param.shape))
        });
        all.collect()
    }

    fn params_along(&self, along: Along) -> Vec<Param<'_>> {
        along.params(&self.config, &self.small, &self.large)
    }

    /// The starting values of what is added to a tensor of the large model.
    pub(crate) fn residual_start(&self, tensor: &str, count: usize) -> Vec<f32> {
        let noise = self.config.residual_noise;
        let mut rng = init::rng(self.seed, &Along::Residual.name(tensor));
        let draw = |_| (noise * (2.0 * rng.random::<f64>() - 1.0)) as f32;
        (0..count).map(draw).collect()
    }

    /// Puts what is learned along into a map; the small model's weights are its own where `current` has no others.
    pub(super) fn put_along(&self, map: &mut LinearMap, current: &dyn Fn(&str) -> Option<Tensor<1>>, device: &Device) {
        let small = self.params_along(Along::Small).into_iter();
        let small = small.filter_map(|param| Some((current(&Along::Small.name(&param.name))?, param.name)));
        map.small = small.map(|(values, name)| (name, values)).collect::<BTreeMap<_, _>>();
        let residual = self.params_along(Along::Residual).into_iter().map(|param| {
            let values = current(&Along::Residual.name(&param.name));
            let values = values.unwrap_or_else(|| {
                let values = self.residual_start(&param.name, param.num_elements());
                Tensor::from_data(TensorData::new(values, [param.num_elements()]), device)
            });
            (param.name, values)
        });
        map.residual = residual.collect();
    }
}
