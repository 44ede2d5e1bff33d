//! Prices by hand: time, energy, carbon dioxide and money, what may be saved, and what is not known.

use ligo_cost::hardware::{ASSUMED_UTILIZATION, Hardware, KNOWN, Precision};
use ligo_cost::memory::{Batch, training};
use ligo_cost::plan::{Bill, Expected, FORMAT, Plan, PlannedModel, PlannedRun, Rates, Work};
use ligo_cost::published::{PUBLISHED, expectation};
use ligo_cost::utilization::Utilization;
use ligo_cost::{Flops, TransformerDims, electra, energy, exact};

fn rates() -> Rates {
    Rates {
        hardware: "a machine".into(),
        peak_flops: 10e12,
        utilization: 0.5,
        utilization_known: Utilization::Given,
        precision: Precision::F32,
        watts: Some(400.0),
        pue: 1.5,
        usd_per_hour: Some(3.0),
        grams_co2_per_kwh: 500.0,
        memory_bytes: None,
    }
}

/// Two hours of training and half an hour of evaluation.
fn work() -> Work {
    Work {
        flops: Flops {
            exact: 5e12 * 7200.0,
            electra: 3e16,
        },
        evaluation_flops: 5e12 * 1800.0,
    }
}

const BATCH: Batch = Batch {
    sequences: 3,
    accumulation: 1,
    moments: 2.0,
    recomputes_layers: false,
};

fn close(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= 1e-12 * expected.abs()
}

#[test]
fn energy_carbon_and_money_are_what_a_pocket_calculator_says() {
    assert!(close(energy::kwh(700.0, 3600.0, 1.5), 1.05));
    assert!(close(energy::kg_co2(1.05, 445.0), 0.46725));
    assert!(close(energy::money(5400.0, 2.0), 3.0));
}

#[test]
fn a_bill_follows_from_flops_and_rates() {
    let bill = rates().bill(work());
    assert!(close(bill.cost.seconds, 7200.0) && close(bill.eval_seconds, 1800.0));
    assert!(close(bill.total_seconds(), 9000.0));
    // The meter at the board sees 400 W for two hours of steps; the electricity meter 400 W × 1.5 for two and a half.
    assert!(close(bill.joules.unwrap(), 400.0 * 7200.0));
    assert!(close(bill.kwh.unwrap(), 1.5));
    assert!(close(bill.kg_co2.unwrap(), 0.75));
    assert!(close(bill.usd.unwrap(), 7.5));
    assert_eq!(bill.cost.measures()[..2], [3.6e16, 3e16]);
}

#[test]
fn twice_the_work_is_twice_the_bill() {
    let (once, twice) = (rates().bill(work()), rates().bill(work().times(2.0)));
    let sum = once.plus(&once);
    let values = |bill: &Bill| {
        [
            bill.cost.seconds,
            bill.eval_seconds,
            bill.usd.unwrap(),
            bill.kwh.unwrap(),
        ]
    };
    for (i, once) in values(&once).into_iter().enumerate() {
        assert!(close(values(&twice)[i], 2.0 * once) && close(values(&sum)[i], 2.0 * once));
    }
}

#[test]
fn what_is_not_known_stays_unknown() {
    let free = Rates {
        watts: None,
        usd_per_hour: None,
        ..rates()
    };
    let bill = free.bill(work());
    assert_eq!((bill.joules, bill.kwh, bill.kg_co2, bill.usd), (None, None, None, None));
    assert!(bill.cost.seconds > 0.0);
    assert_eq!(bill.plus(&rates().bill(work())).kwh, None);
}

#[test]
fn the_papers_own_pair_is_found_and_applied_to_flops_and_time() {
    let found = expectation("ligo", "bert", (6, 512), (12, 768)).unwrap();
    assert!(found.same_pair && !found.published.measured_here);
    let scratch = rates().bill(work());
    let small = rates().bill(work().times(0.25));
    let expected = Expected::new(&found, &scratch, Some(&small));
    assert!(close(expected.bill.cost.flops.exact, 0.553 * scratch.cost.flops.exact));
    assert!(close(expected.bill.cost.seconds, 0.593 * scratch.cost.seconds));
    assert!(close(expected.bill.usd.unwrap(), 0.593 * scratch.usd.unwrap()));
    let with_small = expected.with_small.unwrap();
    assert!(close(with_small.usd.unwrap(), (0.593 + 0.25) * scratch.usd.unwrap()));
    assert_eq!(Expected::new(&found, &scratch, None).with_small, None);
}

