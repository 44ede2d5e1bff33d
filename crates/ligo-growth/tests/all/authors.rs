//! Where operators are their authors' code, and where they are not on purpose: what `docs/AUTHORS.md` says.

use std::collections::HashMap;
use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};
use ligo_arch::{BertConfig, ModelConfig, ParamTable, Role};
use ligo_checkpoint::TensorFile;
use ligo_growth::{
    DepthInit, LigoConfig, LigoOperator, MemorySource, OperatorGraph, OperatorInfo, OperatorSpec, Sharing,
    WeightSource, WidthInit, load_operator, save_operator, stream,
};

use crate::common::{grow_all, weights};

fn bert(layers: usize, hidden: usize, ffn: usize) -> ParamTable {
    let mut config = BertConfig::new(11, hidden, layers, 1);
    config.intermediate_size = ffn;
    ModelConfig::Bert(config).table()
}

#[test]
fn zero_pad_is_zero_where_new_rows_read_what_the_small_model_has() {
    let bert = |layers, heads| ModelConfig::Bert(BertConfig::new(11, 2 * heads, layers, heads));
    let llama = |layers: usize, heads: usize| {
        let json = serde_json::json!({"model_type": "llama", "vocab_size": 11, "hidden_size": 4 * heads, "num_hidden_layers": layers,
            "num_attention_heads": heads, "intermediate_size": 5 * heads, "tie_word_embeddings": false});
        ModelConfig::from_json(&json).unwrap()
    };
    for (small, large) in [(bert(2, 2), bert(4, 3)), (llama(2, 2), llama(4, 3))] {
        let (small, large) = (small.table(), large.table());
        let grown = |spec: OperatorSpec| {
            let map = spec.build(&small, &large, &Device::flex(), 0.02, 3).unwrap();
            grow_all(&map, &small, &large, 1)
        };
        let (padded, fresh) = (grown(OperatorSpec::ZeroPad), grown(OperatorSpec::Stackbert));
        for param in large.params().filter(|p| padded.contains_key(&p.name)) {
            let (spec, columns) = (param.spec, param.shape.get(1).copied().unwrap_or(1));
            let old = |axis: usize| spec.axes.get(axis).map_or(1, |a| small.size(*a));
            for (i, value) in padded[&param.name].iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                let is_old = row < old(0) && column < old(1);
                let is_fresh = match spec.role {
                    // Their partners are zero, and a product of two zeros would never move.
                    Role::Weight => column >= old(1) || ["key", "ffn_gate"].contains(&spec.module),
                    Role::NormWeight => small.family() == "llama",
                    _ => false,
                };
                let expected = if is_old || is_fresh { fresh[&param.name][i] } else { 0.0 };
                assert_eq!(*value, expected, "{}[{row}, {column}]", param.name);
            }
        }
    }
}

#[test]
fn aki_fills_new_rows_from_the_layer_above_and_normalizations_from_their_own() {
    let table = |layers, heads| ModelConfig::Bert(BertConfig::new(11, 2 * heads, layers, heads)).table();
    let (small, large) = (table(2, 2), table(2, 4));
    let grown = |name: &str| {
        let spec = OperatorSpec::from_name(name).unwrap();
        let map = spec.build(&small, &large, &Device::flex(), 0.02, 3).unwrap();
        grow_all(&map, &small, &large, 1)
    };
    let (fpi, aki) = (grown("fpi"), grown("aki"));
    for (name, values) in &aki {
        let half = values.len() / 2;
        // The layer above the last one is the last one; outside of layers there is none.
        let own = name.contains("LayerNorm") || !name.contains("layer.0.");
        if own {
            assert_eq!(*values, fpi[name], "{name}");
        } else {
            let above = &fpi[&name.replace("layer.0.", "layer.1.")];
            assert_eq!(values[..half], fpi[name][..half], "{name}");
            assert_eq!(values[half..], above[half..], "{name}");
        }
    }
}

/// An operator's starting matrix, row-major, with its number of columns.
fn start(config: LigoConfig, name: &str) -> (Vec<f32>, usize) {
    let (small, large) = (bert(20, 30, 30), bert(45, 90, 30));
    let operator = LigoOperator::new(&small, &large, &config, 3).unwrap();
    let tensor = operator.tensors().iter().find(|t| t.name == name).unwrap();
    (tensor.values.clone(), tensor.shape[1])
}

