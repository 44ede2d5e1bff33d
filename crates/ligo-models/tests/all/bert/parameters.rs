use std::collections::{BTreeMap, HashMap};

use burn::tensor::{Device, Tensor};
use ligo_arch::{BertConfig, ModelConfig};
use ligo_models::{Error, Model};

use crate::common::{any, tiny};
use crate::filled::tensor;

use super::table_shapes;

const OPTIONAL: [&str; 4] = [
    "bert.pooler.dense.weight",
    "bert.pooler.dense.bias",
    "cls.seq_relationship.weight",
    "cls.seq_relationship.bias",
];

fn model(config: &ModelConfig, optional: &[&str]) -> BTreeMap<String, Vec<usize>> {
    let shapes = Model::skeleton_with(config, optional, &Device::flex())
        .unwrap()
        .param_shapes();
    let count = shapes.len();
    let shapes: BTreeMap<_, _> = shapes.into_iter().collect();
    assert_eq!(shapes.len(), count, "two parameters have one name");
    shapes
}

fn every_tensor(config: &ModelConfig, device: &Device) -> HashMap<String, Tensor<1>> {
    let shapes = Model::skeleton(config, device).unwrap().param_shapes();
    let pairs = shapes.into_iter().map(|(name, shape)| {
        let values = tensor(&name, &shape, device);
        (name, values)
    });
    pairs.collect()
}

#[test]
fn names_and_shapes_are_those_of_the_table_tied_and_untied() {
    for tie_word_embeddings in [true, false] {
        let config = any(BertConfig {
            tie_word_embeddings,
            type_vocab_size: 1,
            ..tiny()
        });
        assert_eq!(model(&config, &[]), table_shapes(&config, false));
        assert_eq!(model(&config, &OPTIONAL), table_shapes(&config, true));
        let decoder = model(&config, &[]).contains_key("cls.predictions.decoder.weight");
        assert_eq!(decoder, !tie_word_embeddings);
    }
}

#[test]
fn an_optional_weight_brings_its_bias_and_nothing_else() {
    let mut expected = table_shapes(&any(tiny()), false);
    expected.insert("bert.pooler.dense.weight".into(), vec![8, 8]);
    expected.insert("bert.pooler.dense.bias".into(), vec![8]);
    assert_eq!(model(&any(tiny()), &["bert.pooler.dense.weight"]), expected);
}

#[test]
fn a_skeleton_allocates_nothing() {
    // 2^26 token vectors of 2^20 numbers: no machine could hold them.
    let config = any(BertConfig {
        vocab_size: 1 << 26,
        ..BertConfig::new(1, 1 << 20, 3, 1 << 14)
    });
    let skeleton = Model::skeleton(&config, &Device::flex().autodiff()).unwrap();
    let copy = skeleton.clone();
    assert_eq!(copy.param_shapes().len(), 8 + 3 * 16 + 2);
}

#[test]
fn a_missing_tensor_is_named_with_its_shape() {
    let device = Device::flex();
    let config = any(tiny());
    let name = "bert.encoder.layer.1.intermediate.dense.weight";
    let mut tensors = every_tensor(&config, &device);
    tensors.remove(name).unwrap();
    let fault = Model::skeleton(&config, &device)
        .unwrap()
        .install_map(tensors)
        .unwrap_err();
    assert_eq!(
        fault,
        Error::Missing {
            tensor: name.into(),
            expected: vec![12, 8]
        }
    );
    assert_eq!(
        fault.to_string(),
        format!("tensor `{name}` is missing; expected one of shape [12, 8]")
    );
}

#[test]
fn a_misshapen_tensor_is_named_with_what_was_expected_and_found() {
    let device = Device::flex();
    let config = any(tiny());
    let name = "bert.embeddings.LayerNorm.bias";
    let mut tensors = every_tensor(&config, &device);
    tensors.insert(name.into(), Tensor::zeros([9], &device));
    let fault = Model::skeleton(&config, &device)
        .unwrap()
        .install_map(tensors)
        .unwrap_err();
    assert_eq!(
        fault,
        Error::Misshapen {
            tensor: name.into(),
            expected: vec![8],
            found: 9
        }
    );
    assert_eq!(
        fault.to_string(),
        format!("tensor `{name}` has 9 values; shape [8] needs 8")
    );
}

#[test]
fn a_tensor_without_a_place_is_named() {
    let device = Device::flex();
    let config = any(tiny());
    let mut tensors = every_tensor(&config, &device);
    tensors.insert("bert.pooler.dense.bias".into(), Tensor::zeros([8], &device));
    let fault = Model::skeleton(&config, &device)
        .unwrap()
        .install_map(tensors)
        .unwrap_err();
    assert_eq!(
        fault,
        Error::Unexpected {
            tensor: "bert.pooler.dense.bias".into(),
            found: 8
        }
    );
}

#[test]
fn the_first_error_of_a_source_comes_back_as_it_was_and_ends_the_walk() {
    #[derive(Debug)]
    enum Fault {
        Disk(usize),
        Model(Error),
    }
    impl From<Error> for Fault {
        fn from(e: Error) -> Self {
            Self::Model(e)
        }
    }
    let device = Device::flex();
    let mut asked = 0;
    let skeleton = Model::skeleton(&any(tiny()), &device).unwrap();
    let fault = skeleton
        .install(&mut |_: &str, shape: &[usize]| {
            asked += 1;
            match asked {
                3 => Err(Fault::Disk(3)),
                _ => Ok(Tensor::zeros([shape.iter().product::<usize>()], &device)),
            }
        })
        .unwrap_err();
    assert!(matches!(fault, Fault::Disk(3)), "{fault:?}");
    assert_eq!(asked, 3);

    let skeleton = Model::skeleton(&any(tiny()), &device).unwrap();
    let fault = skeleton
        .install(&mut |_: &str, _: &[usize]| Ok::<_, Fault>(Tensor::zeros([1], &device)))
        .unwrap_err();
    assert!(
        matches!(fault, Fault::Model(Error::Misshapen { found: 1, .. })),
        "{fault:?}"
    );
}

#[test]
fn a_required_tensor_cannot_be_asked_for_as_an_optional_one() {
    let asked = ["bert.embeddings.LayerNorm.bias"];
    let fault = Model::skeleton_with(&any(tiny()), &asked, &Device::flex()).unwrap_err();
    let Error::NotOptional { tensor, family, known } = fault else {
        panic!("{fault:?}");
    };
    assert_eq!((tensor.as_str(), family.as_str()), (asked[0], "bert"));
    assert_eq!(known, OPTIONAL.join(", "));
}

#[test]
fn an_invalid_configuration_makes_no_skeleton() {
    let config = any(BertConfig {
        num_attention_heads: 3,
        ..tiny()
    });
    let fault = Model::skeleton(&config, &Device::flex()).unwrap_err();
    assert_eq!(
        fault,
        Error::Config(ligo_arch::Error::HeadsDoNotDivide { heads: 3, hidden: 8 })
    );
}
