//! Layers that several ranks compute together, beside the same layers on one.

mod faults;
mod passes;
mod training;

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{Axis, LayerSplit, LlamaConfig, ModelConfig, ParamTable, Resize, Size, Task};
use ligo_models::{
    CausalInputs, Error, Features, ImageInputs, Inputs, MlmInputs, Model, Pass, ReplacedInputs, SplitModel,
    TextFeatures,
};
use ligo_train::{LayerRanks, LayerSums, ThreadRank};

const LAYERS: usize = 2;

/// Families whose layers stay whole.
const WHOLE: [&str; 3] = ["cait", "mixtral", "qwen3_moe"];

/// How a pass goes; each rank makes its own.
type Way<'a> = &'a (dyn Fn() -> Pass + Sync);

/// What a rank, or one alone, comes to.
struct Found {
    loss: f32,
    gradients: BTreeMap<String, Vec<f32>>,
    forward: LayerSums,
    both_ways: LayerSums,
}

/// The example of a family with two layers and four heads.
fn wide(model_type: &str) -> ModelConfig {
    let resize = Resize {
        layers: Some(Size::Exactly(LAYERS)),
        width: Some(Size::Times(4.0)),
        ..Resize::default()
    };
    let example = ModelConfig::example(model_type).unwrap();
    let json = example.resized(&resize).unwrap().to_json();
    with_dropout(&json, 0.0, 0.0)
}

/// The same with dropout of what all ranks hold alike, and of attention weights and inner neurons.
fn with_dropout(json: &serde_json::Value, alike: f64, inner: f64) -> ModelConfig {
    let mut json = json.clone();
    let fields = json.as_object_mut().unwrap();
    for (field, value) in fields.iter_mut() {
        match field.as_str() {
            "hidden_dropout_prob"
            | "resid_pdrop"
            | "embd_pdrop"
            | "dropout"
            | "hidden_dropout"
            | "embedding_dropout"
            | "drop_path_rate" => *value = alike.into(),
            "attention_probs_dropout_prob" | "attn_pdrop" | "attention_dropout" | "mlp_dropout" => {
                *value = inner.into();
            }
            _ => {}
        }
    }
    ModelConfig::from_json(&json).unwrap()
}

/// One of each family that can be divided, and groups of query heads, several in a rank.
fn kinds() -> Vec<ModelConfig> {
    let families = ModelConfig::MODEL_TYPES.iter().filter(|family| !WHOLE.contains(family));
    let mut kinds: Vec<_> = families.map(|family| wide(family)).collect();
    for model_type in ["llama", "qwen3"] {
        kinds.push(ModelConfig::Llama(LlamaConfig {
            model_type: model_type.into(),
            num_key_value_heads: Some(4),
            head_dim: Some(4),
            attention_bias: true,
            ..LlamaConfig::new(64, 16, LAYERS, 8, 24)
        }));
    }
    kinds
}

/// Values of a parameter: the same for the same name, gains of normalizations around 1.
fn values(name: &str, count: usize) -> Vec<f32> {
    let mut state = name
        .bytes()
        .fold(7_u32, |hash, b| (hash ^ u32::from(b)).wrapping_mul(16_777_619));
    let is_gain = name.contains("norm") || name.contains("Norm") || name.contains("ln_");
    let center = if is_gain && name.ends_with("weight") { 1.0 } else { 0.0 };
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        center + 0.2 * ((state >> 8) as f32 / 8_388_608.0 - 1.0)
    };
    (0..count).map(|_| next()).collect()
}

