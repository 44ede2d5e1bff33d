//! The C allocator's thresholds.

/// Keeps freed memory in the process; call once at program start.
///
/// Every tensor operation allocates its result. glibc by default maps each block above 128 KiB from the kernel and unmaps it when freed, so
/// that training spends 11-20 % of its time in page faults. This raises the thresholds. Does nothing on other systems.
pub fn tune_allocator() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only sets parameters of the allocator and is safe to call from any thread.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 256 << 20);
    }
}
