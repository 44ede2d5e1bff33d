//! Rotary positions, for every family that has them.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Device;
use ligo_arch::Rotation;
use ligo_ops::RotaryAngles;

use crate::causal::{Reading, Visibility};
use crate::stack::Context;
use crate::token_drop::Division;

/// What the angles of a model depend on besides positions, and those of a sequence, made once for each length and device.
#[derive(Clone, Debug)]
pub(crate) struct Turning {
    rotation: Rotation,
    /// Shared by the models that a skeleton becomes.
    made: Arc<Mutex<Option<(usize, Device, RotaryAngles)>>>,
}

impl Turning {
    pub(crate) fn new(rotation: Rotation) -> Self {
        Self {
            rotation,
            made: Arc::default(),
        }
    }

    /// What the layers of a decoder read of a batch.
    pub(crate) fn around(&self, reading: &Reading) -> Surroundings {
        let [_, length] = reading.input_ids.dims();
        let angles = self.angles(length, &reading.device());
        Surroundings {
            visibility: reading.visibility.clone(),
            angles: match reading.position_ids() {
                Some(ids) => angles.at(ids),
                None => angles,
            },
        }
    }

    /// The angles at `0, 1, …, length - 1`.
    fn angles(&self, length: usize, device: &Device) -> RotaryAngles {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((known, on, angles)) if *known == length && on == device => angles.clone(),
            _ => {
                let positions: Vec<usize> = (0..length).collect();
                let Rotation { frequencies, scale } = &self.rotation;
                let angles = RotaryAngles::new(&positions, [1, length], frequencies, *scale, device);
                *made = Some((length, device.clone(), angles.clone()));
                angles
            }
        }
    }
}

/// What all layers read beside hidden states.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) visibility: Visibility,
    pub(crate) angles: RotaryAngles,
}

impl Context for Surroundings {
    fn of_kept(&self, tokens: &Division) -> Self {
        Self {
            visibility: self.visibility.of_kept(tokens),
            angles: self.angles.at(tokens.places()),
        }
    }
}
