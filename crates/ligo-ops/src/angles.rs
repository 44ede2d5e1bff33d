//! The angles of a rotary position embedding.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::traffic;

/// The angles by which [`rotary`](crate::rotary()) turns queries and keys. Made once for a batch and used by all its layers.
#[derive(Clone, Debug)]
pub struct RotaryAngles {
    /// `[1 or B, L, d/2]`.
    pub(crate) cos: Tensor<3>,
    sin: Tensor<3>,
}

impl RotaryAngles {
    /// `position · frequencies[i]` for pair `i` of a head; cosines and sines are multiplied by `scale`, ordinarily 1.
    ///
    /// Angles are rounded to `f32` where PyTorch rounds them: at position 4000 the rounding of an angle is already larger than all other
    /// errors, and checkpoints were trained with it.
    ///
    /// # Shapes
    /// `positions [R, L]` row by row, with one row for all sequences of a batch or one for each; `frequencies [d/2]`.
    ///
    /// # Panics
    /// Without frequencies, or when `positions` does not hold `R · L` numbers.
    pub fn new(positions: &[usize], shape: [usize; 2], frequencies: &[f32], scale: f32, device: &Device) -> Self {
        let half = frequencies.len();
        assert!(half > 0, "rotary embedding turns pairs, and there is none");
        assert_eq!(positions.len(), shape[0] * shape[1], "positions of shape {shape:?}");
        let table = |f: fn(f64) -> f64| {
            let angles = positions
                .iter()
                .flat_map(|p| frequencies.iter().map(move |frequency| *p as f32 * frequency));
            let values: Vec<f32> = angles.map(|angle| f(f64::from(angle)) as f32 * scale).collect();
            traffic::upload(TensorData::new(values, [shape[0], shape[1], half]), device)
        };
        Self {
            cos: table(f64::cos),
            sin: table(f64::sin),
        }
    }

    /// The angles of some positions of each sequence only.
    ///
    /// # Shapes
    /// `places [B, K]`, for each of the `K` which of the `L` positions it is.
    ///
    /// # Panics
    /// When a place is `L` or more, or these are angles of another number of sequences than `B` or one.
    #[must_use]
    pub fn at(&self, places: Tensor<2, Int>) -> Self {
        let [batch, kept] = places.dims();
        let [_, length, half] = self.cos.dims();
        let places = places.unsqueeze_dim::<3>(2).expand([batch, kept, half]);
        let [cos, sin] = self.tensors().map(|table| {
            let table = table.expand([batch, length, half]);
            table.gather(1, places.clone())
        });
        Self { cos, sin }
    }

    /// The pairs of a head that are turned.
    pub(crate) fn half(&self) -> usize {
        self.cos.dims()[2]
    }

    /// Cosines and sines.
    pub(crate) fn tensors(&self) -> [Tensor<3>; 2] {
        [self.cos.clone(), self.sin.clone()]
    }
}
