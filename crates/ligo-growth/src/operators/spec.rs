//! The one list of every operator that there is, by their names.

use burn::tensor::Device;
use ligo_arch::{ModelConfig, ParamTable};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::copies::CopyConfig;
use super::facts::Facts;
use super::hyper_cloning::CloningConfig;
use super::lemon::LemonConfig;
use super::operator::{Operator, Pair};
use super::upcycle::UpcycleConfig;
use super::zero_blocks::ZeroBlocksConfig;
use super::{aki, direct_copy, expansions, fpi, kinds, list, rules, scratch, tiling};
use crate::{Error, LigoConfig, LinearMap};

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
    /// As [`OperatorSpec::Fpi`], but new rows come from the layer above (bert2BERT's advanced knowledge initialization).
    Aki(CopyConfig),
    /// The small model's weights in the middle of the large ones, and around them once more (ModernBERT's center tiling); depth `⌊i·L1/L2⌋`.
    Tiling,
    /// LEMON: any width without a change of the function, copies that share their readers' weights unevenly. For families that
    /// normalize what a layer reads.
    Lemon(LemonConfig),
    /// Zero-initialized expansions: the small model in the top left corner, new entries fresh but for those that would change the
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

/// Every operator that has a name of its own, in the order of tables.
macro_rules! named {
    ($($name:literal => $default:expr),+ $(,)?) => {
        impl OperatorSpec {
            /// Every name that [`OperatorSpec::from_name`] knows.
            pub const NAMES: [&'static str; [$($name),+].len()] = [$($name),+];

            /// The operator with this name and default settings.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some($default),)+
                    _ => None,
                }
            }
        }
    };
}

named! {
    "scratch" => Self::Scratch,
    "ligo" => Self::Ligo(LigoConfig::default()),
    "stackbert" => Self::Stackbert,
    "interpose" => Self::Interpose,
    "midas" => Self::Middle,
    "direct-copy" => Self::DirectCopy,
    "zero-pad" => Self::ZeroPad,
    "fpi" => Self::Fpi(CopyConfig::default()),
    "aki" => Self::Aki(CopyConfig::default()),
    "tiling" => Self::Tiling,
    "hyper-cloning" => Self::HyperCloning(CloningConfig::default()),
    "lemon" => Self::Lemon(LemonConfig::default()),
    "expansions" => Self::Expansions,
    "zero-blocks" => Self::ZeroBlocks(ZeroBlocksConfig::default()),
    "upcycle" => Self::Upcycle(UpcycleConfig::default()),
}

impl OperatorSpec {
    /// What a name stands for: the file that says all of it.
    pub(super) fn operator(&self) -> Box<dyn Operator + '_> {
        match self {
            Self::Scratch => Box::new(scratch::Scratch),
            Self::Stackbert => Box::new(rules::STACKBERT),
            Self::Interpose => Box::new(rules::INTERPOSE),
            Self::Layers { layers } => Box::new(list::List(layers)),
            Self::DirectCopy => Box::new(direct_copy::DirectCopy),
            Self::ZeroPad => Box::new(rules::ZERO_PAD),
            Self::HyperCloning(config) => Box::new(*config),
            Self::ZeroBlocks(config) => Box::new(*config),
            Self::Tiling => Box::new(tiling::Tiling),
            Self::Fpi(config) => Box::new(fpi::operator(*config)),
            Self::Aki(config) => Box::new(aki::operator(*config)),
            Self::Lemon(config) => Box::new(*config),
            Self::Expansions => Box::new(expansions::Expansions),
            Self::Middle => Box::new(rules::MIDAS),
            Self::Upcycle(config) => Box::new(*config),
            Self::Ligo(config) => Box::new(config.clone()),
        }
    }

    /// What people call it; for tables.
    pub fn label(&self) -> &'static str {
        self.operator().label()
    }

    /// The name used in tables and folders.
    pub fn name(&self) -> &'static str {
        self.operator().name()
    }

    /// The revision of the operator's arithmetic, which is raised when it gives other numbers.
    pub fn revision(&self) -> u32 {
        self.operator().revision()
    }

    /// What is known of the operator with its default settings.
    pub fn facts(&self) -> Facts {
        self.operator().facts()
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
    /// may need another ε in its normalizations, and where layers are of several kinds each is of the kind of the layer that it comes from; everything
    /// else stays.
    ///
    /// Whoever builds the map of an operator trains and writes the model with this configuration.
    #[must_use]
    pub fn adjust(&self, small: &ModelConfig, large: &ModelConfig) -> ModelConfig {
        let operator = self.operator();
        operator.adjust(small, &kinds::adjust(operator.as_ref(), small, large))
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
        self.operator().build(&Pair {
            small,
            large,
            device,
            initializer_range,
            seed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_is_called_as_it_calls_itself() {
        for name in OperatorSpec::NAMES {
            assert_eq!(OperatorSpec::from_name(name).map(|spec| spec.name()), Some(name));
        }
        assert_eq!(OperatorSpec::from_name("stakbert"), None);
    }
}
