//! The dtypes of the safetensors format, and conversion from and to `f32`.

use std::fmt;

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use crate::Error;

/// Elements converted at a time, so that conversion needs no second copy of a tensor.
const BLOCK: usize = 1 << 14;

macro_rules! dtypes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $bits:literal;)*) => {
        /// The type of a stored element.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Dtype { $($(#[$doc])* $variant,)* }

        impl Dtype {
            /// The name in a safetensors header.
            pub fn name(self) -> &'static str {
                match self { $(Dtype::$variant => $name,)* }
            }

            /// Bits of one element.
            pub fn bits(self) -> usize {
                match self { $(Dtype::$variant => $bits,)* }
            }

            /// The dtype with this name in a safetensors header.
            pub fn from_name(name: &str) -> Option<Dtype> {
                match name { $($name => Some(Dtype::$variant),)* _ => None }
            }
        }
    };
}

dtypes! {
    /// Boolean, one byte.
    Bool = "BOOL", 8;
    /// 4-bit float.
    F4 = "F4", 4;
    /// 6-bit float, 2 exponent bits.
    F6E2M3 = "F6_E2M3", 6;
    /// 6-bit float, 3 exponent bits.
    F6E3M2 = "F6_E3M2", 6;
    /// Unsigned byte.
    U8 = "U8", 8;
    /// Signed byte.
    I8 = "I8", 8;
    /// 8-bit float, 5 exponent bits.
    F8E5M2 = "F8_E5M2", 8;
    /// 8-bit float, 4 exponent bits.
    F8E4M3 = "F8_E4M3", 8;
    /// 8-bit scale, exponent only.
    F8E8M0 = "F8_E8M0", 8;
    /// 8-bit float, 4 exponent bits, no negative zero.
    F8E4M3Fnuz = "F8_E4M3FNUZ", 8;
    /// 8-bit float, 5 exponent bits, no negative zero.
    F8E5M2Fnuz = "F8_E5M2FNUZ", 8;
    /// Signed 16-bit integer.
    I16 = "I16", 16;
    /// Unsigned 16-bit integer.
    U16 = "U16", 16;
    /// IEEE half precision.
    F16 = "F16", 16;
    /// Brain float.
    Bf16 = "BF16", 16;
    /// Signed 32-bit integer.
    I32 = "I32", 32;
    /// Unsigned 32-bit integer.
    U32 = "U32", 32;
    /// IEEE single precision.
    F32 = "F32", 32;
    /// Two `f32`, real and imaginary.
    C64 = "C64", 64;
    /// IEEE double precision.
    F64 = "F64", 64;
    /// Signed 64-bit integer.
    I64 = "I64", 64;
    /// Unsigned 64-bit integer.
    U64 = "U64", 64;
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Dtype {
    /// Whether [`ModelDir::read_f32`](crate::ModelDir::read_f32) reads this dtype.
    pub fn is_float(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F64 | Dtype::F16 | Dtype::Bf16)
    }

    /// A dtype that holds the numbers of both, among those that weights are written in. What is read as `f32` is not written any wider.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        if self == other && self.config_name().is_some() {
            self
        } else {
            Dtype::F32
        }
    }

    /// What `dtype` of a `config.json` calls it, for the three that weights are written in.
    pub(crate) fn config_name(self) -> Option<&'static str> {
        match self {
            Dtype::F32 => Some("float32"),
            Dtype::F16 => Some("float16"),
            Dtype::Bf16 => Some("bfloat16"),
            _ => None,
        }
    }

    /// Bytes of a tensor of this dtype; `None` when that overflows or is no whole number of bytes.
    pub(crate) fn bytes_of(self, shape: &[usize]) -> Option<usize> {
        let elements = shape
            .iter()
            .try_fold(1usize, |product, &dim| product.checked_mul(dim))?;
        let bits = elements.checked_mul(self.bits())?;
        bits.is_multiple_of(8).then_some(bits / 8)
    }
}

/// Little-endian elements of `dtype` as `f32`; `None` when the dtype is none of the four that can be read.
///
/// `f64` is rounded to nearest; the others are exact, `f32` bit for bit.
pub(crate) fn decode(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        Dtype::F32 => bytes
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&le| f32::from_le_bytes(le))
            .collect(),
        Dtype::F64 => bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|&le| f64::from_le_bytes(le) as f32)
            .collect(),
        Dtype::F16 => decode_half(bytes, f16::from_le_bytes),
        Dtype::Bf16 => decode_half(bytes, bf16::from_le_bytes),
        _ => return None,
    })
}

