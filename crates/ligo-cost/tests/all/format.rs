//! Numbers as people read them.

use std::time::Duration;

use ligo_cost::format;

#[test]
fn flops_get_the_prefix_that_fits() {
    for (flops, text) in [
        (0.0, "0 FLOP"),
        (999.0, "999 FLOP"),
        (1_000.0, "1.0 kFLOP"),
        (999_940.0, "999.9 kFLOP"),
        (999_960.0, "1.0 MFLOP"),
        (1.5068e13, "15.1 TFLOP"),
        (3.613e15, "3.6 PFLOP"),
        (8e20, "800.0 EFLOP"),
        (3e24, "3000.0 ZFLOP"),
    ] {
        assert_eq!(format::flops(flops), text);
    }
    assert_eq!(format::flops_per_second(6.28e10), "62.8 GFLOP/s");
}

#[test]
fn tokens_are_counted_in_thousands_millions_and_billions() {
    assert_eq!(format::tokens(512.0), "512 tokens");
    assert_eq!(format::tokens(65_536.0), "65.5 k tokens");
    assert_eq!(format::tokens(13_107_200_000.0), "13.1 B tokens");
    assert_eq!(format::tokens_per_second(2_814.0), "2.8 k tokens/s");
    assert_eq!(format::tokens_per_second(0.25), "0.2 tokens/s");
}

#[test]
fn durations_show_their_two_largest_units() {
    for (seconds, text) in [
        (0.0, "0 ms"),
        (0.85, "850 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 00 s"),
        (245.0, "4 min 05 s"),
        (3599.6, "1 h 00 min"),
        (7_380.0, "2 h 03 min"),
        (86_399.0, "1 d 00 h"),
        (273_600.0, "3 d 04 h"),
    ] {
        assert_eq!(format::duration(Duration::from_secs_f64(seconds)), text);
    }
}

#[test]
fn a_share_becomes_a_percentage_with_a_real_minus_and_no_minus_zero() {
    assert_eq!(format::percent(0.447), "44.7 %");
    assert_eq!(format::percent(-0.057), "−5.7 %");
    assert_eq!(format::percent(-0.0001), "0.0 %");
}

#[test]
fn what_is_no_number_is_a_dash() {
    assert_eq!(format::flops(f64::INFINITY), "– FLOP");
    assert_eq!(format::tokens(f64::NAN), "– tokens");
    assert_eq!(format::seconds(f64::NAN), "–");
    assert_eq!(format::loss(f64::NAN), "–");
    assert_eq!(format::fixed(f64::NAN, Some(1.0), 3, ""), "–");
}

#[test]
fn whole_numbers_are_grouped() {
    assert_eq!(format::whole(30_522), "30,522");
    assert_eq!(format::whole(1_000_000), "1,000,000");
    assert_eq!(format::whole(999), "999");
}

#[test]
fn a_mean_and_its_interval_have_one_unit_and_the_same_digits() {
    assert_eq!(
        format::with_interval(1.316e12, Some(4e10), 1e12, "TFLOP"),
        "1.32 ± 0.04 TFLOP"
    );
    assert_eq!(format::with_interval(123.4, Some(20.25), 1.0, "s"), "123 ± 20 s");
    assert_eq!(format::fixed(-2.0, Some(0.5), 1, "%"), "−2.0 ± 0.5 %");
    assert_eq!(format::fixed(2.1434, None, 3, ""), "2.143");
    assert_eq!(format::flops_unit(2.13e12), ("TFLOP", 1e12));
    assert_eq!(format::seconds_unit(200.0), ("min", 60.0));
}

#[test]
fn memory_energy_mass_and_money_get_the_unit_that_fits() {
    assert_eq!(format::bytes(1.26e9), "1.3 GB");
    assert_eq!(format::count(109_514_298.0), "109.5 M");
    assert_eq!(format::count(512.0), "512");
    for (kwh, text) in [
        (24e-6, "86 J"),
        (0.000_4, "1440 J"),
        (0.012_5, "12.5 Wh"),
        (12.5, "12.5 kWh"),
        (3100.0, "3.1 MWh"),
    ] {
        assert_eq!(format::energy(kwh), text);
    }
    for (kg, text) in [
        (38e-6, "38 mg"),
        (0.000_2, "0.2 g"),
        (0.999_96, "1.0 kg"),
        (5.61, "5.6 kg"),
        (1400.0, "1.4 t"),
    ] {
        assert_eq!(format::mass(kg), text);
    }
    for (usd, text) in [(0.003, "$0.003"), (0.5, "$0.50"), (12.345, "$12.35"), (1234.4, "$1234")] {
        assert_eq!(format::usd(usd), text);
    }
}
