use std::collections::{BTreeMap, BTreeSet};

use crate::{Axis, HiddenAct, Norm, NormPlace, Stored, Unit};

/// Stands for the layer index in a name template.
pub const LAYER_PLACEHOLDER: &str = "{layer}";

/// The name of a stack of like layers, such as `encoder`.
pub type StackName = &'static str;

/// What a parameter is for; decides how it is initialized and whether it decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// A matrix of a linear layer, `[out, in]`.
    Weight,
    /// The bias of a linear layer.
    Bias,
    /// The gain of a normalization layer.
    NormWeight,
    /// The shift of a normalization layer.
    NormBias,
    /// Factors of what a sub-layer adds to the residual stream (LayerScale).
    Scale,
    /// A look-up table, `[entries, hidden]`.
    Embedding,
    /// Vectors that are learned as they are: class tokens and positions of image models. DeiT and CaiT do not let them decay.
    Token,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Weight,
        Self::Bias,
        Self::NormWeight,
        Self::NormBias,
        Self::Scale,
        Self::Embedding,
        Self::Token,
    ];

    /// The name used in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weight => "weight",
            Self::Bias => "bias",
            Self::NormWeight => "norm_weight",
            Self::NormBias => "norm_bias",
            Self::Scale => "scale",
            Self::Embedding => "embedding",
            Self::Token => "token",
        }
    }

    /// Whether AdamW's weight decay applies by convention: matrices and tables yes, biases and norms no.
    pub fn decays(self) -> bool {
        matches!(self, Self::Weight | Self::Embedding)
    }
}

/// How a parameter starts where its [`Role`] does not say it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Every value is this one.
    Constant(f64),
    /// N(0, std²) with this standard deviation.
    Normal(f64),
}

/// An axis whose entries are blocks of another axis, each repeated.
///
/// With grouped-query attention the attention output reads every value head once for each query head of its group:
/// entry `(g · times + r) · block + d` follows entry `g · block + d` of the axis `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeat {
    /// The axis that is repeated.
    pub of: Axis,
    /// Entries of a block (the size of a head).
    pub block: usize,
    /// How often a block occurs.
    pub times: usize,
}

/// One row of a parameter table: a tensor, or one tensor per layer of a stack.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamSpec {
    /// Hugging Face name; holds [`LAYER_PLACEHOLDER`] exactly when `stack` is set.
    pub template: String,
    /// One axis per dimension, rows first.
    pub axes: Vec<Axis>,
    /// The stack whose layers hold this tensor.
    pub stack: Option<StackName>,
    /// The layers that hold it, where not all of the stack do.
    pub layers: Option<BTreeSet<usize>>,
    /// The module it belongs to (`query`, `ffn_in` …). Tensors of one module share depth coefficients.
    pub module: &'static str,
    /// What it is for.
    pub role: Role,
    /// Whether every model of the family has it. Optional tensors grow when the small model has them.
    pub required: bool,
    /// How it starts; by role when absent.
    pub init: Option<Init>,
    /// What the model multiplies it by where it uses it, if that depends on sizes, as the root of the width in front of Gemma's tokens; 1 otherwise. Growth
    /// carries over the product, so that operators need not know of it.
    pub times: f64,
    /// How files hold it, where that differs from name and shape here.
    pub stored: Option<Stored>,
}

impl ParamSpec {
    /// Whether a layer of the stack holds it.
    pub fn is_in(&self, layer: usize) -> bool {
        self.layers.as_ref().is_none_or(|layers| layers.contains(&layer))
    }
}

/// Endings of what libraries have saved with models of any family: frequencies of rotary embedding, numbers of positions, causal masks.
const BUFFERS: [&str; 4] = [".inv_freq", ".position_ids", ".masked_bias", ".attn.bias"];

/// One tensor of a concrete model.
#[derive(Clone, Debug, PartialEq)]
pub struct Param<'a> {
    /// Its Hugging Face name.
    pub name: String,
    /// The table row it comes from.
    pub spec: &'a ParamSpec,
    /// Its layer, when it belongs to a stack.
    pub layer: Option<usize>,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Param<'_> {
    /// One axis per dimension.
    pub fn axes(&self) -> &[Axis] {
        &self.spec.axes
    }

    /// The number of elements.
    pub fn num_elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// All parameters of one model: the rows, the size of every axis and the depth of every stack.
