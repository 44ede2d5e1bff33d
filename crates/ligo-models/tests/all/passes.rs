//! Passes that leave out layers and tokens, for every family and head.

use std::collections::BTreeMap;

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::{ModelConfig, Task};
use ligo_models::{
    CausalInputs, DropoutStream, Error, Inputs, Layers, MlmInputs, Model, Pass, Targets, TextFeatures, TokenDrop,
};

use crate::common::{
    answers, any, batch, classes, decoders, images, number, replaced, texts, tiny, tiny_albert, tiny_distilbert,
    tiny_electra, tiny_modernbert, tiny_roberta, values,
};
use crate::filled::{filled, filled_with};

/// One of each family and head.
fn kinds() -> Vec<ModelConfig> {
    let encoders = [any(tiny()), any(tiny_roberta())];
    let heads = encoders.iter().flat_map(|config| {
        let classes = Task::SequenceClassification { labels: 3 };
        [classes, Task::QuestionAnswering].map(|task| config.with_task(task).unwrap())
    });
    let mut kinds: Vec<_> = heads.collect();
    kinds.extend(encoders);
    kinds.extend([tiny_distilbert(), tiny_modernbert()]);
    kinds.extend(tiny_electra());
    kinds.push(tiny_albert());
    kinds.extend(decoders::kinds());
    kinds.extend(images::dropping(0.1, 0.1, 0.2));
    kinds
}

/// A mixture's routers are asked once, so that layers that are balanced are not computed again.
#[test]
fn a_loss_that_balances_experts_is_the_same_where_layers_would_be_computed_again() {
    let config = decoders::balanced();
    let pass = Pass::whole(DropoutStream::new(3));
    let again = Pass {
        recompute: true,
        ..pass.clone()
    };
    assert_eq!(learned(&config, 0, &again), learned(&config, 0, &pass));
}

/// The same with another number of layers.
fn with_layers(config: &ModelConfig, layers: usize) -> ModelConfig {
    let mut config = config.clone();
    match &mut config {
        ModelConfig::Bert(c) => c.num_hidden_layers = layers,
        ModelConfig::DistilBert(c) => c.n_layers = layers,
        ModelConfig::Electra(c) => c.num_hidden_layers = layers,
        ModelConfig::Albert(c) => (c.num_hidden_layers, c.num_hidden_groups) = (layers, layers),
        ModelConfig::ModernBert(c) => c.num_hidden_layers = layers,
        ModelConfig::Vit(c) => c.num_hidden_layers = layers,
        ModelConfig::Cait(c) => c.num_hidden_layers = layers,
        ModelConfig::Gpt2(c) => c.n_layer = layers,
        ModelConfig::GptNeox(c) => c.num_hidden_layers = layers,
        ModelConfig::Gemma(c) => c.num_hidden_layers = layers,
        ModelConfig::Opt(c) => c.num_hidden_layers = layers,
        ModelConfig::Llama(c) => c.num_hidden_layers = layers,
    }
    config
}

/// A model of three layers with one less, whose others stay what they are.
fn without_layer(config: &ModelConfig, missing: usize) -> ModelConfig {
    let kept: Vec<_> = (0..3).filter(|layer| *layer != missing).map(Some).collect();
    with_layers(config, 2).with_layers_of(&with_layers(config, 3), &kept)
}

/// What it learns from.
fn inputs(config: &ModelConfig, device: &Device) -> Inputs {
    match config.task() {
        Task::SequenceClassification { .. } => Inputs::Sequences(classes(device)),
        Task::QuestionAnswering => Inputs::Spans(answers(device)),
        Task::MaskedLm => batch(device).into(),
        Task::ReplacedTokens => Inputs::Replaced(replaced(device)),
        Task::CausalLm => Inputs::Causal(decoders::next_tokens(device)),
        _ => Inputs::Images(images::labeled(device)),
    }
}

/// A model whose tensors have the values that belong to the name that `source` makes of theirs.
fn renamed(config: &ModelConfig, device: &Device, source: impl Fn(&str) -> String) -> Model {
    filled_with(config, device, |name, shape| values(&source(name), shape))
}

