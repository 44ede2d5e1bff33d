//! What crosses between host and device, counted. A training step reads one small tensor and uploads nothing but its batch.

use std::sync::atomic::{AtomicU64, Ordering};

use burn::tensor::{Device, Tensor, TensorData, kind::Basic};

static READS: AtomicU64 = AtomicU64::new(0);
static BATCH_BYTES: AtomicU64 = AtomicU64::new(0);
static OTHER_BYTES: AtomicU64 = AtomicU64::new(0);

/// Counts since the program began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Times that the host waited for a device's numbers.
    pub reads: u64,
    /// Bytes of training data that went to a device.
    pub batch_bytes: u64,
    /// Bytes of everything else.
    pub other_bytes: u64,
}

impl Traffic {
    /// The counts of this moment.
    pub fn now() -> Self {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            reads: value(&READS),
            batch_bytes: value(&BATCH_BYTES),
            other_bytes: value(&OTHER_BYTES),
        }
    }

    /// What was counted since `earlier`.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            reads: self.reads - earlier.reads,
            batch_bytes: self.batch_bytes - earlier.batch_bytes,
            other_bytes: self.other_bytes - earlier.other_bytes,
        }
    }
}

/// A device did not give its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadError(
    /// What the device said.
    pub String,
);

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the device's numbers cannot be read: {}", self.0)
    }
}

impl std::error::Error for ReadError {}

/// Copies a tensor to the host, which waits until the device has computed it.
///
/// # Errors
/// The device failed.
pub fn read(x: &Tensor<1>) -> Result<Vec<f32>, ReadError> {
    READS.fetch_add(1, Ordering::Relaxed);
    x.clone()
        .try_into_vec_as::<f32>()
        .map_err(|fault| ReadError(fault.to_string()))
}

/// Puts numbers on a device.
pub fn upload<const D: usize, K: Basic>(data: TensorData, device: &Device) -> Tensor<D, K> {
    uploading(&data);
    Tensor::from_data(data, device)
}

/// Counts numbers that are about to go to a device.
pub(crate) fn uploading(data: &TensorData) {
    OTHER_BYTES.fetch_add(data.as_bytes().len() as u64, Ordering::Relaxed);
}

/// Puts training data on a device.
pub fn upload_batch<const D: usize, K: Basic>(data: TensorData, device: &Device) -> Tensor<D, K> {
    BATCH_BYTES.fetch_add(data.as_bytes().len() as u64, Ordering::Relaxed);
    Tensor::from_data(data, device)
}