#[test]
fn a_method_that_cost_more_than_scratch_is_expected_to_do_so_again() {
    let found = expectation("ki", "bert", (6, 512), (12, 768)).unwrap();
    let expected = Expected::new(&found, &rates().bill(work()), None);
    assert!(close(expected.bill.total_seconds(), 1.139 * 9000.0));
}

#[test]
fn another_pair_of_the_family_is_taken_for_its_growth_in_depth_and_width() {
    let pair = |small, large| expectation("ligo", "bert", small, large).unwrap().published.pair;
    assert_eq!(pair((3, 768), (6, 768)), "BERT (6, 768) → (12, 768)");
    assert_eq!(pair((6, 512), (6, 768)), "BERT (12, 512) → (12, 768)");
    assert_eq!(pair((3, 128), (6, 192)), "BERT-Small → BERT-Base");
    assert!(!expectation("ligo", "bert", (3, 128), (6, 192)).unwrap().same_pair);
}

#[test]
fn nothing_is_invented_for_a_family_or_method_that_nobody_measured() {
    assert_eq!(expectation("ligo", "llama", (12, 512), (24, 1024)), None);
    assert_eq!(expectation("hyper-cloning", "bert", (6, 512), (12, 768)), None);
    // What was measured here, on tiny models, says nothing of large ones.
    assert_eq!(expectation("direct-copy", "bert", (6, 512), (12, 768)), None);
    let own = expectation("direct-copy", "bert", (2, 64), (4, 96)).unwrap();
    assert!(own.same_pair && own.published.measured_here);
}

#[test]
fn every_published_saving_is_a_share_with_a_source_and_stands_once() {
    for (i, entry) in PUBLISHED.iter().enumerate() {
        assert!((-1.0..1.0).contains(&entry.flops), "{entry:?}");
        assert!(entry.time.is_none_or(|time| (-1.0..1.0).contains(&time)), "{entry:?}");
        assert!(!entry.source.is_empty() && !entry.pair.is_empty());
        let same = |other: &&ligo_cost::published::Published| {
            (other.method, other.family, other.small, other.large)
                == (entry.method, entry.family, entry.small, entry.large)
        };
        assert_eq!(PUBLISHED.iter().filter(same).count(), 1, "{i}: {entry:?}");
    }
}

#[test]
fn hardware_is_known_by_its_short_name_and_by_its_drivers() {
    assert_eq!(Hardware::by_name("H100").unwrap().name, "h100");
    assert_eq!(Hardware::by_name("h101"), None);
    for (driver, name) in [
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"),
        ("Apple M3", "m3"),
    ] {
        assert_eq!(Hardware::by_driver_name(driver).unwrap().name, name);
    }
    assert_eq!(Hardware::by_driver_name("llvmpipe"), None);
    for known in KNOWN {
        for precision in Precision::ALL {
            assert!(known.peak_flops(precision).is_none_or(|peak| peak >= known.f32_flops));
            assert_eq!(precision.name().parse(), Ok(precision));
        }
    }
    assert!("f16".parse::<Precision>().unwrap_err().contains("bf16"));
}

#[test]
fn an_h100_through_vulkan_is_nineteen_times_slower_than_was_assumed() {
    let h100 = Hardware::by_name("h100").unwrap();
    let timed = h100.fastest(Precision::F32, None).unwrap();
    // 541 GFLOP in 440 ms.
    assert!((timed.flops_per_second() / 1.229e12 - 1.0).abs() < 1e-2);
    let share = timed.flops_per_second() / h100.f32_flops;
    let ratio = ASSUMED_UTILIZATION / share;
    assert!((18.5..19.5).contains(&ratio), "{ratio}");
    assert_eq!(timed.utilization().word(), "measured");
}

