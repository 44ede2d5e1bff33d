//! Elements of the dtypes of weights from and to `f32`.

use std::path::Path;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::{Dtype, Error};

/// Elements converted at a time, so that conversion needs no second copy of a tensor.
const BLOCK: usize = 1 << 14;

/// Little-endian elements of `dtype` as `f32`; `None` when the dtype is none of the four that can be read.
///
/// `f64` is rounded to nearest; the others are exact, `f32` bit for bit.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    if !dtype.is_float() {
        return None;
    }
    let mut values = vec![0.0; bytes.len() / (dtype.bits() / 8)];
    dtype.decode_into(bytes, &mut values);
    Some(values)
}

impl Dtype {
    /// Little-endian elements as `f32`, as many as both slices have: `f64` rounded to nearest, the others exactly, zeros for a dtype that is no
    /// floating-point number ([`Dtype::is_float`]).
    pub fn decode_into(self, bytes: &[u8], values: &mut [f32]) {
        match self {
            Dtype::F32 => convert(bytes, values, f32::from_le_bytes),
            Dtype::F64 => convert(bytes, values, |le| f64::from_le_bytes(le) as f32),
            // The upper half of an f32.
            Dtype::Bf16 => convert(bytes, values, |le| {
                f32::from_bits(u32::from(u16::from_le_bytes(le)) << 16)
            }),
            Dtype::F16 => {
                let mut block = Vec::with_capacity(BLOCK.min(values.len()));
                let elements = bytes.as_chunks::<2>().0;
                for (source, target) in elements.chunks(BLOCK).zip(values.chunks_mut(BLOCK)) {
                    block.clear();
                    block.extend(source.iter().take(target.len()).map(|&le| f16::from_le_bytes(le)));
                    block.as_slice().convert_to_f32_slice(&mut target[..block.len()]);
                }
            }
            _ => values.fill(0.0),
        }
    }

    /// Appends `values` as little-endian elements.
    ///
    /// # Errors
    ///
    /// [`EncodeFault`]; nothing that was appended is of use then.
    pub fn encode_into(self, values: &[f32], bytes: &mut Vec<u8>) -> Result<(), EncodeFault> {
        let begin = bytes.len();
        match self {
            Dtype::F32 => {
                bytes.resize(begin + 4 * values.len(), 0);
                let elements = bytes[begin..].as_chunks_mut::<4>().0;
                elements
                    .iter_mut()
                    .zip(values)
                    .for_each(|(le, value)| *le = value.to_le_bytes());
            }
            Dtype::Bf16 => {
                bytes.resize(begin + 2 * values.len(), 0);
                let elements = bytes[begin..].as_chunks_mut::<2>().0;
                let mut too_large = false;
                for (le, value) in elements.iter_mut().zip(values) {
                    let half = bf16_bits(*value);
                    too_large |= (half & 0x7fff == 0x7f80) & value.is_finite();
                    *le = half.to_le_bytes();
                }
                self.check_overflow(too_large, values, |value| bf16::from_f32(value).is_finite())?;
            }
            Dtype::F16 => {
                let mut block = [f16::ZERO; 1 << 10];
                let mut too_large = false;
                for values in values.chunks(block.len()) {
                    let block = &mut block[..values.len()];
                    block.convert_from_f32_slice(values);
                    let pairs = block.iter().zip(values);
                    too_large |= pairs.fold(false, |any, (half, value)| {
                        any | (value.is_finite() & !half.is_finite())
                    });
                    bytes.extend(block.iter().flat_map(|half| half.to_le_bytes()));
                }
                self.check_overflow(too_large, values, |value| f16::from_f32(value).is_finite())?;
            }
            _ => return Err(EncodeFault::Dtype),
        }
        Ok(())
    }

    fn check_overflow(self, found: bool, values: &[f32], fits: impl Fn(f32) -> bool) -> Result<(), EncodeFault> {
        let first = || values.iter().position(|value| value.is_finite() && !fits(*value));
        match found.then(first).flatten() {
            Some(element) => Err(EncodeFault::Overflow {
                element,
                value: values[element],
            }),
            None => Ok(()),
        }
    }
}

fn convert<const N: usize>(bytes: &[u8], values: &mut [f32], from_le: impl Fn([u8; N]) -> f32) {
    let elements = bytes.as_chunks::<N>().0;
    values
        .iter_mut()
        .zip(elements)
        .for_each(|(value, le)| *value = from_le(*le));
}

/// As `half::bf16::from_f32`, without a branch, so that a compiler may turn it into vector instructions: rounded to nearest, ties to even.
fn bf16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x0040;
    (if value.is_nan() { quiet } else { rounded }) as u16
}

/// How many elements are NaN or infinite as `f32`; 0 for dtypes that [`decode`] does not read.
pub(crate) fn count_not_finite(dtype: Dtype, bytes: &[u8]) -> usize {
    /// In blocks, whose sums fit small numbers that a compiler may add up in vectors.
    fn count<const N: usize>(bytes: &[u8], is_finite: impl Fn([u8; N]) -> bool) -> usize {
        let blocks = bytes.as_chunks::<N>().0.chunks(BLOCK);
        let sums = blocks.map(|block| block.iter().map(|&le| u16::from(!is_finite(le))).sum::<u16>());
        sums.map(usize::from).sum()
    }
    match dtype {
        Dtype::F32 => count(bytes, |le| f32::from_le_bytes(le).is_finite()),
        Dtype::F64 => count(bytes, |le| (f64::from_le_bytes(le) as f32).is_finite()),
        Dtype::F16 => count(bytes, |le| u16::from_le_bytes(le) & 0x7c00 != 0x7c00),
        Dtype::Bf16 => count(bytes, |le| u16::from_le_bytes(le) & 0x7f80 != 0x7f80),
        _ => 0,
    }
}

