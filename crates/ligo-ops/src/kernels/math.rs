//! Elementary functions written so that the compiler vectorises loops over them, and sums with a fixed order.

/// Partial sums kept side by side; fixed, so that results are the same with every vector width.
pub(crate) const LANES: usize = 16;

/// `a · b + c`, fused where that is one instruction.
#[inline(always)]
pub(crate) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// `eˣ` to 2 ulp; arguments outside about ±87 give the value at the bound, NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<const FMA: bool>(x: f32) -> f32 {
    // Adding 1.5·2²³ rounds to an integer and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first with few enough bits that its products are exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Comparisons instead of `clamp`/`max`: they keep NaN.
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(n, -LN2_HIGH, x);
    let r = fma::<FMA>(n, -LN2_LOW, r);
    // Minimax polynomial of eʳ on ±ln 2 / 2, relative error 3e-9.
    let mut p = 1.381_455_7e-3;
    for c in [8.368_736e-3, 4.166_839e-2, 0.166_665_21, 0.499_999_94, 1.0, 1.0] {
        p = fma::<FMA>(p, r, c);
    }
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3F80_0000));
    p * scale
}

/// `eˣ` beside numbers of about 1, as a term of a softmax is: 0 below e⁻⁵⁰.
///
/// Products with numbers much smaller than that are subnormal, and a processor takes some hundred cycles for each. Attention that has
/// become sharp, as it does at too high a learning rate, and inputs of activations far below zero give such numbers for the most part: steps
/// were four times as slow.
#[inline(always)]
pub(crate) fn share<const FMA: bool>(x: f32) -> f32 {
    let e = exp::<FMA>(x);
    // NaN stays NaN.
    if x < -50.0 { 0.0 } else { e }
}

/// `1 / (1 + e⁻ˣ)`; 0 where that is below e⁻⁵⁰, see [`share`].
#[inline(always)]
pub(crate) fn logistic<const FMA: bool>(x: f32) -> f32 {
    let y = 1.0 / (1.0 + exp::<FMA>(-x));
    if x < -50.0 { 0.0 } else { y }
}

/// The hyperbolic tangent to 2 ulp; NaN stays NaN.
#[inline(always)]
pub(crate) fn tanh<const FMA: bool>(x: f32) -> f32 {
    let square = x * x;
    // The seventh convergent of the continued fraction x / (1 + x² / (3 + x² / (5 + …))), which is exact here up to 1.
    let above = fma::<FMA>(fma::<FMA>(square + 378.0, square, 17_325.0), square, 135_135.0);
    let below = fma::<FMA>(
        fma::<FMA>(fma::<FMA>(28.0, square, 3_150.0), square, 62_370.0),
        square,
        135_135.0,
    );
    let near = x * (above / below);
    let far = 1.0 - 2.0 / (exp::<FMA>(2.0 * x.abs()) + 1.0);
    if x.abs() < 1.0 { near } else { far.copysign(x) }
}

/// The standard normal distribution at `x`: `(Φ(x), φ(x))`; 0 in the tail beyond 10, see [`share`].
#[inline(always)]
pub(crate) fn normal<const FMA: bool>(x: f32) -> (f32, f32) {
    let e = share::<FMA>(-0.5 * x * x);
    // erfc(a) eᵃ² as t·P(t) with t = 1 / (1 + 0.33 a), fitted for the relative error (8e-8) on 0 ≤ a ≤ 9.5.
    let t = 1.0 / fma::<FMA>(x.abs(), 0.33 * std::f32::consts::FRAC_1_SQRT_2, 1.0);
    let mut p = -0.135_929_64;
    for c in [
        0.462_691_96,
        -0.355_445_7,
        0.412_548_2,
        4.500_693e-2,
        0.201_925_02,
        0.182_837_04,
        0.186_366_13,
    ] {
        p = fma::<FMA>(p, t, c);
    }
    let tail = 0.5 * (p * t) * e;
    let cdf = if x < 0.0 { tail } else { 1.0 - tail };
    const INV_SQRT_2PI: f32 = 0.398_942_3;
    (cdf, INV_SQRT_2PI * e)
}

/// `Σ term(i)` over `0..len` in [`LANES`] interleaved partial sums.
#[inline(always)]
pub(crate) fn sum(len: usize, term: impl Fn(usize) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let whole = len / LANES * LANES;
    let mut start = 0;
    while start < whole {
        for (lane, total) in lanes.iter_mut().enumerate() {
            *total += term(start + lane);
        }
        start += LANES;
    }
    for i in whole..len {
        lanes[i - whole] += term(i);
    }
    fold(lanes, |a, b| a + b)
}

/// The largest element; NaN when there is one.
#[inline(always)]
pub(crate) fn max(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a > b || a.is_nan() { a } else { b };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(chunks.remainder()) {
        *lane = larger(*lane, x);
    }
    fold(lanes, larger)
}

#[inline(always)]
fn fold(lanes: [f32; LANES], join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = lanes;
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = join(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}
