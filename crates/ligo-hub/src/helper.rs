//! The program `ligo-hub`, started from another one.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::Error;
use crate::message::Message;

/// How often a wish to stop is looked for where nothing is said.
const TICK: Duration = Duration::from_millis(100);
/// The end of what the program wrote to standard error goes into a message.
const LAST_WORDS: usize = 400;

/// The program that talks to the hub.
#[derive(Clone, Debug)]
pub struct Helper {
    program: PathBuf,
    environment: Vec<(String, String)>,
}

impl Helper {
    /// The one at this path.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            environment: Vec::new(),
        }
    }

    /// Sets a variable of its environment.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The one that lies beside this program, or else in `PATH`.
    pub fn find() -> Option<Self> {
        let name = format!("ligo-hub{}", std::env::consts::EXE_SUFFIX);
        let beside = std::env::current_exe()
            .ok()
            .and_then(|own| Some(own.parent()?.join(&name)));
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let in_path = std::env::split_paths(&paths).map(|folder| folder.join(&name));
        let found = beside.into_iter().chain(in_path).find(|program| program.is_file());
        found.map(Self::at)
    }

    /// Runs it with these arguments; `lines` are what it reads. Whenever it says something, and now and then besides, `heard` is called and may stop it.
    pub(crate) fn run(
        &self,
        arguments: &[OsString],
        lines: &[String],
        heard: &mut dyn FnMut(Option<Message>) -> bool,
    ) -> Result<(), Error> {
        let mut child = self.start(arguments, lines)?;
        let (messages, last_words) = listen(&mut child);
        let mut failed = None;
        loop {
            let message = match messages.recv_timeout(TICK) {
                Ok(Message::Failed { error }) => {
                    failed = Some(error);
                    continue;
                }
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if !heard(message) {
                // What it has downloaded of a file stays in the cache's own way.
                let _ = child.kill();
                let _ = child.wait();
                return Err(Error::Interrupted);
            }
        }
        let status = child.wait();
        if let Some(error) = failed {
            return Err(error);
        }
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let words = last_words.join().unwrap_or_default();
                Err(self.ended(&format!("{status}: {}", words.trim())))
            }
            Err(error) => Err(self.ended(&error.to_string())),
        }
    }

    fn start(&self, arguments: &[OsString], lines: &[String]) -> Result<Child, Error> {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let child = Command::new(&self.program)
            .args(arguments)
            .envs(environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.map_err(|error| self.ended(&error.to_string()))?;
        if let Some(mut input) = child.stdin.take() {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            // One that ended already says why itself.
            let _ = input.write_all(text.as_bytes());
        }
        Ok(child)
    }

    /// It ended well and did not say what it should have.
    pub(crate) fn silent(&self) -> Error {
        self.ended("its version may be another one than ligo's")
    }

    fn ended(&self, reason: &str) -> Error {
        Error::Helper {
            program: self.program.clone(),
            reason: reason.to_owned(),
        }
    }

    /// Where it is.
    pub fn program(&self) -> &Path {
        &self.program
    }
}

/// What it says, and the end of what it writes for people.
fn listen(child: &mut Child) -> (Receiver<Message>, thread::JoinHandle<String>) {
    let (sender, messages) = channel();
    if let Some(output) = child.stdout.take() {
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            for message in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
    }
    let errors = child.stderr.take();
    let last_words = thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut errors) = errors {
            let _ = errors.read_to_end(&mut bytes);
        }
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(LAST_WORDS)..]).into_owned()
    });
    (messages, last_words)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Instant;

    use super::*;

    fn shell(script: &str, heard: &mut dyn FnMut(Option<Message>) -> bool) -> Result<(), Error> {
        Helper::at("/bin/sh").run(&["-c".into(), script.into()], &["a".into(), "b".into()], heard)
    }

    #[test]
    fn what_it_says_is_heard_and_how_it_ends_too() {
        let mut seen = Vec::new();
        let script = r#"read x; read y; echo '{"event":"listed","path":"'$x$y'","bytes":7}'; echo nonsense"#;
        shell(script, &mut |message| {
            seen.extend(message);
            true
        })
        .unwrap();
        let (path, bytes) = ("ab".into(), 7);
        assert_eq!(seen, [Message::Listed { path, bytes }]);

        let told = r#"echo '{"event":"failed","error":{"kind":"not_found","address":"hf://o/m","what":"repository"}}'; exit 1"#;
        assert!(matches!(shell(told, &mut |_| true), Err(Error::NotFound { .. })));
        let crash = shell("echo it hurts >&2; exit 3", &mut |_| true)
            .unwrap_err()
            .to_string();
        assert!(crash.contains("it hurts") && crash.contains('3'), "{crash}");
        let absent = Helper::at("/nowhere/ligo-hub").run(&[], &[], &mut |_| true);
        assert!(matches!(absent, Err(Error::Helper { .. })));
    }

    #[test]
    fn it_is_stopped_when_the_caller_wants_it() {
        let start = Instant::now();
        assert_eq!(shell("exec sleep 60", &mut |_| false), Err(Error::Interrupted));
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}
