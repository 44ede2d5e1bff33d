//! The dtypes of the safetensors format.

use std::fmt;

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

#[cfg(test)]
mod tests {
    use super::*;

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
