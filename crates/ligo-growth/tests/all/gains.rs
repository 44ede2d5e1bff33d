//! What files hold otherwise than operators see it: gains less one, and tokens that the model multiplies by the root of its width.

use std::path::Path;

use burn::tensor::Device;
use ligo_arch::{GemmaConfig, ModelConfig, Param};
use ligo_checkpoint::{AtomicDir, Declared, Dtype, ModelDir, ModelWriter};
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{LigoConfig, LigoOperator, MemorySource, OperatorGraph, OperatorSpec, files, init};

fn gemma(width: usize, layers: usize) -> ModelConfig {
    ModelConfig::Gemma(GemmaConfig::gemma2(20, width, layers, width / 4, 3 * width))
}

/// A value that tells tensors and places apart, with more digits than are left when one is added.
fn number(name: &str, i: usize) -> f32 {
    let layer = name.split('.').find_map(|part| part.parse::<usize>().ok()).unwrap_or(5);
    ((i + 3 * layer) % 32) as f32 / 64.0 - 0.25 + 3e-8 * (1 + i % 5) as f32
}

/// Writes a model whose files hold [`number`]s.
fn write(path: &Path, config: &ModelConfig) {
    let table = config.table();
    let params: Vec<Param<'_>> = table.params().collect();
    let tensors = table.written_tensors(&params);
    let dir = AtomicDir::begin(path).unwrap();
    let declared = tensors.iter().map(|tensor| Declared {
        name: tensor.name.clone(),
        dtype: Dtype::F32,
        shape: tensor.shape.clone(),
    });
    let mut writer = ModelWriter::new(&dir, declared.collect(), u64::MAX).unwrap();
    for tensor in &tensors {
        let values: Vec<f32> = (0..tensor.shape.iter().product())
            .map(|i| number(&tensor.name, i))
            .collect();
        writer.write_f32(&tensor.name, &values).unwrap();
    }
    writer.write_config(&config.to_json()).unwrap();
    writer.finish().unwrap();
    dir.commit().unwrap();
}

fn grown(folder: &Path, name: &str, small: &ModelConfig, large: &ModelConfig) -> ModelDir {
    let spec = OperatorSpec::from_name(name).unwrap();
    let large = spec.adjust(small, large);
    let device = Device::flex();
    let map = spec.build(&small.table(), &large.table(), &device, 0.02, 1).unwrap();
    let mut source = files::with_params(ModelDir::open(folder.join("small")).unwrap(), &small.table());
    let target = folder.join(name);
    let options = GrowOptions::default();
    grow_directory(
        &map,
        &mut source,
        small,
        &large,
        &target,
        &options,
        &device,
        &mut |_, _| true,
    )
    .unwrap();
    ModelDir::open(target).unwrap()
}

#[test]
fn gains_are_seen_whole_and_stored_less_one() {
    let folder = tempfile::tempdir().unwrap();
    let small = gemma(8, 2);
    write(&folder.path().join("small"), &small);
    let table = small.table();
    let source = files::with_params(ModelDir::open(folder.path().join("small")).unwrap(), &table);
    let gain = "model.layers.1.post_feedforward_layernorm.weight";
    let seen = source.read_f32(gain).unwrap();
    assert_eq!(seen, (0..8).map(|i| 1.0 + number(gain, i)).collect::<Vec<_>>());

    // Layer 3 is layer 1 again; new channels have a gain of one.
    let dir = grown(folder.path(), "stackbert", &small, &gemma(12, 4));
    let stored = dir
        .read_f32("model.layers.3.post_feedforward_layernorm.weight")
        .unwrap();
    let expected: Vec<f32> = (0..12).map(|i| if i < 8 { number(gain, i) } else { 0.0 }).collect();
    assert_eq!(stored, expected);
    // Copies of the gains of `[I; I]`, not of what files hold.
    let dir = grown(folder.path(), "hyper-cloning", &small, &gemma(16, 2));
    let stored = dir.read_f32(gain).unwrap();
    assert_eq!(stored, (0..16).map(|i| number(gain, i % 8)).collect::<Vec<_>>());
    // Scaled as gains by √(8/12).
    let dir = grown(folder.path(), "expansions", &small, &gemma(12, 2));
    let stored = dir.read_f32(gain).unwrap();
    for (i, found) in stored.iter().enumerate().take(8) {
        let expected = (1.0 + f64::from(number(gain, i))) * (8.0f64 / 12.0).sqrt() - 1.0;
        assert!((f64::from(*found) - expected).abs() < 1e-6, "{found} is not {expected}");
    }
    // The gains of layers without a source are one.
    let dir = grown(folder.path(), "direct-copy", &small, &gemma(8, 3));
    assert_eq!(dir.read_f32("model.layers.2.input_layernorm.weight").unwrap(), [0.0; 8]);
}

#[test]
fn tokens_enter_the_first_layer_as_they_did_whatever_the_width() {
    let folder = tempfile::tempdir().unwrap();
    let small = gemma(8, 1);
    write(&folder.path().join("small"), &small);
    let (tokens, norm) = ("model.embed_tokens.weight", "model.norm.weight");
    let dir = grown(folder.path(), "hyper-cloning", &small, &gemma(16, 1));
    let close = |found: f32, expected: f64| {
        assert!((f64::from(found) - expected).abs() < 1e-6, "{found} is not {expected}");
    };
    let root = 2f64.sqrt();
    for (i, found) in dir.read_f32(tokens).unwrap().into_iter().enumerate() {
        close(found, f64::from(number(tokens, i / 16 * 8 + i % 8)) / root);
    }
    // The tied head sums two copies of channels that are smaller by the root.
    for (i, found) in dir.read_f32(norm).unwrap().into_iter().enumerate() {
        close(found, (1.0 + f64::from(number(norm, i % 8))) * root / 2.0 - 1.0);
    }
    // Fresh ones are drawn as in any model.
    let dir = grown(folder.path(), "stackbert", &small, &gemma(12, 1));
    let large = gemma(12, 1).table();
    let fresh = init::initial_value(&large.get(tokens).unwrap(), 0.02, 1);
    for (i, found) in dir.read_f32(tokens).unwrap().into_iter().enumerate() {
        match i % 12 < 8 {
            true => close(
                found,
                f64::from(number(tokens, i / 12 * 8 + i % 12)) * (8.0f64 / 12.0).sqrt(),
            ),
            false => assert_eq!(found, fresh[i]),
        }
    }
}

#[test]
fn what_learns_grows_them_as_what_streams() {
    let (small, large) = (gemma(8, 2).table(), gemma(16, 4).table());
    let values = |name: &str, count: usize| (0..count).map(|i| number(name, i)).collect::<Vec<_>>();
    let source = || {
        MemorySource::new(
            small
                .params()
                .map(|p| (p.name.clone(), p.shape.clone(), values(&p.name, p.num_elements()))),
        )
    };
    let operator = LigoOperator::new(&small, &large, &LigoConfig::default(), 3).unwrap();
    let device = Device::flex();
    let map = operator.initial_map(&device).unwrap();
    let graph = OperatorGraph::new(operator, &mut source(), &device).unwrap();
    let learned = graph.grow(&|_| None).unwrap();
    for param in large.params() {
        let streamed = map.grow_values(&small, &param, &mut source(), &device).unwrap();
        let found: Vec<f32> = learned[&param.name].to_data().iter().collect();
        for (found, expected) in found.iter().zip(&streamed) {
            assert!(
                (found - expected).abs() < 1e-5,
                "{}: {found} is not {expected}",
                param.name
            );
        }
    }
}
