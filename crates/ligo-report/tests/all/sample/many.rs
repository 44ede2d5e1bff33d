//! A made-up comparison of any size: noisy curves of many methods and seeds, savings as a program computes them.

use std::collections::BTreeMap;

use ligo_cost::{Charges, Curve, compare};
use ligo_report::plot::Matrix;
use ligo_report::summary::{
    Cost, CurvePoint, Energy, Figures, MethodSummary, OperatorSummary, PredictedRun, Prediction, Provenance, Saving,
    Stage, Summary, ToTarget, WidthMatrix,
};

use super::{SMALL, cost};

const STEPS: u64 = 4000;

/// Name, label, loss at the start, half-life in steps, steps' worth of operator.
const METHODS: [(&str, &str, f64, f64, f64); 14] = [
    ("scratch", "scratch", 7.62, 340.0, 0.0),
    ("ligo", "LiGO", 3.42, 620.0, 180.0),
    ("stackbert", "StackBERT", 4.05, 330.0, 0.0),
    ("interpose", "interposition", 4.31, 350.0, 0.0),
    ("direct-copy", "direct copy", 3.61, 500.0, 0.0),
    ("zero-pad", "zero pad", 4.42, 380.0, 0.0),
    ("hyper-cloning", "HyperCloning", 3.20, 780.0, 0.0),
    ("bert2bert-fpi", "bert2BERT FPI", 3.31, 640.0, 0.0),
    ("bert2bert-aki", "bert2BERT AKI", 3.48, 560.0, 0.0),
    ("lemon", "LEMON", 3.19, 820.0, 0.0),
    ("mslt", "MSLT", 4.9, 420.0, 0.0),
    ("ki", "knowledge inheritance", 7.61, 290.0, 60.0),
    ("midas", "MIDAS", 5.6, 300.0, 0.0),
    ("ligo-multi", "LiGO, 3 terms", 3.29, 600.0, 320.0),
];

/// A repeatable number in −1..1.
fn noise(a: u64, b: u64, c: u64) -> f64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ b.wrapping_mul(0xbf58_476d_1ce4_e5b9)
        ^ c.wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^= x >> 31;
    x = x.wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^= x >> 29;
    (x >> 11) as f64 / (1u64 << 52) as f64 - 1.0
}

fn run(index: usize, seed: u64, points: u64) -> MethodSummary {
    let (name, label, start, half, operator) = METHODS[index % METHODS.len()];
    let again = index / METHODS.len();
    let luck = noise(index as u64, seed, 0);
    let spread = if name == "scratch" { 0.05 } else { 0.02 };
    let end = 2.18 + 0.01 * index as f64 + if name == "scratch" { 0.14 } else { 0.0 } + spread * luck;
    let curve: Vec<CurvePoint> = (0..points)
        .map(|at| {
            let step = at * STEPS / (points - 1).max(1);
            let fall = 0.5f64.powf(step as f64 / half);
            let slow = 0.25 * 0.5f64.powf(step as f64 / (6.0 * half));
            let wobble = 0.008 * noise(index as u64, seed, at + 1);
            let total = cost(step as f64);
            CurvePoint {
                step,
                tokens: 4096 * step,
                loss: if at == 0 {
                    start
                } else {
                    end - 0.01 + slow + (start - end - 0.25) * fall + wobble
                },
                cost: Cost {
                    seconds: total.seconds * (1.0 + 0.04 * noise(index as u64, seed, 7)),
                    ..total
                },
            }
        })
        .collect();
    let spent = curve.last().map(|point| point.cost).unwrap_or_default();
    let suffix = if again > 0 { format!("-{again}") } else { String::new() };
    MethodSummary {
        id: if seed == 1 {
            format!("{name}{suffix}")
        } else {
            format!("{name}{suffix}-seed{seed}")
        },
        group: format!("{name}{suffix}"),
        name: name.into(),
        label: format!("{label}{suffix}"),
        seed,
        steps: STEPS,
        loss_start: start,
        loss_final: curve.last().map_or(f64::NAN, |point| point.loss),
        curve,
        cost: spent,
        operator_cost: cost(operator),
        learning_rate: Some(1e-3),
        peak_memory_bytes: Some(600_000_000 + 40_000_000 * index as u64),
        energy: Some(Energy {
            kwh: 0.011 + 0.0004 * index as f64,
            measured: true,
        }),
        stages: if name == "midas" || name == "mslt" {
            [(0, "2 layers"), (1000, "3 layers"), (2000, "4 layers")]
                .map(|(first_step, label)| Stage {
                    label: label.into(),
                    first_step,
                })
                .to_vec()
        } else {
            Vec::new()
        },
        notes: if index == 9 && seed == 2 {
            vec!["2 steps skipped: the gradient was not finite".into()]
        } else {
            Vec::new()
        },
        ..MethodSummary::default()
    }
}

/// Fills what a run reached and saved against `scratch`, as the program does.
fn measure(run: &mut MethodSummary, scratch: &MethodSummary) {
    let curve = |run: &MethodSummary, measure: fn(&Cost) -> f64| {
        Curve::new(run.curve.iter().map(|point| (measure(&point.cost), point.loss))).unwrap()
    };
    let target = scratch.loss_final;
    let compared = Cost::MEASURES.map(|measure| {
        let charges = Charges {
            operator: measure(&run.operator_cost),
            small_model: measure(&SMALL),
        };
        compare(&curve(scratch, measure), &curve(run, measure), target, charges)
    });
    let three = |parts: [Option<f64>; 3]| Some([parts[0]?, parts[1]?, parts[2]?]);
    let steps = Curve::new(run.curve.iter().map(|point| (point.step as f64, point.loss))).unwrap();
    run.to_target = three(compared.map(|c| Some(c.method.cost()? + c.charges.operator))).map(|measures| ToTarget {
        step: steps.cost_to_reach(target).cost().unwrap(),
        cost: Cost::of_measures(measures),
    });
    if run.name != "scratch" {
        run.saving = three(compared.map(|c| c.saving.share())).map(Saving::of_measures);
        let with_small = compared.map(|c| c.saving_with_small_model.share());
        run.saving_with_small = three(with_small).map(Saving::of_measures);
    }
}

