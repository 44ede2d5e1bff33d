//! What the user sees while the program works: lines, and bars where there is a terminal.

use std::error::Error;
use std::fmt;
use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ligo_checkpoint::plain_lines;
use ligo_experiment::job_message::{JobMessage, Position};
use ligo_experiment::{Board, Counted, Failure, Listener, Progress, Watched};
use ligo_train::Observer;
use miette::Diagnostic;

use crate::board::Jobs;
use crate::progress::Steps;

/// Names of folders that something is made in before it gets its place, told as what they become: nobody knows `.model.partial`.
fn as_published(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for piece in text.split_inclusive(|sign: char| !is_of_a_name(sign)) {
        let end = piece.len()
            - piece
                .chars()
                .next_back()
                .filter(|sign| !is_of_a_name(*sign))
                .map_or(0, char::len_utf8);
        let (name, separator) = piece.split_at(end);
        let hidden = name.strip_prefix('.').unwrap_or_default();
        match hidden
            .strip_suffix(".partial")
            .or_else(|| hidden.strip_prefix("partial-"))
        {
            Some(becomes) => shown.extend([becomes, separator]),
            None if separator == "/" && ["tokenizing", "tokenized"].contains(&hidden) => {}
            None => shown.push_str(piece),
        }
    }
    shown
}

/// Whether a sign can stand in a file's name, as messages quote them.
fn is_of_a_name(sign: char) -> bool {
    !sign.is_whitespace() && !"/:`\"',".contains(sign)
}

/// A failure as it is shown: its message, what to do about it, and its causes, all of them [`plain_lines`].
#[derive(Debug)]
pub struct Shown {
    message: String,
    help: Option<String>,
    cause: Option<Box<Self>>,
}

impl Shown {
    /// Of a failure.
    pub fn of(failure: &Failure) -> Self {
        let help = failure.help().map(|help| plain_lines(&help.to_string()).into_owned());
        Self {
            help,
            ..Self::of_error(failure)
        }
    }

    fn of_error(error: &dyn Error) -> Self {
        let text = error.to_string();
        let mut cause = error.source();
        // Most messages tell their cause; it is not told twice.
        while let Some(told) = cause.filter(|cause| text.contains(&cause.to_string())) {
            cause = told.source();
        }
        Self {
            message: plain_lines(&as_published(&text)).into_owned(),
            help: None,
            cause: cause.map(|cause| Box::new(Self::of_error(cause))),
        }
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Shown {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause = self.cause.as_ref()?;
        Some(cause.as_ref())
    }
}

impl Diagnostic for Shown {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        let help = self.help.as_ref()?;
        Some(Box::new(help))
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

    /// Tells the parent of a job how far it is.
    pub fn at(&self, position: impl FnOnce() -> Position) {
        if self.is_job {
            JobMessage::At(position()).tell();
        }
    }

    /// A bar over bytes or items; hidden where there is no terminal.
    fn bar(&self, label: &str, total: u64, template: &str) -> ProgressBar {
        let bar = if self.draws_bars() {
            ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8))
        } else {
            ProgressBar::hidden()
        };
        set_style(&bar, template);
        bar.set_prefix(plain_lines(label).into_owned());
        if self.draws_bars() {
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        bar
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

impl Listener for Ui {
    /// On standard error.
    fn say(&self, line: &str) {
        self.note(line);
        if self.is_job {
            JobMessage::Say(line.to_owned()).tell();
        }
    }

    /// Of a job only its log has it: the parent said the same already, or need not.
    fn note(&self, line: &str) {
        if !self.quiet {
            let mut out = std::io::stderr().lock();
            // A closed terminal is no reason to stop training.
            let _ = writeln!(out, "{}", plain_lines(line));
        }
    }

    /// On standard output.
    fn result(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{}", plain_lines(text));
        let _ = out.flush();
    }

    /// Those of the terminal that results go to; without end where they go to a file.
    fn columns(&self) -> usize {
        let is_terminal = std::io::stdout().is_terminal();
        let size = is_terminal.then(terminal_size::terminal_size).flatten();
        size.map_or(usize::MAX, |(width, _)| usize::from(width.0))
    }

    fn progress(&self, label: &str, counted: Counted) -> Box<dyn Progress + '_> {
        let template = match counted {
            Counted::Bytes => "  {prefix:<22} {wide_bar:.cyan/dim} {bytes}/{total_bytes}  {bytes_per_sec}  left {eta}",
            Counted::Items => "  {prefix:<22} {wide_bar:.cyan/dim} {pos}/{len}  left {eta}",
        };
        Box::new(Bar(self.bar(label, 0, template)))
    }

    fn training(&self, run: &Watched<'_>) -> Box<dyn Observer + '_> {
        Box::new(Steps::new(*self, run))
    }

    fn board(&self, units: usize, places: usize) -> Box<dyn Board + '_> {
        Box::new(Jobs::new(*self, units, places))
    }
}

/// A bar that goes away when it is dropped.
struct Bar(ProgressBar);

impl Progress for Bar {
    fn at(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }

    fn suspended(&self, say: &mut dyn FnMut()) {
        self.0.suspend(say);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The looks of all our bars.
pub fn set_style(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style.progress_chars("━╸─"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_folders_are_told_by_the_names_that_they_will_have() {
        for (text, shown) in [
            (
                "cannot write runs/a/.model.partial/model.safetensors: no space",
                "cannot write runs/a/model/model.safetensors: no space",
            ),
            (
                "cannot write `out/.tokenizing/tokens/.partial-train/tokens.bin`: no space",
                "cannot write `out/tokens/train/tokens.bin`: no space",
            ),
            ("cannot create .out.partial: no space", "cannot create out: no space"),
            (
                "cannot create ./.out.partial: no space",
                "cannot create ./out: no space",
            ),
            (
                "cannot read .hidden/x and a.partial/y",
                "cannot read .hidden/x and a.partial/y",
            ),
        ] {
            assert_eq!(as_published(text), shown);
        }
    }

    #[test]
    fn a_failure_keeps_its_causes_that_it_does_not_tell_itself_and_its_help() {
        #[derive(Debug, thiserror::Error)]
        #[error("the outer one")]
        struct Outer(#[source] std::io::Error);
        let cause = || std::io::Error::other("bad\u{1b}[2J disk");
        let outer = Shown::of_error(&Outer(cause()));
        assert!(Error::source(&outer).is_some_and(|cause| cause.to_string() == "bad\\u{1b}[2J disk"));
        let failure = Failure::Io {
            action: "read",
            path: "a\u{1b}[31m.txt".into(),
            source: cause(),
        };
        let shown = Shown::of(&failure);
        assert!(shown.to_string().starts_with("cannot read a\\u{1b}[31m.txt"), "{shown}");
        assert!(Error::source(&shown).is_none(), "{shown:?}");
        let helped = Shown::of(&Failure::other("wrong", "do \u{1b}[1mthis"));
        assert!(
            helped
                .help()
                .is_some_and(|help| help.to_string() == "do \\u{1b}[1mthis")
        );
        let report = format!("{:?}", miette::Report::new(shown));
        assert!(!report.contains("\u{1b}[2J"), "{report}");
    }
}
