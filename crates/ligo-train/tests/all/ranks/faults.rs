//! A rank that fails, and numbers that differ between ranks.

use super::*;

#[test]
fn a_step_without_a_loss_on_one_rank_is_none_for_all() {
    let folder = tempfile::tempdir().unwrap();
    for (i, on_non_finite) in [NonFinitePolicy::Skip, NonFinitePolicy::Rollback]
        .into_iter()
        .enumerate()
    {
        let config = TrainConfig {
            on_non_finite,
            ..with_micro_batches(4)
        };
        let setup = Setup {
            poison: Some((9, 3)),
            ..Setup::new(&config, None)
        };
        let dir = |size: usize| folder.path().join(format!("{i}-{size}"));
        let (expected, one, _) = setup.together(1, &dir(1));
        assert_eq!((expected.skipped_steps.len(), expected.rollbacks.len()), (1 - i, i));
        let (result, all, _) = setup.together(4, &dir(4));
        assert_eq!(timeless(&result), timeless(&expected));
        assert!(all == one, "{on_non_finite:?}");
    }
    let config = with_micro_batches(4);
    let setup = Setup {
        poison: Some((9, 3)),
        ..Setup::new(&config, None)
    };
    for error in setup.errors(2, &folder.path().join("stop")) {
        assert!(matches!(error, Some(Error::NonFinite { step: 9, .. })), "{error:?}");
    }
}

#[test]
fn a_bit_that_flips_on_one_rank_is_found_before_the_next_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let setup = Setup {
        meddling: |rank, step, sums| {
            if (rank, step) == (1, 9) {
                sums[700] = f32::from_bits(sums[700].to_bits() ^ 1 << 20);
            }
            Ok(())
        },
        ..Setup::new(&config, None)
    };
    let dir = folder.path().join("run");
    for error in setup.errors(2, &dir) {
        let found = matches!(&error, Some(Error::ReplicasDiffer { step: 14, rank: 1, name }) if !name.is_empty());
        assert!(found, "{error:?}");
    }
    // The checkpoint before is good, and the run goes on from it.
    assert!(dir.join("checkpoints/step-7").exists() && !dir.join("checkpoints/step-14").exists());
    let (_, whole, _) = together(1, &folder.path().join("whole"), &config, None);
    let (_, all, watcher) = together(2, &dir, &config, None);
    assert!(matches!(watcher.events[0], Event::Resumed { step: 7, .. }));
    assert!(all == whole);
}

#[test]
fn a_rank_that_fails_or_panics_ends_the_others_and_the_run_goes_on_from_its_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let (expected, whole, _) = together(1, &folder.path().join("whole"), &config, None);
    let fails: Meddling = |rank, step, _| match (rank, step) {
        (2, 10) => Err(Error::NothingToLearn { step: 10 }),
        _ => Ok(()),
    };
    let panics: Meddling = |rank, step, _| {
        assert!((rank, step) != (2, 10), "a fault of rank 2");
        Ok(())
    };
    for (name, meddling) in [("fails", fails), ("panics", panics)] {
        let dir = folder.path().join(name);
        let setup = Setup {
            meddling,
            ..Setup::new(&config, None)
        };
        for (rank, error) in setup.errors(4, &dir).into_iter().enumerate() {
            match rank {
                2 => assert!(matches!(error, None | Some(Error::NothingToLearn { .. })), "{error:?}"),
                _ => assert!(matches!(error, Some(Error::RankLost { .. })), "{error:?}"),
            }
        }
        let (result, all, watcher) = together(4, &dir, &config, None);
        assert!(matches!(watcher.events[0], Event::Resumed { step: 7, .. }));
        assert_eq!(timeless(&result), timeless(&expected));
        assert!(all == whole, "{name}");
    }
    // A disk that is full is rank 0's alone.
    let setup = Setup {
        is_disk_full: true,
        ..Setup::new(&config, None)
    };
    let errors = setup.errors(2, &folder.path().join("full"));
    assert!(matches!(errors[0], Some(Error::Checkpoint(_))), "{errors:?}");
    assert!(
        matches!(errors[1], Some(Error::RankLost { rank: Some(0), .. })),
        "{errors:?}"
    );
    // A save on the way may fail, and no rank waits for another.
    let config = TrainConfig {
        on_failed_save: FailedSavePolicy::Continue,
        ..config
    };
    let setup = Setup {
        config: &config,
        ..setup
    };
    let errors = setup.errors(2, &folder.path().join("full, on the way"));
    assert!(matches!(errors[0], Some(Error::Checkpoint(_))), "{errors:?}");
}

#[test]
fn shares_that_are_not_even_and_ranks_of_different_runs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    for error in Setup::new(&config, None).errors(3, &folder.path().join("uneven")) {
        let uneven = Error::UnevenShares {
            accumulation: 4,
            ranks: 3,
        };
        assert_eq!(error.unwrap().to_string(), uneven.to_string());
        assert!(uneven.to_string().contains("start 1 or 2 or 4 ranks"), "{uneven}");
    }
    let dir = folder.path().join("different");
    let start = |rank: ThreadRank| {
        let config = TrainConfig {
            seed: rank.rank() as u64 / 2,
            ..with_micro_batches(4)
        };
        Setup::new(&config, None).run(rank, &dir).err().unwrap()
    };
    let errors: Vec<_> = std::thread::scope(|scope| {
        let start = &start;
        let ranks = ThreadRank::all(4).into_iter();
        let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || start(rank))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    // The first to see it ends, and may be what another one sees.
    let found = |error: &Error| matches!(error, Error::OtherRank { rank: 2 } | Error::RankLost { .. });
    assert!(errors.iter().all(found), "{errors:?}");
    assert!(matches!(errors[0], Error::OtherRank { .. }), "{errors:?}");
}

#[test]
fn an_evaluation_is_broken_off_on_all_ranks_and_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_micro_batches(4);
    let (expected, whole, _) = together(1, &folder.path().join("whole"), &config, None);
    let dir = folder.path().join("run");
    std::thread::scope(|scope| {
        for rank in ThreadRank::all(2) {
            let (config, dir) = (&config, &dir);
            scope.spawn(move || {
                let toy = Toy::with_layers(4);
                let loader = toy.loader(true);
                let trainer = toy.trainer(config, &loader, &toy.objective, dir);
                // Two rounds for three batches: the third round is the first of the evaluation at step 5.
                let mut watcher = Watcher {
                    stop_in_evaluation: Some(3),
                    ..Watcher::default()
                };
                let result = run(&mut trainer.with_ranks(&rank).unwrap(), &mut watcher).unwrap();
                assert_eq!(result.outcome, Outcome::Interrupted { step: 5 });
            });
        }
    });
    let (result, all, _) = together(2, &dir, &config, None);
    assert_eq!(timeless(&result), timeless(&expected));
    assert!(all == whole);
}
