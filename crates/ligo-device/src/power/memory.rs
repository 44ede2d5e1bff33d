//! Memory of this process and of the computer.

/// The most memory that this process had in use since [`forget_peak`], or since it began where that does not work.
#[cfg(target_os = "linux")]
pub fn peak_bytes() -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// The most memory that this process had in use since it began.
#[cfg(all(unix, not(target_os = "linux")))]
pub fn peak_bytes() -> Option<u64> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is valid for writing a `rusage`, and one of zeros is a valid value should the call fail.
    let usage = unsafe {
        if libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) != 0 {
            return None;
        }
        usage.assume_init()
    };
    // Bytes on Apple's systems, kilobytes on the others.
    let unit = if cfg!(target_vendor = "apple") { 1 } else { 1024 };
    u64::try_from(usage.ru_maxrss).ok().map(|size| size * unit)
}

/// Nobody tells.
#[cfg(not(unix))]
pub fn peak_bytes() -> Option<u64> {
    None
}

/// Lets the largest use of memory count from now on. Where that is not possible, it stays that of the whole process.
pub fn forget_peak() {
    #[cfg(target_os = "linux")]
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

/// The memory of the computer, where the system shows it as Linux does.
pub fn machine_bytes() -> Option<u64> {
    meminfo("MemTotal")
}

/// What the system can put elsewhere when memory is short.
pub fn swap_bytes() -> Option<u64> {
    meminfo("SwapTotal")
}

/// What of it is free for programs.
pub fn available_bytes() -> Option<u64> {
    meminfo("MemAvailable")
}

fn meminfo(field: &str) -> Option<u64> {
    kilobytes(&std::fs::read_to_string("/proc/meminfo").ok()?, field)
}

/// `field:   123 kB` in bytes.
fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let values = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = values.into_iter().find(|(name, _)| *name == field)?;
    let number: u64 = value.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(1024 * number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_tables_are_read_by_the_whole_name() {
        let text = "VmPeak:\t  3892 kB\nVmHWM:\t    2168 kB\nThreads:\t1\n";
        assert_eq!(kilobytes(text, "VmHWM"), Some(2168 * 1024));
        assert_eq!(kilobytes(text, "VmRSS"), None);
        assert_eq!(kilobytes(text, "Threads"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_rises_with_what_is_in_use() {
        let before = peak_bytes().unwrap_or_default();
        let much = vec![1_u8; 200_000_000];
        assert_eq!(much.iter().filter(|&&x| x == 1).count(), much.len());
        let after = peak_bytes().unwrap_or_default();
        assert!(after >= before.max(200_000_000), "{before} {after}");
        assert!(machine_bytes() > available_bytes());
    }
}
