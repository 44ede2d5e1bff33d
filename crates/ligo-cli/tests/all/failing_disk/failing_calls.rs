//! Stands before the C library (`LD_PRELOAD`) and lets one call that changes the disk fail. `failing_disk.rs` compiles it when it runs.
//!
//! Counted are calls on files below the folder `LIGO_FAIL_UNDER`. The one with the number `LIGO_FAIL_AT`, from 1, fails with EIO, and with
//! `LIGO_FAIL_FOREVER` all that follow it. `LIGO_FAIL_LOG` names a file that every counted call is written to.
//!
//! Everything here is unsafe since these are the C library's functions: pointers come from its callers, whose promises are passed on to it.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
}

/// The next definition of a symbol after this one.
const RTLD_NEXT: *mut c_void = -1_isize as *mut c_void;
const EIO: c_int = 5;
const O_WRITES: c_int = 0o1 | 0o2 | 0o100;
const O_LOG: c_int = 0o1 | 0o100 | 0o2000;

struct Plan {
    under: Vec<u8>,
    at: u64,
    forever: bool,
    log: Option<c_int>,
}

static COUNT: AtomicU64 = AtomicU64::new(0);
static PLAN: OnceLock<Plan> = OnceLock::new();

fn plan() -> &'static Plan {
    PLAN.get_or_init(|| {
        let value = |name: &str| std::env::var(name).unwrap_or_default();
        let log = CString::new(value("LIGO_FAIL_LOG")).unwrap_or_default();
        Plan {
            under: value("LIGO_FAIL_UNDER").into_bytes(),
            at: value("LIGO_FAIL_AT").parse().unwrap_or(0),
            forever: !value("LIGO_FAIL_FOREVER").is_empty(),
            log: (!log.is_empty()).then(|| unsafe { real_open64(log.as_ptr(), O_LOG, 0o644) }),
        }
    })
}

/// Whether this call is to fail.
fn fails(call: &str, paths: &[PathBuf]) -> bool {
    let plan = plan();
    let counts = |path: &PathBuf| path.as_os_str().as_bytes().starts_with(&plan.under);
    if plan.under.is_empty() || !paths.iter().any(counts) {
        return false;
    }
    let number = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    let failed = plan.at != 0 && (number == plan.at || plan.forever && number > plan.at);
    if let Some(log) = plan.log {
        let mut line = call.to_owned();
        for path in paths {
            let _ = write!(line, "\t{}", path.display());
        }
        line.push_str(if failed { "\tfailed\n" } else { "\n" });
        unsafe { real_write(log, line.as_ptr().cast(), line.len()) };
    }
    if failed {
        unsafe { *__errno_location() = EIO };
    }
    failed
}

fn path_at(path: *const c_char) -> PathBuf {
    let bytes = unsafe { CStr::from_ptr(path) }.to_bytes();
    let path = PathBuf::from(std::ffi::OsStr::from_bytes(bytes));
    std::env::current_dir().unwrap_or_default().join(path).components().collect()
}

fn path_of(fd: c_int) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default()
}

/// Defines a function of the C library that asks first, and the real one under another name.
macro_rules! calls {
    ($($name:ident, $real:ident($($argument:ident: $type:ty),*) -> $result:ty, $paths:expr, $if:expr;)*) => {$(
        unsafe fn $real($($argument: $type),*) -> $result {
            static REAL: OnceLock<usize> = OnceLock::new();
            let symbol = concat!(stringify!($name), "\0");
            let real = *REAL.get_or_init(|| unsafe { dlsym(RTLD_NEXT, symbol.as_ptr().cast()) } as usize);
            let real: unsafe extern "C" fn($($type),*) -> $result = unsafe { std::mem::transmute(real) };
            unsafe { real($($argument),*) }
        }

        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            if $if && fails(stringify!($name), &$paths) {
                return -1;
            }
            unsafe { $real($($argument),*) }
        }
    )*};
}

calls! {
    open64, real_open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int, [path_at(path)], flags & O_WRITES != 0;
    write, real_write(fd: c_int, bytes: *const c_void, count: usize) -> isize, [path_of(fd)], fd > 2;
    writev, real_writev(fd: c_int, parts: *const c_void, count: c_int) -> isize, [path_of(fd)], fd > 2;
    pwrite64, real_pwrite64(fd: c_int, bytes: *const c_void, count: usize, at: c_long) -> isize, [path_of(fd)], true;
    copy_file_range, real_copy_file_range(from: c_int, a: *mut c_long, to: c_int, b: *mut c_long, count: usize, flags: c_uint) -> isize,
        [path_of(to)], true;
    sendfile64, real_sendfile64(to: c_int, from: c_int, at: *mut c_long, count: usize) -> isize, [path_of(to)], true;
    ftruncate64, real_ftruncate64(fd: c_int, length: c_long) -> c_int, [path_of(fd)], true;
    fsync, real_fsync(fd: c_int) -> c_int, [path_of(fd)], true;
    fdatasync, real_fdatasync(fd: c_int) -> c_int, [path_of(fd)], true;
    rename, real_rename(from: *const c_char, to: *const c_char) -> c_int, [path_at(from), path_at(to)], true;
    unlink, real_unlink(path: *const c_char) -> c_int, [path_at(path)], true;
    rmdir, real_rmdir(path: *const c_char) -> c_int, [path_at(path)], true;
    mkdir, real_mkdir(path: *const c_char, mode: c_uint) -> c_int, [path_at(path)], true;
}
