//! From a model's configuration to the numbers that its cost depends on.

use std::ops::Add;

use ligo_arch::{Axis, ModelConfig, ParamTable, Task};
use ligo_cost::hardware::Precision;
use ligo_cost::{Flops, PartialPass, Predicted, SparseDims, TransformerDims, electra, exact};
use ligo_growth::{LigoConfig, Sharing};
use ligo_models::Layers;
use ligo_train::{OptimizerKind, StepContext, StepCost, TrainConfig, Work};

/// The sizes that the counters need. Models of images have a sequence length of their own.
pub fn dims(config: &ModelConfig, seq_len: usize, mask_probability: f64) -> TransformerDims {
    let sizes = config.sizes();
    let seq_len = sizes.tokens.unwrap_or(seq_len);
    let embedding = Some(config.table().size(Axis::WORD_EMBEDDING)).filter(|width| *width > 0);
    let predicts_tokens = matches!(config.task(), Task::MaskedLm | Task::CausalLm);
    TransformerDims {
        layers: sizes.layers,
        class_layers: sizes.class_layers,
        hidden: sizes.hidden,
        query: sizes.query,
        key_value: sizes.key_value,
        ffn: sizes.ffn,
        ffn_matrices: sizes.ffn_matrices,
        sparse: sizes.sparse.map(|sparse| SparseDims {
            layers: sparse.layers,
            experts: sparse.experts,
            active: sparse.active,
            ffn: sparse.ffn,
        }),
        heads: sizes.heads,
        vocab: sizes.outputs,
        patch: sizes.patch,
        patches: config
            .image_shape()
            .and_then(|[channels, height, width]| (channels * height * width).checked_div(sizes.patch))
            .unwrap_or(0),
        seq_len,
        predicted: match config.task() {
            Task::MaskedLm => Predicted::Masked {
                fraction: mask_probability * (seq_len as f64 - 2.0) / seq_len as f64,
            },
            Task::CausalLm | Task::QuestionAnswering | Task::ReplacedTokens => Predicted::EveryToken,
            Task::SequenceClassification { .. } | Task::ImageClassification { .. } | Task::HiddenStates => {
                Predicted::EverySequence
            }
        },
        head_transform: sizes.head_transform,
        embedding,
        head: embedding.filter(|_| predicts_tokens),
    }
}

/// The cost of a plain training step of `sequences` sequences.
pub fn step(dims: &TransformerDims, sequences: usize) -> Flops {
    Flops {
        exact: exact::train_step_flops(dims, sequences),
        electra: electra::train_step_flops(dims, sequences),
    }
}

/// What gradient checkpointing adds to a step: the layers forward once more.
fn layers_again(dims: &TransformerDims, sequences: usize) -> Flops {
    Flops {
        exact: exact::recomputed_layers_flops(dims, sequences),
        electra: sequences as f64 * electra::forward_flops(dims).layers,
    }
}

/// The price of training steps by what they compute: less where layers, tokens or gradients are left out, more where a teacher runs.
#[derive(Clone, Copy, Debug)]
pub struct TrainingCost {
    /// The model's sizes.
    pub model: TransformerDims,
    /// The teacher's, if there is one.
    pub teacher: Option<TransformerDims>,
    /// Sequences of a micro-batch.
    pub batch_sequences: usize,
    /// Micro-batches of a step.
    pub accumulation: usize,
    /// Whether layers are computed again in the backward pass.
    pub recomputes_layers: bool,
    /// FLOPs of the optimizer's own products in a step, which no counter of passes sees: Muon's, or none.
    pub optimizer_flops: f64,
}