/// The layer of a tensor, where it belongs to one that a pass can leave out.
fn layer_of(name: &str) -> Option<usize> {
    let is_counted = !name.starts_with("blocks_token_only");
    name.split('.')
        .filter(|_| is_counted)
        .find_map(|part| part.parse().ok())
}

fn with(layers: Layers) -> Pass {
    Pass {
        layers,
        ..Pass::evaluation()
    }
}

fn dropping(from_layer: usize, to_layer: usize, keep: f64, seed: u64) -> Pass {
    Pass {
        tokens: Some(TokenDrop {
            from_layer,
            to_layer,
            keep,
            seed,
        }),
        ..Pass::evaluation()
    }
}

fn loss(model: &Model, inputs: &Inputs, pass: &Pass) -> f64 {
    number(model.loss_with(inputs, pass).unwrap())
}

/// Rows of logits.
fn rows(model: &Model, inputs: &Inputs, pass: &Pass) -> Vec<Vec<f64>> {
    let logits = model.scores(inputs, pass).unwrap().head.logits;
    let width = logits.dims()[1];
    let values: Vec<f64> = logits.into_data().iter().collect();
    values.chunks_exact(width).map(<[f64]>::to_vec).collect()
}

#[test]
fn a_pass_that_leaves_nothing_out_is_the_plain_one_to_the_last_bit() {
    let device = Device::flex();
    for config in kinds() {
        let (model, inputs) = (filled(&config, &device), inputs(&config, &device));
        let dropout = DropoutStream::new(5);
        let expected = number(model.loss(&inputs, &dropout).unwrap());
        let whole = Pass::whole(dropout);
        for layers in [Layers::All, Layers::First(2), Layers::Without([].into())] {
            for tokens in [None, dropping(0, 2, 1.0, 3).tokens, dropping(1, 2, 1.0, 3).tokens] {
                let pass = Pass {
                    layers: layers.clone(),
                    tokens,
                    ..whole.clone()
                };
                assert_eq!(loss(&model, &inputs, &pass), expected);
                // A pass is a value: going through it does not change it.
                assert_eq!(loss(&model, &inputs, &pass), expected);
            }
        }
    }
}

#[test]
fn a_pass_through_the_first_layers_is_one_of_a_model_that_has_no_others() {
    let device = Device::flex();
    for config in kinds() {
        let model = filled(&with_layers(&config, 3), &device);
        let inputs = inputs(&config, &device);
        let mut losses = Vec::new();
        for count in 1..=3 {
            let smaller = filled(&with_layers(&config, count), &device);
            losses.push(loss(&model, &inputs, &with(Layers::First(count))));
            assert_eq!(losses.last(), Some(&loss(&smaller, &inputs, &Pass::evaluation())));
        }
        assert!(losses[0] != losses[1] && losses[1] != losses[2], "{losses:?}");
    }
}

#[test]
fn a_pass_without_a_layer_is_one_of_a_model_that_does_not_have_it() {
    let device = Device::flex();
    for config in kinds() {
        let model = filled(&with_layers(&config, 3), &device);
        let inputs = inputs(&config, &device);
        // Without its first layer a ModernBERT has one that normalizes nothing in its place.
        let first = usize::from(matches!(config, ModelConfig::ModernBert(_)));
        for missing in first..3 {
            let smaller = renamed(&without_layer(&config, missing), &device, |name| match layer_of(name) {
                Some(layer) if layer >= missing => name.replacen(&format!(".{layer}."), &format!(".{}.", layer + 1), 1),
                _ => name.to_owned(),
            });
            let found = loss(&model, &inputs, &with(Layers::Without([missing].into())));
            assert_eq!(found, loss(&smaller, &inputs, &Pass::evaluation()));
        }
    }
}