#[test]
fn starts_are_those_of_the_official_code() {
    let width = |width_init, width_noise| {
        let config = LigoConfig {
            width_init,
            width_noise,
            ..LigoConfig::default()
        };
        let (values, columns) = start(config, "width.hidden");
        let (old, new) = values.split_at(columns * columns);
        let is_identity = |(i, v): (usize, &f32)| *v == f32::from(u8::from(i / columns == i % columns));
        assert!(old.iter().enumerate().all(is_identity), "{width_init:?}");
        new.chunks(columns).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    let depth = |depth_init, depth_noise| {
        let config = LigoConfig {
            depth_init,
            depth_noise,
            ..LigoConfig::default()
        };
        let (values, columns) = start(config, "depth.encoder.query");
        values.chunks(columns).map(<[f32]>::to_vec).collect::<Vec<_>>()
    };
    let ends = |row: &[f32]| {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        (row.iter().copied().fold(f32::MAX, f32::min), largest)
    };
    let sums_to_one = |row: &[f32]| (row.iter().sum::<f32>() - 1.0).abs() < 1e-5;

    // Softmax of U(0, 1): no weight is more than e times another, and nearly so much in a row of many.
    let softmaxes = [width(WidthInit::RandSoftmax, 0.0), depth(DepthInit::RandSoftmax, 0.0)];
    for row in softmaxes.iter().flatten() {
        let (least, most) = ends(row);
        assert!(sums_to_one(row) && least > 0.0, "{row:?}");
        assert!((1.5..1f32.exp()).contains(&(most / least)), "{}", most / least);
    }
    // U(0, 1) over its sum: the least weight is close to none.
    for row in [width(WidthInit::Rand, 0.0), depth(DepthInit::Rand, 0.0)]
        .iter()
        .flatten()
    {
        let (least, most) = ends(row);
        assert!(sums_to_one(row) && least >= 0.0 && most / least > 3.0, "{row:?}");
    }
    // One-hot with noise beneath the chosen entry, which stays 1; `sel` is without noise.
    let chosen = |rows: &[Vec<f32>]| -> Vec<usize> {
        let position = |row: &Vec<f32>| row.iter().position(|v| *v == 1.0).unwrap();
        rows.iter().map(position).collect()
    };
    for noise in [0.0, 0.03] {
        for (init, repeats) in [(WidthInit::Select, true), (WidthInit::SelectBalanced, false)] {
            let rows = width(init, noise);
            for row in &rows {
                let others: Vec<f32> = row.iter().copied().filter(|v| *v != 1.0).collect();
                assert_eq!(others.len() + 1, row.len());
                let (least, most) = ends(&others);
                assert!(least >= 0.0 && f64::from(most) <= noise, "{init:?}: {others:?}");
                assert_eq!(most > 0.02, noise > 0.0, "{init:?}");
            }
            // Sixty draws of thirty channels: twice each, or by chance.
            let drawn = chosen(&rows);
            let often = |j| drawn.iter().filter(|c| **c == j).count();
            assert_eq!((0..30).any(|j| often(j) != 2), repeats, "{init:?}: {drawn:?}");
        }
    }
    // Noisy stacking: U(0, noise) beside a one, over the sum.
    for (i, row) in depth(DepthInit::Stack, 0.03).iter().enumerate() {
        let own = row[i % 20];
        assert!(sums_to_one(row), "{row:?}");
        let others = row.iter().enumerate().filter(|(j, _)| *j != i % 20);
        assert!(
            others.map(|(_, v)| v / own).all(|share| (0.0..0.03).contains(&share)),
            "{row:?}"
        );
    }
}

#[test]
fn biases_mix_layers_as_their_weights_do_or_by_coefficients_of_their_own() {
    for bias_depth in [false, true] {
        biases_mix_layers(bias_depth);
    }
}

fn biases_mix_layers(bias_depth: bool) {
    let (small, large) = (bert(2, 4, 7), bert(5, 4, 7));
    let config = LigoConfig {
        depth_init: DepthInit::Rand,
        bias_depth,
        ..LigoConfig::default()
    };
    let operator = LigoOperator::new(&small, &large, &config, 3).unwrap();
    let map = operator.initial_map(&Device::flex()).unwrap();
    let grown = grow_all(&map, &small, &large, 9);
    let mut source = weights(&small, 9);
    let mut read = |name: String| source.values(&name).unwrap().into_owned();
    for (module, path) in [
        ("query", "attention.self.query"),
        ("ffn_out", "output.dense"),
        ("ffn_norm", "output.LayerNorm"),
    ] {
        let mixes = |i: usize, kind: &str, read: &mut dyn FnMut(String) -> Vec<f32>| {
            let suffix = if bias_depth && kind == "bias" { ".bias" } else { "" };
            let name = format!("depth.encoder.{module}{suffix}");
            let depth = operator.tensors().iter().find(|t| t.name == name).unwrap();
            let [first, second] = [0, 1].map(|j| read(format!("bert.encoder.layer.{j}.{path}.{kind}")));
            let [a, b] = [depth.values[2 * i], depth.values[2 * i + 1]];
            let expected: Vec<f32> = first.iter().zip(&second).map(|(x, y)| a * x + b * y).collect();
            let found = &grown[&format!("bert.encoder.layer.{i}.{path}.{kind}")];
            assert!(
                found.iter().zip(&expected).all(|(x, y)| (x - y).abs() < 1e-6),
                "{module}, layer {i}: {kind}"
            );
        };
        for i in 0..5 {
            mixes(i, "weight", &mut read);
            mixes(i, "bias", &mut read);
        }
    }
}

#[test]
fn a_tied_heads_rows_are_those_of_the_table_and_an_untied_one_has_its_own() {
    let table = |hidden, tie_word_embeddings| {
        ModelConfig::Bert(BertConfig {
            tie_word_embeddings,
            ..BertConfig::new(11, hidden, 2, 1)
        })
        .table()
    };
    let own = |tied| {
        let operator = LigoOperator::new(&table(4, tied), &table(6, tied), &LigoConfig::default(), 3).unwrap();
        let names: Vec<String> = operator.tensors().iter().map(|t| t.name.clone()).collect();
        ["hidden", "head", "decoder", "head_input"].map(|axis| names.contains(&format!("width.{axis}")))
    };
    assert_eq!(own(true), [true, true, false, false]);
    assert_eq!(own(false), [true, true, true, false]);
}

/// What the official code learned and made of it; see the folder's README.
struct Official(TensorFile);

impl Official {
    fn open() -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/ligo_official/official.safetensors");
        Self(TensorFile::open(&path).unwrap())
    }

    /// A tensor by its name here: an untied decoder's bias has two names in `transformers`.
    fn get(&self, kind: &str, name: &str) -> Vec<f32> {
        let name = name.replace("predictions.bias", "predictions.decoder.bias");
        self.0.read_f32(&format!("{kind}{name}")).unwrap()
    }

    /// `residual_weight` or `residual_bias` of a module.
    fn residual(&self, kind: &str, name: &str) -> Vec<f32> {
        let (module, part) = name.rsplit_once('.').unwrap();
        let module = if name == "cls.predictions.bias" {
            "cls.predictions.decoder"
        } else {
            module
        };
        self.0.read_f32(&format!("{kind}{module}.residual_{part}")).unwrap()
    }

    /// A matrix of the operator: those of width by axis and layer, the coefficients of each layer under each other.
    fn matrix(&self, kind: &str, large: &ParamTable, name: &str) -> Vec<f32> {
        let read = |name: String| self.0.read_f32(&format!("{kind}{name}")).unwrap();
        let parts: Vec<&str> = name.split('.').collect();
        match parts.as_slice() {
            ["width", "hidden"] => read("bert.embeddings.fuse_width_emb.coeffs_weight".into()),
            ["width", "head" | "decoder"] => read("cls.predictions.fuse_width_cls.coeffs_weight".into()),
            ["width", axis, layer] => read(format!("bert.encoder.layer.{layer}.fuse_width_{axis}.coeffs_weight")),
            ["depth", _, module, bias @ ..] => {
                let is_bias = |role| matches!(role, Role::Bias | Role::NormBias);
                let spec = large.specs().iter().find(|s| s.module == *module && s.stack.is_some());
                let (path, _) = spec.unwrap().template.rsplit_once('.').unwrap();
                assert!(!is_bias(spec.unwrap().role));
                let kind = if bias.is_empty() { "weight" } else { "bias" };
                let of = |i: usize| path.replace(ligo_arch::LAYER_PLACEHOLDER, &i.to_string());
                let rows = (0..3).map(|i| read(format!("{}.fuse_depth_coeffs.coeffs_{kind}", of(i))));
                rows.collect::<Vec<_>>().concat()
            }
            _ => panic!("{name}"),
        }
    }
}

