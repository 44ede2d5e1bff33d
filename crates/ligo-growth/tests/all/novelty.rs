//! Which entries of a grown model are new.

use burn::tensor::Device;
use ligo_arch::ParamTable;
use ligo_growth::{CloningConfig, OperatorSpec};

use crate::common;

fn gpt2(hidden: usize, layers: usize, heads: usize) -> ParamTable {
    common::gpt2(hidden, layers, heads).table()
}

fn new_entries(spec: &OperatorSpec, small: &ParamTable, large: &ParamTable, name: &str) -> Vec<bool> {
    let map = spec.build(small, large, &Device::flex(), 0.02, 1).unwrap();
    map.new_entries(small, &large.get(name).unwrap()).unwrap()
}

/// For each layer whether all of its queries are new.
fn new_layers(spec: &OperatorSpec, small: usize, large: usize) -> Vec<bool> {
    let (small, large) = (gpt2(4, small, 1), gpt2(4, large, 1));
    (0..large.depth("decoder"))
        .map(|i| {
            let name = format!("transformer.h.{i}.attn.c_attn.query.weight");
            let new = new_entries(spec, &small, &large, &name);
            assert!(new.iter().all(|n| *n == new[0]), "a layer is new as a whole");
            new[0]
        })
        .collect()
}

#[test]
fn copies_of_channels_are_new_and_the_old_block_is_not() {
    let (small, large) = (gpt2(4, 1, 1), gpt2(8, 1, 2));
    let doubling = OperatorSpec::HyperCloning(CloningConfig::default());
    for spec in [doubling, OperatorSpec::DirectCopy, OperatorSpec::Expansions] {
        let square = new_entries(&spec, &small, &large, "transformer.h.0.attn.c_attn.query.weight");
        for (index, new) in square.iter().enumerate() {
            assert_eq!(*new, index / 8 >= 4 || index % 8 >= 4, "{spec:?}: entry {index}");
        }
        let gain = new_entries(&spec, &small, &large, "transformer.ln_f.weight");
        assert_eq!(gain, [false, false, false, false, true, true, true, true]);
        let words = new_entries(&spec, &small, &large, "transformer.wte.weight");
        assert!(words.iter().enumerate().all(|(index, new)| *new == (index % 8 >= 4)));
    }
}

#[test]
fn a_layer_that_repeats_another_is_new() {
    let (yes, no) = (true, false);
    assert_eq!(new_layers(&OperatorSpec::Stackbert, 2, 5), [no, no, yes, yes, yes]);
    assert_eq!(new_layers(&OperatorSpec::Interpose, 2, 4), [no, yes, no, yes]);
    assert_eq!(new_layers(&OperatorSpec::DirectCopy, 2, 3), [no, no, yes]);
    assert_eq!(new_layers(&OperatorSpec::Middle, 3, 4), [no, no, yes, no]);
    assert_eq!(new_layers(&OperatorSpec::Scratch, 2, 2), [yes, yes]);
    let list = OperatorSpec::Layers { layers: vec![1, 0, 1] };
    assert_eq!(new_layers(&list, 2, 3), [no, no, yes]);
    // Noise on the coefficients does not hide which layer it is.
    let ligo = OperatorSpec::from_name("ligo").unwrap();
    assert_eq!(new_layers(&ligo, 2, 4), [no, no, yes, yes]);
}

#[test]
fn a_block_without_effect_is_new_in_every_module() {
    let (small, large) = (gpt2(4, 2, 1), gpt2(4, 4, 1));
    let spec = OperatorSpec::from_name("zero-blocks").unwrap();
    for (module, tensor) in [
        ("queries", "attn.c_attn.query.weight"),
        ("outputs", "attn.c_proj.weight"),
    ] {
        for layer in 0..4 {
            let name = format!("transformer.h.{layer}.{tensor}");
            let new = new_entries(&spec, &small, &large, &name);
            assert_eq!(new[0], layer % 2 == 1, "{module} of layer {layer}");
        }
    }
}
