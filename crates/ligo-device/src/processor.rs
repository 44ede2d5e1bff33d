//! The processor: what it is called, what it has, how much memory is beside it.

use std::collections::BTreeSet;

use crate::description::{Class, Description, Processor};
use crate::power::machine_bytes;

/// The processor that this program runs on.
pub fn describe() -> Description {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    Description {
        name: crate::cpu_model(),
        backend: "CPU".into(),
        kind: Class::Cpu,
        driver: None,
        pci: None,
        compiler: None,
        memory_bytes: machine_bytes(),
        precisions: ligo_ops::supported_precisions(&crate::cpu()),
        f16: None,
        bf16: None,
        tf32: false,
        subgroup: None,
        cooperative_matrices: Vec::new(),
        limits: None,
        processor: Some(Processor {
            cores: cores(&info),
            threads: crate::threads(),
            instruction_sets: instruction_sets(&info),
        }),
    }
}

/// Cores, of which each may run several threads, from `/proc/cpuinfo`.
fn cores(info: &str) -> Option<usize> {
    let mut found = BTreeSet::new();
    for processor in info.split("\n\n") {
        if let (Some(package), Some(core)) = (field(processor, "physical id"), field(processor, "core id")) {
            found.insert((package, core));
        }
    }
    (!found.is_empty()).then_some(found.len())
}

/// The instruction sets of `/proc/cpuinfo` that products can use, in the order of their age.
fn instruction_sets(info: &str) -> Vec<String> {
    const KNOWN: [(&str, &str); 16] = [
        ("sse4_2", "SSE4.2"),
        ("avx", "AVX"),
        ("avx2", "AVX2"),
        ("fma", "FMA"),
        ("f16c", "F16C"),
        ("avx512f", "AVX-512"),
        ("avx512_vnni", "AVX-512 VNNI"),
        ("avx512_bf16", "AVX-512 BF16"),
        ("avx512_fp16", "AVX-512 FP16"),
        ("amx_bf16", "AMX BF16"),
        ("amx_int8", "AMX INT8"),
        ("asimd", "NEON"),
        ("asimdhp", "FP16"),
        ("bf16", "BF16"),
        ("i8mm", "I8MM"),
        ("sve", "SVE"),
    ];
    let flags = field(info, "flags").or_else(|| field(info, "Features"));
    match flags {
        Some(flags) => {
            let flags: BTreeSet<&str> = flags.split_whitespace().collect();
            let found = KNOWN.iter().filter(|(flag, _)| flags.contains(flag));
            found.map(|(_, name)| (*name).to_owned()).collect()
        }
        None => asked(),
    }
}

/// Where no file tells: what the processor itself answers.
#[cfg(target_arch = "x86_64")]
fn asked() -> Vec<String> {
    let answers = [
        ("SSE4.2", std::arch::is_x86_feature_detected!("sse4.2")),
        ("AVX", std::arch::is_x86_feature_detected!("avx")),
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f")),
    ];
    let found = answers.into_iter().filter(|(_, has)| *has);
    found.map(|(name, _)| name.to_owned()).collect()
}

/// Where no file tells: what every processor of this kind has.
#[cfg(not(target_arch = "x86_64"))]
fn asked() -> Vec<String> {
    match std::env::consts::ARCH {
        "aarch64" => vec!["NEON".into()],
        _ => Vec::new(),
    }
}

/// The vector instructions that decide the last bits of what is computed here: those of matrix products, which the program was built with, and
/// those of everything else, which are the processor's best.
pub fn kernels() -> String {
    let [products, others] = levels();
    match products == others {
        true => format!("cpu: {products}"),
        false => format!("cpu: {products}, {others} but for products"),
    }
}

#[cfg(target_arch = "x86_64")]
fn levels() -> [&'static str; 2] {
    use std::arch::is_x86_feature_detected as has;
    let avx2 = has!("avx2") && has!("fma");
    let avx512 = avx2 && has!("avx512f") && has!("avx512vl") && has!("avx512dq") && has!("avx512bw");
    let level = |wide: bool| match (avx2, wide) {
        (_, true) => "AVX-512",
        (true, false) => "AVX2",
        (false, false) => "SSE2",
    };
    [level(avx512 && cfg!(feature = "avx512")), level(avx512)]
}

#[cfg(not(target_arch = "x86_64"))]
fn levels() -> [&'static str; 2] {
    [std::env::consts::ARCH; 2]
}

/// The first value of a field of `/proc/cpuinfo`.
fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    let fields = info.lines().filter_map(|line| line.split_once(':'));
    let mut values = fields.filter(|(key, _)| key.trim() == name);
    Some(values.next()?.1.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEL: &str = "processor\t: 0\nphysical id\t: 0\ncore id\t\t: 0\nflags\t\t: fpu sse4_2 avx avx2 fma avx512f amx_bf16\n\n\
                         processor\t: 1\nphysical id\t: 0\ncore id\t\t: 0\nflags\t\t: fpu\n\n\
                         processor\t: 2\nphysical id\t: 1\ncore id\t\t: 0\nflags\t\t: fpu\n";

    #[test]
    fn two_threads_of_one_core_are_one_core() {
        assert_eq!(cores(INTEL), Some(2));
        assert_eq!(cores("processor\t: 0\nCPU part\t: 0xd0c\n"), None);
    }

    #[test]
    fn instruction_sets_have_the_names_that_people_know() {
        assert_eq!(
            instruction_sets(INTEL),
            ["SSE4.2", "AVX", "AVX2", "FMA", "AVX-512", "AMX BF16"]
        );
        assert_eq!(
            instruction_sets("Features\t: fp asimd bf16 sve\n"),
            ["NEON", "BF16", "SVE"]
        );
    }

    #[test]
    fn the_processor_has_a_name_and_computes_in_f32() {
        let found = describe();
        assert!(!found.name.is_empty());
        assert_eq!(found.kind, Class::Cpu);
        assert!(found.precisions.contains(&ligo_ops::Precision::F32));
        let processor = found.processor.unwrap_or_else(|| panic!("no processor"));
        assert!(processor.threads > 0);
        #[cfg(target_arch = "x86_64")]
        assert!(processor.instruction_sets.contains(&"SSE4.2".to_owned()));
    }
}