fn close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let scale = expected.iter().fold(1f32, |m, x| m.max(x.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= 1e-5 * scale,
            "{what}: {found}, official {expected}"
        );
    }
}

fn values(tensor: &Tensor<1>) -> Vec<f32> {
    tensor.clone().into_data().try_to_vec().unwrap()
}

#[test]
fn all_that_the_official_code_can_learn_grows_the_same_model_with_the_same_gradients() {
    let official = Official::open();
    let config = |layers, heads, ffn| {
        let mut config = BertConfig::new(11, 2 * heads, layers, heads);
        (config.intermediate_size, config.max_position_embeddings) = (ffn, 5);
        config.tie_word_embeddings = false;
        ModelConfig::Bert(config)
    };
    let models = [config(2, 2, 5), config(3, 3, 8)];
    let [small, large] = [models[0].table(), models[1].table()];
    let settings = LigoConfig {
        sharing: Sharing::PerLargeLayer,
        fixed_identity: true,
        bias_depth: true,
        tune_small_model: true,
        tune_residual: true,
        ..LigoConfig::default()
    };
    let device = Device::flex();
    let operator = LigoOperator::new(&small, &large, &settings, 1).unwrap();
    let mut source = MemorySource::new(small.params().filter(|p| p.spec.required).map(|p| {
        let zeros = vec![0.0; p.num_elements()];
        (p.name, p.shape, zeros)
    }));
    let graph = OperatorGraph::new(operator.clone(), &mut source, &device).unwrap();
    let read = |kind: &str, name: &str| {
        let matrix = if kind.is_empty() { "learned." } else { kind };
        match (name.strip_prefix("small."), name.strip_prefix("residual.")) {
            (Some(of), _) => official.get(&format!("{kind}small."), of),
            (_, Some(of)) => official.residual(matrix, of),
            _ => official.matrix(matrix, &large, name),
        }
    };
    let trained = operator
        .tensors()
        .iter()
        .filter(|t| t.trainable)
        .map(|t| t.name.clone());
    let names: Vec<String> = trained
        .chain(operator.along().into_iter().map(|(name, _)| name))
        .collect();
    let learned: HashMap<String, Tensor<1>> = names
        .iter()
        .map(|name| {
            let values = read("", name);
            let count = values.len();
            (
                name.clone(),
                Tensor::from_data(TensorData::new(values, [count]), &device),
            )
        })
        .collect();
    let current = |name: &str| learned.get(name).cloned();

    let (grown, record) = graph.grow_recorded(&current).unwrap();
    for (name, tensor) in &grown {
        close(&values(tensor), &official.get("grown.", name), name);
    }
    // Half the sum of squares has the tensor as its gradient.
    let gradients = graph.pull_back(record, &mut |name| Some(grown[name].clone()));
    for name in names
        .iter()
        .filter(|name| !["width.head", "width.decoder"].contains(&name.as_str()))
    {
        close(&values(&gradients[name]), &read("gradient.", name), name);
    }
    // The official code has one matrix for both.
    let both = gradients["width.head"].clone() + gradients["width.decoder"].clone();
    close(&values(&both), &read("gradient.", "width.head"), "width.head");

    // What is saved grows it as well, from whatever model of these sizes.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("operator");
    let info = OperatorInfo::new(
        OperatorSpec::Ligo(settings),
        &models[0],
        &models[1],
        serde_json::Value::Null,
    );
    save_operator(&path, &operator.map(&current, &device), info).unwrap();
    let (map, info) = load_operator(&path, &device).unwrap();
    assert_eq!(info.format_version, 3);
    stream::grow_each(&map, &small, &large, &mut source, &device, &mut |param, found| {
        close(&found, &official.get("grown.", &param.name), &param.name);
        Ok(())
    })
    .unwrap();
    let whole = map.grow_tensors(&small, &large, &mut source, &device).unwrap();
    for (name, tensor) in whole {
        close(&values(&tensor), &official.get("grown.", &name), &name);
    }
}

