use thiserror::Error;

use crate::Task;

/// What can be wrong with a configuration or a pair of them.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum Error {
    /// `config.json` is not a valid configuration of its family.
    #[error("the configuration is not valid for model type `{model_type}`: {reason}")]
    Invalid {
        /// The `model_type` that was read.
        model_type: String,
        /// What the parser said.
        reason: String,
    },
    /// `config.json` has no `model_type`.
    #[error("the configuration has no `model_type`; known ones are: {known}")]
    NoModelType {
        /// The families that can be read.
        known: String,
    },
    /// The family is not one that `ligo` knows.
    #[error("unknown `model_type` {found:?}; known ones are: {known}")]
    UnknownModelType {
        /// What the file says.
        found: String,
        /// The families that can be read.
        known: String,
    },
    /// An architecture of `timm` that `ligo` does not know: neither its heads nor its settings can be told from its tensors.
    #[error(
        "timm's architecture {found:?} is not one that ligo computes; known are {known}; the nearest is {nearest}. Where the model is one of these in \
         other sizes, name it in `architecture` and say embed_dim, depth and num_heads in `model_args`"
    )]
    TimmArchitecture {
        /// What the file says.
        found: String,
        /// The name that is most like it.
        nearest: String,
        /// How the known names are made.
        known: &'static str,
    },
    /// An argument in a `config.json` of `timm` that cannot be computed with.
    #[error("timm's argument {argument} = {} is not supported; supported: {expected}", found.escape_debug())]
    TimmArgument {
        /// Its name.
        argument: String,
        /// What the file says.
        found: String,
        /// What can be used instead.
        expected: String,
    },
    /// `layer_types` says different things of the layers, and not of each one.
    #[error("layer_types has {found} entries, but num_hidden_layers is {layers}; write down one for each layer")]
    LayerTypes {
        /// Entries of the list.
        found: usize,
        /// `num_hidden_layers`.
        layers: u64,
    },
    /// A list does not say something of every layer.
    #[error("{field} has {found} entries, but num_hidden_layers is {layers}; write down one for each layer")]
    LayerList {
        /// The name of the list.
        field: &'static str,
        /// Its entries.
        found: usize,
        /// `num_hidden_layers`.
        layers: usize,
    },
    /// The number of heads does not divide the hidden size.
    #[error("num_attention_heads = {heads} does not divide hidden_size = {hidden}")]
    HeadsDoNotDivide {
        /// `num_attention_heads`.
        heads: usize,
        /// `hidden_size`.
        hidden: usize,
    },
    /// The patches of an image leave a margin.
    #[error("patch_size = {patch:?} does not divide image_size = {image:?}")]
    PatchesDoNotFill {
        /// `[height, width]` of an image.
        image: [usize; 2],
        /// `[height, width]` of a patch.
        patch: [usize; 2],
    },
    /// A size is zero.
    #[error("{field} must be at least 1, found 0")]
    Zero {
        /// The name of the field in `config.json`.
        field: &'static str,
    },
    /// A size is larger than that of any model.
    #[error("{field} = {found} is too large; at most {most} is read")]
    TooLarge {
        /// The name of the field in `config.json`.
        field: &'static str,
        /// What the file says.
        found: usize,
        /// The most that is accepted.
        most: usize,
    },
    /// A number is outside of what it can be.
    #[error("{field} = {found} is not possible; expected {expected}")]
    Number {
        /// The name of the field in `config.json`.
        field: &'static str,
        /// What the file says.
        found: f64,
        /// What it can be.
        expected: &'static str,
    },
    /// A feature of the reference implementation that `ligo` does not have.
    #[error("{field} = {} is not supported; supported: {supported}", found.escape_debug())]
    Unsupported {
        /// The name of the field in `config.json`.
        field: &'static str,
        /// What the file says.
        found: String,
        /// What can be used instead.
        supported: &'static str,
    },
    /// A size of a larger model does not come out.
    #[error("{what}: {reason}")]
    Resize {
        /// The size.
        what: &'static str,
        /// Why, and what would.
        reason: String,
    },
    /// The family has no head for this task.
    #[error("a `{model_type}` model cannot predict {task}")]
    NoSuchTask {
        /// `model_type`.
        model_type: String,
        /// What it should predict.
        task: Task,
    },
    /// A pretrained model and one that should start from it differ below their heads.
    #[error("the pretrained model has another encoder: {what} is {pretrained}, and should be {wanted}")]
    EncodersDiffer {
        /// A parameter, or what else differs.
        what: String,
        /// What the pretrained model has.
        pretrained: String,
        /// What the other model needs.
        wanted: String,
    },
    /// Small and large model are of different families.
    #[error("cannot grow a `{small}` model into a `{large}` model; both must be of one family")]
    FamiliesDiffer {
        /// Family of the small model.
        small: String,
        /// Family of the large model.
        large: String,
    },
    /// The large model is smaller than the small one along an axis.
    #[error("the large model is smaller than the small one: {axis} is {large}, the small model has {small}")]
    Shrinks {
        /// The axis, or `layers of STACK`.
        axis: String,
        /// Size in the small model.
        small: usize,
        /// Size in the large model.
        large: usize,
    },
    /// A fixed axis differs.
    #[error("{axis} must be the same in both models: the small one has {small}, the large one {large}")]
    FixedAxisDiffers {
        /// The axis.
        axis: String,
        /// Size in the small model.
        small: usize,
        /// Size in the large model.
        large: usize,
    },
    /// Groups of query heads differ in size.
    #[error(
        "the small model has {small} query heads for each key-value head, the large one {large}; heads grow by whole groups, \
         so choose num_attention_heads = {small} · num_key_value_heads"
    )]
    HeadsPerGroup {
        /// Query heads of a group in the small model.
        small: usize,
        /// Query heads of a group in the large model.
        large: usize,
    },
    /// The large model has a parameter without a source in the small model.
    #[error("the large model's parameter `{name}` has no counterpart in the small model ({reason})")]
    NoCounterpart {
        /// Name or template of the parameter.
        name: String,
        /// Why.
        reason: String,
    },
    /// So many ranks cannot share what each layer has.
    #[error("{ranks} ranks cannot share the {found} {what} of a layer; expected a number of ranks that divides them")]
    UnevenLayers {
        /// What they would share: heads, key-value heads or neurons.
        what: &'static str,
        /// How many of them a layer has.
        found: usize,
        /// How many ranks there are.
        ranks: usize,
    },
    /// The layers of this family cannot be divided among ranks.
    #[error("the layers of a `{family}` model cannot be divided among ranks: {reason}")]
    WholeLayers {
        /// The family.
        family: String,
        /// What in them it is.
        reason: String,
    },
}
