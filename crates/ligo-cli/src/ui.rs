//! What the user sees while the program works: lines, and bars where there is a terminal.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::told::{Position, Told};

/// A time for people, from seconds.
pub fn duration(seconds: f64) -> String {
    ligo_cost::format::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

/// Draws progress of so much of so much.
pub fn follow(bar: &ProgressBar) -> impl Fn(u64, u64) {
    |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    }
}

/// Where messages go.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    quiet: bool,
    terminal: bool,
    /// Whether another process started this one for a job and shows what it says.
    is_job: bool,
}

impl Ui {
    /// Bars on a terminal, plain lines elsewhere; with `quiet` only results and errors.
    pub fn new(quiet: bool) -> Self {
        Self {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            is_job: false,
        }
    }

    /// Of a process that runs a job for another one: lines go to standard error, which is the job's log, and to the parent.
    pub fn of_job() -> Self {
        Self {
            quiet: false,
            terminal: false,
            is_job: true,
        }
    }

    /// Whether a parent process shows what this one does.
    pub fn is_job(&self) -> bool {
        self.is_job
    }

    /// Whether bars are drawn.
    pub fn draws_bars(&self) -> bool {
        self.terminal && !self.quiet
    }

    /// Whether anything but results is said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// A line about what is going on, on standard error.
    pub fn say(&self, message: impl AsRef<str>) {
        self.note(message.as_ref());
        if self.is_job {
            Told::Say(message.as_ref().to_owned()).tell();
        }
    }

    /// As [`Ui::say`], but of a job only its log has it: the parent said the same already, or need not.
    pub fn note(&self, message: impl AsRef<str>) {
        if !self.quiet {
            let mut out = std::io::stderr().lock();
            // A closed terminal is no reason to stop training.
            let _ = writeln!(out, "{}", message.as_ref());
        }
    }

    /// Tells the parent of a job how far it is.
    pub fn at(&self, position: impl FnOnce() -> Position) {
        if self.is_job {
            Told::At(position()).tell();
        }
    }

    /// A result, on standard output.
    pub fn result(&self, text: impl AsRef<str>) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", text.as_ref());
        let _ = out.flush();
    }

    /// A bar over bytes or items; hidden where there is no terminal.
    pub fn bar(&self, label: &str, total: u64, template: &str) -> ProgressBar {
        let bar = if self.draws_bars() {
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8))
        } else {
            ProgressBar::hidden()
        };
        set_style(&bar, template);
        bar.set_prefix(label.to_owned());
        if self.draws_bars() {
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        bar
    }

    /// A bar over bytes.
    pub fn bytes_bar(&self, label: &str) -> ProgressBar {
        self.bar(
            label,
            0,
            "  {prefix:<22} {wide_bar:.cyan/dim} {bytes}/{total_bytes}  {bytes_per_sec}  left {eta}",
        )
    }

    /// A bar over items.
    pub fn items_bar(&self, label: &str, total: u64) -> ProgressBar {
        self.bar(
            label,
            total,
            "  {prefix:<22} {wide_bar:.cyan/dim} {pos}/{len}  left {eta}",
        )
    }

    /// A bar over training steps.
    pub fn steps_bar(&self, label: &str, total: u64) -> ProgressBar {
        self.bar(
            label,
            total,
            "  {prefix:<22} {wide_bar:.cyan/dim} {pos}/{len}  {msg}  left {eta}",
        )
    }
}

/// The looks of all our bars.
pub fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
}
