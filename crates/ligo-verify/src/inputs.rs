use std::fmt;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{Axis, ModelConfig};
use ligo_models::{Features, TextFeatures};

/// Sequences of a fixed run; shorter when the model has fewer positions.
const LENGTH: usize = 24;
const SEQUENCES: usize = 2;

/// What a model is run on.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// Token ids.
    Text(TextInputs),
    /// Pixels.
    Images(ImageInputs),
}

/// Texts. All arrays are `[sequences, length]`, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct TextInputs {
    /// Sequences.
    pub sequences: usize,
    /// Tokens of a sequence, padding included.
    pub length: usize,
    /// Token ids.
    pub ids: Vec<i64>,
    /// 1 for a token, 0 for padding.
    pub mask: Option<Vec<i64>>,
    /// Token types.
    pub types: Option<Vec<i64>>,
}

/// Images.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageInputs {
    /// `[B, C, H, W]`.
    pub shape: [usize; 4],
    /// Normalized pixels, row by row.
    pub pixels: Vec<f32>,
}

/// Knuth's MMIX generator; its upper bits are the good ones.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }
}

impl Inputs {
    /// The same inputs for every model of the same vocabulary and length, or of the same size of image.
    pub fn fixed(config: &ModelConfig) -> Self {
        match config.image_shape() {
            None => Self::Text(TextInputs::fixed(config)),
            Some(shape) => Self::Images(ImageInputs::fixed(shape)),
        }
    }

    /// What the model reads, on a device.
    pub fn features(&self, device: &Device) -> Features {
        match self {
            Self::Text(text) => text.features(device),
            Self::Images(images) => {
                let data = TensorData::new(images.pixels.clone(), images.shape);
                Features::Images(Tensor::from_data(data, device))
            }
        }
    }
}

impl ImageInputs {
    /// Pixels between -2 and 2, about where normalized ones are.
    fn fixed([channels, height, width]: [usize; 3]) -> Self {
        let shape = [SEQUENCES, channels, height, width];
        let mut random = Random(1);
        let mut pixel = || (random.next() % 4096) as f32 / 1024.0 - 2.0;
        Self {
            shape,
            pixels: (0..shape.iter().product()).map(|_| pixel()).collect(),
        }
    }
}

impl TextInputs {
    /// The second sequence ends with padding; where the model knows token types, the second half of a sequence is of
    /// type 1.
    fn fixed(config: &ModelConfig) -> Self {
        let (vocabulary, types) = (config.vocab_size(), config.table().size(Axis::TOKEN_TYPE));
        let length = LENGTH.min(config.max_sequence_tokens());
        let mut random = Random(1);
        let real = |sequence: usize| {
            if sequence == 0 {
                length
            } else {
                (length * 2).div_ceil(3)
            }
        };
        let (mut ids, mut mask, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in 0..SEQUENCES {
            for position in 0..length {
                let is_real = position < real(sequence);
                let id = (random.next() % vocabulary as u64) as i64;
                ids.push(if is_real { id } else { 0 });
                mask.push(i64::from(is_real));
                kinds.push(i64::from(position >= length / 2 && is_real));
            }
        }
        Self {
            sequences: SEQUENCES,
            length,
            ids,
            mask: Some(mask),
            types: (types > 1).then_some(kinds),
        }
    }

    /// `[sequences, length]`.
    pub fn shape(&self) -> [usize; 2] {
        [self.sequences, self.length]
    }

    fn features(&self, device: &Device) -> Features {
        let shape = self.shape();
        let integers = |values: &Vec<i64>| Tensor::<2, Int>::from_data(TensorData::new(values.clone(), shape), device);
        let floats = |values: &Vec<i64>| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        };
        Features::Text(TextFeatures {
            input_ids: integers(&self.ids),
            token_type_ids: self.types.as_ref().map(integers),
            attention_mask: self.mask.as_ref().map(floats),
        })
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Text(text) => text,
            Self::Images(images) => {
                let [count, channels, height, width] = images.shape;
                return write!(f, "{count} images of {channels} × {height} × {width}");
            }
        };
        write!(f, "{} sequences of {} tokens", text.sequences, text.length)?;
        if let Some(mask) = &text.mask {
            let padding = mask.iter().filter(|value| **value == 0).count();
            write!(f, ", {padding} of them padding")?;
        }
        if text.types.is_some() {
            write!(f, ", with token types")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use ligo_arch::BertConfig;

    use super::*;

    fn bert(vocabulary: usize, positions: usize, types: usize) -> ModelConfig {
        ModelConfig::Bert(BertConfig {
            max_position_embeddings: positions,
            type_vocab_size: types,
            ..BertConfig::new(vocabulary, 8, 1, 2)
        })
    }

    #[test]
    fn inputs_are_the_same_every_time_and_in_range() {
        let inputs = TextInputs::fixed(&bert(61, 512, 2));
        assert_eq!(inputs, TextInputs::fixed(&bert(61, 512, 2)));
        assert_eq!(inputs.shape(), [2, 24]);
        assert!(inputs.ids.iter().all(|id| (0..61).contains(id)));
        let mut different = inputs.ids[..24].to_vec();
        different.sort_unstable();
        different.dedup();
        assert!(different.len() > 15, "{different:?}");
    }

    #[test]
    fn one_sequence_is_padded_and_types_follow_the_model() {
        let inputs = TextInputs::fixed(&bert(61, 512, 2));
        assert_eq!(inputs.mask.unwrap().iter().sum::<i64>(), 24 + 16);
        assert_eq!(inputs.types.unwrap().iter().sum::<i64>(), 12 + 4);
        assert_eq!(TextInputs::fixed(&bert(61, 512, 1)).types, None);
    }

    #[test]
    fn a_model_of_few_positions_gets_a_short_sequence() {
        for positions in [1, 2, 5] {
            let inputs = TextInputs::fixed(&bert(7, positions, 2));
            assert_eq!(inputs.shape(), [2, positions]);
            // A sequence without any token would have nothing to attend to.
            assert!(inputs.mask.unwrap()[positions..].contains(&1));
        }
    }
}
