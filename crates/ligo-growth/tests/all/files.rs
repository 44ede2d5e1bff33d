//! An operator that was written is the operator that is read.

use burn::tensor::Device;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_growth::{
    CloningConfig, CloningForm, FurtherInit, LemonConfig, LigoConfig, OPERATOR_JSON, OperatorInfo, OperatorSpec, Split,
    UpcycleConfig, WidthInit, load_operator, save_operator,
};

use crate::common::{gpt2, grow_all};

#[test]
fn every_operator_grows_the_same_after_a_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (gpt2(8, 2, 2), gpt2(16, 4, 4));
    let device = Device::flex();
    let form = |form| OperatorSpec::HyperCloning(CloningConfig { form, noise: 0.2 });
    let terms = OperatorSpec::Ligo(LigoConfig {
        terms: 2,
        further: FurtherInit::Above,
        tied: false,
        width_init: WidthInit::Fpi,
        bias_depth: true,
        ..LigoConfig::default()
    });
    let by_channel = OperatorSpec::Lemon(LemonConfig {
        split: Split::Channel,
        ..LemonConfig::default()
    });
    let along = OperatorSpec::Ligo(LigoConfig {
        tune_small_model: true,
        tune_residual: true,
        ..LigoConfig::default()
    });
    let mut specs = vec![
        form(CloningForm::Noisy),
        form(CloningForm::Diagonal),
        terms,
        along,
        by_channel,
    ];
    let named = OperatorSpec::NAMES.map(|name| OperatorSpec::from_name(name).unwrap());
    specs.extend(
        named
            .into_iter()
            .filter(|s| !["zero-blocks", "upcycle"].contains(&s.name())),
    );
    let blocks = OperatorSpec::from_name("zero-blocks").unwrap();
    // Layers alone, in a family whose layers have no source for some of their normalizations.
    let deeper = [2, 5].map(|layers| ModelConfig::Bert(BertConfig::new(11, 8, layers, 2)));
    let pairs = specs.iter().map(|spec| (spec, &small, &large));
    let pairs = pairs.chain([(&blocks, &deeper[0], &deeper[1])]);
    // Experts that become more, in ways of their own.
    let upcycling = OperatorSpec::Upcycle(UpcycleConfig { noise: 0.1, drop: 0.5 });
    let mixtures = [2, 4].map(mixture);
    let pairs = pairs.chain([(&upcycling, &mixtures[0], &mixtures[1])]);
    for (i, (spec, small, large)) in pairs.enumerate() {
        let path = folder.path().join(i.to_string());
        let large = spec.adjust(small, large);
        let view = small.table_for(&large);
        let map = spec.build(&view, &large.table(), &device, 0.02, 5).unwrap();
        let info = OperatorInfo::new(spec.clone(), small, &large, serde_json::Value::Null);
        save_operator(&path, &map, info).unwrap();
        let (loaded, info) = load_operator(&path, &device).unwrap();
        assert_eq!(info.operator, *spec);
        assert_eq!(loaded.fill, map.fill, "{spec:?}");
        assert_eq!(info.large().unwrap(), large, "{spec:?}: its epsilon included");
        let grown = |map| grow_all(map, &view, &large.table(), 7);
        let (before, after) = (grown(&map), grown(&loaded));
        assert_eq!(before, after, "{spec:?}");
    }
}