#[test]
fn layers_that_did_not_run_get_no_gradient_and_all_others_do() {
    let device = Device::flex().autodiff();
    for config in kinds() {
        let config = with_layers(&config, 3);
        let inputs = inputs(&config, &device);
        let passes = [
            with(Layers::First(2)),
            with(Layers::Without([0].into())),
            with(Layers::Without([0, 1, 2].into())),
            dropping(1, 3, 0.6, 4),
        ];
        for pass in passes {
            let mut leaves = BTreeMap::new();
            let mut tracked = |name: &str, shape: &[usize]| {
                let values = values(name, shape);
                let count = values.len();
                let leaf = Tensor::<1>::from_data(TensorData::new(values, [count]), &device).require_grad();
                leaves.insert(name.to_owned(), leaf.clone());
                Ok::<_, Error>(leaf)
            };
            let model = Model::skeleton(&config, &device)
                .unwrap()
                .install(&mut tracked)
                .unwrap();
            let gradients = model.loss_with(&inputs, &pass).unwrap().backward();
            for (name, leaf) in &leaves {
                let ran = layer_of(name).is_none_or(|layer| pass.layers.contain(layer));
                assert_eq!(leaf.grad(&gradients).is_some(), ran, "{name} with {:?}", pass.layers);
            }
        }
    }
}

/// The loss of a pass and the gradients of all parameters but the `frozen` lowest layers'.
fn learned(config: &ModelConfig, frozen: usize, pass: &Pass) -> (f64, BTreeMap<String, Vec<f32>>) {
    let device = Device::flex().autodiff();
    let mut leaves = BTreeMap::new();
    let mut tracked = |name: &str, shape: &[usize]| {
        let values = values(name, shape);
        let count = values.len();
        let leaf = Tensor::<1>::from_data(TensorData::new(values, [count]), &device);
        let is_trained = frozen == 0 || layer_of(name).is_some_and(|layer| layer >= frozen);
        let leaf = if is_trained { leaf.require_grad() } else { leaf };
        leaves.insert(name.to_owned(), leaf.clone());
        Ok::<_, Error>(leaf)
    };
    let skeleton = Model::skeleton(config, &device).unwrap();
    let model = skeleton.install(&mut tracked).unwrap();
    let loss = model.loss_with(&inputs(config, &device), pass).unwrap();
    let mut gradients = loss.backward();
    let taken = leaves.into_iter().filter_map(|(name, leaf)| {
        let gradient = leaf.grad_remove(&mut gradients)?;
        Some((name, gradient.into_data().iter::<f32>().collect()))
    });
    (number(loss), taken.collect())
}

#[test]
fn layers_that_are_computed_again_give_the_same_loss_and_gradients_to_the_last_bit() {
    for config in kinds() {
        let config = with_layers(&config, 3);
        let passes = [
            Pass::whole(DropoutStream::new(3)),
            with(Layers::Without([1].into())),
            Pass {
                dropout: DropoutStream::new(4),
                ..dropping(1, 3, 0.6, 4)
            },
        ];
        for pass in passes {
            for frozen in [0, 2] {
                let again = Pass {
                    recompute: true,
                    ..pass.clone()
                };
                let (plain, recomputed) = (learned(&config, frozen, &pass), learned(&config, frozen, &again));
                assert!(!plain.1.is_empty());
                assert_eq!(recomputed, plain, "{config:?}");
            }
        }
    }
}

/// Two sequences of five tokens, with a label at every one of them.
fn everywhere(config: &ModelConfig, ids: [[i64; 5]; 2], device: &Device) -> Inputs {
    let input_ids = Tensor::<2, Int>::from_data(ids, device);
    if config.task() == Task::MaskedLm {
        let TextFeatures { token_type_ids, .. } = texts(device);
        return Inputs::Masked(MlmInputs {
            input_ids,
            token_type_ids,
            attention_mask: None,
            masked_positions: Tensor::arange(0..10, device),
            labels: Tensor::ones([10], device),
        });
    }
    Inputs::Causal(CausalInputs {
        input_ids,
        labels: Tensor::ones([2, 5], device),
        documents: None,
        position_ids: None,
    })
}

fn languages() -> Vec<ModelConfig> {
    let mut kinds = vec![any(tiny()), any(tiny_roberta()), tiny_distilbert()];
    kinds.extend(decoders::kinds());
    kinds
}

const IDS: [[i64; 5]; 2] = [[1, 12, 3, 4, 7], [5, 2, 9, 8, 6]];

