use std::collections::{BTreeMap, HashMap};

use burn::tensor::{Device, Tensor};
use ligo_arch::{Axis, ParamTable, StackName, check_growable};

use crate::operators::matrix;
use crate::{DepthInit, Error, Factors, Fill, LigoConfig, LinearMap, Sharing, Term};

/// One matrix of the operator: its name, shape and starting values.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorTensor {
    /// `width.AXIS`, `width.AXIS.LAYER` or `depth.STACK.MODULE`.
    pub name: String,
    /// `[rows, columns]`; with a fixed identity block only the new rows.
    pub shape: [usize; 2],
    /// Starting values, row-major.
    pub values: Vec<f32>,
    /// Whether it is learned.
    pub trainable: bool,
}

#[derive(Clone, Debug)]
struct Width {
    axis: Axis,
    small: usize,
    large: usize,
    /// One name, or one per layer.
    names: Vec<String>,
}

#[derive(Clone, Debug)]
struct Depth {
    stack: StackName,
    module: &'static str,
    name: String,
}

/// LiGO's operator as named matrices that a trainer can learn.
///
/// The struct holds names, shapes and starting values; the current values come from outside, so that the same operator
/// serves training (tracked tensors) and application (plain ones).
#[derive(Clone, Debug)]
pub struct LigoOperator {
    small: ParamTable,
    large: ParamTable,
    config: LigoConfig,
    tensors: Vec<OperatorTensor>,
    widths: Vec<Width>,
    depths: Vec<Depth>,
}

impl LigoOperator {
    /// An operator for a pair of models with starting values drawn from `seed`.
    ///
    /// Axes and stacks of equal size in both models have no matrix. Axes that occur in optional tensors only (BERT's
    /// pooler) have one that is not learned, because no loss reaches it.
    ///
    /// # Errors
    /// The pair cannot be grown, or the settings contradict each other.
    pub fn new(small: &ParamTable, large: &ParamTable, config: &LigoConfig, seed: u64) -> Result<Self, Error> {
        check_growable(small, large)?;
        config.validate()?;
        let mut operator = Self {
            small: small.clone(),
            large: large.clone(),
            config: config.clone(),
            tensors: Vec::new(),
            widths: Vec::new(),
            depths: Vec::new(),
        };
        operator.add_widths(seed);
        operator.add_depths(seed);
        Ok(operator)
    }

    fn add_widths(&mut self, seed: u64) {
        let local = self.large.layer_local_axes();
        let layers_of = |table: &ParamTable| table.depths().map(|(_, n)| n).max().unwrap_or(1);
        let growing: Vec<(Axis, usize)> = self
            .large
            .sizes()
            .filter(|(a, n)| !a.is_fixed() && self.large.repeat(*a).is_none() && self.small.size(*a) != *n)
            .collect();
        for (axis, large) in growing {
            let small = self.small.size(axis);
            let copies = match self.config.sharing {
                Sharing::PerSmallLayer if local.contains(&axis) => layers_of(&self.small),
                Sharing::PerLargeLayer if local.contains(&axis) => layers_of(&self.large),
                _ => 1,
            };
            let reached = self.large.specs().iter().any(|s| s.required && s.axes.contains(&axis));
            let mut names = Vec::new();
            for layer in 0..copies {
                let name = if copies == 1 {
                    format!("width.{axis}")
                } else {
                    format!("width.{axis}.{layer}")
                };
                let mut values =
                    self.config
                        .width_init
                        .matrix(axis, small, large, self.config.width_noise, seed, &name);
                let mut rows = large;
                if self.config.fixed_identity {
                    values.drain(..small * small);
                    rows -= small;
                }
                self.tensors.push(OperatorTensor {
                    name: name.clone(),
                    shape: [rows, small],
                    values,
                    trainable: self.config.tune_width && reached,
                });
                names.push(name);
            }
            self.widths.push(Width {
                axis,
                small,
                large,
                names,
            });
        }
    }

    fn add_depths(&mut self, seed: u64) {
        let depths: Vec<(StackName, usize)> = self.large.depths().collect();
        for (stack, large) in depths {
            let small = self.small.depth(stack);
            let grows = small != large;
            for module in self.large.modules(stack) {
                let name = format!("depth.{stack}.{module}");
                let (init, noise) = if grows {
                    (self.config.depth_init, self.config.depth_noise)
                } else {
                    (DepthInit::Stack, 0.0)
                };
                self.tensors.push(OperatorTensor {
                    name: name.clone(),
                    shape: [large, small],
                    values: init.matrix(small, large, noise, seed, &name),
                    trainable: self.config.tune_depth && grows,
                });
                self.depths.push(Depth { stack, module, name });
            }
        }
    }

    /// The matrices with their starting values.
    pub fn tensors(&self) -> &[OperatorTensor] {
        &self.tensors
    }

    /// The settings.
    pub fn config(&self) -> &LigoConfig {
        &self.config
    }

    /// The small model's table.
    pub fn small(&self) -> &ParamTable {
        &self.small
    }

    /// The large model's table.
    pub fn large(&self) -> &ParamTable {
        &self.large
    }

    /// The number of learned parameters.
    pub fn num_parameters(&self) -> usize {
        let learned = self.tensors.iter().filter(|t| t.trainable);
        learned.map(|t| t.shape[0] * t.shape[1]).sum()
    }

    /// The map with given matrices: `current(name)` returns a flat tensor, or `None` for the starting values.
    pub fn map(&self, current: &dyn Fn(&str) -> Option<Tensor<1>>, device: &Device) -> LinearMap {
        let tensors: HashMap<&str, &OperatorTensor> = self.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let value = |name: &str| -> Tensor<2> {
            let start = tensors[name];
            match current(name) {
                Some(tensor) => tensor.reshape(start.shape),
                None => matrix(start.values.clone(), start.shape[0], start.shape[1], device),
            }
        };
        let mut widths = BTreeMap::new();
        for width in &self.widths {
            let whole = |name: &String| {
                let learned = value(name);
                if self.config.fixed_identity {
                    let identity = crate::width::identity_top(width.small, width.small);
                    let identity = matrix(identity, width.small, width.small, device);
                    Tensor::cat(vec![identity, learned], 0)
                } else {
                    learned
                }
            };
            debug_assert!(width.large >= width.small);
            widths.insert(width.axis, width.names.iter().map(whole).collect());
        }
        let depth = self
            .depths
            .iter()
            .map(|d| ((d.stack, d.module), value(&d.name)))
            .collect();
        let term = Term {
            depth,
            out: Factors::new(self.config.sharing, widths).with_repeats(&self.small, &self.large),
            ..Term::default()
        };
        LinearMap {
            terms: vec![term],
            fill: Fill::Zero,
        }
    }

    /// The map with the starting values.
    ///
    /// # Errors
    /// None today; the signature leaves room for operators that need data.
    pub fn initial_map(&self, device: &Device) -> Result<LinearMap, Error> {
        Ok(self.map(&|_| None, device))
    }
}
