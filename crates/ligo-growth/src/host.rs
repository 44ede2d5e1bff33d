//! Values on their way between the host and a device.

use burn::tensor::{Device, Element, Tensor, TensorData};

use crate::Error;

/// Copies a tensor's values to the host as f32 or f64, whatever the device computes in.
pub(crate) fn host<E: Element>(tensor: Tensor<1>) -> Result<Vec<E>, Error> {
    let data = tensor.into_data().convert::<E>();
    data.try_into_vec::<E>()
        .map_err(|e| Error::Settings(format!("a device returned unreadable data: {e:?}")))
}

/// Row-major values as a matrix on a device.
pub(crate) fn matrix<E: Element>(values: Vec<E>, rows: usize, columns: usize, device: &Device) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}
