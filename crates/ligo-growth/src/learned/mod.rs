mod along;
mod gradients;

use std::collections::{BTreeSet, HashMap};

use burn::tensor::{Device, Tensor};
use ligo_arch::{Axis, ParamSpec, ParamTable, StackName};

pub(crate) use along::Along;

use crate::host::matrix;
use crate::operators::growing;
use crate::starts::{Side, WidthStarts, prefix, width_name};
use crate::term::{is_bias, is_lookup, output_axis};
use crate::{Coverage, DepthInit, Error, Factors, Fill, LigoConfig, LinearMap, OperatorSpec, Sharing, Term};

/// One matrix of the operator: its name, shape and starting values.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorTensor {
    /// `width.AXIS`, `width.AXIS.LAYER`, `depth.STACK.MODULE` or `depth.STACK.MODULE.bias`; `width_in.AXIS` for columns that do not follow rows; terms after
    /// the first have their number in front, as in `1.width.AXIS`.
    pub name: String,
    /// `[rows, columns]`; with a fixed identity block only the new rows.
    pub shape: [usize; 2],
    /// Starting values, row-major.
    pub values: Vec<f32>,
    /// Whether it is learned.
    pub trainable: bool,
}

impl OperatorTensor {
    /// The starting values on a device.
    pub(crate) fn start(&self, device: &Device) -> Tensor<2> {
        matrix(self.values.clone(), self.shape[0], self.shape[1], device)
    }
}

/// The matrices of one axis on one side.
#[derive(Clone, Debug)]
struct Width {
    axis: Axis,
    small: usize,
    /// One name, or one per layer.
    names: Vec<String>,
}

#[derive(Clone, Debug)]
struct Depth {
    stack: StackName,
    module: &'static str,
    /// Whether it is that of the module's biases.
    biases: bool,
    name: String,
}