impl TrainingCost {
    /// Of a run with these settings.
    pub fn new(model: TransformerDims, teacher: Option<TransformerDims>, train: &TrainConfig) -> Self {
        Self {
            model,
            teacher,
            batch_sequences: train.batch_size,
            accumulation: train.accumulation,
            recomputes_layers: train.gradient_checkpointing,
            optimizer_flops: match train.optimizer.kind {
                OptimizerKind::Muon => exact::muon_flops(&model, train.optimizer.muon.ns_steps),
                OptimizerKind::Adamw | OptimizerKind::Sgd => 0.0,
            },
        }
    }

    /// The first `steps` steps of a run, before it is made.
    pub fn planned(&self, train: &TrainConfig, steps: u64) -> Flops {
        if train.special_passes().is_empty() {
            return self.whole() * steps as f64;
        }
        let at = |step, micro_step| StepContext {
            config: train,
            step,
            micro_step,
        };
        let work = |step| {
            (0..self.accumulation).map(move |micro_step| Work::planned(self.model.layers, &at(step, micro_step)))
        };
        let updates = self.updates(steps);
        let passes = (0..steps).flat_map(work).map(|work| self.micro_batch(&work));
        passes.fold(updates, Flops::add)
    }

    /// Both counters have what the optimizer multiplies in so many steps.
    fn updates(&self, steps: u64) -> Flops {
        let flops = self.optimizer_flops * steps as f64;
        Flops {
            exact: flops,
            electra: flops,
        }
    }

    fn micro_batch(&self, work: &Work) -> Flops {
        if work.labels == Some(0) {
            return Flops::default();
        }
        let predicting = |dims| predicting(dims, work.labels, self.batch_sequences);
        let model = predicting(self.model);
        let model = price(&partial(&model, work), &model, self.batch_sequences);
        let teacher = self.teacher.filter(|_| work.teacher).map(predicting);
        let teacher = teacher.map(|dims| price(&PartialPass::forward(&dims), &dims, self.batch_sequences));
        model + teacher.unwrap_or_default()
    }
}

impl StepCost for TrainingCost {
    fn of(&self, micro_batches: &[Work]) -> Flops {
        micro_batches
            .iter()
            .map(|work| self.micro_batch(work))
            .fold(self.updates(1), Flops::add)
    }

    fn whole(&self) -> Flops {
        let sequences = self.batch_sequences * self.accumulation;
        let again = self.recomputes_layers.then(|| layers_again(&self.model, sequences));
        step(&self.model, sequences) + again.unwrap_or_default() + self.updates(1)
    }
}

/// The same sizes with the masked tokens that were there instead of those to be expected.
fn predicting(dims: TransformerDims, labels: Option<usize>, sequences: usize) -> TransformerDims {
    let predicted = match (dims.predicted, labels) {
        (Predicted::Masked { .. }, Some(labels)) => Predicted::Masked {
            fraction: labels as f64 / (sequences * dims.seq_len) as f64,
        },
        (predicted, _) => predicted,
    };
    TransformerDims { predicted, ..dims }
}

fn price(pass: &PartialPass, dims: &TransformerDims, sequences: usize) -> Flops {
    Flops {
        exact: pass.exact_flops(dims, sequences),
        electra: pass.electra_flops(dims, sequences),
    }
}

fn partial(dims: &TransformerDims, work: &Work) -> PartialPass {
    let whole = PartialPass::whole(dims);
    let pass = match &work.layers {
        Layers::All => whole,
        Layers::First(count) => whole.first(*count),
        Layers::Without(layers) => whole.without(layers.iter().copied()),
    };
    let pass = match &work.tokens {
        None => pass,
        Some(drop) => pass.with_tokens(drop.from_layer..drop.to_layer, drop.kept_tokens(dims.seq_len)),
    };
    let mut pass = pass.trained_from(work.trained.from_layer);
    pass.trains_embeddings = work.trained.embeddings;
    pass.recomputes_layers = work.recompute;
    pass
}

