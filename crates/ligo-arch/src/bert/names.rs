use crate::rows::Stack;

/// What BERT and RoBERTa call the tensors that both have.
#[derive(Debug)]
pub(super) struct Names {
    /// `model_type`, and the family of the table.
    pub model_type: &'static str,
    /// What the names of `architectures` begin with.
    pub class: &'static str,
    /// What the encoder's names begin with.
    pub base_prefix: &'static str,
    /// The layers.
    pub layers: Stack,
    /// The masked-language-model head: the layer in front of the decoder, its normalisation, and what holds the decoder.
    pub transform: &'static str,
    pub transform_norm: &'static str,
    pub predictions: &'static str,
    /// The layer that summarises a sequence for its classifier, and the classifier.
    pub summary: &'static str,
    pub classifier: &'static str,
}

pub(super) const BERT: Names = Names {
    model_type: "bert",
    class: "Bert",
    base_prefix: "bert.",
    layers: Stack {
        name: "encoder",
        path: "bert.encoder.layer",
    },
    transform: "cls.predictions.transform.dense",
    transform_norm: "cls.predictions.transform.LayerNorm",
    predictions: "cls.predictions",
    summary: "bert.pooler.dense",
    classifier: "classifier",
};

pub(super) const ROBERTA: Names = Names {
    model_type: "roberta",
    class: "Roberta",
    base_prefix: "roberta.",
    layers: Stack {
        name: "encoder",
        path: "roberta.encoder.layer",
    },
    transform: "lm_head.dense",
    transform_norm: "lm_head.layer_norm",
    predictions: "lm_head",
    summary: "classifier.dense",
    classifier: "classifier.out_proj",
};