/// The names of one term's matrices.
#[derive(Clone, Debug, Default)]
struct TermNames {
    out: Vec<Width>,
    /// Nothing when columns follow rows.
    input: Vec<Width>,
    depth: Vec<Depth>,
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
    terms: Vec<TermNames>,
    seed: u64,
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
        OperatorSpec::Ligo(config.clone()).check(small, large)?;
        let mut operator = Self {
            small: small.clone(),
            large: large.clone(),
            config: config.clone(),
            tensors: Vec::new(),
            terms: vec![TermNames::default(); config.terms],
            seed,
        };
        let starts = WidthStarts::new(small, large, config, seed);
        for term in 0..config.terms {
            operator.add_widths(term, Side::Out, &starts);
            if !config.tied {
                operator.add_widths(term, Side::In, &starts);
            }
            operator.add_depths(term, seed);
        }
        Ok(operator)
    }

    fn add_widths(&mut self, term: usize, side: Side, starts: &WidthStarts<'_>) {
        let local = self.large.layer_local_axes();
        let layers_of = |table: &ParamTable| table.depths().map(|(_, n)| n).max().unwrap_or(1);
        let axes: Vec<(Axis, usize)> = growing(&self.small, &self.large)
            // A tied head reads what the rows of the residual stream say, unless columns are free of them.
            .filter(|(axis, _)| !self.config.tied || self.large.repeat(*axis).is_none())
            .filter(|(axis, _)| side == Side::Out || self.reads(*axis, false))
            .collect();
        for (axis, large) in axes {
            let small = self.small.size(axis);
            let copies = match self.config.sharing {
                Sharing::PerSmallLayer if local.contains(&axis) => layers_of(&self.small),
                Sharing::PerLargeLayer if local.contains(&axis) => layers_of(&self.large),
                _ => 1,
            };
            let reached = match side {
                Side::Out => self.large.specs().iter().any(|s| s.required && s.axes.contains(&axis)),
                Side::In => self.reads(axis, true),
            };
            let mut names = Vec::new();
            for layer in 0..copies {
                let layer = (copies > 1).then_some(layer);
                let name = width_name(term, side, axis, layer);
                let mut values = starts.matrix(term, side, axis, layer);
                let mut rows = large;
                if self.fixes_identity(term) {
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
            let names = Width { axis, small, names };
            match side {
                Side::Out => self.terms[term].out.push(names),
                Side::In => self.terms[term].input.push(names),
            }
        }
    }

    /// Whether any matrix, or any that every model has, reads this axis or one that repeats it.
    fn reads(&self, axis: Axis, required: bool) -> bool {
        let specs = self
            .large
            .specs()
            .iter()
            .filter(|s| !is_lookup(s) && (s.required || !required));
        let mut columns = specs.filter_map(|s| s.axes.get(1).copied());
        columns.any(|read| read == axis || self.large.repeat(read).is_some_and(|r| r.of == axis))
    }

    /// Whether the first rows of a term's matrices are the identity for good.
    fn fixes_identity(&self, term: usize) -> bool {
        self.config.fixed_identity && term == 0
    }

    /// The sizes of the blocks that are the identity for good.
    pub(crate) fn identity_sizes(&self) -> BTreeSet<usize> {
        let fixed = self
            .terms
            .iter()
            .enumerate()
            .filter(|(term, _)| self.fixes_identity(*term));
        fixed.flat_map(|(_, names)| names.out.iter().map(|w| w.small)).collect()
    }

    fn add_depths(&mut self, term: usize, seed: u64) {
        let grown: BTreeSet<Axis> = self.terms[term].out.iter().map(|w| w.axis).collect();
        let depths: Vec<(StackName, usize)> = self.large.depths().collect();
        for (stack, large) in depths {
            let small = self.small.depth(stack);
            let grows = small != large;
            let modules = self.large.modules(stack).into_iter();
            let parts: Vec<_> = modules.flat_map(|module| [(module, false), (module, true)]).collect();
            for (module, biases) in parts {
                let of_module = |s: &&ParamSpec| s.stack == Some(stack) && s.module == module;
                let specs = || self.large.specs().iter().filter(of_module);
                if biases && !(self.config.bias_depth && specs().any(is_bias)) {
                    continue;
                }
                let suffix = if biases { ".bias" } else { "" };
                let name = format!("{}depth.{stack}.{module}{suffix}", prefix(term));
                let values = self.config.depth_start(term, [small, large], seed, &name);
                // Further terms mix layers where there are no more of them, too, but only of what they write.
                let mut mixed = specs().filter(|s| !self.config.bias_depth || is_bias(s) == biases);
                let writes = mixed.any(|s| output_axis(s).is_some_and(|a| grown.contains(&a)));
                self.tensors.push(OperatorTensor {
                    name: name.clone(),
                    shape: [large, small],
                    values,
                    trainable: self.config.tune_depth && if term == 0 { grows } else { writes && small > 1 },
                });
                self.terms[term].depth.push(Depth {
                    stack,
                    module,
                    biases,
                    name,
                });
            }
        }
    }

    /// What the map is added to.
    pub(crate) fn fill(&self) -> Fill {
        if self.config.fresh == 0.0 {
            return Fill::Zero;
        }
        Fill::Added {
            initializer_range: self.config.fresh,
            seed: self.seed,
            own_layers: self.config.depth_init == DepthInit::Own,
        }
    }

    /// The matrices with their starting values.
    pub fn tensors(&self) -> &[OperatorTensor] {
        &self.tensors
    }

    /// What its starting values were drawn from.
    pub fn seed(&self) -> u64 {
        self.seed
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

    /// The number of learned parameters, those that are learned along with the matrices included.
    pub fn num_parameters(&self) -> usize {
        let learned = self.tensors.iter().filter(|t| t.trainable);
        let matrices: usize = learned.map(|t| t.shape[0] * t.shape[1]).sum();
        let along = self.along().into_iter();
        matrices + along.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
    }

    /// The map with given matrices, and what is learned along with them: `current(name)` returns a flat tensor, or `None` for the starting
    /// values.
    pub fn map(&self, current: &dyn Fn(&str) -> Option<Tensor<1>>, device: &Device) -> LinearMap {
        let mut map = self.matrices(current, device);
        self.put_along(&mut map, current, device);
        map
    }

    /// The map of the matrices alone.
    pub(crate) fn matrices(&self, current: &dyn Fn(&str) -> Option<Tensor<1>>, device: &Device) -> LinearMap {
        let value = |tensor: &OperatorTensor| match current(&tensor.name) {
            Some(current) => current.reshape(tensor.shape),
            None => tensor.start(device),
        };
        let identity = |size| matrix(crate::width::identity_top(size, size), size, size, device);
        self.assemble(&value, &identity)
    }

    /// The map with these matrices, and these for the fixed blocks.
    pub(crate) fn assemble(
        &self,
        value: &dyn Fn(&OperatorTensor) -> Tensor<2>,
        identity: &dyn Fn(usize) -> Tensor<2>,
    ) -> LinearMap {
        let tensors: HashMap<&str, &OperatorTensor> = self.tensors.iter().map(|t| (t.name.as_str(), t)).collect();
        let value = |name: &str| value(tensors[name]);
        let widths = |term: usize, widths: &[Width]| {
            let matrices = widths.iter().map(|width| {
                let whole = |name: &String| match self.fixes_identity(term) {
                    true => Tensor::cat(vec![identity(width.small), value(name)], 0),
                    false => value(name),
                };
                (width.axis, width.names.iter().map(whole).collect())
            });
            Factors::new(self.config.sharing, matrices.collect()).with_repeats(&self.small, &self.large)
        };
        let depths = |names: &TermNames, biases: bool| {
            let depths = names.depth.iter().filter(|d| d.biases == biases);
            depths.map(|d| ((d.stack, d.module), value(&d.name))).collect()
        };
        let terms = self.terms.iter().enumerate().map(|(t, names)| Term {
            depth: depths(names, false),
            bias_depth: depths(names, true),
            out: widths(t, &names.out),
            input: (!self.config.tied).then(|| widths(t, &names.input)),
            coverage: if t == 0 { Coverage::Whole } else { Coverage::Outputs },
            ..Term::default()
        });
        LinearMap::new(terms.collect(), self.fill())
    }

    /// The map with the starting values.
    ///
    /// # Errors
    /// None today; the signature leaves room for operators that need data.
    pub fn initial_map(&self, device: &Device) -> Result<LinearMap, Error> {
        Ok(self.map(&|_| None, device))
    }
}
