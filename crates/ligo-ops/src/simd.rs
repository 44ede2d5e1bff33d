//! All `unsafe` of the crate except the allocator's: choosing vector instructions, memory that is not cleared first, matrix products.

use std::mem::MaybeUninit;

use rayon::prelude::*;

/// Makes a safe function that runs `$body::<FMA>` compiled for the widest vector instructions of the machine.
///
/// `$body` must be `#[inline(always)]` and generic over `const FMA: bool` (whether a fused multiply-add is one instruction).
macro_rules! multiversion {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident) => {
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? { $body::<true>($($arg),*) }
                let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
                if fma
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                {
                    // SAFETY: the machine was just asked for these instructions.
                    return unsafe { avx512($($arg),*) };
                }
                if fma {
                    // SAFETY: the machine was just asked for these instructions.
                    return unsafe { avx2($($arg),*) };
                }
            }
            $body::<{ cfg!(any(target_feature = "fma", target_arch = "aarch64")) }>($($arg),*)
        }
    };
}
pub(crate) use multiversion;

/// A vector of `len` numbers that `fill` has to write completely.
///
/// Clearing memory first would cost a pass over every activation of the model.
pub(crate) fn filled(len: usize, fill: impl FnOnce(&mut [f32])) -> Vec<f32> {
    let mut values: Vec<f32> = Vec::with_capacity(len);
    let spare = &mut values.spare_capacity_mut()[..len];
    if cfg!(any(test, debug_assertions)) {
        // An element that `fill` forgets shows up as NaN in the tests.
        spare.fill(MaybeUninit::new(f32::NAN));
    }
    // SAFETY: `spare` is `len` elements of allocated memory, uniquely borrowed; any bits are a valid f32, and the kernels passed here
    // write every element before it is read (under test a gap would be NaN).
    let slice = unsafe { std::slice::from_raw_parts_mut(spare.as_mut_ptr().cast::<f32>(), len) };
    fill(slice);
    // SAFETY: capacity is at least `len` and `fill` has written the elements.
    unsafe { values.set_len(len) };
    values
}

/// A matrix inside a slice: element `(i, j)` is `data[i · rows + j · cols]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub(crate) data: &'a [f32],
    /// Distance between rows.
    pub(crate) rows: usize,
    /// Distance between columns.
    pub(crate) cols: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix with `width` columns.
    pub(crate) fn new(data: &'a [f32], width: usize) -> Self {
        Self {
            data,
            rows: width,
            cols: 1,
        }
    }

    /// A matrix whose rows are `stride` apart.
    pub(crate) fn strided(data: &'a [f32], stride: usize) -> Self {
        Self {
            data,
            rows: stride,
            cols: 1,
        }
    }

    /// The transpose, without moving anything.
    pub(crate) fn t(self) -> Self {
        Self {
            data: self.data,
            rows: self.cols,
            cols: self.rows,
        }
    }

    /// The matrix without its first rows.
    fn from_row(self, row: usize) -> Self {
        Self {
            data: &self.data[(row * self.rows).min(self.data.len())..],
            ..self
        }
    }

    /// The matrix without its first columns.
    fn from_column(self, col: usize) -> Self {
        Self {
            data: &self.data[(col * self.cols).min(self.data.len())..],
            ..self
        }
    }

    fn assert_holds(&self, m: usize, n: usize) {
        let last = (m - 1) * self.rows + (n - 1) * self.cols;
        assert!(last < self.data.len(), "a {m}×{n} matrix ends outside its slice");
    }
}

/// A mutable row-major matrix that several threads write different parts of.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    data: *mut f32,
    len: usize,
    stride: usize,
    lifetime: std::marker::PhantomData<&'a mut [f32]>,
}

// SAFETY: the methods that write are unsafe or private to this file; callers promise that no two threads write the same elements.
unsafe impl Send for Target<'_> {}
// SAFETY: as above.
unsafe impl Sync for Target<'_> {}

impl<'a> Target<'a> {
    pub(crate) fn new(data: &'a mut [f32], stride: usize) -> Self {
        Self {
            data: data.as_mut_ptr(),
            len: data.len(),
            stride,
            lifetime: std::marker::PhantomData,
        }
    }

    /// Row `row`, columns `start .. start + len`.
    ///
    /// # Safety
    /// No other reference to these elements may exist while the result lives.
    pub(crate) unsafe fn row(&self, row: usize, start: usize, len: usize) -> &'a mut [f32] {
        let offset = row * self.stride + start;
        assert!(offset + len <= self.len, "row outside the matrix");
        // SAFETY: inside the borrowed slice by the assertion, unique by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(offset), len) }
    }
}

/// Whether a product replaces or is added to what the target holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Replace,
    Add,
}

