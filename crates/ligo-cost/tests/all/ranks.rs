//! Steps on many devices, by hand.

use ligo_cost::ranks::{Cluster, Network, pays_up_to};

fn cluster(per_machine: usize, network: &str) -> Cluster {
    Cluster {
        per_machine,
        network: network.parse().unwrap(),
        is_gpu: false,
    }
}

fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

#[test]
fn the_speed_of_a_network_is_read_in_gigabits_as_it_is_sold() {
    let network: Network = "100gbit".parse().unwrap();
    close(network.bytes_per_second, 12.5e9);
    assert_eq!(network.to_string(), "100gbit");
    for wrong in [
        "", "100", "gbit", "-1gbit", "0gbit", "infgbit", "nangbit", "100 gbit", "10GB",
    ] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
}

#[test]
fn gradients_cross_the_network_once_for_each_machine() {
    // 1 GB over machines with one device each: each sends and receives all but its part, twice.
    let step = cluster(1, "80gbit").step(4, 8.0, 1e9);
    close(step.compute_seconds, 2.0);
    close(step.sum_seconds, 2.0 * 0.75 / 10.0 + 6.0 * 2e-5);
    close(step.times_faster, 8.0 / (2.0 + step.sum_seconds));
    close(step.efficiency(), step.times_faster / 4.0);
    // 4 devices on each of 2 machines: 3 of them give theirs within the machine, in memory.
    let step = cluster(4, "80gbit").step(8, 8.0, 1e9);
    close(step.sum_seconds, 2.0 * 3.0 / 10.0 + 2.0 * 0.5 / 10.0 + 2.0 * 2e-5);
    // 3 are no power of two: every device sends to all those of the other machine.
    let step = cluster(3, "80gbit").step(6, 8.0, 1e9);
    close(step.sum_seconds, 2.0 * 2.0 / 10.0 + 2.0 * 3.0 * 0.5 / 10.0 + 2.0 * 2e-5);
    // One machine needs no network, and one device nothing at all.
    let step = cluster(8, "1gbit").step(4, 8.0, 1e9);
    close(step.sum_seconds, 2.0 * 3.0 / 10.0);
    let alone = cluster(8, "1gbit").step(1, 8.0, 1e9);
    assert_eq!((alone.sum_seconds, alone.times_faster), (0.0, 1.0));
    // A GPU's gradients leave it and come back.
    let gpu = Cluster {
        is_gpu: true,
        ..cluster(1, "80gbit")
    };
    close(gpu.step(2, 8.0, 1e9).sum_seconds, 0.1 + 2.0 / 12.0 + 2.0 * 2e-5);
}

#[test]
fn shares_of_the_update_send_as_much_where_they_are_even() {
    let plain = cluster(1, "80gbit").step(4, 8.0, 1e9);
    let even = cluster(1, "80gbit").step_with_shares(4, 8.0, 1e9, 0.25);
    assert_eq!(even, plain);
    // One that has half of all makes the others wait twice as long.
    let uneven = cluster(1, "80gbit").step_with_shares(4, 8.0, 1e9, 0.5);
    close(uneven.sum_seconds, 2.0 * plain.sum_seconds);
    let gpu = Cluster {
        is_gpu: true,
        ..cluster(1, "80gbit")
    };
    let copies = 2.0 / 12.0;
    close(
        gpu.step(2, 8.0, 1e9).sum_seconds + copies / 4.0,
        gpu.step_with_shares(2, 8.0, 1e9, 0.5).sum_seconds,
    );
    assert_eq!(gpu.step_with_shares(1, 8.0, 1e9, 1.0).sum_seconds, 0.0);
}

#[test]
fn only_numbers_that_divide_the_micro_batches_are_priced_and_more_devices_stop_paying() {
    let steps = cluster(1, "10gbit").steps(16, 12, 1.0, 2e8);
    let counts: Vec<usize> = steps.iter().map(|step| step.ranks).collect();
    assert_eq!(counts, [1, 2, 3, 4, 6, 12]);
    assert!(steps.windows(2).all(|pair| pair[0].efficiency() > pair[1].efficiency()));
    // Half a second of computing and 0.16 of sums on 2; a third and 0.21 on 3; a quarter and 0.24 on 4.
    assert_eq!(pays_up_to(&steps), 4);
    assert_eq!(pays_up_to(&cluster(1, "0.1gbit").steps(16, 12, 1.0, 2e8)), 1);
    assert_eq!(pays_up_to(&cluster(1, "1000gbit").steps(16, 12, 1.0, 2e8)), 12);
    assert_eq!(pays_up_to(&[]), 1);
}
