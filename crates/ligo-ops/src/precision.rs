//! The numbers that matrix products are computed with.
//!
//! Weights, moments, norms, softmax and losses are `f32` whatever is chosen here; a [`Precision`] says what goes into products. It is set for a
//! stretch of work with [`with_precision`] rather than handed through every model, and holds for the thread that set it: burn runs the
//! backward pass on the thread that asks for it.

mod capabilities;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::fmt;
use std::str::FromStr;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

pub use capabilities::{Capabilities, CooperativeMatrix, Usage, capabilities};

/// The numbers that matrix products are computed with. Sums are `f32` in all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision, strictly: 23 bits of mantissa.
    #[default]
    F32,
    /// Single precision of which products see 10 bits of mantissa (NVIDIA's TensorFloat-32).
    Tf32,
    /// 16 bits with the exponent of single precision and 7 bits of mantissa.
    Bf16,
}

impl Precision {
    /// All of them, the most exact first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Tf32, Self::Bf16];

    /// As it is written in recipes and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Tf32 => "tf32",
            Self::Bf16 => "bf16",
        }
    }

    /// Whether it is what holds unless something else is asked for.
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|precision| precision.name() == text);
        found.ok_or_else(|| format!("expected {}", Self::ALL.map(Self::name).join(", ")))
    }
}

thread_local! {
    static CURRENT: Cell<Precision> = const { Cell::new(Precision::F32) };
}

/// What the products of this thread are computed with now.
pub fn current() -> Precision {
    CURRENT.get()
}

/// Does some work with products in this precision, and goes back to the former one, also when the work panics.
///
/// Whoever asks for a precision has made sure that the device is among those that have it, see [`supported_precisions`]. The backward pass
/// belongs inside: it has products of its own.
///
/// ```
/// use ligo_ops::precision::{self, Precision, with_precision};
///
/// assert_eq!(with_precision(Precision::Bf16, precision::current), Precision::Bf16);
/// assert_eq!(precision::current(), Precision::F32);
/// ```
pub fn with_precision<R>(precision: Precision, work: impl FnOnce() -> R) -> R {
    struct Restore(Precision);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _former = Restore(CURRENT.replace(precision));
    work()
}

/// The precisions that a device has products for, the most exact first; `f32` always.
///
/// GPU backends answer from what the driver states; nothing is tried.
///
/// # Panics
/// Opens a GPU, which panics where no driver answers.
pub fn supported_precisions(device: &Device) -> Vec<Precision> {
    match capabilities(device) {
        Some(capabilities) => capabilities.precisions(),
        None => vec![Precision::F32],
    }
}
