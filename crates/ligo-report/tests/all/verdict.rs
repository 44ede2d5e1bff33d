//! What is said of a comparison, and what is not.

use ligo_report::summary::{MethodSummary, Saving, ToTarget};
use ligo_report::{Counter, Summary, Verdict, verdict};

use crate::sample;

/// A comparison with these savings in FLOPs and time; a seed without one never reached the target.
fn compared(methods: &[(&str, &[Option<f64>])]) -> Summary {
    let mut summary = sample::many::summary(1, 1, 3);
    let scratch = summary.methods[0].clone();
    summary.methods.clear();
    let seeds = methods.iter().map(|(_, savings)| savings.len()).max().unwrap();
    for seed in 1..=seeds as u64 {
        summary.methods.push(MethodSummary {
            seed,
            ..scratch.clone()
        });
    }
    for (name, savings) in methods {
        for (seed, share) in (1..).zip(*savings) {
            let saving = share.map(|share| Saving::of_measures([share; 3]));
            summary.methods.push(MethodSummary {
                name: (*name).into(),
                label: (*name).into(),
                group: (*name).into(),
                seed,
                saving,
                saving_with_small: saving,
                to_target: saving.map(|_| ToTarget::default()),
                ..scratch.clone()
            });
        }
    }
    summary.grouped()
}

fn of(methods: &[(&str, &[Option<f64>])]) -> Verdict {
    verdict(&compared(methods), Counter::Exact)
}

#[test]
fn equal_work_in_unequal_time_is_told() {
    let mut summary = compared(&[("A", &[Some(0.3)]), ("B", &[Some(0.5)])]);
    let caution = |summary: &Summary| {
        let mut cautions = verdict(summary, Counter::Exact).cautions.into_iter();
        cautions.find(|caution| caution.contains("same work"))
    };
    for run in &mut summary.methods {
        run.cost.seconds = 100.0;
    }
    summary.methods[1].cost.seconds = 119.0;
    assert_eq!(caution(&summary), None);
    summary.methods[2].cost.seconds = 150.0;
    let told = caution(&summary).unwrap();
    assert!(told.contains("took 1 min 40 s to 2 min 30 s"), "{told}");
    // Less work may take less time, and so may another computer.
    summary.methods[2].computed_on = Some("NVIDIA H100".into());
    assert_eq!(caution(&summary), None);
    summary.methods[1].cost.seconds = 50.0;
    summary.methods[1].cost.flops.exact *= 0.9;
    assert_eq!(caution(&summary), None);
}

#[test]
fn the_best_mean_wins_and_its_interval_is_told() {
    let verdict = of(&[
        ("A", &[Some(0.30), Some(0.31), Some(0.32)]),
        ("B", &[Some(0.50), Some(0.51), Some(0.52)]),
    ]);
    assert_eq!(
        verdict.headline,
        "B reached scratch’s final loss with 51.0 % fewer FLOPs"
    );
    assert_eq!(verdict.best.as_deref(), Some("B"));
    assert!(verdict.details[0].contains("48.5 % to 53.5 %"), "{verdict:?}");
    assert!(verdict.rivals.unwrap().contains("more than every other method"));
    assert!(verdict.cautions.is_empty());
}

#[test]
fn a_method_that_arrived_on_one_lucky_seed_is_not_the_best() {
    let verdict = of(&[
        ("steady", &[Some(0.30), Some(0.31), Some(0.32)]),
        ("lucky", &[Some(0.90), None, None]),
    ]);
    assert_eq!(verdict.best.as_deref(), Some("steady"));
}

#[test]
fn methods_are_told_apart_by_their_difference_on_each_seed() {
    // The scratch runs differ much, and both methods with them: A is five points ahead on every seed.
    let paired = of(&[
        ("A", &[Some(0.60), Some(0.20), Some(0.45)]),
        ("B", &[Some(0.55), Some(0.151), Some(0.40)]),
    ]);
    assert!(paired.rivals.unwrap().contains("more than every other method"));
    // The same numbers in another order are not told apart.
    let mixed = of(&[
        ("A", &[Some(0.60), Some(0.20), Some(0.45)]),
        ("B", &[Some(0.151), Some(0.40), Some(0.55)]),
    ]);
    assert_eq!(mixed.rivals.unwrap(), "These seeds do not tell A from B.");
}

