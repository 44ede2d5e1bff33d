//! NaN and infinity, wherever they come from: nothing is changed by the step that has them, and the run ends, skips the step or goes back to
//! its last checkpoint, as its settings say.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::tensor::{Device, Tensor};
use ligo_arch::ModelConfig;
use ligo_data::{Batch, Cursor, ImageBatch};
use ligo_metrics::{Record, read};
use ligo_models::Inputs;
use ligo_train::{
    BatchSource, Error, Event, Learner, Leaves, NonFinitePolicy, Objective, Observer, Outcome, ParamInfo, ParamStore,
    PretrainObjective, Rollback, RunData, StepContext, TrainConfig, Trainer, Unfolded,
};
use serde_json::{Value, json};

use crate::toy::{Eyes, Toy, Watcher, bits, config, run, timeless};

/// Where a NaN is put.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Loss,
    Gradient,
    /// One number of the first tensor, as the step reads it.
    Weight,
}

/// Ordinary training with a NaN at given micro-batches.
struct Poisoned<'a> {
    inner: &'a dyn Objective,
    place: Place,
    at: Box<dyn Fn(u64) -> bool>,
    calls: Cell<u64>,
}

impl<'a> Poisoned<'a> {
    fn new(inner: &'a dyn Objective, place: Place, at: impl Fn(u64) -> bool + 'static) -> Self {
        Self {
            inner,
            place,
            at: Box::new(at),
            calls: Cell::new(0),
        }
    }
}

impl Objective for Poisoned<'_> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn unfold(&self, store: &ParamStore) -> Result<Unfolded<'_>, Error> {
        let mut store = store.clone();
        if self.place == Place::Weight && (self.at)(self.calls.get()) {
            let (info, mut values) = store.to_values()?.swap_remove(0);
            values[3] = f32::NAN;
            store.set(&info.name, values)?;
        }
        Ok(Unfolded::same(&store))
    }

    fn model(&self, leaves: &Leaves) -> Result<Box<dyn Learner>, Error> {
        self.inner.model(leaves)
    }

    fn loss(&self, leaves: &Leaves, batch: &Inputs, at: &StepContext<'_>) -> Result<Tensor<1>, Error> {
        let call = self.calls.replace(self.calls.get() + 1);
        let loss = self.inner.loss(leaves, batch, at)?;
        if !(self.at)(call) {
            return Ok(loss);
        }
        Ok(match self.place {
            Place::Weight => loss,
            Place::Loss => loss.mul_scalar(f32::NAN),
            // √0 is 0, but its slope is infinite, and infinite times 0 is NaN.
            Place::Gradient => {
                let name = &leaves.infos()[0].name;
                loss + leaves.tensor(name)?.narrow(0, 0, 1).mul_scalar(0.0).sqrt()
            }
        })
    }
}

#[test]
fn a_nan_stops_the_run_and_leaves_weights_and_optimizer_as_they_were() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    // Two micro-batches per step: the first and the second of steps 1, 7 and 8. A weight is read once a step.
    for (i, micro_batch) in [2, 15, 17, 14].into_iter().enumerate() {
        let step = micro_batch / 2;
        for place in [Place::Loss, Place::Gradient, Place::Weight] {
            if place == Place::Weight && micro_batch % 2 == 1 {
                continue;
            }
            let dir = |name: &str| toy.folder.path().join(format!("{name}-{place:?}-{i}"));
            let config = TrainConfig {
                log_every: [1, 1000][i % 2],
                ..config()
            };
            let mut healthy = toy.trainer(&config, &loader, &toy.objective, &dir("healthy"));
            run(&mut healthy, &mut Watcher::stopping_after(step)).unwrap();

            let objective = Poisoned::new(&toy.objective, place, move |call| call == micro_batch);
            let mut poisoned = toy.trainer(&config, &loader, &objective, &dir("poisoned"));
            let mut watcher = Watcher::default();
            let error = run(&mut poisoned, &mut watcher).unwrap_err();
            let Error::NonFinite {
                step: at,
                loss,
                grad_norm,
            } = error
            else {
                panic!("unexpected error {error}");
            };
            assert_eq!(at, step);
            assert_eq!(loss.is_finite(), place == Place::Gradient);
            assert!(!grad_norm.is_finite());
            assert_eq!(bits(&poisoned), bits(&healthy), "{place:?} at {micro_batch}");
            assert_eq!(watcher.steps.len() as u64, step);
            let records = read(dir("poisoned").join("metrics.jsonl")).unwrap();
            assert!(matches!(records.last(), Some(Record::Event(e)) if e.kind == "non_finite"));
        }
    }
}

