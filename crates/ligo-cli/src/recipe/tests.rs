#![allow(clippy::unwrap_used, clippy::expect_used)]

use super::*;

fn own(overrides: &[&str]) -> Result<Recipe, RecipeError> {
    let overrides: Vec<String> = overrides.iter().map(|o| (*o).to_owned()).collect();
    load("demo", &overrides)
}

fn keys(result: Result<Recipe, RecipeError>) -> Vec<String> {
    match result {
        Err(RecipeError::Faults { faults, .. }) => faults.into_iter().map(|f| f.key).collect(),
        other => panic!("expected faults, found {other:?}"),
    }
}

#[test]
fn every_built_in_recipe_can_run() {
    for (name, _) in BUILTIN {
        // Most leave the data to the user.
        let given = ["corpus.paths=[\"data\"]".to_owned()];
        let recipe = load(name, &given).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(recipe.name, *name);
        assert!(!recipe.description.is_empty(), "{name} does not say what it is");
        let methods: Vec<&str> = recipe.methods.iter().map(|m| m.name.as_str()).collect();
        assert!(
            methods.contains(&"scratch") && methods.contains(&"ligo"),
            "{name} compares {methods:?}"
        );
    }
}

#[test]
fn every_recipe_file_is_built_in() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/recipes");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<String> = files
        .map(|file| file.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    let mut names: Vec<String> = BUILTIN.iter().map(|(name, _)| format!("{name}.toml")).collect();
    files.sort();
    names.sort();
    assert_eq!(files, names);
}

/// The data that the recipes are made for: a vocabulary as they name it, ImageNet's classes.
fn published(recipe: &Recipe) -> DataFacts {
    match recipe.corpus.source {
        CorpusSource::Images => DataFacts::images(1000),
        CorpusSource::Files | CorpusSource::RustDocs => {
            DataFacts::text(recipe.tokenizer.vocab_size, recipe.data.seq_len)
        }
    }
}

#[test]
fn every_built_in_recipe_has_a_price() {
    for (name, _) in BUILTIN {
        let recipe = load(name, &["corpus.paths=[\"data\"]".to_owned()]).unwrap();
        let facts = published(&recipe);
        let model = |section: &ModelSection, key| section.config(key, &facts).unwrap();
        let (small, large) = (model(&recipe.small, "small"), model(&recipe.large, "large"));
        let dims = |config| crate::cost::dims(config, recipe.data.seq_len, recipe.data.mask_probability);
        let step = |config| crate::cost::step(&dims(config), recipe.large.train.sequences_per_step());
        let (cheap, dear) = (step(&small), step(&large));
        assert!(
            cheap.exact > 0.0 && cheap.exact < dear.exact,
            "{name}: {cheap:?} {dear:?}"
        );
        let learn = crate::cost::learn_step(
            (&small, &dims(&small)),
            (&large, &dims(&large)),
            recipe.large.train.sequences_per_step(),
            &recipe.operator.ligo,
        );
        assert!(
            learn.exact > dear.exact && learn.electra > dear.electra,
            "{name}: {learn:?}"
        );
        // Six FLOPs for each parameter and token is what everyone expects, give or take look-ups, heads and attention.
        let tokens = dims(&large).seq_len * recipe.large.train.sequences_per_step();
        let rule = 6.0 * large.table().num_parameters() as f64 * tokens as f64;
        let ratio = dear.exact / rule;
        assert!((0.3..1.6).contains(&ratio), "{name}: {ratio} of 6ND");
    }
}

#[test]
fn the_pairs_of_the_paper_have_its_sizes() {
    let millions = |name: &str| {
        let recipe = load(name, &["corpus.paths=[\"data\"]".to_owned()]).unwrap();
        let facts = published(&recipe);
        let count = |section: &ModelSection, key| {
            let parameters = section.config(key, &facts).unwrap().table().num_parameters();
            (parameters as f64 / 1e5).round() / 10.0
        };
        [count(&recipe.small, "small"), count(&recipe.large, "large")]
    };
    // Published totals: BERT-Base 110 M (with the pooler, which a masked model lacks), BERT-Large 335 M, GPT-2 124 M and 355 M, DeiT 22 M and 86.6 M,
    // CaiT 26.6 M and 46.9 M, SmolLM 134.5 M.
    assert_eq!(millions("bert-small-to-base"), [35.1, 109.5]);
    assert_eq!(millions("bert-base-to-large"), [109.5, 335.2]);
    assert_eq!(millions("gpt2-base-to-medium"), [124.4, 354.8]);
    assert_eq!(millions("deit-small-to-base"), [22.1, 86.6]);
    assert_eq!(millions("cait-xs-to-s"), [26.6, 46.9]);
    assert_eq!(millions("smollm-135m-to-double")[0], 134.5);
}

#[test]
fn the_pairs_of_image_models_are_trained_as_deit_was() {
    for name in ["deit-small-to-base", "cait-xs-to-s"] {
        let recipe = load(name, &["corpus.paths=[\"data\"]".to_owned()]).unwrap();
        let expected = Augmentation {
            repeats: 3,
            ..Augmentation::deit()
        };
        assert_eq!(recipe.data.augmentation().unwrap(), expected);
        for train in [&recipe.small.train, &recipe.large.train] {
            assert_eq!(train.sequences_per_step(), 1024);
            assert_eq!((train.clip_norm, train.optimizer.weight_decay), (0.0, 0.05));
            // 300 epochs of 1,251 steps, 5 of them warm-up; 5e-4 · 1024/512 down to 1e-5.
            assert_eq!((train.steps, train.schedule.warmup_steps), (300 * 1251, 5 * 1251));
            assert_eq!(train.lr(5 * 1251 - 1), 1e-3);
            assert!((train.lr(train.steps) - 1e-5).abs() < 1e-12);
        }
        let facts = published(&recipe);
        let dropped =
            |section: &ModelSection, key| section.config(key, &facts).unwrap().to_json()["drop_path_rate"].clone();
        assert_eq!(dropped(&recipe.large, "large"), 0.1);
    }
}

