#![allow(clippy::unwrap_used, clippy::expect_used)]
use ligo_arch::BertConfig;
use ligo_checkpoint::{WriteOptions, write_model};

use super::*;

type Tensors = Vec<(String, Vec<usize>, Vec<f32>)>;

fn config() -> ModelConfig {
    ModelConfig::Bert(BertConfig::new(11, 8, 1, 2))
}

fn tensors() -> Tensors {
    ligo_growth::init::initial_values(&config().table(), 0.02, 1).collect()
}

fn directory(tensors: Tensors) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tensors = tensors
        .into_iter()
        .map(|(name, shape, values)| (name, shape, values.into()));
    write_model(
        folder.path().join("m"),
        &config().to_json(),
        tensors,
        &WriteOptions::default(),
    )
    .unwrap();
    folder
}

fn open(tensors: Tensors) -> Result<Source, LoadError> {
    open_model(&directory(tensors).path().join("m"))
}

#[test]
fn every_missing_and_misshapen_tensor_is_named() {
    let mut tensors = tensors();
    tensors.retain(|(name, ..)| name != "bert.embeddings.LayerNorm.bias" && name != "cls.predictions.bias");
    let query = tensors
        .iter_mut()
        .find(|(name, ..)| name.ends_with("query.weight"))
        .unwrap();
    (query.1, query.2) = (vec![4, 8], vec![0.0; 32]);
    let message = open(tensors).unwrap_err().to_string();
    for part in [
        "embeddings.LayerNorm.bias",
        "cls.predictions.bias",
        "query.weight",
        "[8, 8]",
        "[4, 8]",
    ] {
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn the_decoders_own_bias_is_the_one_that_counts() {
    let mut tensors = tensors();
    tensors.push(("cls.predictions.decoder.bias".into(), vec![11], vec![0.5; 11]));
    let dir = open(tensors).unwrap().dir;
    assert_eq!(dir.read_f32("cls.predictions.bias").unwrap(), [0.5; 11]);
}

#[test]
fn a_token_table_known_only_as_decoder_is_found() {
    let mut tensors = tensors();
    let words = tensors
        .iter_mut()
        .find(|(name, ..)| name.ends_with("word_embeddings.weight"))
        .unwrap();
    words.0 = "cls.predictions.decoder.weight".into();
    let dir = open(tensors).unwrap().dir;
    assert_eq!(
        dir.info("bert.embeddings.word_embeddings.weight").unwrap().shape,
        [11, 8]
    );
}

#[test]
fn tied_matrices_that_differ_are_refused() {
    let mut tensors = tensors();
    tensors.push(("cls.predictions.decoder.weight".into(), vec![11, 8], vec![0.5; 88]));
    let error = open(tensors).unwrap_err();
    assert!(
        matches!(&error, LoadError::BrokenTie { alias, .. } if alias == "cls.predictions.decoder.weight"),
        "{error}"
    );
}

#[test]
fn half_a_pooler_is_a_missing_tensor() {
    let mut tensors = tensors();
    tensors.retain(|(name, ..)| !name.starts_with("bert.pooler"));
    tensors.push(("bert.pooler.dense.weight".into(), vec![8, 8], vec![0.0; 64]));
    let message = open(tensors).unwrap_err().to_string();
    assert!(message.contains("bert.pooler.dense.bias"), "{message}");
}

#[test]
fn a_flipped_bit_is_noticed_through_the_manifest() {
    let folder = directory(tensors());
    let file = folder.path().join("m/model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let error = open_model(&folder.path().join("m")).unwrap_err();
    assert!(matches!(error, LoadError::Changed { .. }), "{error}");
}

#[test]
fn a_flipped_bit_of_the_configuration_is_noticed_and_named() {
    let folder = directory(tensors());
    let file = folder.path().join("m/config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    // One bit: 0x32 and 0x30 differ in it; no size of the tensors does.
    let changed = text.replace("\"num_attention_heads\": 2", "\"num_attention_heads\": 4");
    assert_ne!(text, changed);
    std::fs::write(&file, changed).unwrap();
    let message = open_model(&folder.path().join("m")).unwrap_err().to_string();
    for part in ["config.json", "sha256", "manifest.json"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    std::fs::remove_file(folder.path().join("m/manifest.json")).unwrap();
    open_model(&folder.path().join("m")).unwrap();
}

#[test]
fn a_manifest_that_does_not_list_the_configuration_still_reads() {
    let folder = directory(tensors());
    let path = folder.path().join("m/manifest.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    manifest["files"]
        .as_object_mut()
        .unwrap()
        .remove("config.json")
        .unwrap();
    std::fs::write(&path, format!("{manifest:#}\n")).unwrap();
    open_model(&folder.path().join("m")).unwrap();
}

#[test]
fn a_bare_encoder_is_called_that() {
    let mut tensors = tensors();
    tensors.retain(|(name, ..)| name.starts_with("bert."));
    let message = open(tensors.clone()).unwrap_err().to_string();
    for part in ["BERT", "no language-model head", "BertForMaskedLM.from_pretrained"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    // With the names that a bare model's file has.
    for (name, ..) in &mut tensors {
        *name = name.trim_start_matches("bert.").to_owned();
    }
    let message = open(tensors).unwrap_err().to_string();
    assert!(message.contains("no language-model head"), "{message}");
}

/// A directory with these tensors whose configuration names this class, or none.
fn open_as(class: Option<&str>, tensors: Tensors) -> Result<Source, LoadError> {
    let folder = directory(tensors);
    let path = folder.path().join("m");
    let mut json = config().to_json();
    match class {
        Some(class) => json["architectures"] = serde_json::json!([class]),
        None => drop(json.as_object_mut().unwrap().remove("architectures")),
    }
    std::fs::write(path.join("config.json"), json.to_string()).unwrap();
    std::fs::remove_file(path.join(MANIFEST_FILE)).unwrap();
    open_model(&path)
}

#[test]
fn an_encoder_is_read_without_a_head_where_none_is_there_and_none_is_named() {
    let mut body = tensors();
    body.retain(|(name, ..)| name.starts_with("bert."));
    let mut bare = body.clone();
    for (name, ..) in &mut bare {
        *name = name.trim_start_matches("bert.").to_owned();
    }
    bare.push(("pooler.dense.weight".into(), vec![8, 8], vec![0.5; 64]));
    bare.push(("pooler.dense.bias".into(), vec![8], vec![0.5; 8]));
    for (class, tensors) in [(Some("BertModel"), &bare), (Some("BertModel"), &body), (None, &bare)] {
        let source = open_as(class, tensors.clone()).unwrap();
        assert_eq!(source.config.task(), Task::HiddenStates);
        let expected = if tensors.len() == bare.len() { 2 } else { 0 };
        assert_eq!(source.optional.len(), expected);
        let table = source.dir.read_f32("bert.embeddings.word_embeddings.weight").unwrap();
        assert_eq!(table.len(), 88);
        source.model(&Device::flex()).unwrap();
    }
    // The same as the field of a module that was saved whole.
    let wrapped = |tensors: &Tensors| -> Tensors {
        let renamed = tensors.iter().cloned();
        renamed
            .map(|(name, shape, values)| (format!("model.{name}"), shape, values))
            .collect()
    };
    for (class, tensors) in [(Some("BertModel"), &body), (None, &bare)] {
        let source = open_as(class, wrapped(tensors)).unwrap();
        assert_eq!(
            (source.config.task(), source.dir.stripped()),
            (Task::HiddenStates, "model.")
        );
    }
    // A head that is there counts, whatever class is named.
    assert_eq!(
        open_as(None, wrapped(&tensors())).unwrap().config.task(),
        Task::MaskedLm
    );
    for class in [Some("BertModel"), None] {
        assert_eq!(open_as(class, tensors()).unwrap().config.task(), Task::MaskedLm);
    }
    let fault = open_as(Some("BertForMaskedLM"), bare).unwrap_err().to_string();
    assert!(fault.contains("\"architectures\": [\"BertModel\"]"), "{fault}");
}

#[test]
fn an_edited_card_and_a_file_more_do_no_harm() {
    let folder = directory(tensors());
    std::fs::write(folder.path().join("m/README.md"), "mine").unwrap();
    std::fs::write(folder.path().join("m/notes.txt"), "mine").unwrap();
    open_model(&folder.path().join("m")).unwrap();
}

#[test]
fn an_unknown_family_is_named_with_the_directory() {
    let folder = directory(tensors());
    let path = folder.path().join("m");
    std::fs::remove_file(path.join(MANIFEST_FILE)).unwrap();
    std::fs::write(path.join("config.json"), r#"{"model_type": "bart"}"#).unwrap();
    let error = open_model(&path).unwrap_err();
    assert!(
        matches!(&error, LoadError::Config { path: p, .. } if *p == path),
        "{error}"
    );
    assert!(error.to_string().contains("bart"), "{error}");
}