/// The tensors that an operator computes, as the exact counter wants them.
pub fn growth(small: &ParamTable, large: &ParamTable) -> Vec<exact::TensorGrowth> {
    let rows = large.specs().iter().filter(|s| s.required);
    rows.map(|spec| {
        let size = |table: &ParamTable, i: usize| spec.axes.get(i).map_or(1, |a| table.size(*a));
        exact::TensorGrowth {
            rows_small: size(small, 0),
            cols_small: size(small, 1),
            rows_large: size(large, 0),
            cols_large: size(large, 1),
            layers_small: spec.stack.map_or(1, |s| small.depth(s)),
            layers_large: spec.stack.map_or(1, |s| large.depth(s)),
        }
    })
    .collect()
}

/// Whether an operator mixes the small layers before or after it widens them.
pub fn order(sharing: Sharing) -> exact::GrowthOrder {
    match sharing {
        Sharing::PerLargeLayer => exact::GrowthOrder::DepthThenWidth,
        Sharing::Shared | Sharing::PerSmallLayer => exact::GrowthOrder::WidthThenDepth,
    }
}

/// The cost of a step of operator learning: exact with the operator counted once, and as the paper counts. Every term of the
/// operator counts whole.
pub fn learn_step(
    small: (&ModelConfig, &TransformerDims),
    large: (&ModelConfig, &TransformerDims),
    train: &TrainConfig,
    config: &LigoConfig,
) -> Flops {
    let sequences = train.sequences_per_step();
    let tensors = growth(&small.0.table(), &large.0.table()).repeat(config.terms);
    let order = order(config.sharing);
    let (one, further) = (
        electra::ligo_step_flops(small.1, large.1, sequences),
        config.terms.saturating_sub(1),
    );
    let again = train.gradient_checkpointing.then(|| layers_again(large.1, sequences));
    let step = Flops {
        exact: exact::ligo_step_flops(large.1, sequences, &tensors, order),
        electra: one + further as f64 * (one - electra::train_step_flops(large.1, sequences)),
    };
    step + again.unwrap_or_default()
}

/// The price of steps that learn an operator: of training the large model by what it computes, and of the operator once a step.
#[derive(Clone, Copy, Debug)]
pub struct LearningCost {
    training: TrainingCost,
    operator: Flops,
}

impl LearningCost {
    /// Of a step that costs `step` as [`learn_step`] says.
    pub fn new(large: TransformerDims, step: Flops, train: &TrainConfig) -> Self {
        let training = TrainingCost::new(large, None, train);
        let plain = training.whole();
        Self {
            training,
            operator: step - plain,
        }
    }
}

impl StepCost for LearningCost {
    fn of(&self, micro_batches: &[Work]) -> Flops {
        self.training.of(micro_batches) + self.operator
    }

    fn whole(&self) -> Flops {
        self.training.whole() + self.operator
    }
}

/// A precision as prices know it.
pub fn counted(precision: ligo_ops::Precision) -> Precision {
    match precision {
        ligo_ops::Precision::F32 => Precision::F32,
        ligo_ops::Precision::Tf32 => Precision::Tf32,
        ligo_ops::Precision::Bf16 => Precision::Bf16,
    }
}

