//! Running code of other crates that may panic on what a damaged file says.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether a panic of this thread is caught and told as an error.
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `run`; a panic in it becomes its message, and nothing is printed about it.
///
/// Nothing that a panic may leave half done may be used again: the error ends the work on that file.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    silence();
    let before = IS_GUARDED.replace(true);
    let result = panic::catch_unwind(AssertUnwindSafe(run));
    IS_GUARDED.set(before);
    result.map_err(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        message.unwrap_or("it contradicts itself").to_owned()
    })
}

/// Puts a hook before the one there is, which prints: what is caught is told as an error.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                print(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_its_message_and_leaves_no_mark() {
        assert_eq!(guarded(|| 3), Ok(3));
        assert_eq!(guarded(|| -> u8 { panic!("no {}", "way") }), Err("no way".to_owned()));
        let inner = guarded(|| guarded(|| -> u8 { panic!("in") }));
        assert_eq!(inner, Ok(Err("in".to_owned())));
        assert!(!IS_GUARDED.get());
    }
}