#[derive(Clone, Debug, PartialEq)]
pub struct ParamTable {
    family: &'static str,
    specs: Vec<ParamSpec>,
    sizes: BTreeMap<Axis, usize>,
    depths: BTreeMap<StackName, usize>,
    runs: BTreeMap<StackName, usize>,
    ties: Vec<(String, String)>,
    stored_aliases: Vec<(String, String)>,
    repeats: BTreeMap<Axis, Repeat>,
    units: BTreeMap<Axis, Unit>,
    norm: Option<Norm>,
    fixed_epsilon: bool,
    flat_at_zero: bool,
    buffers: &'static [&'static str],
    base_prefix: Option<&'static str>,
}

impl ParamTable {
    /// A table from its parts. `ties` are pairs `(alias, source)`: a name that files may hold and the
    /// parameter it must equal.
    pub fn new(
        family: &'static str,
        specs: Vec<ParamSpec>,
        sizes: impl IntoIterator<Item = (Axis, usize)>,
        depths: impl IntoIterator<Item = (StackName, usize)>,
        ties: Vec<(String, String)>,
    ) -> Self {
        Self {
            family,
            specs,
            sizes: sizes.into_iter().collect(),
            depths: depths.into_iter().collect(),
            runs: BTreeMap::new(),
            ties,
            stored_aliases: Vec::new(),
            repeats: BTreeMap::new(),
            units: BTreeMap::new(),
            norm: None,
            fixed_epsilon: false,
            flat_at_zero: false,
            buffers: &[],
            base_prefix: None,
        }
    }