#[test]
fn a_skipped_step_changes_neither_weights_nor_optimizer_and_is_listed() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let skipping = TrainConfig {
        on_non_finite: NonFinitePolicy::Skip,
        ..config()
    };
    for place in [Place::Loss, Place::Gradient, Place::Weight] {
        let run_dir = toy.folder.path().join(format!("{place:?}"));
        let objective = Poisoned::new(&toy.objective, place, |call| call == 14);
        let mut trainer = toy.trainer(&skipping, &loader, &objective, &run_dir);
        run(&mut trainer, &mut Watcher::stopping_after(7)).unwrap();
        let before = bits(&trainer);
        let mut watcher = Watcher::stopping_after(8);
        run(&mut trainer, &mut watcher).unwrap();
        assert!(watcher.steps[0].skipped);
        assert!(
            watcher
                .events
                .iter()
                .any(|e| matches!(e, Event::SkippedNonFinite { step: 7, .. }))
        );
        assert_eq!(bits(&trainer), before);
        let result = run(&mut trainer, &mut Watcher::default()).unwrap();
        assert_eq!(result.outcome, Outcome::Completed);
        assert_eq!(result.skipped_steps, [7]);
        assert_eq!(trainer.optimizer().updates(), 23);
        assert_ne!(bits(&trainer), before);
        let records = read(run_dir.join("metrics.jsonl")).unwrap();
        assert!(
            records
                .iter()
                .any(|r| matches!(r, Record::Event(e) if e.kind == "skipped_step" && e.step == 8))
        );
    }
}

#[test]
fn a_run_that_only_skips_gives_up() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let config = TrainConfig {
        on_non_finite: NonFinitePolicy::Skip,
        max_skipped_in_a_row: 3,
        ..config()
    };
    let objective = Poisoned::new(&toy.objective, Place::Loss, |call| call >= 8);
    let mut trainer = toy.trainer(&config, &loader, &objective, &toy.folder.path().join("run"));
    let error = run(&mut trainer, &mut Watcher::default()).unwrap_err();
    assert!(
        matches!(
            error,
            Error::TooManySkipped {
                step: 7,
                count: 4,
                allowed: 3
            }
        ),
        "{error}"
    );
    assert_eq!(trainer.optimizer().updates(), 4);
}

fn rolling_back() -> TrainConfig {
    TrainConfig {
        on_non_finite: NonFinitePolicy::Rollback,
        max_skipped_in_a_row: 2,
        ..config()
    }
}

/// Heals what it watches when the run has gone back, and may stop the run there.
struct Healing<'a> {
    eyes: Eyes<'a>,
    ill: Rc<Cell<bool>>,
    stops: Option<&'a AtomicBool>,
}

impl Observer for Healing<'_> {
    fn on_step(&mut self, report: &ligo_train::StepReport) {
        self.eyes.on_step(report);
    }

    fn on_event(&mut self, event: &Event) {
        if matches!(event, Event::RolledBack { .. }) {
            self.ill.set(false);
            if let Some(stop) = self.stops {
                stop.store(true, Ordering::Relaxed);
            }
        }
        self.eyes.on_event(event);
    }
}

