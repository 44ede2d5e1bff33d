use std::path::{Path, PathBuf};

/// The energy counters of processors and their memory, as Linux shows them: microjoules in `energy_uj`, which begin again from zero behind
/// `max_energy_range_uj`.
///
/// A package holds its cores, so only packages are counted, and the memory beside them. `psys` would count all of it a second time, and
/// `intel-rapl-mmio` is another window on the same counters.
#[derive(Debug)]
pub struct Rapl {
    zones: Vec<Zone>,
}

#[derive(Debug)]
struct Zone {
    counter: PathBuf,
    range: u64,
    last: u64,
    counted: u64,
}

impl Rapl {
    /// The counters below a folder; `None` when there are none, or when any of them may not be read (many systems reserve them for root).
    pub fn open(powercap: &Path) -> Option<Self> {
        let folders = std::fs::read_dir(powercap).ok()?;
        let mut zones = Vec::new();
        for folder in folders
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| is_counted(path))
        {
            let counter = folder.join("energy_uj");
            zones.push(Zone {
                last: number(&counter)?,
                range: number(&folder.join("max_energy_range_uj")).unwrap_or(0),
                counter,
                counted: 0,
            });
        }
        (!zones.is_empty()).then_some(Self { zones })
    }

    /// Joules since it was opened; `None` when a counter cannot be read any more.
    pub fn joules(&mut self) -> Option<f64> {
        let mut microjoules = 0;
        for zone in &mut self.zones {
            let now = number(&zone.counter)?;
            zone.counted += match now.checked_sub(zone.last) {
                Some(more) => more,
                // It began again once. Twice cannot be seen, so it has to be read often enough.
                None => zone.range.saturating_sub(zone.last) + now,
            };
            zone.last = now;
            microjoules += zone.counted;
        }
        Some(microjoules as f64 / 1e6)
    }
}

/// Whether a folder is `intel-rapl:N` of a package, or `intel-rapl:N:M` of memory.
fn is_counted(folder: &Path) -> bool {
    let file_name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(number) = file_name.strip_prefix("intel-rapl:") else {
        return false;
    };
    let name = std::fs::read_to_string(folder.join("name")).unwrap_or_default();
    match number.contains(':') {
        false => name.starts_with("package"),
        true => name.trim() == "dram",
    }
}

fn number(file: &Path) -> Option<u64> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
pub mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    /// A zone as the kernel shows it.
    pub fn zone(root: &Path, folder: &str, name: &str, microjoules: u64, range: u64) {
        std::fs::create_dir_all(root.join(folder)).unwrap();
        std::fs::write(root.join(folder).join("name"), format!("{name}\n")).unwrap();
        std::fs::write(root.join(folder).join("max_energy_range_uj"), format!("{range}\n")).unwrap();
        set(root, folder, microjoules);
    }

    /// What its counter shows.
    pub fn set(root: &Path, folder: &str, microjoules: u64) {
        std::fs::write(root.join(folder).join("energy_uj"), format!("{microjoules}\n")).unwrap();
    }

    const RANGE: u64 = 262_143_328_850;

    /// Two sockets with memory, and everything that must not be counted twice.
    fn server() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (folder, name) in [
            ("intel-rapl:0", "package-0"),
            ("intel-rapl:0:0", "core"),
            ("intel-rapl:0:1", "dram"),
            ("intel-rapl:1", "package-1"),
            ("intel-rapl:1:0", "dram"),
            ("intel-rapl:2", "psys"),
            ("intel-rapl-mmio:0", "package-0"),
            ("dtpm", "other"),
        ] {
            zone(root.path(), folder, name, 1_000_000, RANGE);
        }
        root
    }

    fn set_all(root: &Path, microjoules: u64) {
        for entry in std::fs::read_dir(root).unwrap() {
            set(root, &entry.unwrap().file_name().to_string_lossy(), microjoules);
        }
    }

    #[test]
    fn packages_and_memory_are_counted_and_nothing_twice() {
        let root = server();
        let mut rapl = Rapl::open(root.path()).unwrap();
        assert_eq!(rapl.joules(), Some(0.0));
        set_all(root.path(), 3_000_000);
        assert_eq!(rapl.joules(), Some(8.0));
        set(root.path(), "intel-rapl:1", 3_500_000);
        assert_eq!(rapl.joules(), Some(8.5));
    }

    #[test]
    fn a_counter_that_began_again_goes_on_counting() {
        let root = server();
        set_all(root.path(), RANGE - 2_000_000);
        let mut rapl = Rapl::open(root.path()).unwrap();
        set_all(root.path(), RANGE - 1_000_000);
        assert_eq!(rapl.joules(), Some(4.0));
        set_all(root.path(), 500_000);
        assert_eq!(rapl.joules(), Some(4.0 + 4.0 * 1.5));
        set_all(root.path(), 1_500_000);
        assert_eq!(rapl.joules(), Some(14.0));
    }

    #[test]
    fn without_counters_or_the_right_to_read_them_there_is_no_rapl() {
        let root = tempfile::tempdir().unwrap();
        assert!(Rapl::open(root.path()).is_none());
        assert!(Rapl::open(&root.path().join("absent")).is_none());
        zone(root.path(), "intel-rapl:0", "package-0", 1, RANGE);
        assert!(Rapl::open(root.path()).is_some());
        // A second socket that shows its name and not its counter, as for other users than root.
        zone(root.path(), "intel-rapl:1", "package-1", 1, RANGE);
        std::fs::remove_file(root.path().join("intel-rapl:1/energy_uj")).unwrap();
        std::fs::create_dir(root.path().join("intel-rapl:1/energy_uj")).unwrap();
        assert!(Rapl::open(root.path()).is_none());
    }
}
