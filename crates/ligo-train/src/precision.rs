use burn::tensor::Device;
use ligo_ops::Precision;
use ligo_ops::precision::capabilities;

use crate::Error;

/// Refuses a precision that a device has no products in.
///
/// # Errors
/// [`Error::UnsupportedPrecision`] with what the device has.
///
/// # Panics
/// For anything but `f32` it opens a GPU, which panics where no driver answers.
pub fn check_precision(precision: Precision, device: &Device) -> Result<(), Error> {
    if precision.is_default() {
        return Ok(());
    }
    let has = ligo_ops::supported_precisions(device);
    if has.contains(&precision) {
        return Ok(());
    }
    let device = capabilities(device).map_or_else(|| "the CPU".to_owned(), |can| can.name);
    Err(Error::UnsupportedPrecision { precision, device, has })
}
