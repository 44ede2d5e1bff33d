//! What is picked from the small model: bytes that stay, and numbers that are those of the matrix products.

use std::path::Path;

use burn::tensor::Device;
use ligo_arch::{BertConfig, Gpt2Config, LlamaConfig, ModelConfig, OptConfig, Param, Resize, Size, Task};
use ligo_checkpoint::{AtomicDir, Declared, Dtype, ModelDir, ModelWriter};
use ligo_growth::rows::{Rules, extended};
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{Choice, CloningConfig, CloningForm, CopyConfig, CopyScale, LemonConfig};
use ligo_growth::{MemorySource, OperatorSpec, Split, files, init};
use rand::Rng;
use serde_json::json;

fn gpt2(width: usize, layers: usize) -> ModelConfig {
    ModelConfig::Gpt2(Gpt2Config::new(40, width, layers, width / 8))
}

fn llama(width: usize, layers: usize) -> ModelConfig {
    let mut config = LlamaConfig::new(40, width, layers, width / 4, 3 * width);
    config.num_key_value_heads = Some(width / 8);
    ModelConfig::Llama(config)
}

fn bert(width: usize, layers: usize) -> ModelConfig {
    ModelConfig::Bert(BertConfig::new(40, width, layers, width / 8))
}

/// Whose files hold several parameters in one tensor, below each other.
fn phi3(width: usize, layers: usize) -> ModelConfig {
    let mut json = llama(width, layers).to_json();
    json["model_type"] = "phi3".into();
    json["architectures"] = json!(["Phi3ForCausalLM"]);
    ModelConfig::from_json(&json).unwrap()
}

fn opt(width: usize, layers: usize) -> ModelConfig {
    let mut config = OptConfig::new(40, width, layers, width / 8);
    config.max_position_embeddings = 30;
    ModelConfig::Opt(config)
}

/// Whose files have other names than the parameters.
fn bare(width: usize, layers: usize) -> ModelConfig {
    let mut json = bert(width, layers).with_task(Task::HiddenStates).unwrap().to_json();
    json["max_position_embeddings"] = 30.into();
    ModelConfig::from_json(&json).unwrap()
}

type Family = fn(usize, usize) -> ModelConfig;

const FAMILIES: [Family; 6] = [gpt2, llama, bert, phi3, opt, bare];

/// A model of any finite numbers, zeros of both signs among them, as its files hold them.
fn write(folder: &Path, config: &ModelConfig, dtype: Dtype) {
    let table = config.table();
    let params: Vec<Param<'_>> = table.params().filter(|p| p.spec.required).collect();
    let declared: Vec<Declared> = (table.written_tensors(&params).into_iter())
        .map(|tensor| Declared {
            name: tensor.name,
            dtype,
            shape: tensor.shape,
        })
        .collect();
    let dir = AtomicDir::begin(folder).unwrap();
    let mut writer = ModelWriter::new(&dir, declared.clone(), 20_000).unwrap();
    for tensor in &declared {
        let mut rng = init::rng(3, &tensor.name);
        let count: usize = tensor.shape.iter().product();
        let number = |rng: &mut dyn FnMut() -> u32| match dtype {
            // The exponent stays below that of infinity.
            Dtype::Bf16 => ((rng() & 0xbfff) as u16).to_le_bytes().to_vec(),
            Dtype::F16 => ((rng() & 0xbbff) as u16).to_le_bytes().to_vec(),
            _ => (rng() & 0xbfff_ffff).to_le_bytes().to_vec(),
        };
        let mut bytes: Vec<u8> = (0..count).flat_map(|_| number(&mut || rng.random())).collect();
        let width = dtype.bits() / 8;
        bytes[..width].fill(0);
        bytes[width - 1] = 0x80;
        writer.write_bytes(&tensor.name, &bytes).unwrap();
    }
    writer.write_config(&config.to_json()).unwrap();
    writer.finish().unwrap();
    dir.commit().unwrap();
}