/// A run whose first tensor is spoiled from a step on until the run goes back.
fn spoiled<T>(
    toy: &Toy,
    name: &str,
    from_step: u64,
    stops: bool,
    look: impl FnOnce(&mut Trainer<'_>, Watcher) -> T,
) -> T {
    let loader = toy.loader(true);
    let ill = Rc::new(Cell::new(true));
    let (spoils, stop) = (Rc::clone(&ill), AtomicBool::new(false));
    let objective = Poisoned::new(&toy.objective, Place::Weight, move |call| {
        spoils.get() && call >= 2 * from_step
    });
    let mut trainer = toy.trainer(&rolling_back(), &loader, &objective, &toy.folder.path().join(name));
    let mut watcher = Watcher::default();
    let mut healing = Healing {
        eyes: Eyes(&mut watcher, &stop),
        ill,
        stops: stops.then_some(&stop),
    };
    trainer.run(&stop, &mut healing).unwrap();
    look(&mut trainer, watcher)
}

#[test]
fn a_run_goes_back_to_its_checkpoint_and_on_behind_the_data_that_it_read() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    // Step 9 fails in a step, the state after 10 steps in its evaluation.
    for (from_step, reached) in [(9, 10), (10, 10)] {
        let name = |kind: &str| format!("{kind}-{from_step}");
        let mut healthy = toy.trainer(
            &config(),
            &loader,
            &toy.objective,
            &toy.folder.path().join(name("healthy")),
        );
        run(&mut healthy, &mut Watcher::stopping_after(7)).unwrap();
        spoiled(&toy, &name("stopped"), from_step, true, |back, _| {
            assert_eq!(bits(back), bits(&healthy), "not the state of the checkpoint");
        });
        let whole = run(&mut healthy, &mut Watcher::default()).unwrap();
        spoiled(&toy, &name("spoiled"), from_step, false, |trainer, watcher| {
            let result = run(trainer, &mut Watcher::default()).unwrap();
            let expected = Rollback { step: reached, to: 7 };
            assert_eq!((result.outcome, result.steps), (Outcome::Completed, 24));
            assert_eq!(
                (&result.rollbacks[..], &result.skipped_steps[..]),
                (&[expected][..], &[][..])
            );
            // What was thrown away was paid for, and the batches that followed it were others.
            assert_eq!(result.tokens, whole.tokens / 24 * (24 + reached - 7));
            assert_ne!(bits(trainer), bits(&healthy));
            let steps: Vec<u64> = result.curve.iter().map(|point| point.step).collect();
            assert_eq!(steps, [0, 5, 10, 15, 20, 24]);
            assert!(
                watcher
                    .events
                    .iter()
                    .any(|e| matches!(e, Event::RolledBack { to: 7, .. }))
            );
        });
        let records = read(toy.folder.path().join(name("spoiled")).join("metrics.jsonl")).unwrap();
        let steps = records.iter().filter(|record| matches!(record, Record::Train(_)));
        assert!(steps.map(Record::step).eq(1..=24));
        assert!(
            records
                .iter()
                .any(|r| matches!(r, Record::Event(e) if e.kind == "rolled_back" && e.step == 7))
        );
    }
}

#[test]
fn without_a_checkpoint_there_is_nothing_to_go_back_to() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let objective = Poisoned::new(&toy.objective, Place::Loss, |call| call == 6);
    let mut trainer = toy.trainer(&rolling_back(), &loader, &objective, &toy.folder.path().join("run"));
    let error = run(&mut trainer, &mut Watcher::default()).unwrap_err();
    assert!(matches!(error, Error::NonFinite { step: 3, .. }), "{error}");
}

#[test]
fn a_run_that_goes_back_again_and_again_gives_up() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let objective = Poisoned::new(&toy.objective, Place::Gradient, |call| call >= 20);
    let mut trainer = toy.trainer(&rolling_back(), &loader, &objective, &toy.folder.path().join("run"));
    let error = run(&mut trainer, &mut Watcher::default()).unwrap_err();
    let Error::TooManyRollbacks {
        step, count, allowed, ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((step, count, allowed), (7, 3, 2));
    assert_eq!(trainer.optimizer().updates(), 7);
}

/// Pictures of noise, of which one has a pixel that is no number.
struct Pictures {
    bad: Option<u64>,
}

impl Pictures {
    fn batch(&self, first: u64, count: usize) -> Batch {
        let mut pixels = Vec::new();
        let mut targets = vec![0.0; count * 2];
        let mut labels = Vec::new();
        for (i, picture) in (first..).take(count).enumerate() {
            let mut state = picture.wrapping_mul(2_654_435_761) as u32 | 1;
            pixels.extend((0..8 * 8).map(|pixel| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                match self.bad == Some(picture) && pixel == 5 {
                    true => f32::NAN,
                    false => (state >> 8) as f32 / 8_388_608.0 - 1.0,
                }
            }));
            let label = (picture % 2) as u32;
            targets[2 * i + label as usize] = 1.0;
            labels.push(label);
        }
        Batch::Images(ImageBatch {
            batch_size: count,
            channels: 1,
            height: 8,
            width: 8,
            num_classes: 2,
            pixels,
            targets,
            labels,
        })
    }
}

