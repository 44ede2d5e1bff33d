use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Param, ParamSpec, ParamTable};

use crate::gather::{Gather, Taken, Values};
use crate::host::host;
use crate::term::{add, load_values};
use crate::{Error, Fill, Term, WeightSource, parallel};

/// A growth operator: a sum of terms, and what stands where they write nothing.
#[derive(Clone, Debug, Default)]
pub struct LinearMap {
    /// The terms; none means that nothing is taken from the small model.
    pub terms: Vec<Term>,
    /// What fills the rest.
    pub fill: Fill,
    /// What the tensors hold.
    pub carried: Carried,
    /// Weights that stand in the place of the small model's of these names: they were learned along with the map.
    pub small: BTreeMap<String, Tensor<1>>,
    /// What is added to the large model's tensors of these names.
    pub residual: BTreeMap<String, Tensor<1>>,
}

/// What a map carries over from model to model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Carried {
    /// Weights.
    #[default]
    Weights,
    /// Gradients by weights, or means of them.
    Gradients,
    /// Their squares.
    SquaredGradients,
}

/// A model some of whose weights stand elsewhere.
pub(crate) struct Over<'a> {
    weights: &'a BTreeMap<String, Tensor<1>>,
    source: &'a mut dyn WeightSource,
}

impl WeightSource for Over<'_> {
    fn values(&mut self, name: &str) -> Result<Cow<'_, [f32]>, Error> {
        match self.weights.get(name) {
            Some(weights) => Ok(Cow::Owned(host(weights.clone())?)),
            None => self.source.values(name),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.source.has(name)
    }
}

impl LinearMap {
    /// A map of weights.
    pub(crate) fn new(terms: Vec<Term>, fill: Fill) -> Self {
        Self {
            terms,
            fill,
            ..Self::default()
        }
    }

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
        if let Some(taken) = self.taken(small, param)? {
            return self.gather_values(small, param, taken, source);
        }
        let mut sum: Option<Vec<f32>> = None;
        let mut source = self.over(source);
        for term in &self.terms {
            match (term.grow(small, param, &mut source, device)?, &mut sum) {
                (Some(grown), Some(sum)) => add(sum, &grown, 1.0),
                (Some(grown), None) => sum = Some(grown),
                (None, _) => {}
            }
        }
        let ratio = self.ratio(small, param.spec);
        if let Some(sum) = sum.as_mut().filter(|_| ratio != 1.0) {
            sum.iter_mut()
                .for_each(|value| *value = (f64::from(*value) * ratio) as f32);
        }
        let has_source = sum.is_some();
        let mut values = sum.unwrap_or_else(|| vec![0.0; param.num_elements()]);
        self.fill.apply(small, param, has_source, &mut values);
        if let Some(residual) = self.residual.get(&param.name) {
            add(&mut values, &host::<f32>(residual.clone())?, 1.0);
        }
        Ok(values)
    }

    /// The small model with the weights that stand in the place of its own.
    pub(crate) fn over<'a>(&'a self, source: &'a mut dyn WeightSource) -> Over<'a> {
        Over {
            weights: &self.small,
            source,
        }
    }

    /// What is grown by picking alone.
    fn gather_values(
        &self,
        small: &ParamTable,
        param: &Param<'_>,
        taken: Vec<Taken<'_>>,
        source: &mut dyn WeightSource,
    ) -> Result<Vec<f32>, Error> {
        let ratio = self.ratio(small, param.spec);
        let gather = Gather::new(small, param, taken, ratio, |taken| {
            let values = load_values(small, param.spec, taken.layer, source)?;
            Ok(Values::Numbers(values))
        })?;
        let mut values = vec![0.0; param.num_elements()];
        parallel::by_rows(&mut values, gather.columns(), |first, values| {
            gather.rows(first, values);
            self.fill.apply_rows(small, param, gather.has_source(), first, values);
        });
        Ok(values)
    }

    /// What the terms of a tensor are multiplied by, for a row of the large model's table: models that [multiply](ParamSpec::times) it by something of their
    /// sizes get what gives the same product.
    pub(crate) fn ratio(&self, small: &ParamTable, spec: &ParamSpec) -> f64 {
        let source = small.specs().iter().find(|own| own.template == spec.template);
        let ratio = source.map_or(1.0, |own| own.times / spec.times);
        match self.carried {
            Carried::Weights => ratio,
            Carried::Gradients => ratio.recip(),
            Carried::SquaredGradients => ratio.powi(-2),
        }
    }
}