fn grow(folder: &Path, spec: &OperatorSpec, small: &ModelConfig, large: &ModelConfig) -> ModelDir {
    let device = Device::flex();
    let map = spec.build(&small.table(), &large.table(), &device, 0.02, 1).unwrap();
    let mut source = files::with_params(ModelDir::open(folder.join("small")).unwrap(), &small.table());
    let options = GrowOptions {
        max_shard_bytes: Some(30_000),
        ..GrowOptions::default()
    };
    let target = folder.join("large");
    grow_directory(
        &map,
        &mut source,
        small,
        large,
        &target,
        &options,
        &device,
        &mut |_, _| true,
    )
    .unwrap();
    ligo_checkpoint::verify(&target).unwrap();
    ModelDir::open(target).unwrap()
}

/// The name of the same tensor in another layer.
fn in_layer(name: &str, layer: usize) -> (String, Option<usize>) {
    let mut own = None;
    let parts = name.split('.').map(|part| match part.parse::<usize>() {
        Ok(number) => {
            own = Some(number);
            layer.to_string()
        }
        Err(_) => part.to_owned(),
    });
    (parts.collect::<Vec<_>>().join("."), own)
}

#[test]
fn layers_that_are_copied_have_the_bytes_of_their_sources() {
    let list = vec![0, 1, 1, 0, 2, 2];
    let specs = [
        (OperatorSpec::Stackbert, vec![0, 1, 2, 0, 1, 2]),
        (OperatorSpec::Interpose, vec![0, 0, 1, 1, 2, 2]),
        (OperatorSpec::Layers { layers: list.clone() }, list),
    ];
    for family in FAMILIES {
        for dtype in [Dtype::Bf16, Dtype::F16, Dtype::F32] {
            let folder = tempfile::tempdir().unwrap();
            let (small, large) = (family(16, 3), family(16, 6));
            write(&folder.path().join("small"), &small, dtype);
            let before = ModelDir::open(folder.path().join("small")).unwrap();
            for (spec, list) in &specs {
                let grown = grow(folder.path(), spec, &small, &large);
                for name in grown.names() {
                    let own = in_layer(name, 0).1;
                    let source = own.map_or(name.to_owned(), |layer| in_layer(name, list[layer]).0);
                    let found = grown.read_bytes(name).unwrap();
                    assert!(found == before.read_bytes(&source).unwrap(), "{}: {name}", spec.name());
                    assert_eq!(grown.info(name).unwrap().dtype, dtype);
                }
                assert!(grown.names().len() > before.names().len());
            }
        }
    }
}

#[test]
fn blocks_without_effect_are_copies_but_for_what_is_zero() {
    for family in FAMILIES {
        let folder = tempfile::tempdir().unwrap();
        let (small, large) = (family(16, 2), family(16, 4));
        write(&folder.path().join("small"), &small, Dtype::Bf16);
        let before = ModelDir::open(folder.path().join("small")).unwrap();
        let grown = grow(
            folder.path(),
            &OperatorSpec::from_name("zero-blocks").unwrap(),
            &small,
            &large,
        );
        let (mut copied, mut zero) = (0, 0);
        for name in grown.names() {
            let found = grown.read_bytes(name).unwrap();
            let own = in_layer(name, 0).1;
            let source = own.map_or(name.to_owned(), |layer| in_layer(name, layer / 2).0);
            let is_copy = found == before.read_bytes(&source).unwrap();
            let values = grown.read_f32(name).unwrap();
            copied += usize::from(is_copy);
            zero += usize::from(values.iter().all(|value| *value == 0.0));
            let normalizes = values.iter().all(|value| *value == 1.0);
            assert!(is_copy || normalizes || values.iter().all(|v| *v == 0.0), "{name}");
        }
        assert!(copied > zero && zero >= 4, "{copied} {zero}");
    }
}

