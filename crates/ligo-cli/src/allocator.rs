//! What a user is told when there is no memory left, before the program is ended for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

/// The system's allocator. Where it has no memory, Rust ends the program with the number of bytes and nothing else; this one says first what
/// became of the run.
#[derive(Debug)]
pub struct Telling;

const FULL: &[u8] =
    b"there is no memory left. What a run saved is whole: the same command goes on from its last checkpoint. \
                      For less memory, lower batch_size (and raise accumulation by as much) or data.seq_len.\n";

// SAFETY: every call is handed on to the system's allocator as it came, and what that returns is returned.
unsafe impl GlobalAlloc for Telling {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps to the contract, which is the same.
        told(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        told(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        told(unsafe { System.realloc(pointer, layout, size) })
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Says once that memory was refused. Writing to standard error allocates nothing.
fn told(pointer: *mut u8) -> *mut u8 {
    static SAID: AtomicBool = AtomicBool::new(false);
    if pointer.is_null() && !SAID.swap(true, Ordering::Relaxed) {
        let _ = std::io::stderr().write_all(FULL);
    }
    pointer
}
