//! Learning rates against their closed forms, and settings that cannot be.

use std::f64::consts::PI;

use ligo_train::{DecayShape, Error, LrSchedule, Rewarm, ScheduleKind, TrainConfig};

fn wsd(decay_share: f64, decay_shape: DecayShape) -> LrSchedule {
    LrSchedule {
        kind: ScheduleKind::Wsd,
        peak_lr: 2.0,
        warmup_steps: 20,
        total_steps: 120,
        final_fraction: 0.25,
        decay_share,
        decay_shape,
        ..LrSchedule::default()
    }
}

fn faults(config: &TrainConfig) -> String {
    match config.validate() {
        Err(Error::Config { faults }) => faults.join("; "),
        other => panic!("accepted: {other:?}"),
    }
}

#[test]
fn what_is_not_asked_for_is_as_it_was_to_the_last_bit() {
    let usual = LrSchedule {
        kind: ScheduleKind::Wsd,
        peak_lr: 1.4e-3,
        warmup_steps: 50,
        total_steps: 3000,
        ..LrSchedule::default()
    };
    for step in 50..3100_u64 {
        let progress = ((step - 50) as f64 / 2950.0).min(1.0);
        let decayed = (progress - (1.0 - 0.2)).max(0.0) / 0.2;
        let before = 1.4e-3 * (1.0 - (1.0 - 0.0) * decayed);
        assert_eq!(usual.lr(step).to_bits(), before.to_bits(), "{step}");
    }
    // What a run is called depends on what is written.
    let written = serde_json::to_value(usual).unwrap();
    let keys: Vec<&String> = written.as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["kind", "peak_lr", "warmup_steps", "total_steps", "final_fraction"]
    );
    let asked = serde_json::to_value(wsd(0.1, DecayShape::OneMinusSqrt)).unwrap();
    assert_eq!(
        (&asked["decay_share"], &asked["decay_shape"]),
        (&0.1.into(), &"1-sqrt".into())
    );
    assert_eq!(
        serde_json::from_value::<LrSchedule>(asked).unwrap(),
        wsd(0.1, DecayShape::OneMinusSqrt)
    );
}

#[test]
fn a_decay_has_the_share_and_the_shape_that_were_asked_for() {
    for share in [0.1, 0.4, 1.0] {
        for shape in [DecayShape::Linear, DecayShape::OneMinusSqrt, DecayShape::Cosine] {
            let schedule = wsd(share, shape);
            let begin = 120.0 - 100.0 * share;
            assert_eq!(schedule.decay_begins(), begin as u64);
            for step in 20..=125_u64 {
                let z = ((step as f64 - begin) / (100.0 * share)).clamp(0.0, 1.0);
                let left = match shape {
                    DecayShape::Linear => 1.0 - z,
                    DecayShape::OneMinusSqrt => 1.0 - z.sqrt(),
                    DecayShape::Cosine => (1.0 + (PI * z).cos()) / 2.0,
                };
                let expected = 2.0 * (0.25 + 0.75 * left);
                // A root is steep where it begins: 1e-16 of the way is 1e-8 of its value.
                let rate = schedule.lr(step);
                assert!(
                    (rate - expected).abs() < 1e-6,
                    "{share} {shape:?} {step}: {rate} is not {expected}"
                );
            }
            assert!(
                (schedule.lr(120) - 0.5).abs() < 1e-12,
                "{shape:?} ends at the final rate"
            );
        }
    }
    // A whole run of decay is the linear schedule, and with its own shape the cosine one.
    for (shape, kind) in [
        (DecayShape::Linear, ScheduleKind::Linear),
        (DecayShape::Cosine, ScheduleKind::Cosine),
    ] {
        let other = LrSchedule {
            kind,
            ..wsd(1.0, shape)
        };
        for step in 0..130 {
            assert!((wsd(1.0, shape).lr(step) - other.lr(step)).abs() < 1e-12);
        }
    }
}

#[test]
fn the_rate_of_new_numbers_climbs_from_the_current_one_and_follows_the_schedule() {
    let config = TrainConfig {
        steps: 1000,
        schedule: LrSchedule {
            total_steps: 2000,
            first_step: 1000,
            ..wsd(0.1, DecayShape::Linear)
        },
        rewarm_new: Some(Rewarm::default()),
        ..TrainConfig::default()
    };
    // 0.4 % of the 2000 steps of the schedule.
    let factors: Vec<f64> = (0..10).map(|step| config.rate(step).new_factor).collect();
    for (i, factor) in factors.iter().enumerate() {
        let expected = 1.0 + 0.3 * ((i + 1) as f64 / 8.0).min(1.0);
        assert!((factor - expected).abs() < 1e-12, "{factors:?}");
    }
    assert!((config.rate(999).new_factor - 1.3).abs() < 1e-12);
    assert_eq!(config.rate(700).lr, config.schedule.lr(700));
    config.validate().unwrap();
}

#[test]
fn schedules_that_cannot_be_are_told_before_anything_runs() {
    let of = |schedule: LrSchedule, steps: u64| TrainConfig {
        steps,
        schedule,
        ..TrainConfig::default()
    };
    for share in [0.0, -0.1, 1.5, f64::NAN] {
        let found = faults(&of(wsd(share, DecayShape::Linear), 120));
        assert!(
            found.contains("schedule.decay_share must be above 0 and at most 1"),
            "{found}"
        );
    }
    let over = LrSchedule {
        first_step: 120,
        ..wsd(0.2, DecayShape::Linear)
    };
    let found = faults(&of(over, 50));
    assert!(
        found.contains("schedule.first_step must be below schedule.total_steps (120)"),
        "{found}"
    );
    let rewarmed = |rewarm: Rewarm| TrainConfig {
        rewarm_new: Some(rewarm),
        ..of(wsd(0.2, DecayShape::Linear), 120)
    };
    for (rewarm, part) in [
        (
            Rewarm {
                steps: Some(0),
                ..Rewarm::default()
            },
            "rewarm_new.steps must be at least 1",
        ),
        (
            Rewarm {
                steps: Some(121),
                ..Rewarm::default()
            },
            "climbs for 121 steps, and only 120 are left",
        ),
        (
            Rewarm {
                share: 1.0,
                ..Rewarm::default()
            },
            "rewarm_new.share must be above 0 and below 1",
        ),
        (
            Rewarm {
                factor: 0.0,
                ..Rewarm::default()
            },
            "rewarm_new.factor",
        ),
    ] {
        let found = faults(&rewarmed(rewarm));
        assert!(found.contains(part), "{found}");
    }
    let unknown = serde_json::from_str::<LrSchedule>(r#"{"decay_shape": "square"}"#)
        .unwrap_err()
        .to_string();
    assert!(unknown.contains("1-sqrt"), "{unknown}");
}