#[test]
fn one_seed_is_a_caution_and_has_no_rivals() {
    let verdict = of(&[("A", &[Some(0.6)]), ("B", &[Some(0.59)])]);
    assert!(verdict.cautions[0].starts_with("One seed only"), "{verdict:?}");
    assert_eq!(verdict.rivals, None);
}

#[test]
fn a_saving_that_its_interval_does_not_keep_above_zero_only_seems() {
    let verdict = of(&[("A", &[Some(0.6), Some(-0.2), Some(0.3)])]);
    assert!(verdict.headline.starts_with("A seems to save 23.3 %"), "{verdict:?}");
    let two = of(&[("A", &[Some(0.6), Some(0.3)])]);
    assert!(two.headline.contains("two seeds are too few"), "{two:?}");
}

#[test]
fn where_nothing_was_saved_that_is_the_headline() {
    let loss = of(&[("A", &[Some(-0.2), Some(-0.21), Some(-0.22)])]);
    assert_eq!(
        loss.headline,
        "Nothing saved: A came nearest and cost 21.0 % more FLOPs than scratch"
    );
    let never = of(&[("A", &[None, None, None])]);
    assert_eq!(
        never.headline,
        "No method reached the loss that training from scratch ends at"
    );
    assert_eq!(never.best, None);
}

#[test]
fn a_scratch_run_above_the_small_model_takes_the_word_from_every_saving() {
    let mut summary = compared(&[("A", &[Some(0.6), Some(0.61), Some(0.62)])]);
    summary.flags.scratch_passed_small = false;
    let grave = verdict(&summary, Counter::Exact);
    assert!(grave.headline.contains("say nothing yet"), "{grave:?}");
    assert!(
        grave.cautions[0].contains("above the small model's own loss"),
        "{grave:?}"
    );

    // The flags know one scratch run; another one stayed above.
    summary.flags.scratch_passed_small = true;
    summary.methods[1].loss_final = summary.small.loss + 0.1;
    let some = verdict(&summary.grouped(), Counter::Exact);
    assert!(some.cautions[0].starts_with("1 of 3 scratch runs"), "{some:?}");
}

#[test]
fn where_savings_mean_nothing_no_method_is_better_than_the_others() {
    let three = [Some(0.6), Some(0.61), Some(0.62)];
    let mut summary = compared(&[("A", &three), ("B", &[Some(0.2), Some(0.21), Some(0.22)])]);
    let rivals = |summary: &Summary| verdict(summary, Counter::Exact).rivals;
    assert!(rivals(&summary).unwrap().contains("more than every other method"));
    summary.flags.scratch_passed_small = false;
    assert_eq!(rivals(&summary), None);
    let page = ligo_report::html::report(&summary);
    assert!(page.contains("Do not trust these savings.") && !page.contains("more than every other method"));
    summary.flags.scratch_passed_small = true;
    summary.methods[1].loss_final = summary.small.loss + 0.1;
    assert_eq!(rivals(&summary.grouped()), None);
}

#[test]
fn without_a_run_from_scratch_nothing_is_said_about_one() {
    let mut summary = compared(&[("A", &[Some(0.6)])]);
    summary.methods.retain(|run| !run.is_scratch());
    (summary.target_loss, summary.flags.scratch_passed_unigram) = (f64::NAN, false);
    let summary = summary.grouped();
    let verdict = verdict(&summary, Counter::Exact);
    assert!(verdict.cautions.is_empty(), "{verdict:?}");
    let notes = ligo_report::Table::new(&summary, Counter::Exact).notes().to_vec();
    assert!(
        notes[0].starts_with("No run from scratch") && !notes.iter().any(|note| note.contains("Never")),
        "{notes:?}"
    );
}
