//! How training proceeds: what is left out, what is frozen, who teaches, and that none of it breaks a resume.

use std::collections::BTreeSet;

use ligo_cost::{Cost, Flops};
use ligo_models::Layers;
use ligo_train::{
    DistillObjective, Distillation, Error, Freeze, LayerDrop, Leaves, Objective, Optimizer, Outcome, PretrainObjective,
    Rewarm, StepContext, StepCost, Submodels, TokenDropping, TrainConfig, Trainer, Work,
};

use crate::toy::{self, Toy, Watcher, bits, config, run, timeless};

/// One FLOP for each layer that runs forward, another for each that is trained, a hundred for the teacher.
struct Layered(usize);

impl StepCost for Layered {
    fn of(&self, micro_batches: &[Work]) -> Flops {
        let count = |work: &Work| {
            let runs = (0..self.0).filter(|layer| work.layers.contain(*layer));
            let trained = runs.clone().filter(|layer| *layer >= work.trained.from_layer);
            runs.count() + trained.count() + if work.teacher { 100 } else { 0 }
        };
        let flops = micro_batches.iter().map(count).sum::<usize>() as f64;
        Flops {
            exact: flops,
            electra: flops / 2.0,
        }
    }

    fn whole(&self) -> Flops {
        Flops {
            exact: 4.0 * self.0 as f64,
            electra: 2.0 * self.0 as f64,
        }
    }
}

/// A deeper toy, so that there is a middle to drop tokens in.
fn toy() -> Toy {
    Toy::with_layers(4)
}

fn teacher(toy: &Toy) -> ligo_models::Model {
    toy.objective.network(&Leaves::plain(&toy.store())).unwrap()
}

/// Settings of every kind of schedule, by name.
fn schedules() -> Vec<(&'static str, TrainConfig)> {
    let with = |change: &dyn Fn(&mut TrainConfig)| {
        let mut config = config();
        change(&mut config);
        config
    };
    vec![
        (
            "layer-drop",
            with(&|c| {
                c.layer_drop = toy::layer_drop();
            }),
        ),
        ("token-drop", with(&|c| c.token_drop = toy::token_drop())),
        (
            "submodels",
            with(&|c| {
                c.submodels = toy::submodels();
            }),
        ),
        (
            "freeze",
            with(&|c| {
                c.freeze = toy::freeze();
            }),
        ),
        ("distillation", with(&|c| c.distillation = toy::distillation())),
        (
            "everything",
            with(&|c| {
                c.layer_drop = toy::layer_drop();
                c.token_drop = toy::token_drop();
                c.submodels = Some(Submodels {
                    block: Some(2),
                    share: 0.25,
                });
                c.distillation = Some(Distillation {
                    share: 0.75,
                    ..Distillation::default()
                });
                c.rewarm_new = Some(Rewarm {
                    steps: Some(5),
                    factor: 1.5,
                    ..Rewarm::default()
                });
            }),
        ),
    ]
}

/// A trainer of a toy by these settings, whose first layer is new.
fn trainer<'a>(
    toy: &'a Toy,
    config: &TrainConfig,
    loader: &'a ligo_data::MlmLoader,
    objective: &'a dyn Objective,
    name: &str,
) -> Trainer<'a> {
    let trainer = toy.trainer(config, loader, objective, &toy.folder.path().join(name));
    let store = toy.store();
    let new = store.infos().iter().map(|info| {
        let is_new = (0..info.num_elements()).map(|i| info.name.contains("layer.0.") && i % 2 == 0);
        (info.name.clone(), is_new.collect())
    });
    let new = new.collect();
    let trainer = trainer.map_optimizer(|optimizer: Optimizer, store| optimizer.with_new_entries(store, new));
    trainer
        .unwrap()
        .with_cost(Layered(4))
        .with_spent(Cost::of_measures([1000.0, 500.0, 0.0]))
}

