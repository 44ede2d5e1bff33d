use std::fmt::Write as _;
use std::time::Duration;

use ligo_cost::format;
use ligo_cost::memory::Memory;
use ligo_cost::plan::{Bill, Plan, PlannedRun, Rates};

/// What stands where nobody can tell.
const NONE: &str = "–";

/// The plan for a terminal.
pub fn text(plan: &Plan) -> String {
    let model = |model: &ligo_cost::plan::PlannedModel| {
        format!("{}, {} parameters", model.name, format::count(model.parameters as f64))
    };
    let mut text = format!(
        "{} on {}: {} → {}\n{}\n\n",
        plan.recipe,
        plan.rates.hardware,
        model(&plan.small),
        model(&plan.large),
        speed(&plan.rates)
    );
    text += &aligned(&whole_runs(plan));
    let expected = expected(plan);
    if expected.len() > 1 {
        text += "\n";
        text += &aligned(&expected);
    }
    text += "\n";
    text += &aligned(&memory(plan));
    text += "\n";
    for note in &plan.assumptions {
        let _ = writeln!(text, "• {note}");
    }
    text
}

/// How fast training is taken to be, and how that is known.
fn speed(rates: &Rates) -> String {
    format!(
        "{} in {}, {} of the peak ({})",
        format::flops_per_second(rates.flops_per_second()),
        rates.precision,
        format::percent(rates.utilization),
        rates.utilization_known.word()
    )
}

/// Runs of one method that cost the same are one line.
fn grouped(plan: &Plan) -> Vec<(String, &PlannedRun)> {
    let mut groups: Vec<(&PlannedRun, usize)> = Vec::new();
    for run in plan.small_training.iter().chain(&plan.methods) {
        let same = |(first, _): &&mut (&PlannedRun, usize)| {
            first.label == run.label && first.training == run.training && first.operator == run.operator
        };
        match groups.iter_mut().find(same) {
            Some((_, count)) => *count += 1,
            None => groups.push((run, 1)),
        }
    }
    let label = |(run, count): (&'_ PlannedRun, usize)| match count {
        1 => run.label.clone(),
        count => format!("{}, each of {count}", run.label),
    };
    groups.into_iter().map(|group| (label(group), group.0)).collect()
}

fn whole_runs(plan: &Plan) -> Vec<Vec<String>> {
    let header = [
        "all steps of the recipe",
        "steps",
        "FLOPs",
        "by ELECTRA",
        "time",
        "money",
        "energy",
        "CO₂",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let row = |label: String, steps: String, bill: &Bill| {
        let flops = [bill.cost.flops.exact, bill.cost.flops.electra].map(format::flops);
        [vec![label, steps], flops.to_vec(), price(bill)].concat()
    };
    for (label, run) in grouped(plan) {
        rows.push(row(label.clone(), run.steps.to_string(), &run.training));
        if let Some(operator) = &run.operator {
            rows.push(row("  its operator".to_owned(), NONE.to_owned(), operator));
        }
    }
    let bills = plan.small_training.iter().chain(&plan.methods).map(PlannedRun::whole);
    if let Some(all) = bills.reduce(|a, b| a.plus(&b)) {
        rows.push(row("all together".to_owned(), NONE.to_owned(), &all));
    }
    rows
}

/// Time, money, energy and carbon dioxide.
fn price(bill: &Bill) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    vec![
        time(bill.total_seconds()),
        or_none(bill.usd.map(format::usd)),
        or_none(bill.kwh.map(format::energy)),
        or_none(bill.kg_co2.map(format::mass)),
    ]
}

