#![allow(clippy::unwrap_used, clippy::expect_used)]

use ligo_data::Augmentation;
use ligo_growth::OperatorSpec;

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
            &recipe.operator.train,
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

fn with_methods(methods: &str) -> Recipe {
    own(&[&format!("methods=[{methods}]")]).unwrap()
}

/// The stages of a method of a recipe.
fn stages(recipe: &Recipe, method: usize) -> Vec<Stage> {
    let facts = DataFacts::expected(recipe);
    let pair = recipe.pair(&facts).unwrap();
    recipe.stages_of(&recipe.methods[method], &pair, &facts).unwrap()
}

#[test]
fn a_recipe_takes_what_it_does_not_say_from_its_base() {
    let text = "base = \"bert-mini\"\nname = \"mine\"\n[small.train]\nsteps = 7\n";
    let recipe = parse(text, "mine", &["corpus.paths=[\"data\"]".into()]).unwrap();
    let base = load("bert-mini", &["corpus.paths=[\"data\"]".to_owned()]).unwrap();
    assert_eq!((recipe.name.as_str(), recipe.small.train.steps), ("mine", 7));
    assert_eq!(recipe.small.train.batch_size, base.small.train.batch_size);
    assert_eq!((recipe.large, recipe.methods), (base.large, base.methods));
    let unknown = parse("base = \"bert-minni\"", "mine", &[]).unwrap_err();
    assert!(
        matches!(&unknown, RecipeError::Unknown { nearest: Some(near), .. } if near == "bert-mini"),
        "{unknown}"
    );
    assert!(
        parse("base = 3", "mine", &[])
            .unwrap_err()
            .to_string()
            .contains("built-in recipe")
    );
}

#[test]
fn every_preset_has_a_plan_and_a_name_of_its_own() {
    let names = PRESETS.map(|preset| preset.name);
    let list: Vec<String> = names.iter().map(|name| format!("{{name=\"{name}\"}}")).collect();
    let recipe = with_methods(&list.join(", "));
    let large = recipe.pair(&DataFacts::expected(&recipe)).unwrap().large;
    for (i, Preset { name, label, about }) in PRESETS.into_iter().enumerate() {
        assert!(!about.is_empty());
        assert_eq!(
            PRESETS.iter().filter(|other| other.label == label).count(),
            1,
            "{label}"
        );
        let stages = stages(&recipe, i);
        let total: u64 = stages.iter().map(Stage::steps).sum();
        assert_eq!(total, recipe.large.train.steps, "{name}");
        assert_eq!(stages.last().unwrap().model, large, "{name}");
        // Fresh models owe nothing to the small one, unless it teaches.
        let fresh = [
            "mslt",
            "stackbert-progressive",
            "staged",
            "midas",
            "zero-one",
            "one-schedule",
            "auto",
        ]
        .contains(&name);
        assert_eq!(use_small_model(&stages), !fresh, "{name}");
    }
    let scratch = with_methods("{name=\"scratch\"}");
    assert!(!use_small_model(&stages(&scratch, 0)));
}

#[test]
fn stages_that_go_on_with_a_schedule_have_its_rates() {
    let recipe = with_methods("{name=\"stackbert-progressive\"}");
    let whole = &recipe.large.train;
    let stages = stages(&recipe, 0);
    let rates = stages
        .iter()
        .flat_map(|stage| (0..stage.train.steps).map(|step| stage.train.lr(step)));
    let expected = (0..whole.steps).map(|step| whole.lr(step));
    assert!(rates.eq(expected));
    assert!(stages.iter().all(|stage| stage.keep_moments == KeepMoments::No));
}

#[test]
fn rates_follow_the_width_where_they_are_asked_to() {
    let recipe = with_methods(
        "{name=\"one-schedule\", rates=\"mup\"}, {name=\"scratch\", rates=\"mup\", train={matrix_lr_factor=0.5}}, {name=\"stackbert\", rates=\"same\"}",
    );
    let pair = recipe.pair(&DataFacts::expected(&recipe)).unwrap();
    let wider = pair.large.sizes().hidden as f64 / pair.small.sizes().hidden as f64;
    assert!(wider > 1.0);
    let factors = |method: usize| -> Vec<f64> {
        let stages = stages(&recipe, method);
        stages.iter().map(|stage| stage.train.matrix_lr_factor).collect()
    };
    assert_eq!(factors(0), [1.0, 1.0 / wider]);
    assert_eq!((factors(1), factors(2)), (vec![0.5 / wider], vec![1.0]));
    assert_eq!(
        keys(own(&["methods=[{name=\"ligo\", rates=\"fast\"}]"])),
        ["methods[0].rates"]
    );
}