/// Which rows are the same in both.
fn same(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<bool> {
    a.iter().zip(b).map(|(a, b)| a == b).collect()
}

#[test]
fn a_dropped_token_keeps_the_state_it_had_before() {
    let device = Device::flex();
    for config in languages() {
        let config = with_layers(&config, 3);
        let (model, inputs) = (filled(&config, &device), everywhere(&config, IDS, &device));
        // What the head says of the states in front of layer 1, which is all it can say of those that no later layer changes.
        let before = rows(&model, &inputs, &with(Layers::First(1)));
        let behind = rows(&model, &inputs, &dropping(1, 3, 0.6, 4));
        let unchanged = same(&before, &behind);
        for sequence in unchanged.chunks_exact(5) {
            assert_eq!(sequence.iter().filter(|same| **same).count(), 2);
        }
        // An encoder's first token stays.
        assert!(config.task() != Task::MaskedLm || !(unchanged[0] || unchanged[5]));
        // Together again in the last layer, every token is changed by it.
        let merged = rows(&model, &inputs, &dropping(1, 2, 0.6, 4));
        assert!(same(&before, &merged).iter().all(|same| !same));
        assert_ne!(merged, rows(&model, &inputs, &Pass::evaluation()));
    }
}

#[test]
fn dropping_tokens_from_all_layers_is_hiding_them_from_the_others() {
    let device = Device::flex();
    // The positions of an OPT count the tokens that a mask leaves.
    for config in languages()
        .into_iter()
        .filter(|config| !matches!(config, ModelConfig::Opt(_)))
    {
        let (model, inputs) = (filled(&config, &device), everywhere(&config, IDS, &device));
        let found = rows(&model, &inputs, &dropping(0, 2, 0.6, 4));
        let dropped = same(&found, &rows(&model, &inputs, &with(Layers::First(0))));
        // A mask hides tokens and leaves positions, rotations included, as they are.
        let visible = dropped.iter().map(|dropped| f32::from(!dropped)).collect();
        let features = TextFeatures {
            attention_mask: Some(Tensor::from_data(TensorData::new::<f32, _>(visible, [2, 5]), &device)),
            token_type_ids: matches!(config, ModelConfig::Bert(_))
                .then(|| texts(&device).token_type_ids)
                .flatten(),
            input_ids: Tensor::from_data(IDS, &device),
        };
        let expected: Vec<f64> = model.logits(&features.into()).unwrap().into_data().iter().collect();
        let expected = expected.chunks_exact(found[0].len());
        for (i, (found, expected)) in found.iter().zip(expected).enumerate().filter(|(i, _)| !dropped[*i]) {
            let distance = found
                .iter()
                .zip(expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f64::max);
            assert!(distance < 1e-5, "token {i}: {distance}");
        }
    }
}

#[test]
fn decoders_see_no_later_token_and_no_other_document_when_tokens_are_dropped() {
    let device = Device::flex();
    for config in decoders::kinds() {
        let model = filled(&config, &device);
        let of = |ids| {
            let inputs = CausalInputs {
                input_ids: Tensor::from_data(ids, &device),
                ..decoders::next_tokens(&device)
            };
            rows(&model, &Inputs::Causal(inputs), &dropping(0, 2, 0.8, 11))
        };
        let before = of(IDS);
        // Documents: the first three and the last two tokens; the first two and the last three.
        for (place, document) in [(0, 0..3), (1, 0..3), (3, 3..5), (5, 5..7), (6, 5..7), (8, 7..10)] {
            let mut ids: [[i64; 5]; 2] = IDS;
            ids[place / 5][place % 5] = 11;
            let same = same(&before, &of(ids));
            assert!(!same[place]);
            for other in (0..10).filter(|other| *other < place || !document.contains(other)) {
                assert!(same[other], "{other} changes with {place}");
            }
        }
    }
}

#[test]
fn padding_stays_hidden_when_tokens_are_dropped() {
    let device = Device::flex();
    for config in [any(tiny()), any(tiny_roberta()), tiny_distilbert()] {
        let model = filled(&config, &device);
        // Two tokens of padding in the second sequence, of which a seed drops one or none.
        let of = |padding: i32, seed| {
            let inputs = MlmInputs {
                input_ids: Tensor::from_data([[1, 12, 3, 4, 7], [5, 2, 9, padding, padding]], &device),
                ..batch(&device)
            };
            rows(&model, &inputs.into(), &dropping(0, 2, 0.8, seed))
        };
        for seed in 0..8 {
            assert_eq!(of(11, seed), of(6, seed));
        }
    }
}

#[test]
fn images_keep_their_class_tokens() {
    let device = Device::flex();
    for config in images::kinds() {
        let (model, inputs) = (filled(&config, &device), inputs(&config, &device));
        let of = |keep, seed| loss(&model, &inputs, &dropping(0, 1, keep, seed));
        assert_ne!(of(0.5, 1), of(0.5, 2));
        // As few as there can be: the tokens in front of the patches read themselves only. A CaiT has none.
        if let ModelConfig::Vit(_) = config {
            assert_eq!(of(0.01, 1), of(0.01, 2));
        }
    }
}

#[test]
fn scores_are_the_logits_where_labels_are() {
    let device = Device::flex();
    let config = any(tiny());
    let (model, inputs) = (filled(&config, &device), batch(&device));
    let scores = model.scores(&inputs.clone().into(), &Pass::evaluation()).unwrap();
    let all = model.logits(&texts(&device).into()).unwrap().reshape([10, 13]);
    let expected: Vec<f64> = all.select(0, inputs.masked_positions).into_data().iter().collect();
    let found: Vec<f64> = scores.head.logits.into_data().iter().collect();
    assert!(found.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5));
    let Targets::Labels(labels) = scores.head.targets else {
        panic!("masked tokens have labels")
    };
    assert_eq!(labels.into_data(), inputs.labels.into_data());

    for config in images::kinds() {
        let inputs = images::labeled(&device);
        let scores = filled(&config, &device).scores(&Inputs::Images(inputs.clone()), &Pass::evaluation());
        let Targets::Probabilities(targets) = scores.unwrap().head.targets else {
            panic!("images have probabilities")
        };
        assert_eq!(targets.into_data(), inputs.targets.into_data());
    }
}