/// Two sequences of three tokens, or an image.
fn batch(config: &ModelConfig, device: &Device) -> Inputs {
    let ids = Tensor::from_data([[1, 2, 3], [4, 5, 6]], device);
    match config.task() {
        Task::MaskedLm => Inputs::Masked(MlmInputs {
            input_ids: ids,
            token_type_ids: None,
            attention_mask: Some(Tensor::from_data([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]], device)),
            masked_positions: Tensor::from_data([1, 4], device),
            labels: Tensor::from_data([7, 8], device),
        }),
        Task::CausalLm => Inputs::Causal(CausalInputs {
            input_ids: ids.clone(),
            labels: ids,
            documents: None,
            position_ids: None,
        }),
        Task::ReplacedTokens => Inputs::Replaced(ReplacedInputs {
            text: TextFeatures::new(ids.clone()),
            labels: ids.greater_elem(3).int(),
        }),
        Task::ImageClassification { labels } => {
            let [channels, height, width] = config.image_shape().unwrap();
            let count = channels * height * width;
            let targets: Vec<f32> = (0..labels).map(|label| if label == 1 { 0.7 } else { 0.1 }).collect();
            Inputs::Images(ImageInputs {
                pixels: Tensor::from_data(
                    TensorData::new(values("pixels", count), [1, channels, height, width]),
                    device,
                ),
                targets: Tensor::from_data(TensorData::new(targets, [1, labels]), device),
            })
        }
        other => panic!("{other}"),
    }
}

/// Sequences times tokens in front of the first layer.
fn tokens(config: &ModelConfig) -> usize {
    match batch(config, &Device::flex()) {
        Inputs::Images(_) => {
            let sequence = config.table().size(Axis::POSITION);
            assert!(sequence > 0);
            sequence
        }
        _ => 6,
    }
}

/// Leaves for a model's parameters, and their gradients once there are some.
#[derive(Default)]
struct Leaves(BTreeMap<String, Tensor<1>>);

impl Leaves {
    fn add(&mut self, name: &str, values: Vec<f32>, device: &Device) -> Result<Tensor<1>, Error> {
        let count = values.len();
        let leaf = Tensor::from_data(TensorData::new(values, [count]), device).require_grad();
        self.0.insert(name.into(), leaf.clone());
        Ok(leaf)
    }

    fn gradients(&self, loss: &Tensor<1>) -> BTreeMap<String, Vec<f32>> {
        let gradients = loss.backward();
        let found = self.0.iter().filter_map(|(name, leaf)| {
            let gradient = leaf.grad(&gradients)?;
            Some((name.clone(), gradient.into_data().iter::<f32>().collect()))
        });
        found.collect()
    }
}

fn number(loss: &Tensor<1>) -> f32 {
    loss.clone().into_scalar::<f32>()
}

/// The whole model.
fn alone(config: &ModelConfig, pass: Way<'_>) -> Found {
    let device = Device::flex().autodiff();
    let mut leaves = Leaves::default();
    let model = Model::skeleton(config, &device)
        .unwrap()
        .install(&mut |name: &str, shape: &[usize]| leaves.add(name, values(name, shape.iter().product()), &device))
        .unwrap();
    let loss = model.loss_with(&batch(config, &device), &pass()).unwrap();
    Found {
        loss: number(&loss),
        gradients: leaves.gradients(&loss),
        forward: LayerSums::default(),
        both_ways: LayerSums::default(),
    }
}

/// A rank's part of the model, with its leaves.
fn part(config: &ModelConfig, ranks: &Arc<LayerRanks<ThreadRank>>, leaves: &mut Leaves) -> SplitModel {
    use ligo_ops::Group;
    let device = Device::flex().autodiff();
    let table = config.table();
    let split = LayerSplit::new(&table, ranks.size()).unwrap();
    SplitModel::skeleton_with(config, &[], ranks.clone(), &device)
        .unwrap()
        .install(&mut |name: &str, shape: &[usize]| {
            let param = table.get(name).unwrap();
            let whole = values(name, param.num_elements());
            let own = split.part(&param, ranks.rank()).map(|part| part.take(&whole));
            let own = own.unwrap_or(whole);
            assert_eq!(own.len(), shape.iter().product::<usize>(), "{name}");
            leaves.add(name, own, &device)
        })
        .unwrap()
}

