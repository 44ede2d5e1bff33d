//! Runs that another run is continued from, and those that end early.

use ligo_train::{Outcome, TrainConfig, Trainer};

use crate::toy::{Toy, Watcher, bits, config, run};

#[test]
fn kept_moments_go_on_where_the_run_before_ended() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let schedule = |first_step, steps| {
        let mut config = TrainConfig { steps, ..config() };
        config.schedule.total_steps = 24;
        config.schedule.first_step = first_step;
        config.checkpoint_every = 0;
        config
    };
    // Two runs of 12 steps with moments handed over, on the data and dropout of the first twelve steps each.
    let halves = |keep: bool| {
        let name = |half: &str| toy.folder.path().join(format!("{half}-{keep}"));
        let mut first = toy.trainer(&schedule(0, 12), &loader, &toy.objective, &name("first"));
        run(&mut first, &mut Watcher::default()).unwrap();
        let state = ligo_train::SavedState::open(name("first")).unwrap().unwrap();
        assert!(state.has_moments() && state.updates() == 12);
        let moments = first.optimizer().to_moments(first.store()).unwrap();
        let mut source = state.source(ligo_train::SavedPart::FirstMoments);
        for (name, m, _) in &moments {
            assert_eq!(
                *ligo_growth::WeightSource::values(&mut source, name).unwrap(),
                **m,
                "{name}"
            );
        }
        let data = ligo_train::RunData {
            train: &loader,
            valid: &toy.valid,
        };
        let config = schedule(12, 12);
        let second = Trainer::new(config, &toy.objective, first.into_store(), data, name("second")).unwrap();
        let mut second = if keep {
            second.with_moments(moments, 12).unwrap()
        } else {
            second
        };
        let mut watcher = Watcher::stopping_after(1);
        run(&mut second, &mut watcher).unwrap();
        assert_eq!(second.optimizer().updates(), if keep { 13 } else { 1 });
        // A checkpoint has them too.
        let result = run(&mut second, &mut Watcher::default()).unwrap();
        assert_eq!(result.outcome, Outcome::Completed);
        (watcher.steps[0].lr, bits(&second).0)
    };
    let ((rate, kept), (_, fresh)) = (halves(true), halves(false));
    let whole = config().schedule.over(24);
    assert_eq!(rate, whole.lr(12));
    assert_ne!(kept, fresh);
}

#[test]
fn a_run_with_an_early_end_does_what_a_whole_run_does_up_to_there() {
    let toy = Toy::new();
    let loader = toy.loader(true);
    let mut whole = toy.trainer(&config(), &loader, &toy.objective, &toy.folder.path().join("whole"));
    run(&mut whole, &mut Watcher::stopping_after(13)).unwrap();
    let dir = toy.folder.path().join("short");
    let early = |end| toy.trainer(&config(), &loader, &toy.objective, &dir).with_end(end);
    let mut short = early(13);
    let result = run(&mut short, &mut Watcher::default()).unwrap();
    assert_eq!(result.outcome, Outcome::Interrupted { step: 13 });
    assert_eq!(result.curve.last().unwrap().step, 13);
    assert_eq!(bits(&short), bits(&whole));
    drop(short);
    // Asked again it answers at once; with a later end it goes on.
    let mut watcher = Watcher::default();
    assert_eq!(run(&mut early(13), &mut watcher).unwrap().steps, 13);
    assert!(watcher.steps.is_empty());
    let result = run(&mut early(24), &mut Watcher::default()).unwrap();
    assert_eq!(result.outcome, Outcome::Completed);
}
