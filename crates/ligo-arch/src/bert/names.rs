use crate::rows::Stack;

/// What a BERT, a RoBERTa or another of its kind calls the tensors that all have.
#[derive(Debug)]
pub(super) struct Names {
    /// `model_type`, and the family of the table.
    pub model_type: &'static str,
    /// What the names of `architectures` begin with.
    pub class: &'static str,
    /// Whether positions are counted from padding, and heads are those of RoBERTa.
    pub is_roberta: bool,
    /// What the encoder's names begin with.
    pub base_prefix: &'static str,
    /// The layers.
    pub layers: Stack,
    /// The masked-language-model head: the layer in front of the decoder, its normalization, and what holds the decoder.
    pub transform: &'static str,
    pub transform_norm: &'static str,
    pub predictions: &'static str,
    /// The layer that summarizes a sequence for its classifier, and the classifier.
    pub summary: &'static str,
    pub classifier: &'static str,
}

const BERT: Names = Names {
    model_type: "bert",
    class: "Bert",
    is_roberta: false,
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

const ROBERTA: Names = Names {
    model_type: "roberta",
    class: "Roberta",
    is_roberta: true,
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

/// XLM-RoBERTa (arXiv:1911.02116): a RoBERTa of many languages.
const XLM_ROBERTA: Names = Names {
    model_type: "xlm-roberta",
    class: "XLMRoberta",
    ..ROBERTA
};

/// CamemBERT (arXiv:1911.03894): a RoBERTa of French.
const CAMEMBERT: Names = Names {
    model_type: "camembert",
    class: "Camembert",
    ..ROBERTA
};

/// All that are read.
pub(super) static ALL: [Names; 4] = [BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT];
