//! BERT and RoBERTa as data: sizes of published models, heads, positions, and the way from pretraining to a task.

use ligo_arch::{Axis, BertConfig, Error, ModelConfig, ParamTable, Task, Transfer, check_growable};
use serde_json::{Value, json};

fn bert(hidden: usize, layers: usize, heads: usize) -> ModelConfig {
    ModelConfig::Bert(BertConfig::new(30_522, hidden, layers, heads))
}

fn roberta(hidden: usize, layers: usize, heads: usize) -> ModelConfig {
    ModelConfig::Bert(BertConfig::roberta(50_265, hidden, layers, heads))
}

fn required(table: &ParamTable) -> Vec<String> {
    let params = table.params().filter(|p| p.spec.required);
    params.map(|p| p.name).collect()
}

/// A small configuration with these fields changed; a null takes a field away.
fn read(model_type: &str, fields: Value) -> Result<ModelConfig, Error> {
    let mut json = json!({
        "model_type": model_type, "vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 12, "max_position_embeddings": 10
    });
    let object = json.as_object_mut().unwrap();
    for (key, value) in fields.as_object().unwrap() {
        object.insert(key.clone(), value.clone());
    }
    ModelConfig::from_json(&json)
}

#[test]
fn published_sizes_have_as_many_parameters_as_in_transformers() {
    // Counted with transformers 5.23: masked language model, classifiers of 2 and 3 classes, question answering.
    let counts = |config: ModelConfig| {
        let count = |task| config.with_task(task).unwrap().table().num_parameters();
        let classes = |labels| Task::SequenceClassification { labels };
        [Task::MaskedLm, classes(2), classes(3), Task::QuestionAnswering].map(count)
    };
    assert_eq!(
        counts(bert(512, 6, 8)),
        [35_099_962, 35_069_442, 35_069_955, 34_806_786]
    );
    assert_eq!(
        counts(bert(768, 12, 12)),
        [109_514_298, 109_483_778, 109_484_547, 108_893_186]
    );
    assert_eq!(
        counts(bert(1024, 24, 16)),
        [335_174_458, 335_143_938, 335_144_963, 334_094_338]
    );
    assert_eq!(
        counts(roberta(512, 6, 8)),
        [45_228_633, 45_178_370, 45_178_883, 44_915_714]
    );
    assert_eq!(
        counts(roberta(768, 12, 12)),
        [124_697_433, 124_647_170, 124_647_939, 124_056_578]
    );
    assert_eq!(
        counts(roberta(1024, 24, 16)),
        [355_412_057, 355_361_794, 355_362_819, 354_312_194]
    );
}

#[test]
fn architectures_decide_the_head() {
    let task = |model_type: &str, class: &str| {
        let fields = json!({"architectures": [class], "id2label": {"0": "no", "1": "maybe", "2": "yes"}});
        read(model_type, fields).map(|config| config.task())
    };
    let three = Task::SequenceClassification { labels: 3 };
    assert_eq!(task("bert", "BertForSequenceClassification").unwrap(), three);
    assert_eq!(task("roberta", "RobertaForSequenceClassification").unwrap(), three);
    for unknown in [
        "BertForMaskedLM",
        "BertForPreTraining",
        "RobertaModel",
        "RobertaForQuestionAnswering",
    ] {
        assert_eq!(task("bert", unknown).unwrap(), Task::MaskedLm, "{unknown}");
    }
    assert_eq!(task("bert", "BertModel").unwrap(), Task::HiddenStates);
    assert_eq!(read("roberta", json!({})).unwrap().task(), Task::MaskedLm);
    let answering = read("bert", json!({"architectures": ["BertForQuestionAnswering"]})).unwrap();
    assert_eq!(answering.task(), Task::QuestionAnswering);
}