#[test]
fn a_fault_of_the_augmentation_is_found_with_the_others() {
    let images = |given: &str| {
        let given = ["corpus.paths=[\"data\"]".to_owned(), given.to_owned()];
        load("vit-mini", &given)
    };
    assert_eq!(
        images("data.augmentation.repeats=3")
            .unwrap()
            .data
            .augmentation()
            .unwrap()
            .repeats,
        3
    );
    for given in [
        "data.augmentation.repeats=0",
        "data.augmentation.repeatz=3",
        "data.augmentation.flip=2.0",
    ] {
        assert_eq!(keys(images(given)), ["data.augmentation"], "{given}");
    }
}

#[test]
fn the_demo_needs_nothing_from_the_user() {
    let demo = own(&[]).unwrap();
    assert_eq!(demo.corpus.source, CorpusSource::RustDocs);
    let methods: Vec<&str> = demo.methods.iter().map(|m| m.name.as_str()).collect();
    for method in ["scratch", "ligo", "stackbert", "direct-copy"] {
        assert!(methods.contains(&method), "{methods:?}");
    }
}

#[test]
fn a_resolved_recipe_reads_back_as_itself() {
    for (name, _) in BUILTIN {
        let given = [
            "corpus.source=\"files\"".to_owned(),
            "corpus.paths=[\"text.txt\"]".to_owned(),
        ];
        let recipe = load(name, &given).unwrap();
        let text = recipe.to_toml().unwrap();
        let again = parse(&text, "recipe.toml", &[]).unwrap();
        assert_eq!(again.to_toml().unwrap(), text, "{name}");
    }
}

#[test]
fn overrides_take_toml_values_and_plain_words() {
    let recipe = own(&[
        "seed=7",
        "large.train.schedule.peak_lr=1e-4",
        "description=two words",
        "operator.ligo.sharing=per-large-layer",
        "methods=[{name=\"scratch\"}, {name=\"ligo\", seed=4, train={steps=9}}]",
    ])
    .unwrap();
    assert_eq!(recipe.seed, 7);
    assert_eq!(recipe.large.train.schedule.peak_lr, 1e-4);
    assert_eq!(recipe.description, "two words");
    assert_eq!(recipe.operator.ligo.sharing, ligo_growth::Sharing::PerLargeLayer);
    let ligo = &recipe.methods[1];
    assert_eq!((ligo.id().as_str(), recipe.seed_of(ligo)), ("ligo-seed4", 4));
    let train = merged(&recipe.large.train, &ligo.train, "train").unwrap();
    assert_eq!(train.steps, 9);
    assert_eq!(train.batch_size, recipe.large.train.batch_size);
}

#[test]
fn overrides_that_lead_nowhere_are_refused() {
    for given in ["seed", "=3", "seed.x=3"] {
        let error = own(&[given]).unwrap_err();
        assert!(
            matches!(&error, RecipeError::Set { given: g, .. } if g == given),
            "{error}"
        );
    }
}

#[test]
fn all_faults_are_found_at_once() {
    let faults = keys(own(&[
        "sede=2",
        "small.train.batch_size=0",
        "small.model.num_attention_heads=7",
        "large.train.schedule.peek_lr=1",
        "data.seq_len=4",
        "corpus.valid_fraction=1.5",
        "operator.ligo.width_noise=-1.0",
        "methods=[{name=\"scrach\"}, {name=\"ligo\", train={stepps=1}}]",
    ]));
    for key in [
        "sede",
        "small.train",
        "small.model",
        "large.train.schedule.peek_lr",
        "data.seq_len",
        "corpus.valid_fraction",
        "operator.ligo",
        "methods[0].name",
        "methods[1].train.stepps",
    ] {
        assert!(faults.iter().any(|f| f == key), "{key} is not among {faults:?}");
    }
}

#[test]
fn one_wrong_value_is_one_fault() {
    for (given, key) in [
        ("large.train.steps=\"many\"", "large.train.steps"),
        ("large.model.hiden_dropout_prob=0.1", "large.model.hiden_dropout_prob"),
        ("operator.ligo.width_init=\"randd\"", "operator.ligo.width_init"),
        ("methods=[{name=\"ligo\"}, {name=\"ligo\"}]", "methods[1].id"),
        ("methods=[]", "methods"),
    ] {
        assert_eq!(keys(own(&[given])), [key], "{given}");
    }
}

#[test]
fn a_fixed_identity_block_needs_a_start_that_has_one() {
    let faults = keys(own(&[
        "operator.ligo.fixed_identity=true",
        "operator.ligo.width_init=\"isometric\"",
    ]));
    assert!(faults.contains(&"operator.ligo".to_owned()), "{faults:?}");
}

#[test]
fn a_large_model_may_not_be_smaller() {
    assert_eq!(keys(own(&["large.model.num_hidden_layers=1"])), ["large.model"]);
}

#[test]
fn the_nearest_recipe_is_named() {
    let error = load("bert-minni", &[]).unwrap_err();
    assert!(
        matches!(&error, RecipeError::Unknown { nearest: Some(near), .. } if near == "bert-mini"),
        "{error}"
    );
    let error = load("something/else.toml", &[]).unwrap_err();
    assert!(matches!(&error, RecipeError::Unknown { nearest: None, .. }), "{error}");
}
