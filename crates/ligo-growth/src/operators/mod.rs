//! Growth operators with fixed matrices, and the one list of every operator that there is.

use burn::tensor::{Device, Element, Tensor, TensorData};
use ligo_arch::{ModelConfig, ParamTable};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Error, LigoConfig, LigoOperator, LinearMap};

mod check;
mod expansions;
mod facts;
mod fpi;
mod hyper_cloning;
mod kinds;
mod layers;
mod lemon;
mod selection;
mod upcycle;
mod zero_blocks;

pub use facts::{Facts, Growth, Scope, table};
pub use fpi::{CopyConfig, CopyScale};
pub use hyper_cloning::{CloningConfig, CloningForm};
pub use lemon::{LemonConfig, Split};
pub use selection::Choice;
pub(crate) use selection::{Selection, growing};
pub use upcycle::UpcycleConfig;
pub use zero_blocks::{Placement, ZeroBlocksConfig};

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
    /// As [`OperatorSpec::Stackbert`], but new rows read nothing of what the small model has: they are zero, and fresh where they read
    /// new channels (G_zero).
    ZeroPad,
    /// Every channel n times, added layers without effect (HyperCloning): the large model computes what the small one does,
    /// where widths are whole multiples and heads keep their size.
    HyperCloning(CloningConfig),
    /// Layers without effect between the small model's own (LLaMA Pro); widths stay.
    ZeroBlocks(ZeroBlocksConfig),
    /// Net2Net and bert2BERT: new channels, neurons and heads copy old ones, and their readers divide by the number of copies.
    Fpi(CopyConfig),
    /// As [`OperatorSpec::Fpi`], but new rows come from the layer above (bert2BERT's advanced knowledge initialisation).
    Aki(CopyConfig),
    /// LEMON: any width without a change of the function, copies that share their readers' weights unevenly. For families that
    /// normalise what a layer reads.
    Lemon(LemonConfig),
    /// Zero-initialised expansions: the small model in the top left corner, new entries fresh but for those that would change the
    /// function.
    Expansions,
    /// The small model with copies of its middle layers behind them (MIDAS); new channels start fresh.
    #[serde(rename = "midas")]
    Middle,
    /// Experts that copy the feed-forward network of a dense model, or fewer experts; everything else stays.
    Upcycle(UpcycleConfig),
    /// The learned operator, here with its starting values.
    Ligo(LigoConfig),
}

