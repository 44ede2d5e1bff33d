//! Windows, scales and caps of attention on a GPU.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::{
    decoders::{documents, padding},
    gpu::{gpu, held},
    host, noise,
};
use crate::{AttentionOptions, Dropout, grouped_attention};

/// Holds a call to the CPU's; `[batch, length, heads, groups, width]`.
fn the_cpus([batch, length, heads, groups, width]: [usize; 5], options: impl Fn(&Device) -> AttentionOptions) {
    let rows = batch * length;
    let shapes = [heads, groups, groups].map(|heads| [rows, heads * width]);
    let name = options(&Device::flex());
    let name = format!("length {length}, window {:?}, cap {:?}", name.window, name.soft_cap);
    held(&name, shapes, |x| {
        let options = options(&x[0].device().without_autodiff());
        let [q, k, v] = x.map(|x| {
            let [_, width] = x.dims();
            x.reshape([batch, length, width])
        });
        let options = AttentionOptions {
            num_heads: heads,
            ..options
        };
        grouped_attention(q, k, v, options)
    });
}

#[test]
fn windows_scales_and_caps_are_the_cpus() {
    let with = |window, causal| {
        move |_: &Device| AttentionOptions {
            window: Some(window),
            causal,
            ..AttentionOptions::default()
        }
    };
    the_cpus([2, 5, 3, 3, 5], with(2, true));
    for causal in [true, false] {
        for window in [2, 20, 70, 129] {
            the_cpus([1, 130, 2, 1, 8], with(window, causal));
        }
    }
    the_cpus([2, 66, 2, 2, 12], |_| AttentionOptions {
        scale: Some(0.9),
        soft_cap: Some(1.5),
        ..AttentionOptions::default()
    });
}

#[test]
fn windows_with_caps_masks_documents_and_dropout_are_the_cpus() {
    for causal in [true, false] {
        the_cpus([2, 130, 2, 1, 4], |device| AttentionOptions {
            window: Some(40),
            causal,
            soft_cap: Some(3.0),
            key_padding_mask: Some(padding(2, 130, device)),
            documents: Some(documents(2, 130, device)),
            dropout: Some(Dropout {
                probability: 0.3,
                seed: 0xFEDC_BA98_7654_3210,
            }),
            ..AttentionOptions::default()
        });
    }
}

#[test]
fn tokens_that_stand_apart_are_the_cpus() {
    the_cpus([2, 40, 2, 2, 4], |device| {
        let places: Vec<i32> = (0..80).map(|at| at % 40 * 3 / 2).collect();
        AttentionOptions {
            window: Some(9),
            causal: true,
            positions: Some(Tensor::<2, Int>::from_data(TensorData::new(places, [2, 40]), device)),
            ..AttentionOptions::default()
        }
    });
}

#[test]
fn tiles_that_the_window_hides_are_left_out() {
    let Some(device) = gpu() else { return };
    let length = 200;
    let [q, k] = [1, 2].map(|seed| noise([1, length, 4], seed, &device));
    // Whatever is multiplied with it shows, be the weight zero.
    for (causal, hidden) in [(true, 0), (false, 0), (false, length - 1)] {
        let v: Vec<f32> = (0..4 * length)
            .map(|i| if i / 4 == hidden { f32::NAN } else { 1.0 })
            .collect();
        let v = Tensor::<3>::from_data(TensorData::new(v, [1, length, 4]), &device);
        let options = AttentionOptions {
            num_heads: 1,
            causal,
            window: Some(8),
            ..AttentionOptions::default()
        };
        let y = host(grouped_attention(q.clone(), k.clone(), v, options));
        for (i, y) in y.iter().enumerate() {
            let distance = (i / 4).abs_diff(hidden);
            assert!(distance > 4 || y.is_nan(), "{y} at {i}");
            assert!(distance < 136 || (y - 1.0).abs() < 1e-5, "{y} at {i}");
        }
    }
}