#[test]
fn a_run_that_is_stopped_in_the_middle_of_any_schedule_goes_on_with_the_same_bits() {
    let toy = toy();
    let loader = toy.loader(true);
    let plain_result = {
        let mut plain = trainer(&toy, &config(), &loader, &toy.objective, "plain");
        run(&mut plain, &mut Watcher::default()).unwrap()
    };
    for (name, config) in schedules() {
        let distilled = DistillObjective::new(toy.objective.clone(), teacher(&toy));
        let objective: &dyn Objective = match config.distillation {
            Some(_) => &distilled,
            None => &toy.objective,
        };
        let mut whole = trainer(&toy, &config, &loader, objective, &format!("{name}-whole"));
        let whole_result = run(&mut whole, &mut Watcher::default()).unwrap();
        assert_eq!(whole_result.outcome, Outcome::Completed);
        // Negative control: the schedule does something.
        assert_ne!(whole_result.curve[5].loss, plain_result.curve[5].loss, "{name}");
        assert_eq!(whole_result.curve[0].loss, plain_result.curve[0].loss, "{name}");
        for stop in [3, 12, 17] {
            let resumed = format!("{name}-{stop}");
            let mut first = trainer(&toy, &config, &loader, objective, &resumed);
            let result = run(&mut first, &mut Watcher::stopping_after(stop)).unwrap();
            assert_eq!(result.outcome, Outcome::Interrupted { step: stop });
            drop(first);
            let mut second = trainer(&toy, &config, &loader, objective, &resumed);
            let result = run(&mut second, &mut Watcher::default()).unwrap();
            assert_eq!(timeless(&result), timeless(&whole_result), "{resumed}");
            assert_eq!(bits(&second), bits(&whole), "{resumed}");
        }
    }
}

#[test]
fn schedules_that_leave_nothing_out_equal_plain_training_bit_for_bit() {
    let toy = toy();
    let loader = toy.loader(true);
    let mut plain = toy.trainer(&config(), &loader, &toy.objective, &toy.folder.path().join("plain"));
    run(&mut plain, &mut Watcher::default()).unwrap();
    let nothing: [(&str, TrainConfig); 5] = [
        (
            "layer-drop",
            TrainConfig {
                layer_drop: Some(LayerDrop {
                    max_rate: 0.0,
                    ..LayerDrop::default()
                }),
                ..config()
            },
        ),
        (
            "token-drop",
            TrainConfig {
                token_drop: Some(TokenDropping {
                    rate: 0.0,
                    ..TokenDropping::default()
                }),
                ..config()
            },
        ),
        (
            "submodels",
            TrainConfig {
                submodels: Some(Submodels {
                    share: 0.0,
                    ..Submodels::default()
                }),
                ..config()
            },
        ),
        (
            "freeze",
            TrainConfig {
                freeze: Some(Freeze {
                    layers: 0,
                    embeddings: false,
                    ..Freeze::default()
                }),
                ..config()
            },
        ),
        (
            "distillation",
            TrainConfig {
                distillation: Some(Distillation {
                    share: 0.0,
                    ..Distillation::default()
                }),
                ..config()
            },
        ),
    ];
    let distilled = DistillObjective::new(toy.objective.clone(), teacher(&toy));
    for (name, config) in nothing {
        let objective: &dyn Objective = match config.distillation {
            Some(_) => &distilled,
            None => &toy.objective,
        };
        let mut other = toy.trainer(&config, &loader, objective, &toy.folder.path().join(name));
        run(&mut other, &mut Watcher::default()).unwrap();
        assert_eq!(bits(&other), bits(&plain), "{name}");
    }
}

/// The names of parameters whose weights differ between two trainers.
fn moved(before: &ligo_train::ParamStore, after: &ligo_train::ParamStore) -> BTreeSet<String> {
    let pairs = before.to_values().unwrap().into_iter().zip(after.to_values().unwrap());
    let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let changed = pairs.filter(|((_, old), (_, new))| bits(old) != bits(new));
    changed.map(|((info, _), _)| info.name).collect()
}