#[test]
fn what_is_added_starts_as_in_the_official_code_and_what_is_tuned_as_the_small_model() {
    let (small, large) = (bert(2, 4, 7), bert(5, 6, 9));
    let settings = LigoConfig {
        tune_small_model: true,
        tune_residual: true,
        ..LigoConfig::default()
    };
    let operator = LigoOperator::new(&small, &large, &settings, 3).unwrap();
    let mut source = weights(&small, 9);
    let graph = OperatorGraph::new(operator.clone(), &mut source, &Device::flex()).unwrap();
    let along = graph.along().unwrap();
    let count: usize = along.iter().map(|(_, _, values)| values.len()).sum();
    let required = |table: &ParamTable| {
        let required = table.params().filter(|p| p.spec.required);
        required.map(|p| p.num_elements()).sum::<usize>()
    };
    assert_eq!(count, required(&small) + required(&large));
    let matrices = LigoOperator::new(&small, &large, &LigoConfig::default(), 3).unwrap();
    assert_eq!(operator.num_parameters(), matrices.num_parameters() + count);
    let mut ends = [0f32; 2];
    for (name, _, values) in &along {
        match name.strip_prefix("small.") {
            Some(of) => assert_eq!(source.values(of).unwrap(), *values, "{name}"),
            None => ends = values.iter().fold(ends, |[a, b], v| [a.min(*v), b.max(*v)]),
        }
    }
    // U(−0.01, 0.01).
    assert!(
        (-0.01..-0.0099).contains(&ends[0]) && (0.0099..0.01).contains(&ends[1]),
        "{ends:?}"
    );
}
