//! Passes that leave out layers and tokens, for every family and head.

mod scores;
mod tokens;

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{ModelConfig, Task};
use ligo_models::{DropoutStream, Error, Inputs, Layers, Model, Pass, TokenDrop};

use crate::common::{
    answers, any, batch, classes, decoders, images, number, replaced, tiny, tiny_albert, tiny_distilbert, tiny_electra,
    tiny_modernbert, tiny_roberta, values,
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