impl BatchSource for Pictures {
    fn batch_at(&self, cursor: Cursor, batch_size: usize) -> Result<(Batch, Cursor), ligo_data::Error> {
        let next = Cursor {
            index: cursor.index + batch_size as u64,
            ..cursor
        };
        Ok((self.batch(cursor.index, batch_size), next))
    }

    fn identity(&self) -> Value {
        json!({"bad": self.bad})
    }
}

/// A ViT of one layer, and start values for it.
fn vit() -> (PretrainObjective, ParamStore) {
    let config = ModelConfig::from_json(&json!({
        "model_type": "vit", "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "image_size": 8, "patch_size": 4, "num_channels": 1, "num_labels": 2,
    }));
    let objective = PretrainObjective::new(&config.unwrap(), &[], &Device::flex()).unwrap();
    let params = objective
        .param_shapes()
        .into_iter()
        .enumerate()
        .map(|(i, (name, shape))| {
            let count: usize = shape.iter().product();
            let values = (0..count).map(|j| ((i + 3 * j) % 7) as f32 / 20.0 - 0.15).collect();
            let info = ParamInfo {
                name,
                shape,
                decay: false,
            };
            (info, values)
        });
    let store = ParamStore::from_values(params, &Device::flex()).unwrap();
    (objective, store)
}

#[test]
fn a_nan_in_the_input_stops_skips_or_goes_back_and_spoils_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (objective, store) = vit();
    let valid = [Pictures { bad: None }.batch(1_000_000, 8)];
    // Six pictures a step: it is in the second micro-batch of step 10.
    let (healthy, spoiled) = (Pictures { bad: None }, Pictures { bad: Some(64) });
    let trainer = |name: &str, train, on_non_finite| {
        let config = TrainConfig {
            on_non_finite,
            ..config()
        };
        let data = RunData { train, valid: &valid };
        Trainer::new(config, &objective, store.clone(), data, folder.path().join(name)).unwrap()
    };
    let mut whole = trainer("healthy", &healthy, NonFinitePolicy::Stop);
    run(&mut whole, &mut Watcher::stopping_after(10)).unwrap();
    let before = bits(&whole);

    let mut stopped = trainer("stop", &spoiled, NonFinitePolicy::Stop);
    let error = run(&mut stopped, &mut Watcher::default()).unwrap_err();
    assert!(matches!(error, Error::NonFinite { step: 10, .. }), "{error}");
    assert_eq!(bits(&stopped), before);

    let mut skipping = trainer("skip", &spoiled, NonFinitePolicy::Skip);
    run(&mut skipping, &mut Watcher::stopping_after(11)).unwrap();
    assert_eq!(bits(&skipping), before);
    let result = run(&mut skipping, &mut Watcher::default()).unwrap();
    assert_eq!((result.steps, &result.skipped_steps[..]), (24, &[10][..]));

    let mut back = trainer("back", &spoiled, NonFinitePolicy::Rollback);
    let result = run(&mut back, &mut Watcher::default()).unwrap();
    assert_eq!(
        (result.steps, &result.rollbacks[..]),
        (24, &[Rollback { step: 11, to: 7 }][..])
    );
    // A run that is killed behind it goes back in the same way.
    let mut killed = trainer("killed", &spoiled, NonFinitePolicy::Rollback);
    run(&mut killed, &mut Watcher::stopping_after(12)).unwrap();
    drop(killed);
    std::fs::remove_dir_all(folder.path().join("killed/checkpoints/step-12")).unwrap();
    let mut again = trainer("killed", &spoiled, NonFinitePolicy::Rollback);
    let resumed = run(&mut again, &mut Watcher::default()).unwrap();
    assert_eq!(timeless(&resumed), timeless(&result));
    assert_eq!(bits(&again), bits(&back));
}
