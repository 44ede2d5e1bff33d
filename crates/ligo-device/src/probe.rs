use std::process::Command;
use std::time::Duration;

use burn::tensor::{Device, Tensor, TensorData};

use crate::describe;
use crate::description::{Adapter, Finding, Findings};
use crate::gpu::{self, GpuSpec};
use crate::peak;
use crate::process::{answer, run_limited, run_to_end};

/// The hidden command that [`run_probe`] answers.
pub const COMMAND: &str = "__probe-gpu";
/// Asks for the list of GPUs instead of naming one.
const LIST: &str = "list";
/// Asks for everything that graphics drivers offer.
const ADAPTERS: &str = "adapters";
/// Asks what a GPU is and can do as well.
const DESCRIBE: &str = "--describe";
/// Asks how fast it multiplies, too.
const MEASURE: &str = "--measure";
const LIMIT: Duration = Duration::from_secs(60);
/// Kernels for every precision may have to be compiled and tuned before they can be timed.
const MEASURING_LIMIT: Duration = Duration::from_secs(240);

/// How much the second process is to find out about a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// What it is and can do.
    pub describe: bool,
    /// How fast it multiplies.
    pub measure: bool,
}

/// The second process's side of `ligo __probe-gpu SPEC`: lists GPUs, or computes on one and prints its name.
///
/// Returns the exit code: 0 when the numbers are right, 1 when they are not, 2 when there is no such device. It may also
/// panic, crash or hang; that is what the process is for.
pub fn run_probe(spec: &str, depth: Depth) -> i32 {
    if spec == LIST {
        return answer_all(gpu::enumerate());
    }
    if spec == ADAPTERS {
        let adapters = describe::adapters();
        return answer_all(
            adapters
                .iter()
                .filter_map(|adapter| serde_json::to_string(adapter).ok()),
        );
    }
    // The process that started this one has said what there is to say.
    crate::kernel_notes();
    let Some((spec, device)) = spec
        .parse::<GpuSpec>()
        .ok()
        .and_then(|spec| Some((spec, spec.device()?)))
    else {
        return answer(&format!("no device `{spec}` in this build"), 2);
    };
    if depth.describe {
        return match find_out(&spec, &device, depth) {
            Ok(()) => 0,
            Err(fault) => answer(&fault, 1),
        };
    }
    match compute(&device) {
        Ok(()) => {
            let name = gpu::name(&device).unwrap_or_else(|| spec.to_string());
            answer(&name, 0)
        }
        Err(fault) => answer(&fault, 1),
    }
}

fn answer_all(lines: impl IntoIterator<Item = impl ToString>) -> i32 {
    let mut lines = lines.into_iter();
    lines
        .find_map(|line| Some(answer(&line.to_string(), 0)).filter(|code| *code != 0))
        .unwrap_or(0)
}

/// Tells one thing after the other, so that what is known survives a crash in what comes next.
fn find_out(spec: &GpuSpec, device: &Device, depth: Depth) -> Result<(), String> {
    let tell = |finding: Finding| {
        let line = serde_json::to_string(&finding).map_err(|error| error.to_string())?;
        match answer(&line, 0) {
            0 => Ok(()),
            _ => Err("could not answer".to_owned()),
        }
    };
    let description = describe::describe(spec, device)?;
    let precisions = description.precisions.clone();
    tell(Finding::Description(Box::new(description)))?;
    compute(device)?;
    tell(Finding::Computes)?;
    if depth.measure {
        for precision in precisions {
            tell(Finding::Matmul(peak::by_precision(device, precision)?))?;
        }
    }
    Ok(())
}

/// A product of integers small enough to be exact in f32 whatever the order of the sum.
fn compute(device: &Device) -> Result<(), String> {
    const ROWS: usize = 65;
    const INNER: usize = 48;
    const COLUMNS: usize = 33;
    let left = |row: usize, k: usize| ((row * 7 + k * 3) % 11) as f32 - 5.0;
    let right = |k: usize, column: usize| ((k * 5 + column * 2) % 13) as f32 - 6.0;
    let matrix = |rows: usize, columns: usize, value: &dyn Fn(usize, usize) -> f32| {
        let values: Vec<f32> = (0..rows * columns).map(|i| value(i / columns, i % columns)).collect();
        Tensor::<2>::from_data(TensorData::new(values, [rows, columns]), device)
    };
    let product = matrix(ROWS, INNER, &left).matmul(matrix(INNER, COLUMNS, &right));
    let found = product
        .into_data()
        .convert::<f32>()
        .try_into_vec::<f32>()
        .map_err(|error| format!("returned unreadable data: {error:?}"))?;
    for (i, found) in found.iter().enumerate() {
        let (row, column) = (i / COLUMNS, i % COLUMNS);
        let expected: f32 = (0..INNER).map(|k| left(row, k) * right(k, column)).sum();
        if (found - expected).abs() > 1e-3 || found.is_nan() {
            return Err(format!(
                "computed {found} for entry ({row}, {column}) of a matrix product, expected {expected}"
            ));
        }
    }
    Ok(())
}

/// Looks for GPUs and tries them. Faults are the rest of a sentence: "did not answer within 60 s".
pub trait Prober {
    /// All GPUs, hardware or not.
    fn list(&self) -> Result<Vec<GpuSpec>, String>;
    /// The name of a GPU that computes correctly.
    fn probe(&self, spec: &GpuSpec) -> Result<String, String>;
}

/// Finds out what there is, and what it can do.
pub trait Explorer: Prober {
    /// Everything about a GPU, as far as it can be found out.
    fn explore(&self, spec: &GpuSpec, measure: bool) -> Findings;
    /// What graphics drivers offer, whether burn takes it or not.
    fn adapters(&self) -> Result<Vec<Adapter>, String>;
}

/// Starts this program a second time for every question.
pub struct Subprocess {
    limit: Duration,
}

impl Default for Subprocess {
    fn default() -> Self {
        Self { limit: LIMIT }
    }
}

impl Subprocess {
    fn ask(&self, what: &str) -> Result<Vec<String>, String> {
        run_limited(command(&[what])?, self.limit)
    }
}

fn command(arguments: &[&str]) -> Result<Command, String> {
    let mut command = crate::this_program().map_err(|error| format!("cannot start this program: {error}"))?;
    command.arg(COMMAND).args(arguments);
    Ok(command)
}

impl Explorer for Subprocess {
    fn explore(&self, spec: &GpuSpec, measure: bool) -> Findings {
        let spec = spec.to_string();
        let mut arguments = vec![spec.as_str(), DESCRIBE];
        let mut limit = self.limit;
        if measure {
            arguments.push(MEASURE);
            limit = limit.max(MEASURING_LIMIT);
        }
        let (answers, end) = match command(&arguments) {
            Ok(command) => run_to_end(command, limit),
            Err(fault) => (Vec::new(), Err(fault)),
        };
        Findings::gathered(&answers, end)
    }

    fn adapters(&self) -> Result<Vec<Adapter>, String> {
        let answers = self.ask(ADAPTERS)?;
        Ok(answers
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

impl Prober for Subprocess {
    fn list(&self) -> Result<Vec<GpuSpec>, String> {
        Ok(self.ask(LIST)?.iter().filter_map(|line| line.parse().ok()).collect())
    }

    fn probe(&self, spec: &GpuSpec) -> Result<String, String> {
        let answers = self.ask(&spec.to_string())?;
        answers
            .into_iter()
            .next_back()
            .ok_or_else(|| "gave no answer".to_string())
    }
}
