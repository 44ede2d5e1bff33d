//! This program, once more.

/// A command that starts this very program again, even when its file has been replaced or removed since.
///
/// # Errors
/// The system does not say where the program is.
pub fn this_program() -> std::io::Result<std::process::Command> {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::process::CommandExt;

        const RUNNING: &str = "/proc/self/exe";
        if std::path::Path::new(RUNNING).exists() {
            let mut command = std::process::Command::new(RUNNING);
            // For whoever looks at the list of processes.
            command.arg0(std::env::args_os().next().unwrap_or_else(|| "ligo".into()));
            return Ok(command);
        }
    }
    Ok(std::process::Command::new(std::env::current_exe()?))
}
