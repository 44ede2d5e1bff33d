//! What growth operators read from tables beside names and sizes.

use std::collections::BTreeMap;

use ligo_arch::{Axis, CaitConfig, Gpt2Config, LlamaConfig, ModelConfig, NormKind, NormPlace, Role};

/// Models of every `model_type` with several heads.
fn models() -> Vec<ModelConfig> {
    let several = |model_type: &&str| {
        let mut json = ModelConfig::example(model_type).unwrap().to_json();
        let named = ["n_head", "n_heads"]
            .into_iter()
            .find(|heads| json.get(*heads).is_some());
        let heads = named.unwrap_or("num_attention_heads");
        json[heads] = 4.into();
        if *model_type == "gpt_neox" {
            json["rotary_pct"] = 1.0.into();
        }
        if json.get("num_key_value_heads").is_some() {
            json["num_key_value_heads"] = 2.into();
        }
        ModelConfig::from_json(&json).unwrap()
    };
    ModelConfig::MODEL_TYPES.iter().map(several).collect()
}

#[test]
fn axes_of_one_set_have_equally_many_units() {
    for model in models() {
        let table = model.table();
        let mut counts: BTreeMap<&str, (Axis, usize)> = BTreeMap::new();
        for (axis, size) in table.sizes().filter(|(axis, _)| table.repeat(*axis).is_none()) {
            let unit = table.unit(axis);
            assert!(size.is_multiple_of(unit.block), "{}: {axis}", model.model_type());
            let units = size / unit.block;
            let (first, expected) = *counts.entry(unit.set).or_insert((axis, units));
            assert_eq!(units, expected, "{}: {axis} and {first}", model.model_type());
        }
        let heads = counts["heads"].1;
        assert!(heads > 1, "{}", model.model_type());
        for axis in [Axis::QUERY, Axis::KEY, Axis::VALUE] {
            assert_eq!(table.unit(axis).set, "heads", "{}", model.model_type());
        }
    }
}

#[test]
fn a_unit_of_grouped_attention_is_a_group() {
    let config = LlamaConfig {
        num_key_value_heads: Some(2),
        ..LlamaConfig::new(50, 48, 1, 6, 20)
    };
    let table = ModelConfig::Llama(config).table();
    assert_eq!(table.unit(Axis::KEY).block, 8);
    assert_eq!(table.unit(Axis::QUERY).block, 24, "three query heads to a key head");
    assert_eq!(table.unit(Axis::HIDDEN).block, 1);
}

#[test]
fn heads_that_are_mixed_are_the_heads_of_queries_but_not_those_of_class_attention() {
    let table = ModelConfig::Cait(CaitConfig::new(8, 2, 2, 3)).table();
    assert_eq!(table.unit(Axis::HEADS).set, table.unit(Axis::QUERY).set);
    assert_ne!(table.unit(Axis::CLASS_QUERY).set, table.unit(Axis::QUERY).set);
    assert_eq!(table.unit(Axis::HEADS).block, 1);
    let scales = table.specs().iter().filter(|s| s.role == Role::Scale).count();
    assert_eq!(scales, 4, "two in each kind of layer");
}

#[test]
fn a_heads_dense_layer_belongs_to_what_scales_its_outputs() {
    let bert = |tied: bool| {
        let mut json = ModelConfig::example("bert").unwrap().to_json();
        json["tie_word_embeddings"] = tied.into();
        ModelConfig::from_json(&json).unwrap().table()
    };
    assert_eq!(bert(true).unit(Axis::HEAD).set, Axis::HIDDEN.name());
    assert_eq!(bert(false).unit(Axis::HEAD).set, Axis::DECODER.name());
}

#[test]
fn every_family_says_how_it_normalizes() {
    for model in models() {
        let norm = model.table().norm().unwrap();
        let place = match model.model_type() {
            "bert" | "roberta" | "xlm-roberta" | "camembert" | "distilbert" | "electra" | "albert" => NormPlace::After,
            "olmo2" => NormPlace::Output,
            _ => NormPlace::Before,
        };
        let rms = matches!(model, ModelConfig::Llama(_) | ModelConfig::Gemma(_));
        assert_eq!(norm.place, place, "{}", model.model_type());
        assert_eq!(norm.kind == NormKind::Rms, rms, "{}", model.model_type());
        let has_shift = model.table().specs().iter().any(|s| s.role == Role::NormBias);
        let has_none = rms || model.model_type() == "modernbert";
        assert_eq!(has_shift, !has_none, "{}", model.model_type());
        assert_eq!(model.table().has_shifts(), has_shift);
    }
}

#[test]
fn another_epsilon_is_all_that_changes() {
    for model in models() {
        let changed = model.with_norm_epsilon(0.125);
        if model.table().has_fixed_epsilon() {
            assert!(["opt", "distilbert"].contains(&model.model_type()));
            assert_eq!(changed, model);
            continue;
        }
        assert_eq!(changed.norm_epsilon(), 0.125);
        let again = ModelConfig::from_json(&changed.to_json()).unwrap();
        assert_eq!(again.norm_epsilon(), 0.125, "{}", model.model_type());
        assert_eq!(changed.with_norm_epsilon(model.norm_epsilon()), model);
        assert_eq!(changed.table(), model.table());
    }
    let gpt2 = ModelConfig::Gpt2(Gpt2Config::new(50, 8, 1, 1));
    assert_eq!(gpt2.norm_epsilon(), 1e-5);
}