/// What each of so many ranks comes to.
fn together(config: &ModelConfig, pass: Way<'_>, ranks: usize) -> Vec<Found> {
    each(ranks, |ranks| {
        let mut leaves = Leaves::default();
        let model = part(config, &ranks, &mut leaves);
        let loss = model
            .loss_with(&batch(config, &Device::flex().autodiff()), &pass())
            .unwrap();
        let forward = ranks.sums();
        let gradients = leaves.gradients(&loss);
        model.check().unwrap();
        Found {
            loss: number(&loss),
            gradients,
            forward,
            both_ways: ranks.sums(),
        }
    })
}

/// What each rank makes of its work, in a thread of its own.
fn each<T: Send>(ranks: usize, work: impl Fn(Arc<LayerRanks<ThreadRank>>) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = ThreadRank::all(ranks)
            .into_iter()
            .map(|rank| scope.spawn(move || work(Arc::new(LayerRanks::new(rank)))))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, x| most.max(x.abs()))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// The largest entry of a tensor's gradient. That of a key's bias is 0 where nothing rotates, since it cancels in the softmax, and what is computed of it is
/// the rounding of what the key's matrix has as well: its scale counts.
fn scale(table: &ParamTable, gradients: &BTreeMap<String, Vec<f32>>, tensor: &str) -> f32 {
    let is_key = table.get(tensor).unwrap().axes() == [Axis::KEY];
    let beside = gradients.get(&tensor.replace(".bias", ".weight")).filter(|_| is_key);
    largest(&gradients[tensor]).max(beside.map_or(0.0, |gradient| largest(gradient)))
}

/// Holds the ranks' loss and gradients against those of one alone, and against each other.
fn check(config: &ModelConfig, whole: &Found, found: &[Found], tolerance: f32) {
    let name = config.model_type();
    let table = config.table();
    let split = LayerSplit::new(&table, found.len()).unwrap();
    for (rank, own) in found.iter().enumerate() {
        assert_eq!(own.loss.to_bits(), found[0].loss.to_bits(), "{name}");
        let apart = (own.loss - whole.loss).abs() / whole.loss.abs();
        assert!(apart <= tolerance, "{name}: {} and {}", own.loss, whole.loss);
        assert!(own.gradients.keys().eq(whole.gradients.keys()), "{name}");
        for (tensor, gradient) in &own.gradients {
            let part = split.part(&table.get(tensor).unwrap(), rank);
            let expected = &whole.gradients[tensor];
            let expected = part.as_ref().map_or(expected.clone(), |part| part.take(expected));
            let scale = scale(&table, &whole.gradients, tensor);
            let differences = gradient.iter().zip(&expected).map(|(a, b)| a - b);
            let apart = largest(&differences.collect::<Vec<_>>()) / scale;
            assert!(
                apart <= tolerance,
                "{name} on {} ranks: `{tensor}` is apart by {apart}",
                found.len()
            );
            // What every rank has whole, all have alike: nobody needs to look after that.
            if part.is_none() {
                assert_eq!(bits(gradient), bits(&found[0].gradients[tensor]), "{name}: {tensor}");
            }
        }
    }
}

#[test]
fn loss_and_gradients_of_every_family_are_those_of_one_rank() {
    for config in kinds() {
        let whole = alone(&config, &Pass::evaluation);
        for ranks in [1, 2, 4] {
            check(&config, &whole, &together(&config, &Pass::evaluation, ranks), 1e-5);
        }
    }
}

