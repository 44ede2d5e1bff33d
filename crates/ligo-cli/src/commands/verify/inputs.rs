use std::fmt;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{Axis, ModelConfig};

/// Sequences of a fixed run; shorter when the model has fewer positions.
const LENGTH: usize = 24;
const SEQUENCES: usize = 2;

/// What a model is run on. All arrays are `[sequences, length]`, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Inputs {
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

impl Inputs {
    /// The same ids for every model of the same vocabulary and length. The second sequence ends with padding; where the
    /// model knows token types, the second half of a sequence is of type 1.
    pub fn fixed(config: &ModelConfig) -> Self {
        let (vocabulary, types) = (config.vocab_size(), config.table().size(Axis::TOKEN_TYPE));
        let length = LENGTH.min(config.max_sequence_tokens());
        let mut state = 1_u64;
        let mut next = || {
            // Knuth's MMIX generator; its upper bits are the good ones.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) % vocabulary as u64) as i64
        };
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
                let id = next();
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

    /// Ids, token types and mask on a device.
    pub fn tensors(&self, device: &Device) -> (Tensor<2, Int>, Option<Tensor<2, Int>>, Option<Tensor<2>>) {
        let shape = self.shape();
        let integers = |values: &Vec<i64>| Tensor::<2, Int>::from_data(TensorData::new(values.clone(), shape), device);
        let floats = |values: &Vec<i64>| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            Tensor::<2>::from_data(TensorData::new(values, shape), device)
        };
        (
            integers(&self.ids),
            self.types.as_ref().map(integers),
            self.mask.as_ref().map(floats),
        )
    }
}

impl fmt::Display for Inputs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sequences of {} tokens", self.sequences, self.length)?;
        if let Some(mask) = &self.mask {
            let padding = mask.iter().filter(|value| **value == 0).count();
            write!(f, ", {padding} of them padding")?;
        }
        if self.types.is_some() {
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
        let inputs = Inputs::fixed(&bert(61, 512, 2));
        assert_eq!(inputs, Inputs::fixed(&bert(61, 512, 2)));
        assert_eq!(inputs.shape(), [2, 24]);
        assert!(inputs.ids.iter().all(|id| (0..61).contains(id)));
        let mut different = inputs.ids[..24].to_vec();
        different.sort_unstable();
        different.dedup();
        assert!(different.len() > 15, "{different:?}");
    }

    #[test]
    fn one_sequence_is_padded_and_types_follow_the_model() {
        let inputs = Inputs::fixed(&bert(61, 512, 2));
        assert_eq!(inputs.mask.unwrap().iter().sum::<i64>(), 24 + 16);
        assert_eq!(inputs.types.unwrap().iter().sum::<i64>(), 12 + 4);
        assert_eq!(Inputs::fixed(&bert(61, 512, 1)).types, None);
    }

    #[test]
    fn a_model_of_few_positions_gets_a_short_sequence() {
        for positions in [1, 2, 5] {
            let inputs = Inputs::fixed(&bert(7, positions, 2));
            assert_eq!(inputs.shape(), [2, positions]);
            // A sequence without any token would have nothing to attend to.
            assert!(inputs.mask.unwrap()[positions..].contains(&1));
        }
    }
}
