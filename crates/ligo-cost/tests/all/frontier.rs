//! Losses and costs between the ends of schedules.

use ligo_cost::Frontier;

#[test]
fn a_power_law_is_read_between_its_ends_without_a_fault() {
    // loss = a - b ln(cost): straight in the logarithm of the cost.
    let loss = |cost: f64| 5.0 - 0.3 * cost.ln();
    let frontier = Frontier::new([1e3, 2e3, 8e3].map(|cost| (cost, loss(cost))));
    for cost in [1e3, 1.5e3, 2e3, 3e3, 7.9e3, 8e3] {
        let found = frontier.cost_at(loss(cost)).unwrap();
        assert!((found / cost - 1.0).abs() < 1e-12, "{found} is not {cost}");
        // Half of it is half saved; the same is nothing; twice as much is lost once more.
        for (factor, saving) in [(0.5, 0.5), (1.0, 0.0), (2.0, -1.0)] {
            assert!((frontier.saving(factor * cost, loss(cost)).unwrap() - saving).abs() < 1e-9);
        }
    }
    for beyond in [loss(999.0), loss(8.1e3), f64::NAN] {
        assert_eq!(frontier.cost_at(beyond), None);
    }
    assert_eq!(frontier.losses(), Some((loss(1e3), loss(8e3))));
}

#[test]
fn what_something_cheaper_ends_below_is_no_part_of_it() {
    let ends = [
        (3.0, 2.0),
        (1.0, 3.0),
        (2.0, 3.5),
        (4.0, f64::NAN),
        (5.0, 2.0),
        (0.0, 1.0),
        (6.0, 1.5),
    ];
    let frontier = Frontier::new(ends);
    assert_eq!(frontier, Frontier::new([(1.0, 3.0), (3.0, 2.0), (6.0, 1.5)]));
    assert_eq!((frontier.len(), frontier.is_empty()), (3, false));
    assert_eq!(frontier.cost_at(2.0), Some(3.0));
    // The order and a repeated end change nothing.
    let mut turned = ends;
    turned.reverse();
    assert_eq!(Frontier::new(turned), frontier);
    let none = Frontier::new([]);
    assert!(none.is_empty() && none.losses().is_none() && none.cost_at(2.0).is_none());
}
