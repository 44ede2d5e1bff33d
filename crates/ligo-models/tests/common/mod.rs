//! Values for models that come from no file.

pub mod decoders;
pub mod images;

use burn::tensor::{Device, Int, Tensor};
use ligo_arch::{AlbertConfig, BertConfig, DistilBertConfig, ElectraConfig, ModelConfig, ModernBertConfig, Task};
use ligo_models::{MlmInputs, ReplacedInputs, SequenceInputs, SpanInputs, TextFeatures};

/// The same values for the same name, spread over ±0.4, gains of normalizations around 1.
pub fn values(name: &str, shape: &[usize]) -> Vec<f64> {
    let mut state = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)
    });
    // Only normalizations have a weight that is a vector.
    let is_gain = shape.len() == 1 && name.ends_with(".weight");
    let center = if is_gain { 1.0 } else { 0.0 };
    let count = shape.iter().product();
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        center + 0.8 * ((state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5)
    })
    .take(count)
    .collect()
}

/// Vocabulary 13, hidden 8, two layers, two heads, feed-forward 12.
pub fn tiny() -> BertConfig {
    BertConfig {
        intermediate_size: 12,
        max_position_embeddings: 6,
        ..BertConfig::new(13, 8, 2, 2)
    }
}

/// The same as a RoBERTa with two token types, whose padding is token 0.
pub fn tiny_roberta() -> BertConfig {
    let roberta = BertConfig {
        intermediate_size: 12,
        max_position_embeddings: 6,
        type_vocab_size: 2,
        ..BertConfig::roberta(13, 8, 2, 2)
    };
    let mut extra = roberta.extra.clone();
    extra.insert("pad_token_id".into(), 0.into());
    BertConfig { extra, ..roberta }
}

/// The same sizes as a DistilBERT.
pub fn tiny_distilbert() -> ModelConfig {
    ModelConfig::DistilBert(DistilBertConfig {
        hidden_dim: 12,
        max_position_embeddings: 6,
        ..DistilBertConfig::new(13, 8, 2, 2)
    })
}

/// The same sizes as an ELECTRA with narrower tables: its discriminator and its generator.
pub fn tiny_electra() -> [ModelConfig; 2] {
    let discriminator = ModelConfig::Electra(ElectraConfig {
        embedding_size: 6,
        intermediate_size: 12,
        max_position_embeddings: 6,
        ..ElectraConfig::new(13, 8, 2, 2)
    });
    let generator = discriminator.with_task(Task::MaskedLm).unwrap();
    [discriminator, generator]
}

/// The same sizes as an ALBERT whose two layers share nothing.
pub fn tiny_albert() -> ModelConfig {
    ModelConfig::Albert(AlbertConfig {
        embedding_size: 6,
        num_hidden_groups: 2,
        intermediate_size: 12,
        max_position_embeddings: 6,
        hidden_dropout_prob: 0.1,
        attention_probs_dropout_prob: 0.1,
        ..AlbertConfig::new(13, 8, 2, 2)
    })
}

/// A ModernBERT of such sizes, whose second layer sees two tokens to either side.
pub fn tiny_modernbert() -> ModelConfig {
    ModelConfig::ModernBert(ModernBertConfig {
        local_attention: 4,
        attention_dropout: 0.1,
        embedding_dropout: 0.1,
        mlp_dropout: 0.1,
        ..ModernBertConfig::new(13, 8, 2, 2, 12)
    })
}

/// Two sequences of five tokens, three of them masked, with types and with the end of the second one padded.
pub fn batch(device: &Device) -> MlmInputs {
    MlmInputs {
        input_ids: Tensor::from_data([[1, 12, 3, 4, 7], [5, 2, 9, 0, 0]], device),
        token_type_ids: Some(Tensor::from_data([[0, 0, 1, 1, 1], [0, 1, 1, 0, 0]], device)),
        attention_mask: Some(Tensor::from_data(
            [[1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 0.0, 0.0]],
            device,
        )),
        masked_positions: Tensor::<1, Int>::from_data([1, 4, 7], device),
        labels: Tensor::<1, Int>::from_data([6, 0, 11], device),
    }
}

/// What [`batch`] reads.
pub fn texts(device: &Device) -> TextFeatures {
    let batch = batch(device);
    TextFeatures {
        input_ids: batch.input_ids,
        token_type_ids: batch.token_type_ids,
        attention_mask: batch.attention_mask,
    }
}

/// The texts of [`batch`] with classes, of three or more.
pub fn classes(device: &Device) -> SequenceInputs {
    SequenceInputs {
        text: texts(device),
        labels: Tensor::<1, Int>::from_data([2, 0], device),
    }
}

/// The texts of [`batch`] with answers; the second one ends behind the text.
pub fn answers(device: &Device) -> SpanInputs {
    SpanInputs {
        text: texts(device),
        starts: Tensor::<1, Int>::from_data([1, 2], device),
        ends: Tensor::<1, Int>::from_data([3, 9], device),
    }
}

/// The texts of [`batch`], of which two tokens were replaced.
pub fn replaced(device: &Device) -> ReplacedInputs {
    ReplacedInputs {
        text: texts(device),
        labels: Tensor::from_data([[0, 1, 0, 0, 0], [1, 0, 0, 0, 0]], device),
    }
}

/// The one number of a loss.
pub fn number(loss: Tensor<1>) -> f64 {
    loss.into_scalar::<f64>()
}

/// `config` as a configuration of any family.
pub fn any(config: BertConfig) -> ModelConfig {
    ModelConfig::Bert(config)
}
