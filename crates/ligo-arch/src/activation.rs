use serde::{Deserialize, Serialize};

/// The activation of the feed-forward layers and of the head, by the names that `transformers` has for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HiddenAct {
    /// x·Φ(x) with the exact error function.
    #[default]
    #[serde(rename = "gelu", alias = "gelu_python")]
    Gelu,
    /// The tanh approximation of GELU, of which `transformers` has several spellings that differ in the last bits at most.
    #[serde(
        rename = "gelu_new",
        alias = "gelu_pytorch_tanh",
        alias = "gelu_python_tanh",
        alias = "gelu_fast",
        alias = "gelu_accurate"
    )]
    GeluNew,
    /// GELU, cut off at -10 and 10.
    #[serde(rename = "gelu_10")]
    Gelu10,
    /// x·σ(1.702 x).
    #[serde(rename = "quick_gelu")]
    QuickGelu,
    /// x·σ(x).
    #[serde(rename = "silu", alias = "swish")]
    Silu,
    /// x·tanh(ln(1 + eˣ)).
    #[serde(rename = "mish")]
    Mish,
    /// max(x, 0).
    #[serde(rename = "relu")]
    Relu,
    /// max(x, 0)².
    #[serde(rename = "relu2")]
    Relu2,
    /// max(x, 0), cut off at 6.
    #[serde(rename = "relu6")]
    Relu6,
    /// x, or x/100 below 0.
    #[serde(rename = "leaky_relu")]
    LeakyRelu,
    /// tanh(x).
    #[serde(rename = "tanh")]
    Tanh,
    /// σ(x) = 1 / (1 + e⁻ˣ).
    #[serde(rename = "sigmoid")]
    Sigmoid,
    /// x.
    #[serde(rename = "linear")]
    Linear,
}

impl HiddenAct {
    /// Whether its slope at zero is zero.
    pub fn is_flat_at_zero(self) -> bool {
        matches!(self, Self::Relu | Self::Relu2 | Self::Relu6)
    }
}
