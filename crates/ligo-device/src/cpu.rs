//! The processor: its name and its threads.

use burn::tensor::Device;

/// Sets the number of threads of a process.
pub const THREADS_VARIABLE: &str = "RAYON_NUM_THREADS";

/// The CPU.
pub fn cpu() -> Device {
    Device::flex()
}

/// The processor's name, `AMD EPYC 7R13`.
pub fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    model_name(&info).unwrap_or_else(|| format!("{} CPU", std::env::consts::ARCH))
}

/// The CPU's name and how many threads compute, `AMD EPYC 7R13, 2 threads`.
pub(crate) fn cpu_name() -> String {
    let model = cpu_model();
    let threads = threads();
    format!("{model}, {threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// How many threads compute, by the rule of rayon, whose pool does the computing.
pub fn threads() -> usize {
    let asked = std::env::var(THREADS_VARIABLE).ok().and_then(|n| n.parse().ok());
    match asked {
        Some(n) if n > 0 => n,
        _ => std::thread::available_parallelism().map_or(1, usize::from),
    }
}

fn model_name(cpuinfo: &str) -> Option<String> {
    let fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    let mut names = fields.filter(|(key, _)| key.trim() == "model name");
    let name = names.next()?.1.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_called_by_its_model_name() {
        let cpuinfo = "processor\t: 0\nvendor_id\t: AuthenticAMD\nmodel name\t: AMD EPYC 9R14\nflags\t\t: fpu\n";
        assert_eq!(model_name(cpuinfo).as_deref(), Some("AMD EPYC 9R14"));
        assert_eq!(model_name("processor\t: 0\nCPU part\t: 0xd0c\n"), None);
    }
}