#[test]
fn a_method_changes_what_its_preset_says() {
    let recipe = with_methods(
        "{name=\"ki\", train={distillation={share=0.1}}, operator={kind=\"stackbert\"}}, {name=\"ligo-moments\", keep_moments=\"reset-new\"}, \
         {name=\"staged\", stages=[{layers=3, share=0.5, keep_moments=false}, {}]}",
    );
    let ki = &stages(&recipe, 0)[0];
    let distillation = ki.train.distillation.unwrap();
    assert_eq!((distillation.share, distillation.temperature), (0.1, 2.0));
    assert_eq!(ki.operator, OperatorSpec::Stackbert);
    assert_eq!(stages(&recipe, 1)[0].keep_moments, KeepMoments::ResetNew);
    let staged = stages(&recipe, 2);
    assert_eq!(
        staged.iter().map(|s| s.model.sizes().layers).collect::<Vec<_>>(),
        [3, 4]
    );
    assert_eq!(staged[0].keep_moments, KeepMoments::No);
    assert_eq!(staged[1].keep_moments, KeepMoments::All);
    let text = recipe.to_toml().unwrap();
    assert_eq!(parse(&text, "again", &[]).unwrap(), recipe);
    assert_eq!(
        keys(own(&["methods=[{name=\"ligo\", keep_moments=\"some\"}]"])),
        ["methods[0].keep_moments"]
    );
}

#[test]
fn every_family_grows_through_every_preset() {
    let names = PRESETS.map(|preset| format!("{{name=\"{}\"}}", preset.name));
    for (base, field) in [
        ("gpt2-mini", "n_layer"),
        ("llama-mini", "num_hidden_layers"),
        ("vit-mini", "num_hidden_layers"),
        ("cait-mini", "num_hidden_layers"),
    ] {
        let given = [
            "corpus.paths=[\"data\"]".to_owned(),
            format!("methods=[{}]", names.join(", ")),
        ];
        let recipe = load(base, &given).unwrap();
        let gradual = PRESETS.iter().position(|preset| preset.name == "midas").unwrap();
        let stages = stages(&recipe, gradual);
        let layers: Vec<serde_json::Value> = stages.iter().map(|s| s.model.to_json()[field].clone()).collect();
        assert_eq!(layers, [2, 4, 6], "{base}");
    }
}

#[test]
fn methods_of_one_id_differ_in_their_seeds_only() {
    let refused = own(&["methods=[{name=\"ligo\"}, {name=\"ligo\", seed=2, learn={steps=7}}]"]);
    assert_eq!(keys(refused), ["methods[1]"]);
    let named = "methods=[{name=\"ligo\", label=\"ours\"}, {name=\"ligo\", seed=2, label=\"ours\"}, {name=\"ligo\", id=\"long\", learn={steps=7}}]";
    assert!(own(&[named]).is_ok());
}

#[test]
fn absurd_sizes_are_refused_by_key_and_many_faults_at_once() {
    use std::time::{Duration, Instant};
    let start = Instant::now();
    let most = i64::MAX;
    for (key, named) in [
        ("data.seq_len", "data.seq_len"),
        ("small.model.num_hidden_layers", "num_hidden_layers"),
        ("large.model.hidden_size", "hidden_size"),
        ("large.model.intermediate_size", "intermediate_size"),
    ] {
        let error = own(&[&format!("{key}={most}")]).unwrap_err().to_string();
        assert!(error.contains(named), "{key}: {error}");
    }
    let error = own(&[&format!(
        "methods=[{{name=\"ligo\", operator={{kind=\"ligo\", terms={most}}}}}]"
    )]);
    assert!(error.unwrap_err().to_string().contains("terms must be at most"));
    let keys: Vec<String> = (0..20_000).map(|i| format!("unknown_{i} = {i}")).collect();
    let error = parse(&keys.join("\n"), "many.toml", &[]).unwrap_err().to_string();
    assert!(
        error.contains("more than 50 faults") && error.len() < 1 << 16,
        "{} bytes",
        error.len()
    );
    let methods = "[[methods]]\nname = \"stackbert\"\n".repeat(10_000);
    let error = parse(&methods, "many.toml", &[]).unwrap_err().to_string();
    assert!(error.contains("methods[1].id") && error.contains(" more"), "{error}");
    assert!(error.lines().count() < 70, "{} lines", error.lines().count());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}
