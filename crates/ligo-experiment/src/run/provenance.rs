//! Where a comparison came from: noted when it begins, completed from the folder when it is looked at.

use std::path::Path;
use std::time::SystemTime;

use ligo_report::summary::Provenance;

use super::jobs::Workforce;
use super::stage::written;
use super::{RunFolder, Unit, ranks};
use crate::identity::fingerprint;
use crate::recipe::Recipe;
use crate::{Failure, sealed};

const FILE: &str = "provenance.json";

/// Notes how a comparison was started and, if anything of it is left to do, what computes. When it was started first stays.
///
/// # Errors
/// The folder cannot be written.
pub fn note(run: &RunFolder<'_>, units: &[Unit], workforce: &Workforce) -> Result<(), Failure> {
    let file = run.join(FILE);
    let before: Option<Provenance> = sealed::read(&file).whole();
    let is_done = units.iter().all(|unit| run.is_done(unit));
    let noted = match before {
        Some(before) if is_done => before,
        before => Provenance {
            started: before.map_or_else(|| timestamp(SystemTime::now()), |before| before.started),
            ..here(workforce, run.recipe)
        },
    };
    let provenance = Provenance {
        command: command(std::env::args().skip(1)),
        ..noted
    };
    sealed::write(&file, &provenance)
}

/// What was noted in a run's folder; nothing where it is not known.
pub fn noted(run: &Path) -> Provenance {
    sealed::read(&run.join(FILE)).whole().unwrap_or_default()
}

/// This program and this machine.
fn here(workforce: &Workforce, recipe: &Recipe) -> Provenance {
    let versions = [
        ("ligo", env!("CARGO_PKG_VERSION")),
        ("burn", env!("LIGO_BURN")),
        ("rustc", env!("LIGO_RUSTC")),
    ];
    let known = versions.into_iter().filter(|(_, version)| !version.is_empty());
    Provenance {
        versions: known
            .map(|(name, version)| (name.to_owned(), version.to_owned()))
            .collect(),
        device: match workforce {
            Workforce::Here(picked) if picked.is_gpu => picked.name.clone(),
            Workforce::Here(_) => "CPU".into(),
            Workforce::SideBySide(workers) => workers.device(),
            Workforce::Ranks(picked) => {
                let device = if picked.is_gpu { picked.name.as_str() } else { "CPU" };
                format!("{device}, {} runs at a time", ranks::count())
            }
        },
        precision: recipe.precision_in_words(),
        cpu: ligo_device::cpu_model(),
        threads: u32::try_from(ligo_device::threads()).ok(),
        memory_bytes: memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()),
        os: system(&std::fs::read_to_string("/etc/os-release").unwrap_or_default()),
        ..Provenance::default()
    }
}

impl RunFolder<'_> {
    /// The provenance of what is in the folder.
    ///
    /// # Errors
    /// The recipe cannot be written as TOML.
    pub fn provenance(&self, units: &[Unit]) -> Result<Provenance, Failure> {
        let noted = noted(self.path);
        let ended = units.iter().filter_map(|unit| written(&self.join(&unit.name))).max();
        let recipe = self.recipe.to_toml();
        let recipe = recipe.map_err(Failure::fault)?;
        Ok(Provenance {
            recipe_hash: fingerprint(&serde_json::to_value(self.recipe).unwrap_or_default()),
            recipe,
            ended: ended.map(timestamp).unwrap_or_default(),
            ..noted
        })
    }
}

fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The command line, ready to paste.
fn command(arguments: impl Iterator<Item = String>) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    let quoted = arguments.map(
        |argument| match !argument.is_empty() && argument.chars().all(is_plain) {
            true => argument,
            false => format!("'{}'", argument.replace('\'', r"'\''")),
        },
    );
    std::iter::once("ligo".to_owned())
        .chain(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `MemTotal` of `/proc/meminfo`.
fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

/// The system's own name where it has one, and the architecture.
fn system(os_release: &str) -> String {
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let name = name.map_or(std::env::consts::OS, |name| name.trim_matches('"'));
    format!("{name}, {}", std::env::consts::ARCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_pasted() {
        let arguments = [
            "compare",
            "--set",
            "description=it's two words",
            "--data",
            "a b.txt",
            "",
        ];
        assert_eq!(
            command(arguments.iter().map(ToString::to_string)),
            r"ligo compare --set 'description=it'\''s two words' --data 'a b.txt' ''"
        );
    }

    #[test]
    fn memory_and_system_are_found_where_linux_has_them() {
        assert_eq!(
            memory("MemTotal:       24689356 kB\nMemFree: 1 kB\n"),
            Some(24_689_356 * 1024)
        );
        assert_eq!(memory(""), None);
        let named = system("ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
        assert!(named.starts_with("Debian GNU/Linux 12, "), "{named}");
        assert!(system("").starts_with(std::env::consts::OS));
    }
}