/// A mixture of so many experts.
fn mixture(experts: usize) -> ModelConfig {
    let json = serde_json::json!({"model_type": "mixtral", "vocab_size": 11, "hidden_size": 8, "intermediate_size": 6, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": experts, "num_experts_per_tok": 2});
    ModelConfig::from_json(&json).unwrap()
}

#[test]
fn settings_may_be_left_out_and_are_read_back() {
    for name in OperatorSpec::NAMES {
        let json = serde_json::json!({"kind": name});
        let spec: OperatorSpec = serde_json::from_value(json).unwrap();
        assert_eq!(spec, OperatorSpec::from_name(name).unwrap());
        assert_eq!(spec.name(), name);
        let again: OperatorSpec = serde_json::from_value(serde_json::to_value(&spec).unwrap()).unwrap();
        assert_eq!(again, spec);
    }
    let noisy = serde_json::json!({"kind": "hyper-cloning", "form": "noisy"});
    let spec: OperatorSpec = serde_json::from_value(noisy).unwrap();
    assert!(matches!(spec, OperatorSpec::HyperCloning(c) if c.form == CloningForm::Noisy && c.noise > 0.0));
    let unknown = serde_json::json!({"kind": "fpi", "chioce": "balanced"});
    let error = serde_json::from_value::<OperatorSpec>(unknown).unwrap_err();
    assert!(error.to_string().contains("chioce"), "{error}");
}

#[test]
fn settings_change_one_by_one_and_wrong_ones_are_named() {
    let settings = |json: serde_json::Value| json.as_object().unwrap().clone();
    let cloning = OperatorSpec::from_name("hyper-cloning").unwrap();
    let noisy = cloning
        .with_settings(&settings(serde_json::json!({"form": "noisy"})))
        .unwrap();
    assert!(matches!(noisy, OperatorSpec::HyperCloning(c) if c.form == CloningForm::Noisy && c.noise == 0.1));
    let ligo = OperatorSpec::from_name("ligo").unwrap();
    let along = ligo.with_settings(&settings(
        serde_json::json!({"tune_residual": true, "residual_noise": 0.02}),
    ));
    assert!(matches!(along.unwrap(), OperatorSpec::Ligo(c) if c.tune_residual && c.residual_noise == 0.02));
    let lemon = OperatorSpec::from_name("lemon").unwrap();
    let table = |hidden| gpt2(hidden, 2, 2).table();
    for (json, wrong) in [
        (serde_json::json!({"spread": 0.9}), "spread needs split"),
        (
            serde_json::json!({"split": "channel", "scale": 0.1}),
            "scale needs split",
        ),
    ] {
        let spec = lemon.with_settings(&settings(json)).unwrap();
        let error = spec.build(&table(8), &table(16), &Device::flex(), 0.02, 5).unwrap_err();
        assert!(error.to_string().contains(wrong), "{error}");
    }
    for (spec, json, wrong) in [
        (&ligo, serde_json::json!({"tune_residuals": true}), "tune_small_model"),
        (
            &cloning,
            serde_json::json!({"from": "noisy"}),
            "has no setting `from`; it has form, noise",
        ),
        (&cloning, serde_json::json!({"form": "loud"}), "loud"),
        (&cloning, serde_json::json!({"kind": "lemon"}), "has no setting `kind`"),
        (
            &OperatorSpec::Stackbert,
            serde_json::json!({"form": "noisy"}),
            "it has none",
        ),
    ] {
        let error = spec.with_settings(&settings(json)).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains(spec.name()), "{error}");
    }
}

#[test]
fn a_file_from_before_there_were_several_kinds_of_terms_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("operator");
    let (small, large) = (gpt2(8, 2, 2), gpt2(12, 4, 3));
    let spec = OperatorSpec::from_name("stackbert").unwrap();
    let map = spec
        .build(&small.table(), &large.table(), &Device::flex(), 0.02, 5)
        .unwrap();
    let info = OperatorInfo::new(spec, &small, &large, serde_json::Value::Null);
    save_operator(&path, &map, info).unwrap();
    let json = std::fs::read(path.join(OPERATOR_JSON)).unwrap();
    let mut json: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json).unwrap();
    assert!(json.remove("coverage").is_some() && json.remove("silent_fill").is_some());
    let old: OperatorInfo = serde_json::from_value(json.into()).unwrap();
    assert!(old.coverage.is_empty() && !old.silent_fill);
    assert_eq!(old.fresh_fill, Some((0.02, 5)));
}

#[test]
fn an_operator_of_a_newer_format_is_refused_by_its_number_whatever_else_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (gpt2(8, 2, 2), gpt2(12, 4, 3));
    let spec = OperatorSpec::from_name("stackbert").unwrap();
    let info = OperatorInfo::new(spec, &small, &large, serde_json::Value::Null);
    let whole = serde_json::to_value(&info).unwrap();
    let read = |format: u32, more: &str| {
        let mut json = whole.clone();
        json["format_version"] = format.into();
        if !more.is_empty() {
            json[more] = serde_json::json!({"new": [1, 2]});
        }
        std::fs::write(folder.path().join(OPERATOR_JSON), json.to_string()).unwrap();
        OperatorInfo::read(folder.path()).map_err(|error| error.to_string())
    };
    assert_eq!(read(2, "").unwrap(), info);
    assert_eq!(read(1, "").unwrap().operator, info.operator);
    for more in ["", "a_new_field"] {
        let error = read(4, more).unwrap_err();
        assert!(error.contains("format is 4") && error.contains("1 to 3"), "{error}");
    }
    let error = read(2, "a_new_field").unwrap_err();
    assert!(error.contains("a_new_field"), "{error}");
}
