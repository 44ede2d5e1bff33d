//! Which layers of a Llama and its kin see a window.

use serde_json::Value;

use crate::LlamaConfig;
use crate::layer_types::{self, LayerType};

impl LlamaConfig {
    /// How many positions the attention of each layer reaches over, itself included, where the reference limits it. Up to that length the limit
    /// has no effect.
    pub fn windows(&self) -> impl Iterator<Item = Option<usize>> + '_ {
        let window = self.window();
        let types = self.types();
        (0..self.num_hidden_layers).map(move |layer| match &types {
            None => window,
            Some(types) => window.filter(|_| types.get(layer) == Some(&LayerType::Sliding)),
        })
    }

    /// Which layers have a window, where the layers of the family may differ.
    pub(crate) fn types(&self) -> Option<Vec<LayerType>> {
        if !["qwen2", "qwen3", "smollm3"].contains(&self.model_type.as_str()) {
            return None;
        }
        let said = layer_types::said(&self.extra).ok().flatten();
        Some(said.unwrap_or_else(|| {
            let is_sliding = |layer: usize| self.window().is_some() && self.usually_slides(layer);
            (0..self.num_hidden_layers)
                .map(|layer| LayerType::sliding(is_sliding(layer)))
                .collect()
        }))
    }

    /// Which layers have a window where no list says it.
    fn usually_slides(&self, layer: usize) -> bool {
        if self.model_type == "smollm3" {
            return !self.is_rotated(layer);
        }
        let first = self.extra.get("max_window_layers").and_then(Value::as_u64);
        layer as u64 >= first.unwrap_or(28)
    }

    /// How far attention reaches in the layers that have a window.
    pub fn window(&self) -> Option<usize> {
        let is_asked_for = || self.extra.get("use_sliding_window").and_then(Value::as_bool) == Some(true);
        // Whether there is one, and how far it reaches where the file does not say it.
        let (is_in_use, default) = match self.model_type.as_str() {
            "mistral" => (true, Some(4096)),
            "phi3" | "mixtral" => (true, None),
            "qwen2" | "qwen3" | "qwen3_moe" => (is_asked_for(), Some(4096)),
            "smollm3" => (is_asked_for(), None),
            _ => (false, None),
        };
        match self.extra.get("sliding_window") {
            _ if !is_in_use => None,
            None => default,
            Some(window) => window.as_u64().and_then(|n| usize::try_from(n).ok()),
        }
    }
}
