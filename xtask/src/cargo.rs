use std::ffi::{OsStr, OsString};
use std::fmt;
use std::process::{Command, ExitCode, ExitStatus, Stdio};

/// A call of cargo. Shown as it would be typed.
#[derive(Debug)]
pub struct CargoCommand {
    arguments: Vec<OsString>,
}

impl CargoCommand {
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self { arguments: Vec::new() }.with(arguments)
    }

    pub fn with<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments
            .extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Runs it to its end and returns its exit code, 127 if it could not be started.
    pub fn run(&self) -> u8 {
        match self.command().status() {
            Ok(status) => exit_code(status),
            Err(error) => {
                eprintln!("xtask: cannot start cargo: {error}");
                127
            }
        }
    }

    /// Whether it runs and succeeds, with its output thrown away.
    pub fn succeeds(&self) -> bool {
        let status = self
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    /// Replaces this process by it, and cargo in turn becomes the program that it builds. So Ctrl-C and SIGTERM reach
    /// that program, nobody stands between, and its exit code is ours.
    #[cfg(unix)]
    pub fn become_it(&self) -> ExitCode {
        use std::os::unix::process::CommandExt;
        let error = self.command().exec();
        eprintln!("xtask: cannot start cargo: {error}");
        ExitCode::from(127)
    }

    /// Runs it and returns its exit code. Ctrl-C goes to every process of the console: cargo and `ligo` handle it, this
    /// process only has to outlive them.
    #[cfg(not(unix))]
    pub fn become_it(&self) -> ExitCode {
        #[cfg(windows)]
        if let Err(error) = ctrlc::set_handler(|| {}) {
            eprintln!("xtask: Ctrl-C will not wait for ligo to save: {error}");
        }
        ExitCode::from(self.run())
    }

    fn command(&self) -> Command {
        // The cargo that runs us, so that toolchain overrides hold.
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(&self.arguments);
        command
    }
}

impl fmt::Display for CargoCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cargo")?;
        for argument in &self.arguments {
            let argument = argument.to_string_lossy();
            let is_plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
            if !argument.is_empty() && argument.chars().all(is_plain) {
                write!(f, " {argument}")?;
            } else {
                write!(f, " '{}'", argument.replace('\'', r"'\''"))?;
            }
        }
        Ok(())
    }
}

/// The exit code; 128 + signal where a signal ended the process, as shells have it.
fn exit_code(status: ExitStatus) -> u8 {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(signal) = status.signal() {
            return u8::try_from(128 + signal).unwrap_or(1);
        }
    }
    match status.code() {
        Some(code) => u8::try_from(code).unwrap_or(1),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let command = CargoCommand::new(["run", "--", "--set", "a=\"b c\"", "it's", ""]);
        assert_eq!(command.to_string(), r#"cargo run -- --set 'a="b c"' 'it'\''s' ''"#);
    }

    #[cfg(unix)]
    #[test]
    fn a_process_ended_by_a_signal_has_a_code_above_128() {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(exit_code(ExitStatus::from_raw(2)), 130);
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
    }
}
