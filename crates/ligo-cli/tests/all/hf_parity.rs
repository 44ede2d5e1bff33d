//! What is written loads in `transformers` and computes the same there: of every family a tiny published layout, as it was grown and as it was
//! trained on. Needs a Python with torch and transformers, in `LIGO_PYTHON` or as `python3`; says so where there is none.

use std::process::Command;

use crate::common::{Place, assert_says, fixture};

/// The Python that has `transformers`.
fn python() -> Option<String> {
    let named = std::env::var("LIGO_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&named).args(["-c", "import torch, transformers"]).output();
    match has {
        Ok(output) if output.status.success() => Some(named),
        _ => {
            println!("SKIPPED: {named} has no torch and transformers; LIGO_PYTHON names one that has");
            None
        }
    }
}

/// Asks `transformers` about a model.
fn verify(place: &Place, python: &str, model: &str) {
    let told = place.shown(&["verify", model, "--python", python, "--tolerance", "1e-5"]);
    assert_says(&told, &["transformers"]);
}

#[test]
fn grown_models_of_every_family_compute_the_same_in_transformers() {
    let Some(python) = python() else { return };
    let place = Place::new();
    for (i, small) in [
        "bert/tied_4_heads",
        "bert/untied_3_heads",
        "bert_classification/three_labels",
        "bert_qa/one_head",
        "roberta/tied_4_heads",
        "gpt2/tied_4_heads",
        "gpt_neox/pythia",
        "llama/grouped_9_3_tied",
        "llama/mistral_window",
        "llama/qwen2_tied",
        "llama/qwen3",
        "llama/rope_llama3",
        "electra/discriminator",
        "electra/discriminator_projected_padding",
        "electra/generator_projected",
        "electra/generator_untied",
        "albert/shared",
        "albert/two_groups_padding",
        "albert/pretraining",
        "albert/untied",
        "vit/vit_3_heads",
        "vit/deit_with_teacher",
    ]
    .into_iter()
    .enumerate()
    {
        let small = fixture(small).display().to_string();
        let out = format!("grown{i}");
        place.shown(&[
            "grow",
            "--small",
            &small,
            "--layers",
            "2x",
            "--method",
            "stackbert",
            "--out",
            &out,
        ]);
        verify(&place, &python, &out);
    }
}

#[test]
fn trained_models_compute_the_same_in_transformers() {
    let Some(python) = python() else { return };
    let place = Place::new();
    for (kind, config) in [
        (
            "word-piece",
            r#"{"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
                "max_position_embeddings": 16}"#,
        ),
        (
            "gpt2",
            r#"{"model_type": "gpt2", "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 16}"#,
        ),
        (
            "gpt2",
            r#"{"model_type": "llama", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
                "max_position_embeddings": 16}"#,
        ),
    ] {
        place.write("model.json", config);
        place.shown(&[
            "tokenize",
            "--data",
            "text.txt",
            "--kind",
            kind,
            "--vocab-size",
            "300",
            "--out",
            "data",
        ]);
        let train = [
            "train",
            "--model",
            "model.json",
            "--tokens",
            "data",
            "--seq-len",
            "16",
            "--out",
            "run",
        ];
        place.shown(&[&train[..], &["--set", "steps=5", "--set", "batch_size=4"]].concat());
        verify(&place, &python, "run/model");
        std::fs::remove_dir_all(place.path("run")).unwrap();
        std::fs::remove_dir_all(place.path("data")).unwrap();
    }
}
