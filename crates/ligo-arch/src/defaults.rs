//! What the reference takes where a file leaves a field out, as far as several families agree.

/// Standard deviation of initial matrices.
pub(crate) fn deviation() -> f64 {
    0.02
}

/// Of every kind of dropout.
pub(crate) fn dropout() -> f64 {
    0.1
}

pub(crate) fn yes() -> bool {
    true
}