#[test]
fn what_is_frozen_keeps_every_bit_and_everything_else_moves() {
    let toy = toy();
    let loader = toy.loader(true);
    for embeddings in [true, false] {
        let config = TrainConfig {
            freeze: Some(Freeze {
                layers: 2,
                embeddings,
                ..Freeze::default()
            }),
            ..config()
        };
        let dir = toy.folder.path().join(format!("{embeddings}"));
        let mut frozen = toy.trainer(&config, &loader, &toy.objective, &dir);
        run(&mut frozen, &mut Watcher::default()).unwrap();
        let moved = moved(&toy.store(), frozen.store());
        for info in toy.store().infos() {
            let is_frozen = ["layer.0.", "layer.1."].iter().any(|layer| info.name.contains(layer))
                || (embeddings && info.name.contains("embeddings"));
            // Token types and unused positions get no gradient, and key biases none that is not rounding.
            if is_frozen {
                assert!(!moved.contains(&info.name), "{}", info.name);
            } else if info.name.ends_with("dense.weight") || info.name.contains("word_embeddings") {
                assert!(moved.contains(&info.name), "{}", info.name);
            }
        }
    }
}

#[test]
fn frozen_layers_are_thawed_after_their_share_of_the_run() {
    let toy = toy();
    let loader = toy.loader(true);
    let config = TrainConfig {
        freeze: Some(Freeze {
            layers: 4,
            share: 0.5,
            ..Freeze::default()
        }),
        ..config()
    };
    let dir = toy.folder.path().join("run");
    let mut trainer = toy.trainer(&config, &loader, &toy.objective, &dir);
    run(&mut trainer, &mut Watcher::stopping_after(12)).unwrap();
    let first_half = moved(&toy.store(), trainer.store());
    assert!(first_half.iter().all(|name| name.starts_with("cls.")), "{first_half:?}");
    run(&mut trainer, &mut Watcher::default()).unwrap();
    assert!(moved(&toy.store(), trainer.store()).contains("bert.encoder.layer.0.output.dense.weight"));
}

