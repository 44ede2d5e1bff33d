//! Means over seeds: the interval against the distribution it comes from, and mean curves against arithmetic by hand.

use ligo_cost::seeds::{Estimate, Evaluation, estimate, mean_curve, student_t};
use ligo_cost::{CostToReach, Error};

/// The share of Student's t distribution below `t`, by Simpson's rule on its density without the constant.
fn share_below(t: f64, degrees: usize) -> f64 {
    let n = degrees as f64;
    // With x = √n · tan θ the density becomes cos(θ)^(n − 1), on a finite range.
    let integral = |to: f64| {
        let (pieces, density) = (20_000, |angle: f64| angle.cos().powf(n - 1.0));
        let width = to / f64::from(pieces);
        let inner: f64 = (1..pieces)
            .map(|i| f64::from(2 + 2 * (i % 2)) * density(f64::from(i) * width))
            .sum();
        (density(0.0) + inner + density(to)) * width / 3.0
    };
    0.5 + 0.5 * integral((t / n.sqrt()).atan()) / integral(std::f64::consts::FRAC_PI_2)
}

#[test]
fn the_quantiles_are_those_of_the_distribution() {
    for degrees in (1..=40).chain([60, 120, 1000]) {
        let share = share_below(student_t(degrees), degrees);
        assert!((share - 0.975).abs() < 3e-5, "{degrees} degrees: {share}");
    }
    assert!(student_t(0).is_infinite());
}

#[test]
fn three_values_have_a_wide_interval_and_one_has_none() {
    let three = estimate([0.549, 0.254, 0.488]).unwrap();
    assert!((three.mean - 0.430_333).abs() < 1e-6);
    // s = 0.155687; 4.303 · s / √3
    assert!((three.half_width.unwrap() - 0.386_78).abs() < 1e-4, "{three:?}");
    let [low, high] = three.interval().unwrap();
    assert!((low + high - 2.0 * three.mean).abs() < 1e-12);

    let one = estimate([0.3]).unwrap();
    assert_eq!((one.mean, one.half_width, one.count), (0.3, None, 1));
    assert_eq!(estimate([]), None);
}

#[test]
fn equal_seeds_have_an_interval_of_no_width() {
    let same = estimate([2.0; 4]).unwrap();
    assert_eq!(
        same,
        Estimate {
            mean: 2.0,
            half_width: Some(0.0),
            count: 4
        }
    );
}

#[test]
fn values_that_are_not_finite_are_not_counted() {
    let some = estimate([1.0, f64::NAN, 3.0, f64::INFINITY]).unwrap();
    assert_eq!((some.mean, some.count), (2.0, 2));
    assert_eq!(estimate([f64::NAN]), None);
}

fn run(points: &[(u64, f64, f64)]) -> Vec<Evaluation> {
    points
        .iter()
        .map(|&(step, cost, loss)| Evaluation { step, cost, loss })
        .collect()
}

#[test]
fn a_mean_curve_takes_the_steps_that_all_seeds_have() {
    let seeds = [
        run(&[(0, 0.0, 8.0), (10, 10.0, 4.0), (20, 20.0, 3.0)]),
        run(&[(0, 0.0, 6.0), (10, 14.0, 5.0), (15, 21.0, 4.0), (20, 28.0, 2.0)]),
    ];
    let mean = mean_curve(&seeds).unwrap();
    let points: Vec<_> = mean.points().iter().map(|point| (point.cost, point.loss)).collect();
    assert_eq!(points, [(0.0, 7.0), (12.0, 4.5), (24.0, 2.5)]);
    assert_eq!(mean.cost_to_reach(3.5), CostToReach::At(18.0));
}

#[test]
fn a_seed_that_diverged_reaches_no_target_in_the_mean() {
    let seeds = [
        run(&[(0, 0.0, 8.0), (10, 10.0, 4.0)]),
        run(&[(0, 0.0, 8.0), (10, 10.0, f64::NAN)]),
    ];
    assert_eq!(mean_curve(&seeds).unwrap().cost_to_reach(5.0).cost(), None);
}

#[test]
fn seeds_without_a_common_step_have_no_mean_curve() {
    let seeds = [run(&[(1, 1.0, 8.0)]), run(&[(2, 2.0, 8.0)])];
    assert_eq!(mean_curve(&seeds), Err(Error::EmptyCurve));
    assert_eq!(mean_curve(&[]), Err(Error::EmptyCurve));
}