/// Why values could not be encoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum EncodeFault {
    /// `f32` cannot be written as this dtype.
    Dtype,
    /// A finite value became infinite.
    Overflow {
        /// Which of the values.
        element: usize,
        /// The value.
        value: f32,
    },
}

impl EncodeFault {
    /// The error of a tensor of a model at `path`, whose element `first` was the first of the values.
    pub fn of_tensor(self, path: &Path, tensor: &str, dtype: Dtype, first: usize) -> Error {
        let (path, tensor) = (path.to_path_buf(), tensor.to_owned());
        match self {
            EncodeFault::Dtype => Error::NotWritable {
                path,
                tensor,
                found: dtype,
            },
            EncodeFault::Overflow { element, value } => Error::Overflow {
                path,
                tensor,
                element: first + element,
                value,
                dtype,
            },
        }
    }
}

/// Encodes `values` block by block: hands on where a block begins, and its bytes.
pub(crate) fn encode(
    dtype: Dtype,
    values: &[f32],
    mut sink: impl FnMut(usize, Result<&[u8], EncodeFault>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut bytes = Vec::with_capacity(BLOCK.min(values.len()) * 4);
    for (number, block) in values.chunks(BLOCK).enumerate() {
        bytes.clear();
        let encoded = dtype.encode_into(block, &mut bytes);
        sink(number * BLOCK, encoded.map(|()| bytes.as_slice()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f32_keeps_its_bits_including_nan_payloads() {
        let bits = [0u32, 0x8000_0000, 0x7f80_0001, 0x7fc1_2345, 0xff80_0000, 1, 0x3f80_0000];
        let bytes: Vec<u8> = bits.iter().flat_map(|bits| bits.to_le_bytes()).collect();
        let values = decode(Dtype::F32, &bytes).unwrap();
        assert_eq!(values.iter().map(|value| value.to_bits()).collect::<Vec<_>>(), bits);
    }

    #[test]
    fn every_half_value_survives_the_way_through_f32() {
        for dtype in [Dtype::F16, Dtype::Bf16] {
            let bytes: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
            let values = decode(dtype, &bytes).unwrap();
            let mut back = Vec::new();
            dtype.encode_into(&values, &mut back).unwrap();
            for (index, value) in values.iter().enumerate().filter(|(_, value)| !value.is_nan()) {
                assert_eq!(
                    bytes[2 * index..2 * index + 2],
                    back[2 * index..2 * index + 2],
                    "{dtype} {index}: {value}"
                );
            }
        }
    }

    #[test]
    fn f64_is_rounded_to_nearest() {
        let bytes: Vec<u8> = [0.1f64, -1e300, 1e-50]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        assert_eq!(decode(Dtype::F64, &bytes).unwrap(), [0.1f32, f32::NEG_INFINITY, 0.0]);
    }

    #[test]
    fn a_finite_value_that_is_too_large_is_refused() {
        for (dtype, large) in [(Dtype::F16, 70_000.0), (Dtype::Bf16, f32::MAX)] {
            let result = dtype.encode_into(&[1.0, large], &mut Vec::new());
            assert!(
                matches!(result, Err(EncodeFault::Overflow { element: 1, .. })),
                "{dtype}"
            );
            assert!(dtype.encode_into(&[f32::INFINITY, f32::NAN], &mut Vec::new()).is_ok());
        }
    }

    #[test]
    fn rounding_to_bf16_is_that_of_the_library() {
        let mut bits = 1u32;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = f32::from_bits(bits);
            assert_eq!(bf16_bits(value), bf16::from_f32(value).to_bits(), "{bits:x}");
        }
        for bits in (0..=u16::MAX).flat_map(|upper| [0, 0x7fff, 0x8000, 0x8001].map(|low| u32::from(upper) << 16 | low))
        {
            let value = f32::from_bits(bits);
            assert_eq!(bf16_bits(value), bf16::from_f32(value).to_bits(), "{bits:x}");
        }
    }

    #[test]
    fn what_is_no_finite_f32_is_counted() {
        let all = |dtype, bytes: &[u8]| {
            let values = decode(dtype, bytes).unwrap();
            let expected = values.iter().filter(|value| !value.is_finite()).count();
            assert_eq!(count_not_finite(dtype, bytes), expected, "{dtype}");
            expected
        };
        let halves: Vec<u8> = (0..=u16::MAX).flat_map(u16::to_le_bytes).collect();
        assert_eq!(all(Dtype::F16, &halves), 2 * 1024);
        assert_eq!(all(Dtype::Bf16, &halves), 2 * 128);
        let doubles = [0.0, 1e39, f64::NAN, f64::NEG_INFINITY, -1e300]
            .map(f64::to_le_bytes)
            .concat();
        assert_eq!(all(Dtype::F64, &doubles), 4);
        let singles = [f32::MAX, f32::INFINITY, f32::NAN].map(f32::to_le_bytes).concat();
        assert_eq!(all(Dtype::F32, &singles), 2);
        assert_eq!(count_not_finite(Dtype::U8, &[255; 8]), 0);
    }
}
