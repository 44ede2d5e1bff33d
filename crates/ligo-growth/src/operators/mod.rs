//! Growth operators with fixed matrices, and the one list of every operator that there is.

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{ParamTable, check_growable};
use serde::{Deserialize, Serialize};

use crate::{Error, LigoConfig, LigoOperator, LinearMap};

mod hyper_cloning;
mod layers;
mod zero_blocks;

/// A growth operator by name, with its settings; what a recipe says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OperatorSpec {
    /// Nothing is taken from the small model: every tensor starts fresh.
    Scratch,
    /// Depth `i mod L1` (StackBERT, G_stack); new channels start fresh.
    Stackbert,
    /// Depth `⌊i·L1/L2⌋`; new channels start fresh.
    Interpose,
    /// Any list of source layers, one per layer of the large model; new channels start fresh.
    Layers {
        /// For each layer of the large model, the small model's layer that it copies.
        layers: Vec<usize>,
    },
    /// The small model's weights in the top-left corner of its own layers; every new entry and layer starts fresh.
    DirectCopy,
    /// As [`OperatorSpec::Stackbert`], but new channels are zero.
    ZeroPad,
    /// Every channel n times, added layers without effect (HyperCloning): the large model computes what the small one does,
    /// where widths are whole multiples, heads keep their size and layers normalise their input.
    HyperCloning,
    /// Layers without effect between the small model's own (LLaMA Pro); widths stay.
    ZeroBlocks,
    /// The learned operator, here with its starting values.
    Ligo(LigoConfig),
}

impl OperatorSpec {
    /// The name used in tables and folders.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Stackbert => "stackbert",
            Self::Interpose => "interpose",
            Self::Layers { .. } => "layers",
            Self::DirectCopy => "direct-copy",
            Self::ZeroPad => "zero-pad",
            Self::HyperCloning => "hyper-cloning",
            Self::ZeroBlocks => "zero-blocks",
            Self::Ligo(_) => "ligo",
        }
    }

    /// Every name that [`OperatorSpec::from_name`] knows.
    pub const NAMES: [&'static str; 8] = [
        "scratch",
        "stackbert",
        "interpose",
        "direct-copy",
        "zero-pad",
        "hyper-cloning",
        "zero-blocks",
        "ligo",
    ];

    /// The operator with this name and default settings.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "scratch" => Self::Scratch,
            "stackbert" => Self::Stackbert,
            "interpose" => Self::Interpose,
            "direct-copy" => Self::DirectCopy,
            "zero-pad" => Self::ZeroPad,
            "hyper-cloning" => Self::HyperCloning,
            "zero-blocks" => Self::ZeroBlocks,
            "ligo" => Self::Ligo(LigoConfig::default()),
            _ => return None,
        })
    }

    /// Whether the operator has parameters to learn.
    pub fn is_learned(&self) -> bool {
        matches!(self, Self::Ligo(_))
    }

    /// The linear map of this operator for a pair of models. Fresh entries are N(0, `initializer_range`²) for matrices.
    ///
    /// # Errors
    /// The pair cannot be grown, or the settings do not fit it.
    pub fn build(
        &self,
        small: &ParamTable,
        large: &ParamTable,
        device: &Device,
        initializer_range: f64,
        seed: u64,
    ) -> Result<LinearMap, Error> {
        check_growable(small, large)?;
        let fresh = crate::Fill::Fresh {
            initializer_range,
            seed,
        };
        match self {
            Self::Scratch => Ok(LinearMap {
                terms: Vec::new(),
                fill: fresh,
            }),
            Self::Stackbert => layers::by_rule(small, large, device, crate::depth::stack, fresh),
            Self::ZeroPad => layers::by_rule(small, large, device, crate::depth::stack, crate::Fill::Zero),
            Self::Interpose => layers::by_rule(small, large, device, crate::depth::interpose, fresh),
            Self::Layers { layers } => layers::by_list(small, large, device, layers, fresh),
            Self::DirectCopy => layers::own_layers(small, large, device, fresh),
            Self::HyperCloning => hyper_cloning::build(small, large, device),
            Self::ZeroBlocks => zero_blocks::build(small, large, device),
            Self::Ligo(config) => LigoOperator::new(small, large, config, seed)?.initial_map(device),
        }
    }
}

pub(crate) fn matrix(values: Vec<f32>, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}