/// A precision as products know it.
pub fn computed(precision: Precision) -> ligo_ops::Precision {
    match precision {
        Precision::F32 => ligo_ops::Precision::F32,
        Precision::Tf32 => ligo_ops::Precision::Tf32,
        Precision::Bf16 => ligo_ops::Precision::Bf16,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{TrainingCost, dims};
    use ligo_arch::ModelConfig;
    use ligo_cost::exact;
    use ligo_train::{StepCost, TrainConfig, Work};
    use serde_json::json;

    fn config(json: &serde_json::Value) -> ModelConfig {
        ModelConfig::from_json(json).unwrap()
    }

    #[test]
    fn class_tokens_are_no_patches() {
        let image = |kind: &str| {
            json!({"model_type": kind, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
                "image_size": 8, "patch_size": 4, "num_channels": 3, "num_labels": 3})
        };
        for (kind, prefix) in [("vit", 1), ("deit", 2), ("cait", 0)] {
            let dims = dims(&config(&image(kind)), 128, 0.0);
            assert_eq!((dims.patches, dims.seq_len), (4, 4 + prefix), "{kind}");
            // 2 images of 4 patches of 48 numbers.
            let none = ligo_cost::TransformerDims { patches: 0, ..dims };
            let of_patches = exact::forward_flops(&dims, 2).total() - exact::forward_flops(&none, 2).total();
            assert_eq!(of_patches, f64::from(2 * 2 * 4 * 48 * 8), "{kind}");
            let trained = exact::train_step_flops(&dims, 2) - exact::train_step_flops(&none, 2);
            assert_eq!(trained, f64::from(2 * 2 * 2 * 4 * 48 * 8), "{kind}");
        }
    }

    #[test]
    fn projected_tables_and_heads_cost_what_their_matrices_multiply() {
        // 2 sequences of 16 tokens; tables of width 4 before layers of width 8; 40 words.
        let (n, e, d, v) = (32.0, 4.0, 8.0, 40.0);
        let sizes = json!({"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
            "embedding_size": 4, "max_position_embeddings": 32, "type_vocab_size": 2, "ffn_dim": 12, "word_embed_proj_dim": 4,
            "do_layer_norm_before": false});
        for (kind, class, predicted, head) in [
            ("albert", "AlbertForMaskedLM", 0.15 * 14.0 / 16.0, d * e + e * v),
            ("electra", "ElectraForMaskedLM", 0.15 * 14.0 / 16.0, d * e + e * v),
            ("electra", "ElectraForPreTraining", 1.0, d * d + d),
            ("opt", "OPTForCausalLM", 1.0, d * e + e * v),
        ] {
            let mut json = sizes.clone();
            json["model_type"] = kind.into();
            json["architectures"] = json!([class]);
            let dims = dims(&config(&json), 16, 0.15);
            let flops = exact::forward_flops(&dims, 2);
            let plain = ligo_cost::TransformerDims {
                embedding: None,
                ..dims
            };
            let tokens = flops.projections - exact::forward_flops(&plain, 2).projections;
            assert_eq!(tokens, 2.0 * n * e * d, "{class}");
            assert!(
                (flops.head - 2.0 * n * predicted * head).abs() < 1e-6,
                "{class}: {}",
                flops.head
            );
            // As a pass in which nothing is left out.
            let whole = ligo_cost::PartialPass::whole(&dims).exact_flops(&dims, 2);
            assert_eq!(whole, exact::train_step_flops(&dims, 2), "{class}");
        }
    }

    #[test]
    fn a_batch_is_charged_for_the_tokens_that_were_masked_in_it() {
        let bert = json!({"model_type": "bert", "vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2,
            "intermediate_size": 12, "max_position_embeddings": 32, "type_vocab_size": 2});
        let train = TrainConfig {
            batch_size: 4,
            ..TrainConfig::default()
        };
        let cost = TrainingCost::new(dims(&config(&bert), 32, 0.15), None, &train);
        let of = |labels| {
            cost.of(&[Work {
                labels,
                ..Work::default()
            }])
        };
        // Three products for each token that is predicted: the layer before the words, and the words.
        let token = f64::from(3 * 2 * (8 * 8 + 8 * 100));
        let (ten, eleven) = (of(Some(10)), of(Some(11)));
        assert!((eleven.exact - ten.exact - token).abs() < 1e-6);
        assert_eq!(
            ten.electra, eleven.electra,
            "the paper's counter has a share of its own"
        );
        // What is to be expected: 0.15 of 30 tokens of each sequence.
        assert!((of(None).exact - of(Some(18)).exact).abs() < 1e-6);
        assert_eq!(of(None), cost.whole());
        assert_eq!(of(Some(0)).exact, 0.0, "nothing was computed");
    }
}
