//! A process that may crash or hang, run to its end and asked through its standard output.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Drivers print to standard output too, so answers are marked.
const ANSWER: &str = "ligo-probe: ";

/// The other side: says one line, and returns the exit code of a process that could.
pub fn answer(line: &str, code: i32) -> i32 {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{ANSWER}{line}").and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => 3,
    }
}

/// Runs a command to its end or to the limit and returns the lines it marked as answers.
pub fn run_limited(command: Command, limit: Duration) -> Result<Vec<String>, String> {
    let (answers, end) = run_to_end(command, limit);
    end.map(|()| answers)
}

/// The same, with the answers that came before whatever went wrong.
pub fn run_to_end(command: Command, limit: Duration) -> (Vec<String>, Result<(), String>) {
    match started(command, limit) {
        Ok((answers, end)) => (answers, end),
        Err(fault) => (Vec::new(), Err(fault)),
    }
}

fn started(mut command: Command, limit: Duration) -> Result<(Vec<String>, Result<(), String>), String> {
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
            break Some(status);
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
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = content(&mut output);
    let answers: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix(ANSWER))
        .map(str::to_owned)
        .collect();
    let end = match status {
        None => Err(format!("did not answer within {} s", limit.as_secs_f32())),
        Some(status) if status.success() => Ok(()),
        Some(status) => {
            // Findings are JSON; what is not is a complaint.
            let said = answers.last().filter(|answer| !answer.starts_with('{')).cloned();
            Err(failure(status, said.or_else(|| complaint(&content(&mut errors)))))
        }
    };
    Ok((answers, end))
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
