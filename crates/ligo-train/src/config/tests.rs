#![allow(clippy::unwrap_used, clippy::expect_used)]
use super::*;

#[test]
fn all_faults_are_reported_at_once() {
    let mut config = TrainConfig {
        batch_size: 0,
        clip_norm: f64::NAN,
        ..TrainConfig::default()
    };
    config.schedule.peak_lr = -1.0;
    config.optimizer.beta2 = 1.0;
    let Err(Error::Config { faults }) = config.validate() else {
        panic!("a bad configuration was accepted");
    };
    assert_eq!(faults.len(), 4, "{faults:?}");
}

#[test]
fn numbers_beyond_all_use_are_refused_by_name_with_the_limit() {
    let faults = |config: TrainConfig| match config.validate() {
        Err(Error::Config { faults }) => faults,
        other => panic!("accepted: {other:?}"),
    };
    let huge = i64::MAX as usize;
    for (batch_size, accumulation, named) in [
        (huge, 1, "batch_size must be at most 16777216"),
        (1, huge, "accumulation must be at most 16777216"),
        (1 << 13, 1 << 12, "batch_size × accumulation must be at most 16777216"),
    ] {
        let config = TrainConfig {
            batch_size,
            accumulation,
            ..TrainConfig::default()
        };
        let faults = faults(config);
        assert!(faults.len() == 1 && faults[0].starts_with(named), "{faults:?}");
    }
    let steps = TrainConfig {
        steps: i64::MAX as u64,
        ..TrainConfig::default()
    };
    assert!(faults(steps)[0].starts_with("steps must be at most 100000000"));
    let mut warm = TrainConfig::default();
    warm.schedule.warmup_steps = u64::MAX;
    assert!(faults(warm)[0].starts_with("schedule.warmup_steps must be at most"));
    let both = TrainConfig {
        batch_size: huge,
        accumulation: 4,
        ..TrainConfig::default()
    };
    // Before the settings were checked: never a small number by wrapping.
    assert_eq!(both.sequences_per_step(), usize::MAX);
}

#[test]
fn an_empty_table_gives_the_defaults_and_a_typo_is_refused() {
    assert_eq!(
        serde_json::from_str::<TrainConfig>("{}").unwrap(),
        TrainConfig::default()
    );
    let typo = serde_json::from_str::<TrainConfig>(r#"{"step": 3}"#);
    assert!(typo.unwrap_err().to_string().contains("step"));
}

#[test]
fn only_what_changes_the_numbers_counts_as_a_difference() {
    let one = TrainConfig::default();
    let other = TrainConfig {
        checkpoint_every: 7,
        log_every: 3,
        ..one.clone()
    };
    assert!(one.differences(&other).is_empty());
    let other = TrainConfig {
        precision: Precision::Bf16,
        ..one.clone()
    };
    assert_eq!(other.differences(&one), [r#"precision was "f32" and is now "bf16""#]);
    let other = TrainConfig { seed: 1, ..one.clone() };
    assert_eq!(one.differences(&other), ["seed was 1 and is now 0"]);
    let other = TrainConfig {
        freeze: Some(Freeze::default()),
        ..one.clone()
    };
    for differences in [one.differences(&other), other.differences(&one)] {
        assert!(
            differences.len() == 1 && differences[0].starts_with("freeze was "),
            "{differences:?}"
        );
    }
}

#[test]
fn a_run_in_f32_is_written_as_it_was_before_there_was_a_choice() {
    let written = |precision| {
        let config = TrainConfig {
            precision,
            ..TrainConfig::default()
        };
        serde_json::to_value(config).unwrap()
    };
    assert_eq!(written(Precision::F32).get("precision"), None);
    assert_eq!(written(Precision::Bf16)["precision"], "bf16");
    let read: TrainConfig = serde_json::from_str(r#"{"precision": "tf32"}"#).unwrap();
    assert_eq!(read.precision, Precision::Tf32);
    let refused = serde_json::from_str::<TrainConfig>(r#"{"precision": "fp8"}"#).unwrap_err();
    assert!(refused.to_string().contains("bf16"), "{refused}");
}

#[test]
fn evaluation_is_due_at_both_ends() {
    let config = TrainConfig {
        steps: 25,
        eval_every: 10,
        ..TrainConfig::default()
    };
    let due: Vec<u64> = (0..=25).filter(|s| config.evaluates_at(*s)).collect();
    assert_eq!(due, [0, 10, 20, 25]);
    for (steps, eval_every) in [(25, 10), (20, 10), (1, 1), (0, 5), (7, 0), (9, 10)] {
        let config = TrainConfig {
            steps,
            eval_every,
            ..config.clone()
        };
        let due = (0..=steps).filter(|s| config.evaluates_at(*s)).count();
        assert_eq!(config.evaluations(), due as u64, "{steps} steps, every {eval_every}");
    }
}
