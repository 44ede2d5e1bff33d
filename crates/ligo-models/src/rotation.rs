//! Rotary positions, for every family that has them.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Int, Tensor};
use ligo_arch::{LayerType, Rotation};
use ligo_ops::RotaryAngles;

use crate::causal::{CausalInput, Visibility};
use crate::stack::Context;
use crate::token_drop::Division;

/// What the angles of a model depend on besides positions, and those of a sequence, made once for each length and device.
#[derive(Clone, Debug)]
pub(crate) struct Turning {
    rotation: Rotation,
    /// Shared by the models that a skeleton becomes.
    made: Arc<Mutex<Option<Made>>>,
}

/// Angles with what they depend on: the number of tokens, whether positions go beyond the first frequencies, the device.
type Made = ((usize, bool, Device), RotaryAngles);

impl Turning {
    pub(crate) fn new(rotation: Rotation) -> Self {
        Self {
            rotation,
            made: Arc::default(),
        }
    }

    /// What the layers of a decoder read of a batch.
    pub(crate) fn around(&self, input: &CausalInput) -> AttentionContext {
        let [_, length] = input.input_ids.dims();
        let ids = input.position_ids();
        // Positions are read back from their device only where the sequence is so long that they may go beyond.
        let is_beyond = self.rotation.beyond.as_ref().is_some_and(|beyond| {
            let last = |ids: &Tensor<2, Int>| ids.to_data().iter::<i64>().max().unwrap_or(0);
            let longest = |ids| usize::try_from(last(ids)).unwrap_or(0) + 1;
            length > beyond.positions && ids.as_ref().map_or(length, longest) > beyond.positions
        });
        let angles = self.angles(length, is_beyond, &input.device());
        AttentionContext {
            visibility: input.visibility.clone(),
            angles: match ids {
                Some(ids) => angles.at(ids),
                None => angles,
            },
        }
    }

    /// The angles at `0, 1, …, length - 1`.
    fn angles(&self, length: usize, is_beyond: bool, device: &Device) -> RotaryAngles {
        let wanted = (length, is_beyond, device.clone());
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((known, angles)) if *known == wanted => angles.clone(),
            _ => {
                let positions: Vec<usize> = (0..length).collect();
                let Rotation {
                    frequencies,
                    scale,
                    beyond,
                } = &self.rotation;
                let beyond = beyond.as_ref().filter(|_| is_beyond);
                let frequencies = beyond.map_or(frequencies, |beyond| &beyond.frequencies);
                let angles = RotaryAngles::new(&positions, [1, length], frequencies, *scale, device);
                *made = Some((wanted, angles.clone()));
                angles
            }
        }
    }
}

/// What all layers read beside hidden states.
#[derive(Clone)]
pub(crate) struct AttentionContext {
    pub(crate) visibility: Visibility,
    pub(crate) angles: RotaryAngles,
}

impl Context for AttentionContext {
    fn for_kept(&self, tokens: &Division) -> Self {
        Self {
            visibility: self.visibility.for_kept(tokens),
            angles: self.angles.at(tokens.places()),
        }
    }
}

/// How layers rotate: in some families those with a window otherwise than those without.
#[derive(Clone, Debug)]
pub(crate) struct Rotations {
    full: Turning,
    sliding: Option<Turning>,
}

/// What layers read beside hidden states, by their type.
#[derive(Clone)]
pub(crate) struct Around {
    full: AttentionContext,
    /// Where it is not the same.
    sliding: Option<AttentionContext>,
}

impl Around {
    pub(crate) fn of(&self, kind: LayerType) -> &AttentionContext {
        match kind {
            LayerType::Full => &self.full,
            LayerType::Sliding => self.sliding.as_ref().unwrap_or(&self.full),
        }
    }
}

impl Context for Around {
    fn for_kept(&self, tokens: &Division) -> Self {
        Self {
            full: self.full.for_kept(tokens),
            sliding: self.sliding.as_ref().map(|around| around.for_kept(tokens)),
        }
    }
}

impl Rotations {
    pub(crate) fn new(rotation: &dyn Fn(LayerType) -> Rotation) -> Self {
        let [full, sliding] = [LayerType::Full, LayerType::Sliding].map(rotation);
        let differs = full != sliding;
        Self {
            full: Turning::new(full),
            sliding: differs.then(|| Turning::new(sliding)),
        }
    }

    pub(crate) fn around(&self, input: &CausalInput) -> Around {
        Around {
            full: self.full.around(input),
            sliding: self.sliding.as_ref().map(|turning| turning.around(input)),
        }
    }
}