#[test]
fn classes_are_counted_as_transformers_counts_them() {
    let labels = |fields: Value| {
        let mut fields = fields;
        fields["architectures"] = json!(["BertForSequenceClassification"]);
        read("bert", fields).map(|config| config.table().size(Axis::CLASSES))
    };
    assert_eq!(labels(json!({})).unwrap(), 2);
    assert_eq!(labels(json!({"num_labels": 5})).unwrap(), 5);
    let named = json!({"0": "a", "1": "b", "2": "c"});
    assert_eq!(labels(json!({"id2label": named, "num_labels": 3})).unwrap(), 3);
    assert_eq!(labels(json!({"id2label": named, "num_labels": null})).unwrap(), 3);
    for (fields, word) in [
        (json!({"id2label": named, "num_labels": 4}), "num_labels = 4"),
        (json!({"num_labels": 1}), "regression"),
        (json!({"problem_type": "multi_label_classification"}), "problem_type"),
    ] {
        let error = labels(fields).unwrap_err().to_string();
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_head_for_answers_has_two_outputs() {
    let fields = json!({"architectures": ["BertForQuestionAnswering"], "num_labels": 3});
    let error = read("bert", fields).unwrap_err();
    assert!(
        matches!(
            &error,
            Error::Unsupported {
                field: "num_labels",
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn positions_of_a_roberta_begin_behind_padding() {
    assert_eq!(roberta(64, 1, 1).max_sequence_tokens(), 512);
    assert_eq!(bert(64, 1, 1).max_sequence_tokens(), 512);
    let tokens = |fields: Value| read("roberta", fields).map(|config| config.max_sequence_tokens());
    assert_eq!(tokens(json!({})).unwrap(), 8);
    assert_eq!(tokens(json!({"pad_token_id": 0})).unwrap(), 9);
    assert_eq!(tokens(json!({"pad_token_id": 8})).unwrap(), 1);
    for (fields, field) in [
        (json!({"pad_token_id": null}), "pad_token_id"),
        (json!({"pad_token_id": -1}), "pad_token_id"),
        (json!({"pad_token_id": 40}), "pad_token_id"),
        (json!({"pad_token_id": 9}), "max_position_embeddings"),
    ] {
        let error = tokens(fields).unwrap_err();
        assert!(
            matches!(&error, Error::Unsupported { field: f, .. } if *f == field),
            "{error}"
        );
    }
    // A BERT does not look at padding.
    assert!(read("bert", json!({"pad_token_id": null})).is_ok());
}

#[test]
fn a_model_type_that_was_set_by_hand_is_checked() {
    let config = ModelConfig::Bert(BertConfig {
        model_type: "gpt2".into(),
        ..BertConfig::new(9, 8, 1, 1)
    });
    assert!(matches!(config.validate(), Err(Error::UnknownModelType { .. })));
}

#[test]
fn a_configuration_comes_back_as_it_was_read() {
    for model_type in ["bert", "roberta"] {
        let config = read(
            model_type,
            json!({"classifier_dropout": null, "pad_token_id": 3, "x": [1]}),
        )
        .unwrap();
        let again = ModelConfig::from_json(&config.to_json()).unwrap();
        assert_eq!(again, config);
        assert_eq!(config.to_json()["x"], json!([1]));
        assert_eq!(config.to_json()["classifier_dropout"], Value::Null);
    }
}

#[test]
fn an_untied_roberta_has_a_decoder_of_its_own_and_stores_its_bias_twice() {
    let config = |tie_word_embeddings| {
        ModelConfig::Bert(BertConfig {
            tie_word_embeddings,
            ..BertConfig::roberta(40, 8, 1, 2)
        })
    };
    let tied = config(true).table();
    assert!(tied.get("lm_head.decoder.weight").is_none());
    let norm = tied.get("lm_head.layer_norm.weight").unwrap();
    assert_eq!(norm.axes(), [Axis::HEAD_INPUT].as_slice());
    assert_eq!(tied.repeat(Axis::HEAD_INPUT).unwrap().of, Axis::HIDDEN);
    assert!(tied.stored_aliases().is_empty());
    let alias = |name: &str| tied.ties().iter().find(|(alias, _)| alias == name).unwrap().1.clone();
    assert_eq!(
        alias("lm_head.decoder.weight"),
        "roberta.embeddings.word_embeddings.weight"
    );
    assert_eq!(alias("lm_head.decoder.bias"), "lm_head.bias");

    let untied = config(false).table();
    let decoder = untied.get("lm_head.decoder.weight").unwrap();
    assert_eq!(decoder.axes(), [Axis::VOCAB, Axis::DECODER].as_slice());
    assert_eq!(
        untied.stored_aliases(),
        [("lm_head.decoder.bias".into(), "lm_head.bias".into())]
    );
    assert!(check_growable(&tied, &untied).is_err());
}

#[test]
fn heads_of_one_kind_grow_and_others_do_not() {
    let small = bert(128, 2, 2);
    let large = bert(256, 4, 4);
    let classes = |config: &ModelConfig, labels| {
        let task = Task::SequenceClassification { labels };
        config.with_task(task).unwrap().table()
    };
    check_growable(&classes(&small, 3), &classes(&large, 3)).unwrap();
    let error = check_growable(&classes(&small, 3), &classes(&large, 4)).unwrap_err();
    assert!(matches!(error, Error::FixedAxisDiffers { .. }), "{error}");
    let error = check_growable(&small.table(), &classes(&large, 3)).unwrap_err();
    assert!(error.to_string().contains("head"), "{error}");
    let error = check_growable(&small.table(), &roberta(256, 4, 4).table()).unwrap_err();
    assert!(matches!(error, Error::FamiliesDiffer { .. }), "{error}");
}

#[test]
fn another_head_leaves_the_encoder_and_names_the_classes() {
    let pretrained = roberta(64, 2, 2);
    let classifier = pretrained
        .with_task(Task::SequenceClassification { labels: 3 })
        .unwrap();
    let json = classifier.to_json();
    assert_eq!(json["architectures"], json!(["RobertaForSequenceClassification"]));
    assert_eq!(
        json["id2label"],
        json!({"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    );
    assert_eq!(ModelConfig::from_json(&json).unwrap(), classifier);
    let answering = classifier.with_task(Task::QuestionAnswering).unwrap();
    assert_eq!(answering.to_json().get("id2label"), None);
    assert_eq!(answering.with_task(Task::MaskedLm).unwrap(), pretrained);
    for task in [
        Task::CausalLm,
        Task::ImageClassification { labels: 2 },
        Task::SequenceClassification { labels: 1 },
    ] {
        assert!(pretrained.with_task(task).is_err(), "{task}");
    }
}

#[test]
fn fine_tuning_keeps_what_both_have_and_starts_the_rest_fresh() {
    let pretrained = roberta(64, 2, 2);
    let classifier = pretrained
        .with_task(Task::SequenceClassification { labels: 2 })
        .unwrap();
    let transfer = Transfer::between(&pretrained.table(), &[], &classifier.table()).unwrap();
    assert!(transfer.kept.iter().all(|name| name.starts_with("roberta.")));
    assert_eq!(
        transfer.kept.len() + transfer.fresh.len(),
        required(&classifier.table()).len()
    );
    assert_eq!(
        transfer.fresh,
        [
            "classifier.dense.weight",
            "classifier.dense.bias",
            "classifier.out_proj.weight",
            "classifier.out_proj.bias"
        ]
    );
    assert!(transfer.dropped.iter().all(|name| name.starts_with("lm_head.")));

    // A BERT's pooler is kept where the checkpoint has one.
    let classifier = bert(64, 2, 2)
        .with_task(Task::SequenceClassification { labels: 2 })
        .unwrap();
    let fresh = |optional: &[String]| {
        let transfer = Transfer::between(&bert(64, 2, 2).table(), optional, &classifier.table());
        transfer.unwrap().fresh
    };
    let pooler = ["bert.pooler.dense.weight", "bert.pooler.dense.bias"].map(String::from);
    let head = ["classifier.weight", "classifier.bias"].map(String::from);
    assert_eq!(fresh(&pooler), head);
    assert_eq!(fresh(&[]), [pooler, head].concat());
}

#[test]
fn a_head_of_another_size_starts_fresh_and_another_encoder_is_refused() {
    let classes = |config: ModelConfig, labels| {
        let task = Task::SequenceClassification { labels };
        config.with_task(task).unwrap().table()
    };
    let three = classes(bert(64, 2, 2), 3);
    let transfer = Transfer::between(&three, &[], &classes(bert(64, 2, 2), 2)).unwrap();
    assert_eq!(transfer.fresh, ["classifier.weight", "classifier.bias"]);
    assert_eq!(transfer.dropped, transfer.fresh);
    for (other, word) in [
        (bert(64, 3, 2), "layers"),
        (bert(128, 2, 2), "word_embeddings"),
        (roberta(64, 2, 2), "family"),
    ] {
        let error = Transfer::between(&three, &[], &classes(other, 3)).unwrap_err();
        assert!(
            matches!(&error, Error::EncodersDiffer { .. }) && error.to_string().contains(word),
            "{error}"
        );
    }
}

#[test]
fn an_encoder_alone_has_no_head_and_files_leave_its_prefix_out() {
    for (config, class, prefix) in [
        (bert(64, 2, 2), "BertModel", "bert."),
        (roberta(64, 2, 2), "RobertaModel", "roberta."),
    ] {
        let bare = config.with_task(Task::HiddenStates).unwrap();
        assert_eq!(bare.to_json()["architectures"], json!([class]));
        assert_eq!(ModelConfig::from_json(&bare.to_json()).unwrap(), bare);
        assert_eq!(
            (bare.task(), bare.architecture().unwrap().as_str()),
            (Task::HiddenStates, class)
        );
        let (whole, table) = (config.table(), bare.table());
        let encoder: Vec<_> = whole.params().filter(|p| p.name.starts_with(prefix)).collect();
        let params: Vec<_> = table.params().collect();
        let key = |p: &ligo_arch::Param<'_>| (p.name.clone(), p.shape.clone(), p.spec.required);
        assert_eq!(
            params.iter().map(key).collect::<Vec<_>>(),
            encoder.iter().map(key).collect::<Vec<_>>()
        );
        for (tensor, param) in table.file_tensors(&params).iter().zip(&params) {
            assert_eq!(format!("{prefix}{}", tensor.name), param.name);
            assert_eq!(tensor.shape, param.shape);
            assert!(tensor.parts[0].slice.is_whole());
        }
        assert_eq!(bare.with_task(Task::MaskedLm).unwrap(), config);
        check_growable(&table, &bare.table()).unwrap();
    }
}

#[test]
fn xlm_roberta_and_camembert_are_robertas_by_other_names() {
    for (model_type, class) in [
        ("xlm-roberta", "XLMRobertaForMaskedLM"),
        ("camembert", "CamembertForMaskedLM"),
    ] {
        let mut json = roberta(64, 2, 2).to_json();
        json["model_type"] = model_type.into();
        json.as_object_mut().unwrap().remove("architectures");
        let config = ModelConfig::from_json(&json).unwrap();
        assert_eq!(config.architecture().unwrap(), class);
        assert_eq!(config.table().family(), model_type);
        let names = |config: &ModelConfig| config.table().params().map(|p| p.name).collect::<Vec<_>>();
        assert_eq!(names(&config), names(&roberta(64, 2, 2)));
        assert_eq!(config.max_sequence_tokens(), 512);
        assert!(check_growable(&config.table(), &roberta(64, 2, 2).table()).is_err());
    }
}