/// The operators that pick, in all their forms.
fn picking() -> Vec<OperatorSpec> {
    let mut specs: Vec<OperatorSpec> = OperatorSpec::NAMES
        .into_iter()
        .filter(|name| !["ligo", "zero-blocks", "upcycle"].contains(name))
        .map(|name| OperatorSpec::from_name(name).unwrap())
        .collect();
    for choice in [Choice::Balanced, Choice::Cyclic] {
        for scale in [CopyScale::Count, CopyScale::Rms] {
            specs.push(OperatorSpec::Fpi(CopyConfig { choice, scale }));
            specs.push(OperatorSpec::Aki(CopyConfig { choice, scale }));
        }
    }
    for form in [CloningForm::Noisy, CloningForm::Diagonal, CloningForm::NoisyDiagonal] {
        let noise = 0.1;
        specs.push(OperatorSpec::HyperCloning(CloningConfig { form, noise }));
    }
    specs.push(OperatorSpec::Lemon(LemonConfig {
        split: Split::Channel,
        ..LemonConfig::default()
    }));
    specs
}

#[test]
fn picking_gives_the_numbers_of_the_products() {
    let device = Device::flex();
    let mut compared = 0;
    for family in FAMILIES {
        for (large, spec) in [family(32, 4), family(24, 3), family(16, 5)]
            .iter()
            .flat_map(|large| picking().into_iter().map(move |spec| (large.clone(), spec)))
        {
            let small = family(16, 2);
            let (from, to) = (small.table(), large.table());
            let Ok(map) = spec.build(&from, &to, &device, 0.02, 7) else {
                continue;
            };
            let mut source = MemorySource::new(init::initial_values(&from, 0.5, 1));
            // The operator's graph multiplies matrices.
            let products = map.grow_tensors(&from, &to, &mut source, &device).unwrap();
            for (name, product) in products {
                let param = to.get(&name).unwrap();
                let picked = map.grow_values(&from, &param, &mut source, &device).unwrap();
                let product: Vec<f32> = product.into_data().try_into_vec().unwrap();
                // Sums, of several terms and of LEMON's means, may be rounded in another order.
                let sums = map.terms.len() > 1 || spec.name() == "lemon";
                for (a, b) in picked.iter().zip(&product) {
                    let near = (a - b).abs() <= 1e-6 * a.abs().max(b.abs()).max(0.1);
                    assert!(if sums { near } else { a == b }, "{}, {name}: {a} {b}", spec.name());
                }
                compared += 1;
            }
        }
    }
    assert!(compared > 2000, "{compared}");
}

#[test]
fn tables_get_longer_and_keep_their_rows_whatever_files_call_them() {
    for (family, prefix) in [(bare as Family, 0), (opt, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let small = family(16, 2);
        write(&folder.path().join("small"), &small, Dtype::F32);
        let resize = Resize {
            vocab: Some(Size::Exactly(43)),
            positions: Some(Size::Exactly(50)),
            ..Resize::default()
        };
        let wanted = small.resized(&resize).unwrap();
        let dir = files::with_params(ModelDir::open(folder.path().join("small")).unwrap(), &small.table());
        let params = |config: &ModelConfig, dir: &ModelDir| -> Vec<(String, usize, Vec<f32>)> {
            let table = config.table();
            let required = table.params().filter(|param| param.spec.required);
            let values = required.map(|param| (param.shape[0], dir.read_f32(&param.name).unwrap(), param.name));
            values.map(|(rows, values, name)| (name, rows, values)).collect()
        };
        let before = params(&small, &dir);
        let (dir, longer) = extended(dir, small, &wanted, Rules::default()).unwrap();
        assert_eq!(longer, wanted);
        let mut grown = 0;
        for ((name, rows, old), (_, many, new)) in before.iter().zip(params(&longer, &dir)) {
            assert_eq!(new[..old.len()], *old, "{name}");
            assert_eq!(new.len(), old.len() / rows * many, "{name}");
            if name.contains("position") {
                assert_eq!((*rows, many), (30 + prefix, 50 + prefix), "{name}");
                // The first place stands behind the rows of none.
                let width = old.len() / rows;
                assert_eq!(new[old.len()..][..width], old[prefix * width..][..width]);
            }
            grown += usize::from(many > *rows);
        }
        assert_eq!(grown, 2);
    }
}
