//! Which precisions a device has products in.

use ligo_device::Picked;
use ligo_ops::Precision;

use crate::Failure;
use crate::recipe::Recipe;

/// Refuses a precision that the device has no products in.
///
/// # Errors
/// It is not among those that the device has, which the message names.
pub fn check_precision(picked: &Picked, precision: Precision) -> Result<(), Failure> {
    ligo_train::check_precision(precision, &picked.device).map_err(|error| {
        let error = match error {
            ligo_train::Error::UnsupportedPrecision { precision, has, .. } => ligo_train::Error::UnsupportedPrecision {
                device: picked.name.clone(),
                precision,
                has,
            },
            other => other,
        };
        Failure::other(
            error.to_string(),
            "leave the precision out, or choose another --device: `ligo devices` lists what each of them has",
        )
    })
}

/// The same for everything that a recipe trains.
///
/// # Errors
/// As [`check_precision`].
pub fn check_precisions(picked: &Picked, recipe: &Recipe) -> Result<(), Failure> {
    let mut precisions = recipe.precisions().into_iter();
    precisions.try_for_each(|precision| check_precision(picked, precision))
}
