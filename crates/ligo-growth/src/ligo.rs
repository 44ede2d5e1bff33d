use serde::{Deserialize, Serialize};

use crate::{DepthInit, Error, Sharing, WidthInit};

/// The settings of a LiGO operator. How it is trained (rate, warm-up, steps, optimiser) is the trainer's business.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "snake_case")]
pub struct LigoConfig {
    /// Which layers share the width matrices of queries, keys, values and feed-forward neurons. The residual stream
    /// always has one matrix.
    pub sharing: Sharing,
    /// How width matrices start.
    pub width_init: WidthInit,
    /// Noise of `select` (default 0.03, as in the official code) and `near-zero`.
    pub width_noise: f64,
    /// How depth coefficients start.
    pub depth_init: DepthInit,
    /// Noise added to depth coefficients.
    pub depth_noise: f64,
    /// Hold the identity block of `B = [I; C]` fixed and learn `C` alone, as the official code does.
    pub fixed_identity: bool,
    /// Learn the width matrices.
    pub tune_width: bool,
    /// Learn the depth coefficients.
    pub tune_depth: bool,
}

impl Default for LigoConfig {
    fn default() -> Self {
        Self {
            sharing: Sharing::Shared,
            width_init: WidthInit::Rand,
            width_noise: 0.03,
            depth_init: DepthInit::Stack,
            depth_noise: 0.03,
            fixed_identity: false,
            tune_width: true,
            tune_depth: true,
        }
    }
}

impl LigoConfig {
    /// Checks that the settings fit together.
    ///
    /// # Errors
    /// A fixed identity block is asked for with an initialisation that has none, a noise is negative or not a number.
    pub fn validate(&self) -> Result<(), Error> {
        if self.fixed_identity && !self.width_init.has_identity_block() {
            let message = "fixed_identity = true needs a width_init that starts from [I; C]; `isometric` does not";
            return Err(Error::Settings(message.into()));
        }
        for (name, value) in [("width_noise", self.width_noise), ("depth_noise", self.depth_noise)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(Error::Settings(format!("{name} must be 0 or more, found {value}")));
            }
        }
        Ok(())
    }
}