#[test]
fn a_step_of_a_sub_model_moves_its_top_block_and_the_head_only() {
    let toy = toy();
    let loader = toy.loader(true);
    let config = TrainConfig {
        submodels: Some(Submodels {
            block: Some(1),
            share: 1.0,
        }),
        ..config()
    };
    let dir = toy.folder.path().join("run");
    let mut trainer = toy.trainer(&config, &loader, &toy.objective, &dir);
    let mut depths = BTreeSet::new();
    for step in 0..24 {
        let at = StepContext {
            config: &config,
            step,
            micro_step: 0,
        };
        let work = toy.objective.work(&at);
        let Layers::First(depth) = work.layers else {
            panic!("step {step} runs {:?}", work.layers);
        };
        // The micro-batches of a step train one sub-model.
        assert_eq!(toy.objective.work(&StepContext { micro_step: 1, ..at }), work);
        let before =
            ligo_train::ParamStore::from_values(trainer.store().to_values().unwrap(), trainer.store().device());
        let before = before.unwrap();
        run(&mut trainer, &mut Watcher::stopping_after(step + 1)).unwrap();
        for name in moved(&before, trainer.store()) {
            let own = name.contains(&format!("layer.{}.", depth - 1));
            let lowest = depth == 1 && name.contains("embeddings");
            assert!(
                own || lowest || name.starts_with("cls."),
                "step {step}, depth {depth}: {name}"
            );
        }
        depths.insert(depth);
    }
    assert_eq!(depths.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
}

#[test]
fn costs_are_those_of_what_was_computed() {
    let toy = toy();
    let loader = toy.loader(true);
    for (name, config) in schedules() {
        let distilled = DistillObjective::new(toy.objective.clone(), teacher(&toy));
        let objective: &dyn Objective = match config.distillation {
            Some(_) => &distilled,
            None => &toy.objective,
        };
        let mut trainer = trainer(&toy, &config, &loader, objective, name);
        let mut watcher = Watcher::default();
        let result = run(&mut trainer, &mut watcher).unwrap();
        let mut spent = 1000.0;
        assert_eq!(result.curve[0].cost.flops.exact, spent);
        for (step, report) in watcher.steps.iter().enumerate() {
            let at = |micro_step| StepContext {
                config: &config,
                step: step as u64,
                micro_step,
            };
            let work: Vec<Work> = (0..2).map(|i| objective.work(&at(i))).collect();
            let cost = Layered(4).of(&work);
            spent += cost.exact;
            assert_eq!(report.step_cost.flops.exact, cost.exact, "{name}, step {step}");
            assert_eq!(report.cost.flops.exact, spent, "{name}, step {step}");
            if let Some(point) = result.curve.iter().find(|p| p.step == report.step) {
                assert_eq!(point.cost.measures()[..2], [spent, spent / 2.0]);
            }
        }
        assert_eq!(result.cost.flops.exact, spent);
        let whole = 1000.0 + 24.0 * Layered(4).whole().exact;
        match name {
            "distillation" => assert_eq!(spent, whole + 12.0 * 200.0),
            "token-drop" => assert_eq!(spent, whole),
            "everything" => {}
            _ => assert!(spent < whole, "{name}: {spent} of {whole}"),
        }
    }
}

#[test]
fn a_teacher_that_knows_more_lowers_the_loss_of_its_pupil() {
    let toy = Toy::with_dropout(0.0);
    let loader = toy.loader(true);
    let long = TrainConfig {
        steps: 150,
        eval_every: 0,
        ..config()
    };
    let mut taught = toy.trainer(&long, &loader, &toy.objective, &toy.folder.path().join("teacher"));
    let result = run(&mut taught, &mut Watcher::default()).unwrap();
    let (start, end) = (result.curve[0].loss, result.final_loss().unwrap());
    assert!(end < start - 0.5, "the teacher learned nothing: {start} to {end}");
    let teacher = toy.objective.network(&Leaves::plain(taught.store())).unwrap();

    let short = TrainConfig {
        steps: 24,
        eval_every: 0,
        ..config()
    };
    let distilling = TrainConfig {
        distillation: Some(Distillation {
            share: 1.0,
            ..Distillation::default()
        }),
        ..short.clone()
    };
    let mut alone = toy.trainer(&short, &loader, &toy.objective, &toy.folder.path().join("alone"));
    let alone = run(&mut alone, &mut Watcher::default()).unwrap();
    let objective = DistillObjective::new(toy.objective.clone(), teacher);
    let mut pupil = toy.trainer(&distilling, &loader, &objective, &toy.folder.path().join("pupil"));
    let pupil = run(&mut pupil, &mut Watcher::default()).unwrap();
    let losses = (pupil.final_loss().unwrap(), alone.final_loss().unwrap());
    assert!(losses.0 < losses.1, "{losses:?}");
}

#[test]
fn settings_that_an_objective_cannot_follow_are_refused_before_the_first_step() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let refused = |objective: &PretrainObjective, config: TrainConfig| {
        let data = ligo_train::RunData {
            train: &loader,
            valid: &toy.valid,
        };
        match Trainer::new(config, objective, toy.store(), data, toy.folder.path().join("no")) {
            Err(Error::Config { faults }) => faults.join("; "),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("accepted"),
        }
    };
    let without_teacher = TrainConfig {
        distillation: Some(Distillation::default()),
        ..config()
    };
    assert!(refused(&toy.objective, without_teacher).contains("needs a teacher"));
    let no_middle = TrainConfig {
        token_drop: Some(TokenDropping::default()),
        freeze: Some(Freeze {
            layers: 3,
            ..Freeze::default()
        }),
        ..config()
    };
    let faults = refused(&toy.objective, no_middle);
    assert!(
        faults.contains("found 1 to 1 of 2") && faults.contains("at most the 2 layers"),
        "{faults}"
    );
    let bad = TrainConfig {
        layer_drop: Some(LayerDrop {
            max_rate: 1.0,
            rise: 0.0,
        }),
        ..config()
    };
    assert!(refused(&toy.objective, bad).contains("layer_drop.max_rate"));

    // Nobody said what is new.
    let rewarm = TrainConfig {
        rewarm_new: Some(Rewarm::default()),
        ..config()
    };
    let mut trainer = toy.trainer(&rewarm, &loader, &toy.objective, &toy.folder.path().join("no"));
    let error = run(&mut trainer, &mut Watcher::default()).unwrap_err();
    assert!(error.to_string().contains("was not grown"), "{error}");
}