#[test]
fn a_layer_sums_its_states_twice_on_the_way_there_and_twice_on_the_way_back() {
    for config in kinds() {
        let table = config.table();
        let layers = table.depths().map(|(stack, _)| table.runs(stack) as u64).sum::<u64>();
        let states = 4 * (tokens(&config) * table.size(Axis::HIDDEN)) as u64;
        // Beside states: the gains of all heads on the way back, or the squares of all queries and of all keys both ways.
        let head = 4 * 2 * table.size(head_width(&config)) as u64;
        let squares = match table.normalizes_heads_together() {
            true => 4 * 2 * tokens(&config) as u64,
            false => 0,
        };
        let sums = |others: u64| layers * (2 + u64::from(others > 0));
        let bytes = |others: u64| layers * (2 * states + others);
        for found in together(&config, &Pass::evaluation, 2) {
            let name = config.model_type();
            assert_eq!(found.forward.count, sums(squares), "{name}");
            assert_eq!(found.forward.bytes, bytes(squares), "{name}");
            let back = found.both_ways.count - found.forward.count;
            assert_eq!(back, sums(squares + head), "{name}");
            assert_eq!(
                found.both_ways.bytes - found.forward.bytes,
                bytes(squares + head),
                "{name}"
            );
        }
    }
}

/// The axis of the norms of single heads; one that no model has, where this has none.
fn head_width(config: &ModelConfig) -> Axis {
    let table = config.table();
    let found = table
        .sizes()
        .map(|(axis, _)| axis)
        .find(|axis| axis.name() == "head_dim");
    found.unwrap_or(Axis::growing("nothing"))
}

#[test]
fn logits_and_states_are_those_of_one_rank_and_cost_no_way_back() {
    for config in [wide("bert"), wide("gpt2"), wide("vit")] {
        let device = Device::flex();
        let features = || match batch(&config, &device) {
            Inputs::Images(inputs) => Features::Images(inputs.pixels),
            _ => TextFeatures::new(Tensor::from_data([[1, 2, 3], [4, 5, 6]], &device)).into(),
        };
        let whole = Model::skeleton(&config, &device)
            .unwrap()
            .install(&mut |name: &str, shape: &[usize]| {
                let values = values(name, shape.iter().product());
                let count = values.len();
                Ok::<_, Error>(Tensor::from_data(TensorData::new(values, [count]), &device))
            })
            .unwrap();
        let numbers = |x: Tensor<3>| x.into_data().iter::<f32>().collect::<Vec<_>>();
        let logits = numbers(whole.logits(&features()).unwrap());
        let states = whole.hidden_states(&features()).unwrap();
        each(2, |ranks| {
            let model = part(&config, &ranks, &mut Leaves::default());
            let near = |a: &[f32], b: &[f32]| {
                let apart: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
                assert!(a.len() == b.len() && largest(&apart) <= 1e-5 * largest(b));
            };
            near(&numbers(model.logits(&features()).unwrap()), &logits);
            assert_eq!(ranks.sums().count, 2 * LAYERS as u64);
            let own = model.hidden_states(&features()).unwrap();
            assert_eq!(own.len(), states.len());
            for (own, state) in own.into_iter().zip(states.clone()) {
                near(&numbers(own), &numbers(state));
            }
        });
    }
}

#[test]
fn families_that_cannot_be_divided_are_refused() {
    let mut refused = Vec::new();
    for family in ModelConfig::MODEL_TYPES {
        let config = wide(family);
        let found = each(2, |ranks| {
            SplitModel::skeleton_with(&config, &[], ranks, &Device::flex()).err()
        });
        for fault in found.into_iter().flatten() {
            assert!(
                matches!(fault, Error::Config(ligo_arch::Error::WholeLayers { .. })),
                "{fault}"
            );
            refused.push(*family);
        }
    }
    refused.dedup();
    assert_eq!(
        refused,
        WHOLE
            .iter()
            .copied()
            .filter(|f| refused.contains(f))
            .collect::<Vec<_>>()
    );
    assert_eq!(refused.len(), WHOLE.len());
    // Four heads for three ranks.
    let found = each(3, |ranks| {
        SplitModel::skeleton_with(&wide("bert"), &[], ranks, &Device::flex()).err()
    });
    let uneven = |fault: &Option<Error>| {
        matches!(
            fault,
            Some(Error::Config(ligo_arch::Error::UnevenLayers {
                what: "attention heads",
                found: 4,
                ranks: 3
            }))
        )
    };
    assert!(found.iter().all(uneven), "{found:?}");
}