/// `target[row.., col..][m × n] (+)= a [m × k] · b [k × n]` on the calling thread.
///
/// # Safety
/// Nothing else may access that block of the target meanwhile.
pub(crate) unsafe fn product_into(
    target: Target<'_>,
    (row, col): (usize, usize),
    [m, n, k]: [usize; 3],
    a: Matrix<'_>,
    b: Matrix<'_>,
    store: Store,
) {
    if m == 0 || n == 0 {
        return;
    }
    let offset = row * target.stride + col;
    assert!(
        offset + (m - 1) * target.stride + n <= target.len,
        "block outside the matrix"
    );
    if k == 0 {
        if store == Store::Replace {
            for row in row..row + m {
                // SAFETY: part of the block that the caller owns.
                unsafe { target.row(row, col, n) }.fill(0.0);
            }
        }
        return;
    }
    a.assert_holds(m, k);
    b.assert_holds(k, n);
    let add = store == Store::Add;
    // SAFETY: all three blocks were just checked to lie inside their slices; the target's is unique by the caller's promise.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            target.data.add(offset),
            1,
            target.stride as isize,
            add,
            a.data.as_ptr(),
            a.cols as isize,
            a.rows as isize,
            b.data.as_ptr(),
            b.cols as isize,
            b.rows as isize,
            if add { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// `a [m × k] · b [k × n]` (+ `bias` on every row), in parallel over blocks whose number depends on the shape alone.
pub(crate) fn product([m, n, k]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, bias: Option<&[f32]>) -> Vec<f32> {
    if let Some(bias) = bias {
        assert_eq!(bias.len(), n, "the bias has the wrong length");
    }
    if m * n == 0 {
        return Vec::new();
    }
    filled(m * n, |out| {
        let blocks = Blocks::new([m, n, k]);
        let target = Target::new(out, n);
        (0..blocks.count()).into_par_iter().for_each(|index| {
            let ((row, col), [height, width]) = blocks.get(index);
            // SAFETY: every index has its own block of the target.
            unsafe {
                let (a, b) = (a.from_row(row), b.from_column(col));
                product_into(target, (row, col), [height, width, k], a, b, Store::Replace);
                if let Some(bias) = bias {
                    let bias = &bias[col..col + width];
                    for row in row..row + height {
                        add_assign(target.row(row, col, width), bias);
                    }
                }
            }
        });
    })
}

/// `a(l) [m × k] · b(l) [k × n]` for every `l` below `count`, one after the other, in parallel over blocks as in [`product`].
pub(crate) fn products<'a>(
    count: usize,
    [m, n, k]: [usize; 3],
    a: impl Fn(usize) -> Matrix<'a> + Sync,
    b: impl Fn(usize) -> Matrix<'a> + Sync,
) -> Vec<f32> {
    if count * m * n == 0 {
        return Vec::new();
    }
    let blocks = Blocks::new([m, n, k]);
    filled(count * m * n, |out| {
        let target = Target::new(out, n);
        (0..count * blocks.count()).into_par_iter().for_each(|index| {
            let (l, ((row, col), [height, width])) = (index / blocks.count(), blocks.get(index % blocks.count()));
            let (a, b) = (a(l).from_row(row), b(l).from_column(col));
            // SAFETY: every index has its own block of the target.
            unsafe { product_into(target, (l * m + row, col), [height, width, k], a, b, Store::Replace) };
        });
    })
}

/// `Σ_l a(l) [m × k] · b(l) [k × n]` over the `l` below `count`, in their order.
pub(crate) fn product_sum<'a>(
    count: usize,
    [m, n, k]: [usize; 3],
    a: impl Fn(usize) -> Matrix<'a> + Sync,
    b: impl Fn(usize) -> Matrix<'a> + Sync,
) -> Vec<f32> {
    if count * m * n == 0 {
        return vec![0.0; m * n];
    }
    let blocks = Blocks::new([m, n, count * k]);
    filled(m * n, |out| {
        let target = Target::new(out, n);
        (0..blocks.count()).into_par_iter().for_each(|index| {
            let ((row, col), [height, width]) = blocks.get(index);
            for l in 0..count {
                let (a, b) = (a(l).from_row(row), b(l).from_column(col));
                let store = if l == 0 { Store::Replace } else { Store::Add };
                // SAFETY: every index has its own block of the target.
                unsafe { product_into(target, (row, col), [height, width, k], a, b, store) };
            }
        });
    })
}

/// The blocks that a product is cut into.
struct Blocks {
    m: usize,
    n: usize,
    height: usize,
    width: usize,
}

impl Blocks {
    fn new([m, n, k]: [usize; 3]) -> Self {
        let (height, width) = block(m, n, k);
        Self { m, n, height, width }
    }

    fn count(&self) -> usize {
        self.m.div_ceil(self.height) * self.n.div_ceil(self.width)
    }

    /// Place and size of a block.
    fn get(&self, index: usize) -> ((usize, usize), [usize; 2]) {
        let across = self.n.div_ceil(self.width);
        let (row, col) = (index / across * self.height, index % across * self.width);
        (
            (row, col),
            [self.height.min(self.m - row), self.width.min(self.n - col)],
        )
    }
}

/// Size of the blocks a product is cut into: enough of them for many cores, none so small that packing its operands dominates.
fn block(m: usize, n: usize, k: usize) -> (usize, usize) {
    let (mut height, mut width) = (m, n);
    if m * n * k < 1 << 18 {
        return (height, width);
    }
    let limit = |blocks: usize| blocks < 8;
    while height > 512 || width > 1024 || limit(m.div_ceil(height) * n.div_ceil(width)) {
        // The right operand is packed once per block of rows, so keep rows long and cut the higher side.
        if height >= 128 && (height >= width || width <= 256) {
            height = height.div_ceil(2).next_multiple_of(16);
        } else if width >= 128 {
            width = width.div_ceil(2).next_multiple_of(16);
        } else {
            break;
        }
    }
    (height, width)
}

multiversion!(
    /// `y += x`, element by element.
    pub(crate) fn add_assign(y: &mut [f32], x: &[f32]) = add_assign_body
);

#[inline(always)]
fn add_assign_body<const FMA: bool>(y: &mut [f32], x: &[f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}
