//! `ligo devices`: what can compute here.

use std::fmt::Write as _;

use ligo_cost::format;
use ligo_device::{Catalog, Description, Listed, catalog};
use ligo_experiment::Listener;
use ligo_experiment::json::pretty;
use ligo_ops::precision::{CooperativeMatrix, Usage};

use crate::{Failure, Ui};

/// Arguments of `ligo devices`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  ligo devices                    every GPU and the processor, with a short measurement of each\n  ligo devices --no-measure       the same at once\n  ligo devices --json | jq -r '.auto.device'\n  ligo train --device gpu:1 …     takes the second GPU of the list\n\nEvery GPU is looked at in a process of its own, so that a driver that crashes takes nothing else down. The peaks are those of large matrix\nproducts in each precision; training reaches a part of them."
)]
pub struct DevicesArgs {
    /// Leave the measurement of matrix products out.
    #[arg(long)]
    pub no_measure: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
/// None that a device can cause: what is wrong with it stands in the list.
pub fn run(args: &DevicesArgs, ui: &Ui) -> Result<(), Failure> {
    if !args.no_measure {
        ui.say("looking for devices and measuring products on each; --no-measure leaves that out");
    }
    ligo_device::kernel_notes().iter().for_each(|note| ui.say(note));
    let catalog = catalog(!args.no_measure);
    ui.result(&match args.json {
        true => pretty(&catalog)?,
        false => text(&catalog).trim_end().to_owned(),
    });
    Ok(())
}

/// The list for a terminal.
fn text(catalog: &Catalog) -> String {
    let mut text = String::new();
    for listed in &catalog.devices {
        text += &one(listed);
        text += "\n";
    }
    if let Some(fault) = &catalog.fault {
        let _ = writeln!(text, "{fault}");
    }
    let auto = &catalog.auto;
    let _ = writeln!(
        text,
        "--device auto takes {}, {}: {}",
        auto.device, auto.name, auto.reason
    );
    let _ = writeln!(text, "built in: {}", catalog.backends.join(", "));
    if !catalog.not_built.is_empty() {
        let missing = catalog.not_built.iter();
        let missing: Vec<String> = missing.map(|one| format!("{} ({})", one.backend, one.build)).collect();
        let _ = writeln!(text, "not built in: {}", missing.join(", "));
    }
    if !catalog.unused_adapters.is_empty() {
        let unused = catalog.unused_adapters.iter();
        let unused: Vec<String> = unused
            .map(|adapter| format!("{} through {} ({})", adapter.name, adapter.backend, adapter.kind.name()))
            .collect();
        let _ = writeln!(text, "offered by drivers and not used: {}", unused.join(", "));
    }
    text
}

fn one(listed: &Listed) -> String {
    let name = listed
        .description
        .as_ref()
        .map_or("a GPU", |description| description.name.as_str());
    let mut text = format!("{:<7}{name}\n", listed.device);
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "       {label:<12}{value}");
    };
    if let Some(description) = &listed.description {
        line("kind", kind(description));
        described(description, &mut line);
    }
    if !listed.matmul.is_empty() {
        let rates = listed.matmul.iter().map(|matmul| {
            let rate = format::flops_per_second(matmul.flops_per_second);
            format!("{} {rate} ({}²)", matmul.precision, matmul.size)
        });
        line("products", rates.collect::<Vec<_>>().join(", "));
    }
    match (&listed.fault, listed.works) {
        (Some(fault), true) => line("trouble", format!("it computes, and then {fault}")),
        (Some(fault), false) => line("trouble", format!("it cannot be used: {fault}")),
        (None, false) => line("trouble", "it cannot be used: it gave no answer".into()),
        (None, true) => {}
    }
    text
}

fn kind(description: &Description) -> String {
    let mut parts = vec![match description.processor {
        Some(_) => description.kind.name().to_owned(),
        None => format!("{}, through {}", description.kind.name(), description.backend),
    }];
    if let Some(driver) = &description.driver {
        parts.push(
            format!("driver {} {}", driver.name, driver.version)
                .trim_end()
                .to_owned(),
        );
    }
    parts.extend(description.pci.clone());
    parts.join(", ")
}

fn described(description: &Description, line: &mut impl FnMut(&str, String)) {
    if let Some(processor) = &description.processor {
        let cores = processor.cores.map(|cores| format!("{cores} cores, "));
        line(
            "threads",
            format!("{}{} compute", cores.unwrap_or_default(), processor.threads),
        );
        line("sets", processor.instruction_sets.join(", "));
    }
    let memory = description.memory_bytes.map(|bytes| format::bytes(bytes as f64));
    line("memory", memory.unwrap_or_else(|| "nobody tells".into()));
    let precisions: Vec<&str> = description
        .precisions
        .iter()
        .map(|precision| precision.name())
        .collect();
    line("precision", precisions.join(", "));
    if let (Some(f16), Some(bf16)) = (description.f16, description.bf16) {
        let tf32 = if description.tf32 { "TF32" } else { "no TF32" };
        line("types", format!("f16 {}; bf16 {}; {tf32}", usage(f16), usage(bf16)));
        let subgroup = description.subgroup.map(|[least, most]| match least == most {
            true => format!("{least} threads"),
            false => format!("{least} to {most} threads"),
        });
        line("subgroups", subgroup.unwrap_or_else(|| "none".into()));
        line("matrices", matrices(&description.cooperative_matrices));
    }
    if let Some(limits) = description.limits {
        line(
            "limits",
            format!(
                "{} a buffer, {} buffers a kernel, {} threads and {} a workgroup",
                format::bytes(limits.storage_buffer_bytes as f64),
                limits.storage_buffers,
                limits.workgroup_threads,
                format::bytes(limits.workgroup_bytes as f64)
            ),
        );
    }
}

fn usage(usage: Usage) -> String {
    let uses = [
        (usage.stored, "stored"),
        (usage.converted, "converted"),
        (usage.computed, "computed with"),
    ];
    let uses: Vec<&str> = uses.iter().filter(|(can, _)| *can).map(|(_, name)| *name).collect();
    match uses.is_empty() {
        true => "not at all".into(),
        false => uses.join(", "),
    }
}

fn matrices(matrices: &[CooperativeMatrix]) -> String {
    if matrices.is_empty() {
        return "no cooperative matrices".into();
    }
    let each = matrices.iter().map(|matrix| {
        let sizes = matrix.sizes.iter().map(|[m, n, k]| format!("{m}×{n}×{k}"));
        let sizes: Vec<String> = sizes.collect();
        format!("{} → {} {}", matrix.factors, matrix.sum, sizes.join(" "))
    });
    each.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_a_type_are_listed_in_words() {
        let some = Usage {
            stored: true,
            converted: true,
            computed: false,
        };
        assert_eq!(usage(some), "stored, converted");
        assert_eq!(usage(Usage::default()), "not at all");
    }

    #[test]
    fn sizes_of_cooperative_matrices_stand_beside_their_types() {
        let bf16 = CooperativeMatrix {
            factors: "bf16".into(),
            sum: "f32".into(),
            sizes: vec![[16, 16, 16], [16, 8, 16]],
        };
        assert_eq!(matrices(&[bf16]), "bf16 → f32 16×16×16 16×8×16");
        assert_eq!(matrices(&[]), "no cooperative matrices");
    }
}
