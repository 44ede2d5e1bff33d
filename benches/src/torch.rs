//! The PyTorch side: a Python process that runs steps when asked to.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::Sizes;

/// A running `pytorch/bert_step.py`.
pub struct Torch {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// What it reports about itself: versions, threads, parameters.
    pub about: String,
}

/// Seconds and losses of some steps.
pub struct Steps {
    /// Seconds of each step.
    pub seconds: Vec<f64>,
    /// Loss before each step's update.
    pub losses: Vec<f64>,
}

impl Torch {
    /// Starts the script with the interpreter named by `LIGO_PYTHON`, else `python3`.
    ///
    /// # Errors
    /// When the interpreter does not start or has no PyTorch.
    pub fn start(sizes: &Sizes, threads: usize) -> io::Result<Self> {
        let python = std::env::var("LIGO_PYTHON").unwrap_or_else(|_| "python3".into());
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/pytorch/bert_step.py");
        let s = sizes;
        let numbers = [
            s.layers, s.hidden, s.ffn, s.heads, s.vocab, s.batch, s.length, s.masked, threads,
        ];
        let mut child = Command::new(python)
            .arg(script)
            .args(numbers.map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let gone = || io::Error::other("the Python process has no pipes");
        let input = child.stdin.take().ok_or_else(gone)?;
        let output = BufReader::new(child.stdout.take().ok_or_else(gone)?);
        let mut torch = Self {
            child,
            input,
            output,
            about: String::new(),
        };
        torch.about = torch.line()?;
        Ok(torch)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(io::Error::other(
                "the Python process ended; is PyTorch installed there?",
            ));
        }
        Ok(line.trim_end().to_owned())
    }

    /// Runs `count` steps.
    ///
    /// # Errors
    /// When the process ended or answers something else.
    pub fn run(&mut self, count: usize) -> io::Result<Steps> {
        writeln!(self.input, "{count}")?;
        self.input.flush()?;
        let seconds = numbers(&self.line()?)?;
        let losses = numbers(&self.line()?)?;
        Ok(Steps { seconds, losses })
    }
}

fn numbers(line: &str) -> io::Result<Vec<f64>> {
    line.split_whitespace()
        .map(|number| number.parse().map_err(io::Error::other))
        .collect()
}

impl Drop for Torch {
    fn drop(&mut self) {
        // It may have ended already; there is nothing to do about either failure.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