fn decode_half<H>(bytes: &[u8], from_le: fn([u8; 2]) -> H) -> Vec<f32>
where
    [H]: HalfFloatSliceExt,
{
    let elements = bytes.as_chunks::<2>().0;
    let mut out = vec![0.0; elements.len()];
    let mut block = Vec::with_capacity(BLOCK.min(elements.len()));
    for (source, target) in elements.chunks(BLOCK).zip(out.chunks_mut(BLOCK)) {
        block.clear();
        block.extend(source.iter().map(|&le| from_le(le)));
        block.as_slice().convert_to_f32_slice(target);
    }
    out
}

/// How many elements are NaN or infinite as `f32`; 0 for dtypes that [`decode`] does not read.
pub(crate) fn count_not_finite(dtype: Dtype, bytes: &[u8]) -> usize {
    fn count<const N: usize>(bytes: &[u8], is_finite: impl Fn([u8; N]) -> bool) -> usize {
        bytes.as_chunks::<N>().0.iter().filter(|&&le| !is_finite(le)).count()
    }
    match dtype {
        Dtype::F32 => count(bytes, |le| f32::from_le_bytes(le).is_finite()),
        Dtype::F64 => count(bytes, |le| (f64::from_le_bytes(le) as f32).is_finite()),
        Dtype::F16 => count(bytes, |le| f16::from_le_bytes(le).is_finite()),
        Dtype::Bf16 => count(bytes, |le| bf16::from_le_bytes(le).is_finite()),
        _ => 0,
    }
}

/// Why values could not be encoded.
#[derive(Debug)]
pub(crate) enum EncodeFault {
    /// `f32` cannot be written as this dtype.
    Dtype,
    /// A finite value became infinite.
    Overflow { element: usize, value: f32 },
    /// The sink refused the bytes.
    Sink(Error),
}

/// Encodes `values` as little-endian `dtype` and hands the bytes on block by block.
pub(crate) fn encode(
    dtype: Dtype,
    values: &[f32],
    mut sink: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), EncodeFault> {
    let mut bytes = Vec::with_capacity(BLOCK.min(values.len()) * 4);
    for (number, block) in values.chunks(BLOCK).enumerate() {
        bytes.clear();
        match dtype {
            Dtype::F32 => {
                bytes.resize(block.len() * 4, 0);
                for (le, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(block) {
                    *le = value.to_le_bytes();
                }
            }
            Dtype::F16 | Dtype::Bf16 => {
                for (i, &value) in block.iter().enumerate() {
                    let (le, finite) = match dtype {
                        Dtype::F16 => (f16::from_f32(value).to_le_bytes(), f16::from_f32(value).is_finite()),
                        _ => (bf16::from_f32(value).to_le_bytes(), bf16::from_f32(value).is_finite()),
                    };
                    if value.is_finite() && !finite {
                        return Err(EncodeFault::Overflow {
                            element: number * BLOCK + i,
                            value,
                        });
                    }
                    bytes.extend(le);
                }
            }
            _ => return Err(EncodeFault::Dtype),
        }
        sink(&bytes).map_err(EncodeFault::Sink)?;
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
            let collect = |block: &[u8]| {
                back.extend_from_slice(block);
                Ok(())
            };
            encode(dtype, &values, collect).unwrap();
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
    fn a_finite_value_too_large_for_f16_is_refused() {
        let result = encode(Dtype::F16, &[1.0, 70_000.0], |_| Ok(()));
        assert!(matches!(result, Err(EncodeFault::Overflow { element: 1, .. })));
        assert!(encode(Dtype::F16, &[f32::INFINITY, f32::NAN], |_| Ok(())).is_ok());
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

    #[test]
    fn what_holds_the_numbers_of_two_dtypes_is_no_wider_than_needed() {
        for (a, b, joined) in [
            (Dtype::Bf16, Dtype::Bf16, Dtype::Bf16),
            (Dtype::Bf16, Dtype::F16, Dtype::F32),
            (Dtype::F32, Dtype::Bf16, Dtype::F32),
            (Dtype::F64, Dtype::F64, Dtype::F32),
        ] {
            assert_eq!(a.joined(b), joined, "{a} {b}");
        }
    }

    #[test]
    fn names_and_dtypes_belong_together() {
        for dtype in [Dtype::Bool, Dtype::F8E4M3, Dtype::Bf16, Dtype::C64, Dtype::U64] {
            assert_eq!(Dtype::from_name(dtype.name()), Some(dtype));
        }
        assert_eq!(Dtype::from_name("f32"), None);
    }
}