    /// Endings of names that checkpoints hold and that are no parameters, such as `.position_ids`.
    pub fn with_buffers(mut self, endings: &'static [&'static str]) -> Self {
        self.buffers = endings;
        self
    }

    /// Whether a checkpoint may hold this name without it being a parameter.
    pub fn is_buffer(&self, name: &str) -> bool {
        let mut endings = self.buffers.iter().chain(&BUFFERS);
        endings.any(|ending| name.ends_with(ending))
    }

    /// Says that the layers of a stack run so many times in all, since each may run more often than once.
    pub fn with_runs(mut self, stack: StackName, times: usize) -> Self {
        self.runs.insert(stack, times);
        self
    }

    /// How often layers of a stack run in all; once each in most families.
    pub fn runs(&self, stack: &str) -> usize {
        self.runs.get(stack).copied().unwrap_or_else(|| self.depth(stack))
    }

    /// Whether a layer runs more often than once.
    pub fn shares_layers(&self) -> bool {
        self.depths().any(|(stack, depth)| self.runs(stack) != depth)
    }

    /// The prefix that checkpoints of the bare model, without a head, lack: `transformer.` for GPT-2.
    pub fn with_base_prefix(mut self, prefix: &'static str) -> Self {
        self.base_prefix = Some(prefix);
        self
    }

    /// See [`ParamTable::with_base_prefix`].
    pub fn base_prefix(&self) -> Option<&'static str> {
        self.base_prefix
    }

    /// Says that an axis repeats blocks of another one. It has no width matrix of its own then.
    pub fn with_repeat(mut self, axis: Axis, repeat: Repeat) -> Self {
        self.repeats.insert(axis, repeat);
        self
    }

    /// Several of [`ParamTable::with_repeat`].
    pub fn with_repeats(mut self, repeats: impl IntoIterator<Item = (Axis, Repeat)>) -> Self {
        self.repeats.extend(repeats);
        self
    }

    /// Says which entries of axes belong together.
    pub fn with_units(mut self, units: impl IntoIterator<Item = (Axis, Unit)>) -> Self {
        self.units.extend(units);
        self
    }

    /// Which entries of an axis belong together.
    pub fn unit(&self, axis: Axis) -> Unit {
        let own = Unit {
            set: axis.name(),
            block: 1,
        };
        self.units.get(&axis).copied().unwrap_or(own)
    }

    /// Says how layers normalize the residual stream.
    pub fn with_norm(mut self, norm: Norm) -> Self {
        self.norm = Some(norm);
        self
    }

    /// Says that no configuration of the family can say another ε.
    pub fn with_fixed_epsilon(mut self) -> Self {
        self.fixed_epsilon = true;
        self
    }

    /// Says what stands between the matrices of feed-forward networks.
    pub fn with_activation(mut self, activation: HiddenAct) -> Self {
        self.flat_at_zero = activation.is_flat_at_zero();
        self
    }

    /// Whether a neuron that is zero on every input gets no gradient.
    pub fn is_flat_at_zero(&self) -> bool {
        self.flat_at_zero
    }

    /// Whether the ε of normalizations is the same in all models of the family.
    pub fn has_fixed_epsilon(&self) -> bool {
        self.fixed_epsilon
    }

    /// How layers normalize the residual stream; `None` when the table does not say it.
    pub fn norm(&self) -> Option<Norm> {
        self.norm
    }

    /// Whether what a layer adds to the residual stream comes out of this row: without it the layer has no effect. Where outputs are normalized, it is
    /// the gain of that normalization, and else a matrix.
    pub fn writes_residual(&self, spec: &ParamSpec) -> bool {
        let normalizes_outputs = self.norm.is_some_and(|norm| norm.place == NormPlace::Output);
        let writes = match normalizes_outputs {
            true => spec.role == Role::NormWeight,
            false => spec.axes.len() == 2,
        };
        writes && spec.stack.is_some() && spec.axes.first() == Some(&Axis::HIDDEN)
    }

    /// Whether embeddings or what a head gives are normalized, beside what layers read: channels are then told apart outside of layers.
    pub fn normalizes_ends(&self) -> bool {
        let mut norms = self
            .specs
            .iter()
            .filter(|spec| spec.role == Role::NormWeight && spec.stack.is_none());
        norms.any(|spec| ["embeddings", "head"].contains(&spec.module))
    }

    /// Whether normalizations have shifts.
    pub fn has_shifts(&self) -> bool {
        self.specs.iter().any(|spec| spec.role == Role::NormBias)
    }

    /// Whether a normalization goes over all queries or keys, so that a head that is added changes the others.
    pub fn normalizes_heads_together(&self) -> bool {
        let inner = |axis: &Axis| [Axis::QUERY, Axis::KEY].contains(axis);
        let norms = self.specs.iter().filter(|spec| spec.role == Role::NormWeight);
        norms.flat_map(|spec| &spec.axes).any(inner)
    }

    /// How an axis repeats another one, if it does.
    pub fn repeat(&self, axis: Axis) -> Option<Repeat> {
        self.repeats.get(&axis).copied()
    }

    /// Marks aliases that the reference library stores beside their source and misses when they are absent.
    pub fn with_stored_aliases(mut self, aliases: Vec<(String, String)>) -> Self {
        self.stored_aliases = aliases;
        self
    }

    /// Pairs `(alias, source)` of ties that files must hold under both names.
    pub fn stored_aliases(&self) -> &[(String, String)] {
        &self.stored_aliases
    }

    /// All axes that repeat another one.
    pub fn repeats(&self) -> impl Iterator<Item = (Axis, Repeat)> + '_ {
        self.repeats.iter().map(|(axis, repeat)| (*axis, *repeat))
    }

    /// The family, as in `model_type`.
    pub fn family(&self) -> &'static str {
        self.family
    }

    /// The rows.
    pub fn specs(&self) -> &[ParamSpec] {
        &self.specs
    }

    /// Pairs `(alias, source)` of tensors that are one.
    pub fn ties(&self) -> &[(String, String)] {
        &self.ties
    }

    /// The size of an axis; 0 when the model does not have it.
    pub fn size(&self, axis: Axis) -> usize {
        self.sizes.get(&axis).copied().unwrap_or(0)
    }

    /// All axes with their sizes.
    pub fn sizes(&self) -> impl Iterator<Item = (Axis, usize)> + '_ {
        self.sizes.iter().map(|(a, n)| (*a, *n))
    }

    /// The number of layers of a stack; 0 when the model does not have it.
    pub fn depth(&self, stack: &str) -> usize {
        self.depths.get(stack).copied().unwrap_or(0)
    }

    /// All stacks with their depths.
    pub fn depths(&self) -> impl Iterator<Item = (StackName, usize)> + '_ {
        self.depths.iter().map(|(s, n)| (*s, *n))
    }

    /// The modules of a stack, in table order. Each has its own depth coefficients.
    pub fn modules(&self, stack: &str) -> Vec<&'static str> {
        let mut seen = Vec::new();
        for spec in self.specs.iter().filter(|s| s.stack == Some(stack)) {
            if !seen.contains(&spec.module) {
                seen.push(spec.module);
            }
        }
        seen
    }

    /// Axes that occur in layers only (queries, keys, values, feed-forward neurons). Such an axis may have a
    /// width matrix per layer; every other one is shared by the whole model.
    pub fn layer_local_axes(&self) -> BTreeSet<Axis> {
        let of = |layered: bool| -> BTreeSet<Axis> {
            let rows = self.specs.iter().filter(|s| s.stack.is_some() == layered);
            rows.flat_map(|s| s.axes.iter().copied()).collect()
        };
        // An axis that only ever *reads* a local one stays local; the residual stream occurs outside layers.
        of(true).difference(&of(false)).copied().collect()
    }

    /// Every tensor of the model, layer by layer within each row.
    pub fn params(&self) -> impl Iterator<Item = Param<'_>> {
        self.specs.iter().flat_map(move |spec| {
            let layers: Vec<Option<usize>> = match spec.stack {
                None => vec![None],
                Some(stack) => (0..self.depth(stack)).filter(|i| spec.is_in(*i)).map(Some).collect(),
            };
            layers.into_iter().map(move |layer| self.param(spec, layer))
        })
    }

    /// This table's row for the tensors of another table's row: the one of the same name.
    pub fn counterpart(&self, spec: &ParamSpec) -> Option<&ParamSpec> {
        self.specs.iter().find(|own| own.template == spec.template)
    }

    /// How many shares of a feed-forward network's neurons its experts have, one each, where they are to copy it; 1 where they copy all of it.
    pub fn expert_shares(&self) -> usize {
        let mut shares = self.specs.iter().filter_map(|spec| spec.stored.as_ref()?.columns);
        shares.next().map_or(1, |(_, shares)| shares)
    }

    /// Whether a layer of this model has the tensor of a row of this or another model of the family. Layers may differ in what they hold; from one that
    /// lacks a tensor nothing of it is taken.
    pub fn has_in(&self, spec: &ParamSpec, layer: usize) -> bool {
        self.counterpart(spec).is_none_or(|own| own.is_in(layer))
    }

    /// The same with another size of an axis.
    #[must_use]
    pub(crate) fn with_size(mut self, axis: Axis, size: usize) -> Self {
        self.sizes.insert(axis, size);
        self
    }

    /// The rows, to change them.
    pub(crate) fn specs_mut(&mut self) -> &mut [ParamSpec] {
        &mut self.specs
    }

    /// The tensor of a row at a layer.
    pub fn param<'a>(&'a self, spec: &'a ParamSpec, layer: Option<usize>) -> Param<'a> {
        let name = at_layer(&spec.template, layer);
        let shape = spec.axes.iter().map(|a| self.size(*a)).collect();
        Param {
            name,
            spec,
            layer,
            shape,
        }
    }

    /// The tensor with this name.
    pub fn get(&self, name: &str) -> Option<Param<'_>> {
        self.params().find(|p| p.name == name)
    }

    /// The number of parameters that every model of this shape has (optional tensors not counted).
    pub fn num_parameters(&self) -> usize {
        self.params()
            .filter(|p| p.spec.required)
            .map(|p| p.num_elements())
            .sum()
    }
}

/// A template's name at a layer.
pub(crate) fn at_layer(template: &str, layer: Option<usize>) -> String {
    match layer {
        Some(i) => template.replace(LAYER_PLACEHOLDER, &i.to_string()),
        None => template.into(),
    }
}
