//! What works on all layers of a tensor at once: mixing, products of stacks, stacking.

use super::*;
use crate::composed;

fn plain<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    noise(shape, seed, &Device::flex())
}

/// In double precision, where no fast body exists.
fn exact<const D: usize>(x: &Tensor<D>) -> Tensor<D> {
    x.clone().cast(DType::F64)
}

#[test]
fn mixing_and_its_gradients_equal_matrix_products_whatever_the_lengths() {
    for (rows, sources, len) in [(1, 1, 1), (4, 2, 63), (3, 5, 64), (12, 6, 2048), (2, 3, 5000)] {
        let (weights, x, dy) = (
            plain([rows, sources], 1),
            plain([sources, len], 2),
            plain([rows, len], 3),
        );
        let name = format!("{rows} of {sources}, {len} long");
        let y = exact(&weights).matmul(exact(&x));
        assert_close(&name, &host(mix(weights.clone(), x.clone())), &host(y), 1e-6);

        let dw = host(exact(&dy).matmul(exact(&x).transpose()));
        let dx = host(exact(&weights).transpose().matmul(exact(&dy)));
        for apart in [true, false] {
            let dy = match apart {
                true => Rows::new(unstack(dy.clone())),
                false => dy.clone().into(),
            };
            assert_eq!(dy.dims(), [rows, len]);
            let (by_weights, by_x) = mix_backward(weights.clone(), Some(x.clone()), &dy, true);
            assert_close(&name, &host(by_weights.unwrap()), &dw, 1e-5);
            assert_close(&name, &host(by_x.unwrap()), &dx, 1e-6);
            let (nothing, only) = mix_backward(weights.clone(), None, &dy, true);
            assert!(nothing.is_none());
            assert_close(&name, &host(only.unwrap()), &dx, 1e-6);
            let (only, nothing) = mix_backward(weights.clone(), Some(x.clone()), &dy, false);
            assert!(nothing.is_none());
            assert_close(&name, &host(only.unwrap()), &dw, 1e-5);
        }
    }
}

#[test]
fn the_composed_sum_over_a_long_row_is_cut_and_equals_the_whole() {
    // 9,973 is a prime: no cut. 16,384 is cut into parts of 1,024.
    for len in [1, 1024, 1500, 9973, 16_384] {
        let (weights, x, dy) = (plain([3, 2], 1), plain([2, len], 2), plain([3, len], 3));
        let (found, _) = composed::mix_backward(weights, Some(x.clone()), dy.clone(), false);
        let expected = host(exact(&dy).matmul(exact(&x).transpose()));
        assert_close(&format!("{len}"), &host(found.unwrap()), &expected, 1e-5);
    }
}

#[test]
fn products_of_stacks_equal_burns_also_where_one_matrix_serves_all_and_operands_are_turned() {
    for (left, right) in [(1, 1), (3, 3), (1, 4), (4, 1)] {
        for (m, n, k) in [(1, 1, 1), (5, 3, 7), (70, 130, 65)] {
            let name = format!("{left} and {right} of {m}, {n}, {k}");
            let turned = |x: Tensor<3>| x.swap_dims(1, 2);
            for (a, b) in [
                (plain([left, m, k], 1), plain([right, k, n], 2)),
                (turned(plain([left, k, m], 1)), turned(plain([right, n, k], 2))),
            ] {
                let expected = exact(&a).matmul(exact(&b));
                let sum = expected.clone().sum_dim(0);
                assert_close(&name, &host(product(a.clone(), b.clone())), &host(expected), 1e-5);
                assert_close(
                    &name,
                    &host(product_sum(a.clone(), b.clone())),
                    &host(sum.clone()),
                    1e-5,
                );
                assert_close(&name, &host(composed::product_sum(a, b)), &host(sum), 1e-5);
            }
        }
    }
}

#[test]
fn a_sum_over_the_rows_of_a_whole_vocabulary_is_cut_and_equals_the_whole() {
    // A multiple of 8,192, GPT-2's vocabulary, and a prime.
    for rows in [5, 16_384, 50_257, 20_011] {
        let (a, b) = (plain([rows, 3], 1), plain([rows, 2], 2));
        let expected = host(exact(&a).transpose().matmul(exact(&b)));
        assert_close(
            &format!("{rows}"),
            &host(transposed_product(a.clone(), b.clone())),
            &expected,
            1e-5,
        );
        assert_close(
            &format!("{rows}, cut"),
            &host(composed::transposed_product(a, b)),
            &expected,
            1e-5,
        );
    }
    // The inner dimension of a product of stacks is cut as well.
    let (a, b) = (plain([2, 3, 16_384], 1), plain([2, 16_384, 2], 2));
    let expected = host(exact(&a).matmul(exact(&b)).sum_dim(0));
    assert_close("inner", &host(composed::product_sum(a, b)), &expected, 1e-5);
}

#[test]
fn stacking_and_taking_apart_are_inverse() {
    let rows: Vec<Tensor<1>> = (0..5).map(|i| plain([37], i)).collect();
    let together = stack(&rows);
    assert_eq!(together.dims(), [5, 37]);
    assert_eq!(host(composed::stack(rows.clone())), host(together.clone()));
    for (row, expected) in unstack(together).into_iter().zip(rows) {
        assert_eq!(host(row), host(expected));
    }
}

#[cfg(feature = "wgpu")]
#[test]
fn what_works_on_all_layers_is_the_cpus_on_a_gpu_and_repeatable() {
    let Some(gpu) = gpu::gpu() else { return };
    let run = |device: &Device, [rows, sources, len]: [usize; 3]| {
        let plain = |shape, seed| noise::<2>(shape, seed, device);
        let (weights, x, dy) = (
            plain([rows, sources], 1),
            plain([sources, len], 2),
            plain([rows, len], 3),
        );
        let y = mix(weights.clone(), x.clone());
        let rows = Rows::new(unstack(dy.clone()));
        let (dw, dx) = mix_backward(weights, Some(x.clone()), &rows, true);
        let outer = transposed_product(x.clone().transpose(), dy.clone().transpose());
        let stacked = stack(&unstack(x));
        [y, dw.unwrap(), dx.unwrap(), outer, stacked].map(host)
    };
    // Rows that begin where a device can bind, rows that do not, more layers than a launch takes, sums over several blocks.
    for sizes in [
        [1, 1, 1],
        [3, 2, 64],
        [4, 2, 100],
        [30, 17, 128],
        [3, 40, 200],
        [12, 6, 20_000],
    ] {
        let (found, expected) = (run(&gpu, sizes), run(&Device::flex(), sizes));
        for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_close(&format!("{sizes:?}, {place}"), found, expected, 1e-5);
        }
        assert_eq!(run(&gpu, sizes), found, "{sizes:?} is not repeatable");
    }
}