#[test]
fn the_loss_is_that_of_the_scores() {
    let device = Device::flex();
    for config in kinds() {
        let (model, inputs) = (filled(&config, &device), inputs(&config, &device));
        let pass = Pass::whole(DropoutStream::new(8));
        let scores = model.scores(&inputs, &pass).unwrap();
        assert_eq!(number(scores.loss()), loss(&model, &inputs, &pass));
    }
}

#[test]
fn a_student_is_as_far_from_its_teacher_as_their_logits_say() {
    let device = Device::flex().autodiff();
    for config in kinds() {
        let inputs = inputs(&config, &device);
        let student = filled(&config, &device).scores(&inputs, &Pass::evaluation()).unwrap();
        assert_eq!(number(student.distillation(&student, 2.0).unwrap()), 0.0);
        // Fewer layers, as a small model has.
        let teacher = filled(&with_layers(&config, 1), &device);
        let teacher = teacher.scores(&inputs, &Pass::evaluation()).unwrap();
        let distance = |temperature| number(student.distillation(&teacher, temperature).unwrap());
        assert!(distance(1.0) > 0.0 && distance(2.0) != distance(1.0));
    }
}

#[test]
fn a_teacher_with_other_logits_is_refused() {
    let device = Device::flex();
    let of = |vocab_size| {
        let config = any(ligo_arch::BertConfig { vocab_size, ..tiny() });
        let model = filled(&config, &device);
        model.scores(&batch(&device).into(), &Pass::evaluation()).unwrap()
    };
    assert_eq!(
        of(13).distillation(&of(14), 2.0).unwrap_err(),
        Error::UnlikeTeacher {
            student: vec![[3, 13]],
            teacher: vec![[3, 14]]
        }
    );
}

#[test]
fn a_pass_for_another_depth_is_refused_by_every_family() {
    let device = Device::flex();
    for config in kinds() {
        let (model, inputs) = (filled(&config, &device), inputs(&config, &device));
        let refused = |pass: &Pass| model.loss_with(&inputs, pass).unwrap_err();
        let too_few = Error::TooFewLayers { needed: 3, depth: 2 };
        assert_eq!(refused(&with(Layers::First(3))), too_few);
        assert_eq!(refused(&with(Layers::Without([2].into()))), too_few);
        let fault = refused(&dropping(1, 3, 0.5, 1));
        assert_eq!(
            fault.to_string(),
            "tokens are left out from layer 1 to layer 3; expected a first layer below the second, and no more than the model's 2 layers"
        );
    }
}