pub fn operator(run: &MethodSummary, small: (usize, usize), large: (usize, usize)) -> OperatorSummary {
    let modules = [
        "query",
        "key",
        "value",
        "attention_out",
        "attention_norm",
        "ffn_in",
        "ffn_out",
        "ffn_norm",
    ];
    let depth = modules.iter().enumerate().map(|(module, name)| Matrix {
        name: (*name).into(),
        rows: large.0,
        columns: small.0,
        values: (0..large.0 * small.0)
            .map(|at| {
                let (row, column) = (at / small.0, at % small.0);
                let near = if row % small.0 == column { 0.85 } else { 0.0 };
                (near + 0.18 * noise(module as u64, at as u64, run.seed)) as f32
            })
            .collect(),
    });
    let width = [("hidden", 1), ("query", 1), ("key", 1), ("value", 1), ("ffn", 4)].map(|(name, factor)| {
        let (rows, columns) = (large.1 * factor, small.1 * factor);
        let row = |row: usize| {
            let base = if row < columns { 1.0 } else { 0.72 };
            base + 0.06 * noise(row as u64, factor as u64, run.seed)
        };
        let norms: Vec<f64> = (0..rows).map(row).collect();
        let value = |at: usize| 1.45 - 0.5 * (at as f64 / columns as f64).powf(0.4);
        let singular: Vec<f64> = (0..columns).map(value).collect();
        WidthMatrix {
            name: name.into(),
            rows,
            columns,
            row_norms: ligo_report::summary::thinned(&norms),
            singular_values: ligo_report::summary::thinned(&singular),
        }
    });
    OperatorSummary {
        run: run.id.clone(),
        title: format!("{}, seed {}", run.label, run.seed),
        depth: depth.collect(),
        width: width.to_vec(),
    }
}

const RECIPE: &str = r#"name = "bert-micro"
seed = 1

[small.model]
family = "bert"
hidden_size = 64
num_hidden_layers = 2

[large.model]
hidden_size = 96
num_hidden_layers = 4

[large.train]
steps = 4000
schedule = { kind = "linear", peak_lr = 1e-3, warmup_steps = 200 }

[[methods]]
name = "ligo"
operator = { kind = "ligo", steps = 100 }
"#;

fn prediction(summary: &Summary) -> Prediction {
    let figures = |flops: f64, seconds: f64, memory: f64, kwh: f64| Figures {
        flops_exact: Some(flops),
        seconds: Some(seconds),
        memory_bytes: Some(memory),
        energy_kwh: Some(kwh),
    };
    Prediction {
        hardware: "this machine".into(),
        assumptions: vec![
            "achieved utilization 31 %, measured by a probe of 4 s".into(),
            "65 W while training".into(),
        ],
        runs: summary
            .groups
            .iter()
            .take(3)
            .map(|group| PredictedRun {
                label: group.label.clone(),
                predicted: figures(3.55e13, 402.0, 6.4e8, 0.0073),
                measured: Figures {
                    energy_kwh: None,
                    ..figures(3.6e13, group.cost.seconds.map_or(f64::NAN, |s| s.mean), 6.1e8, 0.0)
                },
            })
            .collect(),
    }
}

/// So many methods, seeds of each and points of each curve.
pub fn summary(methods: usize, seeds: u64, points: u64) -> Summary {
    let mut summary = super::summary();
    summary.small.loss = 2.86;
    summary.corpus.unigram_loss = 3.503;
    summary.corpus.context_free_loss = Some(3.202);
    let mut runs: Vec<MethodSummary> = (0..methods)
        .flat_map(|index| (1..=seeds).map(move |seed| run(index, seed, points)))
        .collect();
    let scratch: BTreeMap<u64, MethodSummary> = runs
        .iter()
        .filter(|run| run.is_scratch())
        .map(|run| (run.seed, run.clone()))
        .collect();
    runs.iter_mut().for_each(|run| measure(run, &scratch[&run.seed]));
    summary.target_loss = scratch[&1].loss_final;
    summary.operators = runs
        .iter()
        .filter(|run| run.name.contains("ligo"))
        .map(|run| operator(run, (2, 64), (4, 96)))
        .collect();
    summary.methods = runs;
    summary.files = [
        ("recipe", "recipe.toml"),
        ("picture", "savings.svg"),
        ("small model", "small/model"),
    ]
    .map(|(name, path)| (name.to_string(), path.to_string()))
    .into();
    summary.provenance = Some(Provenance {
        command: "cargo xtask compare --recipe bert-micro --data texts/ --seeds 3".into(),
        recipe: RECIPE.into(),
        recipe_hash: "3a9b8d46".repeat(8),
        versions: [("ligo", "0.1.0"), ("burn", "0.22.1"), ("rustc", "1.95.0")]
            .map(|(name, version)| (name.to_string(), version.to_string()))
            .into(),
        device: "CPU (flex)".into(),
        precision: "f32".into(),
        cpu: "AMD EPYC 7B13".into(),
        threads: Some(2),
        memory_bytes: Some(16 << 30),
        os: "Linux 6.1 x86_64".into(),
        started: "2026-02-03T08:15:00Z".into(),
        ended: "2026-02-03T12:47:31Z".into(),
    });
    let mut summary = summary.grouped();
    summary.prediction = Some(prediction(&summary));
    summary
}
