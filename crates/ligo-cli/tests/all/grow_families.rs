//! What growing does for families that have something of their own: layers of several kinds, encoders without a head.

use std::fs;
use std::path::Path;

use ligo_arch::ModelConfig;
use ligo_checkpoint::{AtomicDir, Declared, Dtype, ModelDir, ModelWriter};
use serde_json::{Value, json};

use crate::common::{self, Place, assert_says, copy_folder, fixture};

const SAME: &str = "computes what the small model does";

fn config(place: &Place, folder: &str) -> Value {
    serde_json::from_slice(&fs::read(place.path(folder).join("config.json")).unwrap()).unwrap()
}

fn grown(place: &Place, small: &Path, sizes: &[&str], out: &str) -> String {
    let arguments = [
        &["grow", "--small", small.to_str().unwrap()],
        sizes,
        &["--out", out, "--replace"],
    ]
    .concat();
    place.shown(&arguments)
}

#[test]
fn shared_layers_widen_and_run_more_often() {
    let place = Place::new();
    for name in ["albert/shared", "albert/two_groups_padding", "albert/pretraining"] {
        let said = grown(&place, &fixture(name), &["--width", "2x"], "out");
        assert!(said.contains(SAME), "{name}: {said}");
    }
    let said = grown(&place, &fixture("albert/shared"), &["--layers", "2x"], "out");
    assert_says(
        &said,
        &["adds no parameter", "run 6 times instead of 3", "has to be trained"],
    );
    assert!(!said.contains(SAME), "{said}");
    let said = config(&place, "out");
    assert_eq!(
        (&said["num_hidden_layers"], &said["num_hidden_groups"]),
        (&json!(6), &json!(1))
    );
    place.write("large.json", r#"{"num_hidden_layers": 6, "num_hidden_groups": 2}"#);
    let method = ["--large", "large.json", "--method", "stackbert"];
    grown(&place, &fixture("albert/shared"), &method, "out");
    assert_eq!(config(&place, "out")["num_hidden_groups"], 2);
}

#[test]
fn families_grow_to_what_they_compute() {
    let place = Place::new();
    for name in [
        "smollm3/every_fourth_tied",
        "phi3/grouped_padding",
        "olmo2/grouped",
        "opt/tied",
        "opt/normalized_behind_projected",
        "distilbert/tied",
        "electra/discriminator",
        "electra/discriminator_projected_padding",
        "electra/generator",
        "electra/generator_projected",
        "electra/generator_untied",
        "albert/untied",
        "modernbert/windows",
        "modernbert/biases_untied",
        "moe/mixtral",
        "moe/qwen3_dense_between",
        "xlm_roberta/tied_padded",
        "camembert/tied_padded",
    ] {
        for sizes in [&["--layers", "2x"], &["--width", "2x"]] {
            let said = grown(&place, &fixture(name), sizes, "out");
            assert!(said.contains(SAME), "{name}, {sizes:?}: {said}");
        }
    }
}

#[test]
fn dense_models_become_mixtures_that_compute_what_they_do() {
    let place = Place::new();
    for (name, class) in [
        ("llama/all_heads_untied", "MixtralForCausalLM"),
        ("llama/mistral_window", "MixtralForCausalLM"),
        ("llama/qwen3", "Qwen3MoeForCausalLM"),
    ] {
        let said = grown(&place, &fixture(name), &["--experts", "8", "--top-k", "2"], "mixture");
        assert_says(&said, &["by upcycling (upcycle)", SAME]);
        assert_eq!(config(&place, "mixture")["architectures"], json!([class]));
        assert_eq!(config(&place, "mixture")["num_experts_per_tok"], 2);
        let inspected = place.shown(&["inspect", "mixture"]);
        assert_says(&inspected, &["8 experts"]);
        // Twice as many, of which twice as many are taken.
        let said = grown(
            &place,
            &place.path("mixture"),
            &["--experts", "2x", "--top-k", "4"],
            "more",
        );
        assert_says(&said, &["upcycle", SAME]);
        let dir = ModelDir::open(place.path("more")).unwrap();
        let experts = dir
            .names()
            .filter(|name| name.contains("layers.0.") && name.contains(".experts."));
        assert_eq!(experts.count(), 16 * 3);
    }
    // Experts of half the size, of which a token goes through two pairs.
    let finer = ["--experts", "8", "--granularity", "2", "--top-k", "4"];
    for name in ["llama/all_heads_untied", "llama/qwen3"] {
        assert_says(&grown(&place, &fixture(name), &finer, "finer"), &["upcycle", SAME]);
        assert_says(&place.shown(&["verify", "finer"]), &["logits"]);
    }
    let dropped = ["--experts", "4", "--method", "upcycle", "--set", "drop=0.5"];
    let said = grown(&place, &fixture("llama/all_heads_untied"), &dropped, "dropped");
    assert!(!said.contains(SAME), "{said}");
    let refused = place.refused(&[
        "grow",
        "--small",
        fixture("gpt2/inner_3_heads").to_str().unwrap(),
        "--experts",
        "4",
        "--out",
        "none",
    ]);
    assert_says(&refused, &["no mixture of experts is known for a `gpt2` model"]);
}

#[test]
fn experts_that_a_file_fuses_are_those_that_others_hold_one_by_one() {
    let place = Place::new();
    for name in ["moe/mixtral", "moe/qwen3_dense_between"] {
        let small = fixture(name);
        let config =
            ModelConfig::from_json(&serde_json::from_slice(&fs::read(small.join("config.json")).unwrap()).unwrap())
                .unwrap();
        let dir = ModelDir::open(&small).unwrap();
        let fused = config.fused();
        let inner: Vec<&String> = fused
            .iter()
            .flat_map(|(_, parts)| parts.iter().map(|(name, _)| name))
            .collect();
        let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
        for name in dir.names().filter(|name| !inner.iter().any(|inner| inner == name)) {
            tensors.push((
                name.into(),
                dir.info(name).unwrap().shape.clone(),
                dir.read_f32(name).unwrap(),
            ));
        }
        for (whole, parts) in &fused {
            let values: Vec<f32> = parts.iter().flat_map(|(name, _)| dir.read_f32(name).unwrap()).collect();
            // As many dimensions as the library has; what counts is the order.
            tensors.push((whole.clone(), vec![parts.len(), values.len() / parts.len()], values));
        }
        let target = AtomicDir::begin(place.path("fused")).unwrap();
        let declared = tensors.iter().map(|(name, shape, _)| Declared {
            name: name.clone(),
            dtype: Dtype::F32,
            shape: shape.clone(),
        });
        let mut writer = ModelWriter::new(&target, declared.collect(), u64::MAX).unwrap();
        tensors
            .iter()
            .for_each(|(name, _, values)| writer.write_f32(name, values).unwrap());
        writer.write_config(&config.to_json()).unwrap();
        writer.finish().unwrap();
        target.commit().unwrap();
        let sizes = ["--layers", "2x"];
        let said = grown(&place, &place.path("fused"), &sizes, "of_fused");
        assert!(said.contains(SAME), "{said}");
        grown(&place, &small, &sizes, "of_single");
        let weights = |folder: &str| fs::read(place.path(folder).join("model.safetensors")).unwrap();
        assert!(weights("of_fused") == weights("of_single"), "{name}");
        fs::remove_dir_all(place.path("fused")).unwrap();
    }
}

#[test]
fn layers_without_experts_stay_where_those_that_they_copy_have_none() {
    let place = Place::new();
    let small = fixture("moe/qwen3_dense_between");
    let said = grown(&place, &small, &["--layers", "2x"], "twice");
    assert_says(&said, &["zero-blocks", SAME]);
    // The second of four layers has experts.
    assert_eq!(config(&place, "twice")["mlp_only_layers"], json!([0, 1, 4, 5, 6, 7]));
    assert_eq!(config(&place, "twice")["decoder_sparse_step"], 1);
    grown(&place, &small, &["--layers", "1,0,1,2,3"], "listed");
    assert_eq!(config(&place, "listed")["mlp_only_layers"], json!([1, 3, 4]));
}

#[test]
fn new_layers_are_of_the_kind_of_those_that_they_copy() {
    let place = Place::new();
    let small = fixture("smollm3/list_untied");
    assert_says(
        &grown(&place, &small, &["--layers", "2x"], "twice"),
        &["zero-blocks", SAME],
    );
    assert_eq!(config(&place, "twice")["no_rope_layers"], json!([0, 0, 1, 1, 1, 1]));
    grown(&place, &small, &["--layers", "0-2,1-2"], "listed");
    assert_eq!(config(&place, "listed")["no_rope_layers"], json!([0, 1, 1, 1, 1]));
    // A file that says the number of layers alone.
    place.write(
        "deep.json",
        json!({"model_type": "smollm3", "num_hidden_layers": 4}).to_string(),
    );
    let deep = place.path("deep.json");
    let sizes = ["--large", deep.to_str().unwrap(), "--method", "stackbert"];
    grown(&place, &small, &sizes, "stacked");
    assert_eq!(config(&place, "stacked")["no_rope_layers"], json!([0, 1, 1, 0]));

    // Kinds of attention go the same way.
    copy_folder(&fixture("llama/qwen2_tied"), &place.path("qwen2"));
    let (full, window) = ("full_attention", "sliding_attention");
    let mut json = config(&place, "qwen2");
    json["use_sliding_window"] = true.into();
    json["layer_types"] = json!([full, window]);
    place.write("qwen2/config.json", json.to_string());
    grown(&place, &place.path("qwen2"), &["--layers", "0,0,1"], "mixed");
    assert_eq!(config(&place, "mixed")["layer_types"], json!([full, full, window]));
    grown(&place, &place.path("qwen2"), &["--layers", "2x"], "mixed");
    assert_eq!(
        config(&place, "mixed")["layer_types"],
        json!([full, full, window, window])
    );
}

#[test]
fn an_encoder_without_a_head_grows_without_one() {
    let place = Place::new();
    for (name, class) in [
        ("bare_bert/with_pooler", "BertModel"),
        ("bare_bert/prefixed", "BertModel"),
        ("bare_roberta/with_pooler", "RobertaModel"),
        ("bare_xlm_roberta/with_pooler", "XLMRobertaModel"),
    ] {
        assert_says(&grown(&place, &fixture(name), &["--layers", "2x"], "deep"), &[SAME]);
        assert_eq!(config(&place, "deep")["architectures"], json!([class]), "{name}");
        let dir = ModelDir::open(place.path("deep")).unwrap();
        let pooler = name.ends_with("with_pooler");
        assert_eq!(dir.contains("pooler.dense.weight"), pooler, "{name}");
        assert!(dir.names().all(|name| {
            ["embeddings.", "encoder.", "pooler."]
                .iter()
                .any(|part| name.starts_with(part))
        }));
        grown(&place, &fixture(name), &["--width", "2x"], "wide");
        assert_says(&place.shown(&["verify", "wide"]), &["logits"]);
    }
}

#[test]
fn what_needs_a_head_says_how_to_get_one() {
    let place = Place::new();
    place.shown(&["tokenize", "--data", "text.txt", "--vocab-size", "200", "--out", "data"]);
    let small = json!({"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 16, "vocab_size": 200});
    place.write("small.json", small.to_string());
    let refusal = place.refused(&common::TRAIN_A_STEP);
    assert_says(&refusal, &["no head", "BertForMaskedLM.from_pretrained(DIR)"]);
}
