//! What the layers differ in: windows and rotations.

use serde_json::Value;

use super::GemmaConfig;
use crate::layer_types::{self, LayerType};
use crate::rope::{self, Base, original_positions};
use crate::{Error, RopeParameters, Rotation};

impl GemmaConfig {
    /// How far the attention of each layer sees.
    pub(super) fn types(&self) -> Vec<LayerType> {
        let layers = 0..self.num_hidden_layers;
        let said = layer_types::said(&self.extra).ok().flatten();
        if let Some(said) = said.filter(|_| !self.is_first()) {
            return said;
        }
        let pattern = match self.model_type.as_str() {
            "gemma2" => 2,
            "gemma3_text" => self.pattern().unwrap_or(6),
            _ => return vec![LayerType::Full; self.num_hidden_layers],
        };
        layers
            .map(|layer| LayerType::sliding(!(layer + 1).is_multiple_of(pattern)))
            .collect()
    }

    /// Of so many layers of a Gemma 3 the last one has no window, as older files say it.
    fn pattern(&self) -> Option<usize> {
        let pattern = self.extra.get("sliding_window_pattern").and_then(Value::as_u64);
        pattern.and_then(|n| usize::try_from(n).ok())
    }

    /// How many positions the attention of each layer reaches over, itself included, where that is limited, and whether it rotates as those with a
    /// window do.
    pub fn layers(&self) -> impl Iterator<Item = (Option<usize>, LayerType)> + '_ {
        let types = self.types().into_iter();
        types.map(|kind| (self.sliding_window.filter(|_| kind == LayerType::Sliding), kind))
    }

    /// How heads are turned by positions in layers of this type; of a valid configuration.
    pub fn rotation(&self, kind: LayerType) -> Rotation {
        let plain = || Rotation::plain(self.base(self.usual_theta(kind)));
        self.try_rotation(kind).unwrap_or_else(|_| plain())
    }

    pub(super) fn try_rotation(&self, kind: LayerType) -> Result<Rotation, Error> {
        if self.model_type != "gemma3_text" {
            let said = rope::said(&self.rope_scaling, &self.rope_parameters);
            return self.base(self.theta()).rotation(said);
        }
        // One object for each type of layer.
        if let Some(parameters) = &self.rope_parameters {
            let own = rope::said_of(parameters, kind)?;
            let theta = own.as_ref().and_then(|own| own.rope_theta);
            return self
                .base(theta.unwrap_or_else(|| self.usual_theta(kind)))
                .rotation(own.as_ref());
        }
        let scaling = self.rope_scaling.as_ref().filter(|_| kind == LayerType::Full);
        self.base(self.usual_theta(kind)).rotation(scaling)
    }

    /// The base of a rotation that is the same in all layers.
    fn theta(&self) -> f64 {
        let of = |rope: &Option<RopeParameters>| rope.as_ref().and_then(|r| r.rope_theta);
        let theta = of(&self.rope_scaling).or_else(|| of(&self.rope_parameters));
        theta.or(self.rope_theta).unwrap_or(10_000.0)
    }

    /// A Gemma 3's base where no object says it.
    pub(super) fn usual_theta(&self, kind: LayerType) -> f64 {
        match (self.model_type.as_str(), kind) {
            ("gemma3_text", LayerType::Full) => self.rope_theta.unwrap_or(1e6),
            ("gemma3_text", LayerType::Sliding) => self.rope_local_base_freq.unwrap_or(1e4),
            _ => self.theta(),
        }
    }

    fn base(&self, theta: f64) -> Base {
        Base {
            theta,
            head_dim: self.head_dim,
            share: 1.0,
            positions: self.max_position_embeddings,
            original: original_positions(&self.extra),
        }
    }

    /// Whether layers with a window can have one.
    pub(super) fn windows(&self) -> Result<(), Error> {
        if self.pattern() == Some(0) {
            return Err(Error::Zero {
                field: "sliding_window_pattern",
            });
        }
        let found = layer_types::said(&self.extra)?.map_or(self.num_hidden_layers, |types| types.len());
        if found != self.num_hidden_layers {
            return Err(Error::LayerTypes {
                found,
                layers: self.num_hidden_layers as u64,
            });
        }
        let without = self.sliding_window.is_none() && self.types().contains(&LayerType::Sliding);
        if without {
            return Err(self.invalid("layers have sliding_attention, but sliding_window is null".into()));
        }
        Ok(())
    }
}
