use crate::layer_types::LayerType;
use crate::settings::Setting;
use crate::{Error, ParamTable, Patches, PositionGrid, Sides, Task};

/// The sizes of a model that its arithmetic depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Layers of the main stack.
    pub layers: usize,
    /// Layers in which one class token attends to all others (CaiT); 0 elsewhere.
    pub class_layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of all queries together.
    pub query: usize,
    /// Width of all keys together, and of all values.
    pub key_value: usize,
    /// Width inside the feed-forward network.
    pub ffn: usize,
    /// Matrices of the feed-forward network: 2, or 3 when it is gated.
    pub ffn_matrices: usize,
    /// Layers that have several feed-forward networks, where some do.
    pub sparse: Option<SparseSizes>,
    /// Outputs of the head for each predicted position: words or classes.
    pub outputs: usize,
    /// Whether a square layer stands in front of the head's output matrix.
    pub head_transform: bool,
    /// Numbers that make one input token of an image; 0 for text.
    pub patch: usize,
    /// Tokens of a sample where the model fixes them (images).
    pub tokens: Option<usize>,
}

impl Sizes {
    /// Those of one stack that reads text, whose queries, keys and values are as wide as the residual stream, with a feed-forward network of two
    /// matrices.
    pub(crate) fn plain(layers: usize, hidden: usize, heads: usize, ffn: usize, outputs: usize) -> Self {
        Self {
            layers,
            class_layers: 0,
            hidden,
            heads,
            query: hidden,
            key_value: hidden,
            ffn,
            ffn_matrices: 2,
            sparse: None,
            outputs,
            head_transform: false,
            patch: 0,
            tokens: None,
        }
    }
}

/// What a configuration for text says in fields of its own: words, positions, the deviation of fresh matrices.
macro_rules! of_text {
    ($words:ident, $positions:ident, $deviation:ident) => {
        fn vocab_size(&self) -> usize {
            self.$words
        }

        fn max_sequence_tokens(&self) -> usize {
            self.$positions
        }

        fn initializer_range(&self) -> f64 {
            self.$deviation
        }
    };
}

/// What a configuration says whose files have a field for the ε of its normalizations.
macro_rules! with_epsilon {
    ($epsilon:ident) => {
        fn norm_epsilon(&self) -> f64 {
            self.$epsilon
        }

        fn with_norm_epsilon(&self, epsilon: f64) -> Self {
            Self {
                $epsilon: epsilon,
                ..self.clone()
            }
        }
    };
}

pub(crate) use {of_text, with_epsilon};

/// The sizes of layers that send each token through a few of several feed-forward networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SparseSizes {
    /// Such layers, of those of the main stack. The others have one network of [`Sizes::ffn`] neurons.
    pub layers: usize,
    /// Networks of each.
    pub experts: usize,
    /// Networks that a token goes through.
    pub active: usize,
    /// Neurons of each network.
    pub ffn: usize,
}

/// What every family's configuration can tell.
pub(crate) trait FamilyConfig {
    /// Checks sizes and features.
    fn validate(&self) -> Result<(), Error>;
    /// The parameters.
    fn table(&self) -> ParamTable;
    /// What it predicts.
    fn task(&self) -> Task;
    /// The same encoder under a head for this task; `None` when the family has no such head.
    fn with_task(&self, _task: Task) -> Result<Option<Self>, Error>
    where
        Self: Sized,
    {
        Ok(None)
    }
    /// Sizes for counting.
    fn sizes(&self) -> Sizes;
    /// Words it knows; 0 for images.
    fn vocab_size(&self) -> usize;
    /// The longest sequence it can read.
    fn max_sequence_tokens(&self) -> usize;
    /// Standard deviation of fresh matrices.
    fn initializer_range(&self) -> f64;
    /// ε of its normalizations.
    fn norm_epsilon(&self) -> f64;
    /// The same model with another ε.
    fn with_norm_epsilon(&self, epsilon: f64) -> Self
    where
        Self: Sized;
    /// The class of the reference library that computes what is computed here; `None` where there is none.
    fn architecture(&self) -> Option<String>;
    /// What decides the function beside the sizes: names of fields and the values that they have or stand for.
    fn settings(&self) -> Vec<Setting>;
    /// How the attention of each layer sees, where the layers of the family may differ.
    fn layer_types(&self) -> Option<Vec<LayerType>> {
        None
    }
    /// How it cuts images; `None` for text.
    fn patches(&self) -> Option<Patches> {
        None
    }
    /// Its positions, where they are those of an image's patches.
    fn position_grid(&self) -> Option<PositionGrid> {
        None
    }
    /// The same model for images of this size; `None` for text.
    fn with_image(&self, _image: Sides) -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}
