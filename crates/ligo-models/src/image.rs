//! What the models of images share.

use burn::tensor::Tensor;
use ligo_arch::Patches;
use ligo_ops::Dropout;

/// Cuts images into patches, row by row. Each is its numbers in the order channel, row, column, as the weights of a convolution
/// with kernel = stride lie in memory: a linear layer on them is that convolution.
///
/// # Shapes
/// `pixels [B, C, H, W]`; the result is `[B, N, C·P·P]`.
///
/// # Panics
/// When the images are not of the model's size.
pub(crate) fn cut(pixels: Tensor<4>, patches: &Patches) -> Tensor<3> {
    let [batch, channels, height, width] = pixels.dims();
    assert!(
        channels == patches.channels && [height, width] == patches.image,
        "the images have {channels} channels of {height}×{width} pixels; the model reads {} of {}×{}",
        patches.channels,
        patches.image[0],
        patches.image[1]
    );
    let ([rows, columns], [high, wide]) = (patches.grid(), patches.patch);
    pixels
        .reshape([batch, channels, rows, high, columns, wide])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([batch, rows * columns, channels * high * wide])
}

/// A learned token in front of every sequence of a batch.
///
/// # Shapes
/// `token [D]`; the result is `[B, 1, D]`.
pub(crate) fn repeat(token: Tensor<1>, batch: usize) -> Tensor<3> {
    let [width] = token.dims();
    token.reshape([1, 1, width]).expand([batch, 1, width])
}

/// Stochastic depth (Huang et al., arXiv:1603.09382): a sub-layer's output becomes zero for some samples of the batch and is scaled
/// up for the others. Which ones depends on the seed and the sample's place alone.
///
/// # Shapes
/// `x` and the result `[B, L, D]`.
pub(crate) fn drop_path(x: Tensor<3>, drop: Option<Dropout>) -> Tensor<3> {
    if drop.is_none() {
        return x;
    }
    let kept = Tensor::<3>::ones([x.dims()[0], 1, 1], (&x.device(), x.dtype()));
    x * ligo_ops::dropout(kept, drop)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;
    use crate::DropoutStream;

    #[test]
    fn a_patch_is_its_channels_row_by_row() {
        let device = Device::flex();
        // Pixel (c, y, x) is 100c + 10y + x.
        let pixels = (0..2).flat_map(|c| (0..2).flat_map(move |y| (0..6).map(move |x| 100 * c + 10 * y + x)));
        let pixels: Vec<f32> = pixels.map(|p| p as f32).collect();
        let pixels = Tensor::<4>::from_data(TensorData::new(pixels, [1, 2, 2, 6]), &device);
        let patches = Patches {
            channels: 2,
            image: [2, 6],
            patch: [2, 3],
        };
        let cut = cut(pixels, &patches);
        assert_eq!(cut.dims(), [1, 2, 12]);
        let second: Vec<f32> = cut.slice_dim(1, 1..2).into_data().iter().collect();
        let expected = [3, 4, 5, 13, 14, 15, 103, 104, 105, 113, 114, 115].map(|p| p as f32);
        assert_eq!(second, expected);
    }

    #[test]
    fn a_path_is_dropped_for_whole_samples_and_its_mean_stays() {
        let device = Device::flex();
        let of = |seed: u64| {
            let x = Tensor::<3>::ones([1000, 2, 3], &device);
            let y = drop_path(x, DropoutStream::new(seed).next(0.25));
            y.into_data().iter::<f32>().collect::<Vec<_>>()
        };
        let values = of(1);
        let samples = values.chunks_exact(6);
        let dropped = samples.clone().filter(|sample| sample[0] == 0.0).count();
        assert!((200..300).contains(&dropped), "{dropped}");
        for sample in samples {
            let first = sample[0];
            assert!(first == 0.0 || (first - 4.0 / 3.0).abs() < 1e-6);
            assert!(sample.iter().all(|x| *x == first));
        }
        assert_eq!(values, of(1));
        assert_ne!(values, of(2));
    }
}