impl OperatorSpec {
    /// What people call it; for tables.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Stackbert => "StackBERT",
            Self::Interpose => "interposition",
            Self::Layers { .. } => "layers",
            Self::DirectCopy => "direct copy",
            Self::ZeroPad => "zero pad",
            Self::HyperCloning(_) => "HyperCloning",
            Self::ZeroBlocks(_) => "zero blocks",
            Self::Fpi(_) => "bert2BERT FPI",
            Self::Aki(_) => "bert2BERT AKI",
            Self::Lemon(_) => "LEMON",
            Self::Expansions => "expansions",
            Self::Middle => "MIDAS",
            Self::Upcycle(_) => "upcycling",
            Self::Ligo(_) => "LiGO",
        }
    }

    /// The name used in tables and folders.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Stackbert => "stackbert",
            Self::Interpose => "interpose",
            Self::Layers { .. } => "layers",
            Self::DirectCopy => "direct-copy",
            Self::ZeroPad => "zero-pad",
            Self::HyperCloning(_) => "hyper-cloning",
            Self::ZeroBlocks(_) => "zero-blocks",
            Self::Fpi(_) => "fpi",
            Self::Aki(_) => "aki",
            Self::Lemon(_) => "lemon",
            Self::Expansions => "expansions",
            Self::Middle => "midas",
            Self::Upcycle(_) => "upcycle",
            Self::Ligo(_) => "ligo",
        }
    }

    /// Every name that [`OperatorSpec::from_name`] knows.
    pub const NAMES: [&'static str; 14] = [
        "scratch",
        "ligo",
        "stackbert",
        "interpose",
        "midas",
        "direct-copy",
        "zero-pad",
        "fpi",
        "aki",
        "hyper-cloning",
        "lemon",
        "expansions",
        "zero-blocks",
        "upcycle",
    ];

    /// The operator with this name and default settings.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "scratch" => Self::Scratch,
            "stackbert" => Self::Stackbert,
            "interpose" => Self::Interpose,
            "direct-copy" => Self::DirectCopy,
            "zero-pad" => Self::ZeroPad,
            "hyper-cloning" => Self::HyperCloning(CloningConfig::default()),
            "zero-blocks" => Self::ZeroBlocks(ZeroBlocksConfig::default()),
            "fpi" => Self::Fpi(CopyConfig::default()),
            "aki" => Self::Aki(CopyConfig::default()),
            "lemon" => Self::Lemon(LemonConfig::default()),
            "expansions" => Self::Expansions,
            "midas" => Self::Middle,
            "upcycle" => Self::Upcycle(UpcycleConfig::default()),
            "ligo" => Self::Ligo(LigoConfig::default()),
            _ => return None,
        })
    }

    /// The same operator with other settings.
    ///
    /// # Errors
    /// The operator has no such setting, or not with such a value.
    pub fn with_settings(&self, settings: &serde_json::Map<String, Value>) -> Result<Self, Error> {
        let fault = |reason: String| Error::Settings(format!("`{}` {reason}", self.name()));
        let mut json = serde_json::to_value(self).map_err(|e| fault(e.to_string()))?;
        let keys = json.as_object().into_iter().flat_map(|map| map.keys());
        let mut known: Vec<String> = keys.filter(|key| *key != "kind").cloned().collect();
        if let Self::Ligo(_) = self {
            let unwritten = LigoConfig::UNWRITTEN.iter().filter(|key| json.get(key).is_none());
            known.extend(unwritten.map(|key| (*key).to_owned()));
        }
        for (key, value) in settings {
            if !known.contains(key) {
                let known = if known.is_empty() {
                    "none".into()
                } else {
                    known.join(", ")
                };
                return Err(fault(format!("has no setting `{key}`; it has {known}")));
            }
            json[key] = value.clone();
        }
        serde_json::from_value(json)
            .map_err(|e| fault(format!("cannot be set so: {}", ligo_arch::in_words(&e.to_string()))))
    }

    /// Whether the operator has parameters to learn.
    pub fn is_learned(&self) -> bool {
        self.facts().learned
    }

    /// The large model's configuration as this operator needs it. A residual stream that grows without a change of the function
    /// may need another ε in its normalisations, and where layers are of several kinds each is of the kind of the layer that it comes from; everything
    /// else stays.
    ///
    /// Whoever builds the map of an operator trains and writes the model with this configuration.
    #[must_use]
    pub fn adjust(&self, small: &ModelConfig, large: &ModelConfig) -> ModelConfig {
        let large = kinds::adjust(self, small, large);
        match self {
            Self::Lemon(_) => lemon::adjust(small, &large),
            Self::Expansions => expansions::adjust(small, &large),
            _ => large,
        }
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
        self.check(small, large)?;
        let fresh = crate::Fill::Fresh {
            initializer_range,
            seed,
        };
        let padded = crate::Fill::Padded {
            initializer_range,
            seed,
        };
        match self {
            Self::Scratch => Ok(LinearMap {
                terms: Vec::new(),
                fill: fresh,
                ..LinearMap::default()
            }),
            Self::Stackbert => layers::by_rule(small, large, device, crate::depth::stack, fresh),
            Self::ZeroPad => layers::by_rule(small, large, device, crate::depth::stack, padded),
            Self::Interpose => layers::by_rule(small, large, device, crate::depth::interpose, fresh),
            Self::Layers { layers } => layers::by_list(small, large, device, layers, fresh),
            Self::DirectCopy => layers::own_layers(small, large, device, fresh),
            Self::HyperCloning(config) => Ok(hyper_cloning::build(small, large, device, *config, seed)),
            Self::ZeroBlocks(config) => Ok(zero_blocks::build(small, large, device, *config)),
            Self::Fpi(config) => Ok(fpi::fpi(small, large, device, *config, seed)),
            Self::Aki(config) => Ok(fpi::aki(small, large, device, *config, seed)),
            Self::Lemon(config) => Ok(lemon::build(small, large, device, *config, initializer_range, seed)),
            Self::Expansions => Ok(expansions::build(small, large, device, initializer_range, seed)),
            Self::Middle => layers::by_rule(small, large, device, crate::depth::middle, fresh),
            Self::Upcycle(config) => Ok(upcycle::build(small, large, device, *config, initializer_range, seed)),
            Self::Ligo(config) => LigoOperator::new(small, large, config, seed)?.initial_map(device),
        }
    }
}

pub(crate) fn matrix<E: Element>(values: Vec<E>, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}
