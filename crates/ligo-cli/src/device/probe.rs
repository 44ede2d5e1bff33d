use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use burn::tensor::{Device, Tensor, TensorData};

use super::gpu::{self, GpuSpec};

/// The hidden command that [`run_probe`] answers.
const COMMAND: &str = "__probe-gpu";
/// Asks for the list of GPUs instead of naming one.
const LIST: &str = "list";
/// Drivers print to standard output too, so answers are marked.
const ANSWER: &str = "ligo-probe: ";
const LIMIT: Duration = Duration::from_secs(60);

/// The second process's side of `ligo __probe-gpu SPEC`: lists GPUs, or computes on one and prints its name.
///
/// Returns the exit code: 0 when the numbers are right, 1 when they are not, 2 when there is no such device. It may also
/// panic, crash or hang; that is what the process is for.
pub fn run_probe(spec: &str) -> i32 {
    if spec == LIST {
        let lines: String = gpu::enumerate().iter().map(|gpu| format!("{ANSWER}{gpu}\n")).collect();
        return answer(&lines, 0);
    }
    let Some(device) = spec.parse::<GpuSpec>().ok().and_then(|spec| spec.device()) else {
        return answer(&format!("{ANSWER}no device `{spec}` in this build\n"), 2);
    };
    match compute(&device) {
        Ok(()) => {
            let name = gpu::name(&device).unwrap_or_else(|| spec.to_owned());
            answer(&format!("{ANSWER}{name}\n"), 0)
        }
        Err(fault) => answer(&format!("{ANSWER}{fault}\n"), 1),
    }
}

fn answer(text: &str, code: i32) -> i32 {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => 3,
    }
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
        let mut command = super::this_program().map_err(|error| format!("cannot start this program: {error}"))?;
        command.args([COMMAND, what]);
        run_limited(command, self.limit)
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

/// Runs a command to its end or to the limit and returns the lines it marked as answers.
pub fn run_limited(mut command: Command, limit: Duration) -> Result<Vec<String>, String> {
    let no_start = |error: std::io::Error| format!("could not be tried: {error}");
    // Files instead of pipes: no thread has to read them, and a process that cannot be killed blocks nobody.
    let mut output = tempfile::tempfile().map_err(no_start)?;
    let mut errors = tempfile::tempfile().map_err(no_start)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone().map_err(no_start)?)
        .stderr(errors.try_clone().map_err(no_start)?)
        .spawn()
        .map_err(no_start)?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(no_start)? {
            break status;
        }
        if begin.elapsed() >= limit {
            let _ = child.kill();
            // Not waited for: a process inside a hung driver does not die. The loop collects the one that does.
            for _ in 0..50 {
                if !matches!(child.try_wait(), Ok(None)) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            return Err(format!("did not answer within {} s", limit.as_secs_f32()));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = content(&mut output);
    let answers: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix(ANSWER))
        .map(str::to_owned)
        .collect();
    if status.success() {
        return Ok(answers);
    }
    let said = answers.last().cloned().or_else(|| complaint(&content(&mut errors)));
    Err(failure(status, said))
}

fn content(file: &mut File) -> String {
    let mut bytes = Vec::new();
    let _ = file.rewind();
    let _ = file.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The line of a panic message that says what happened.
fn complaint(errors: &str) -> Option<String> {
    let lines = errors.lines().map(str::trim);
    let mut useful =
        lines.filter(|line| !line.is_empty() && !line.starts_with("note:") && !line.starts_with("thread "));
    useful.next().map(|line| line.chars().take(200).collect())
}

fn failure(status: ExitStatus, said: Option<String>) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("crashed with signal {signal} when it was tried");
    }
    match said {
        Some(said) => format!("failed when it was tried: {said}"),
        None => format!("failed when it was tried ({status})"),
    }
}