fn time(seconds: f64) -> String {
    format::duration(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// What each method costs until it is as good as scratch.
fn expected(plan: &Plan) -> Vec<Vec<String>> {
    let header = [
        "until as good as scratch",
        "saves",
        "FLOPs",
        "time",
        "money",
        "energy",
        "CO₂",
        "with the small model",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    for (label, run) in grouped(plan) {
        if ["small", "scratch"].contains(&run.method.as_str()) {
            continue;
        }
        let Some(expected) = &run.expected else {
            rows.push([vec![label], vec![NONE.to_owned(); 7]].concat());
            continue;
        };
        let saved = [
            format::percent(expected.saving_flops),
            format::flops(expected.bill.cost.flops.exact),
        ];
        let with_small = expected.with_small.as_ref();
        let with_small = with_small.map(|bill| match bill.usd {
            Some(usd) => format!("{}, {}", time(bill.total_seconds()), format::usd(usd)),
            None => time(bill.total_seconds()),
        });
        let with_small = with_small.unwrap_or_else(|| NONE.to_owned());
        rows.push([vec![label], saved.to_vec(), price(&expected.bill), vec![with_small]].concat());
    }
    rows
}

fn parts(memory: &Memory) -> [f64; 7] {
    [
        memory.weights_bytes,
        memory.gradients_bytes,
        memory.moments_bytes,
        memory.activations_bytes,
        memory.logits_bytes,
        memory.operator_bytes,
        memory.total_bytes(),
    ]
}

/// Runs that need the same are one line.
fn memory(plan: &Plan) -> Vec<Vec<String>> {
    let header = [
        "memory",
        "weights",
        "gradients",
        "moments",
        "activations",
        "logits",
        "operator",
        "together",
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let mut lines: Vec<(Vec<String>, Memory)> = Vec::new();
    for (label, run) in grouped(plan) {
        let label = label.split(", each of").next().unwrap_or_default().to_owned();
        let operator = run
            .operator_memory
            .map(|memory| (format!("operator of {label}"), memory));
        for (label, memory) in [(label, run.memory)].into_iter().chain(operator) {
            match lines.iter_mut().find(|(_, other)| *other == memory) {
                Some((labels, _)) if labels.contains(&label) => {}
                Some((labels, _)) => labels.push(label),
                None => lines.push((vec![label], memory)),
            }
        }
    }
    for (labels, memory) in lines {
        let sizes = parts(&memory).map(|bytes| match bytes {
            0.0 => NONE.to_owned(),
            bytes => format::bytes(bytes),
        });
        rows.push([vec![labels.join(", ")], sizes.to_vec()].concat());
    }
    rows
}

/// Names to the left, numbers to the right, a line beneath the header.
pub(crate) fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = (0..columns)
        .map(|column| cells(column).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column {
                0 => write!(line, "{cell:<width$}"),
                _ => write!(line, "  {cell:>width$}"),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
        if number == 0 {
            let _ = writeln!(text, "{}", "─".repeat(widths.iter().sum::<usize>() + 2 * (columns - 1)));
        }
    }
    text
}

/// Every number of every run, unrounded, with units in the column names; empty where nobody can tell.
pub fn csv(plan: &Plan) -> String {
    let mut text = String::from(
        "run,method,parameters,steps,flops_exact,flops_electra,seconds,eval_seconds,joules,kwh,kg_co2,usd,\
         operator_flops_exact,operator_flops_electra,operator_seconds,\
         weights_bytes,gradients_bytes,moments_bytes,activations_bytes,logits_bytes,operator_bytes,memory_bytes,\
         operator_memory_bytes,\
         expected_saving_flops,expected_saving_seconds,expected_same_pair,expected_pair,\
         expected_seconds,expected_kwh,expected_kg_co2,expected_usd,expected_with_small_seconds,expected_with_small_usd\n",
    );
    let or_empty = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    for run in plan.small_training.iter().chain(&plan.methods) {
        let whole = run.whole();
        let operator = run.operator.unwrap_or_default();
        let model = if run.id == "small" { &plan.small } else { &plan.large };
        let mut cells = vec![
            quoted(&run.id),
            quoted(&run.label),
            model.parameters.to_string(),
            run.steps.to_string(),
            whole.cost.flops.exact.to_string(),
            whole.cost.flops.electra.to_string(),
            whole.cost.seconds.to_string(),
            whole.eval_seconds.to_string(),
        ];
        cells.extend([whole.joules, whole.kwh, whole.kg_co2, whole.usd].map(or_empty));
        cells.extend(
            [
                operator.cost.flops.exact,
                operator.cost.flops.electra,
                operator.total_seconds(),
            ]
            .map(|x| x.to_string()),
        );
        cells.extend(parts(&run.memory).map(|bytes| bytes.to_string()));
        cells.push(or_empty(run.operator_memory.map(|memory| memory.total_bytes())));
        match &run.expected {
            None => cells.extend(vec![String::new(); 10]),
            Some(expected) => {
                let (bill, small) = (&expected.bill, expected.with_small.as_ref());
                cells.extend([expected.saving_flops, expected.saving_seconds].map(|x| x.to_string()));
                cells.extend([expected.same_pair.to_string(), quoted(&expected.pair)]);
                let numbers = [
                    Some(bill.total_seconds()),
                    bill.kwh,
                    bill.kg_co2,
                    bill.usd,
                    small.map(Bill::total_seconds),
                    small.and_then(|bill| bill.usd),
                ];
                cells.extend(numbers.map(or_empty));
            }
        }
        let _ = writeln!(text, "{}", cells.join(","));
    }
    text
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