#[test]
fn what_was_measured_through_one_backend_or_precision_says_nothing_of_another() {
    let h100 = Hardware::by_name("h100").unwrap();
    assert!(h100.fastest(Precision::F32, Some("vulkan")).is_some());
    assert_eq!(h100.fastest(Precision::F32, Some("cuda")), None);
    assert_eq!(h100.fastest(Precision::Bf16, None), None);
    for known in KNOWN {
        for timed in known.timed {
            let peak = known.peak_flops(timed.precision).unwrap();
            assert!(timed.flops_per_second() < peak, "{}: {timed:?}", known.name);
        }
    }
}

#[test]
fn how_a_share_is_known_stands_in_the_json_and_older_plans_count_as_assumed() {
    let timed = Hardware::by_name("h100").unwrap().timed[0];
    let measured = Rates {
        utilization_known: timed.utilization(),
        ..rates()
    };
    let mut value = serde_json::to_value(&measured).unwrap();
    assert_eq!(value["utilization_known"]["known"], "measured");
    assert_eq!(value["utilization_known"]["by"], "ligo through vulkan");
    assert_eq!(serde_json::from_value::<Rates>(value.clone()).unwrap(), measured);
    // As earlier versions wrote it.
    let fields = value.as_object_mut().unwrap();
    fields.remove("utilization_known");
    let share = fields.remove("utilization").unwrap();
    fields.insert("utilisation".into(), share);
    let older: Rates = serde_json::from_value(value).unwrap();
    assert_eq!(older.utilization_known, Utilization::Assumed);
}

#[test]
fn bert_base_on_an_h100_in_f32_takes_three_and_a_half_days_at_the_usual_share() {
    // 400,000 steps of 17.9 TFLOP (exact) at 35 % of 66.9 TFLOP/s.
    let dims = TransformerDims::bert(12, 768);
    let h100 = Hardware::by_name("h100").unwrap();
    let rates = Rates {
        peak_flops: h100.f32_flops,
        utilization: ASSUMED_UTILIZATION,
        ..rates()
    };
    let bill = rates.bill(Work {
        flops: Flops {
            exact: exact::train_step_flops(&dims, 256),
            electra: electra::train_step_flops(&dims, 256),
        } * 400e3,
        evaluation_flops: 0.0,
    });
    let days = bill.cost.seconds / 86_400.0;
    assert!((3.4..3.7).contains(&days), "{days}");
}

#[test]
fn a_bill_of_an_earlier_plan_is_read_and_written_as_it_was() {
    let stored = r#"{"flops_exact":3.6e+16,"flops_electra":3e+16,"seconds":7200.0,"eval_seconds":1800.0,"joules":2880000.0,"kwh":1.5,"kg_co2":0.75,"usd":7.5}"#;
    let bill: Bill = serde_json::from_str(stored).unwrap();
    assert_eq!(bill.cost.measures(), [3.6e16, 3e16, 7200.0]);
    assert_eq!((bill.eval_seconds, bill.usd), (1800.0, Some(7.5)));
    assert_eq!(serde_json::to_string(&bill).unwrap(), stored);
}

#[test]
fn a_plan_reads_back_as_itself() {
    let dims = TransformerDims::bert(2, 64);
    let memory = training(1000, &dims, BATCH);
    let model = |name: &str| PlannedModel {
        name: name.into(),
        parameters: 1000,
        memory,
    };
    let scratch = rates().bill(work());
    let found = expectation("ligo", "bert", (6, 512), (12, 768)).unwrap();
    let run = PlannedRun {
        id: "ligo".into(),
        method: "ligo".into(),
        label: "LiGO".into(),
        steps: 10,
        training: scratch,
        operator: Some(rates().bill(work().times(0.1))),
        memory,
        operator_memory: Some(memory),
        expected: Some(Expected::new(&found, &scratch, None)),
    };
    assert_eq!(run.largest_bytes(), memory.total_bytes());
    assert!(close(run.whole().cost.seconds, 1.1 * scratch.cost.seconds));
    let plan = Plan {
        format: FORMAT,
        recipe: "r".into(),
        small: model("small"),
        large: model("large"),
        small_training: None,
        methods: vec![run],
        rates: rates(),
        assumptions: vec!["none".into()],
    };
    let text = serde_json::to_string(&plan).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
}
