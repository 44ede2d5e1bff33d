//! The order in which gradients are added. Floating-point sums depend on it, so it is fixed: neighbors first, then pairs of neighbors, then
//! pairs of pairs. A block of 2^k neighbors that begins at a multiple of 2^k is a subtree, so whoever holds such blocks can add them up alone, and
//! the result has the same bits however many share the work.

/// A sum whose parts come one after another.
#[derive(Debug)]
pub(crate) struct Tree<T> {
    /// Sums of as many parts as stand before them, each more than all behind it.
    sums: Vec<(usize, T)>,
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { sums: Vec::new() }
    }
}

impl<T> Tree<T> {
    pub(crate) fn push(&mut self, part: T, add: impl Fn(T, T) -> T) {
        let (mut count, mut sum) = (1, part);
        while let Some((n, left)) = self.sums.pop_if(|(n, _)| *n == count) {
            (count, sum) = (n + count, add(left, sum));
        }
        self.sums.push((count, sum));
    }

    /// The sum; `None` of nothing.
    pub(crate) fn finish(self, add: impl Fn(T, T) -> T) -> Option<T> {
        self.sums
            .into_iter()
            .map(|(_, sum)| sum)
            .rev()
            .reduce(|right, left| add(left, right))
    }
}

/// What adds nothing to any number, not even to -0.
pub(crate) fn absent(count: usize) -> impl Iterator<Item = f32> {
    std::iter::repeat_n(-0.0, count)
}

/// Adds blocks of `len` numbers that stand one after another into the first, neighbors first, then pairs of neighbors, and so on. For bodies of
/// [`crate::Collective`].
pub fn sum_blocks(blocks: &mut [f32], len: usize) {
    let mut width = len;
    while width > 0 && width < blocks.len() {
        for pair in blocks.chunks_mut(2 * width) {
            let (left, right) = pair.split_at_mut(width.min(pair.len()));
            left.iter_mut()
                .zip(&right[..right.len().min(len)])
                .for_each(|(a, b)| *a += b);
        }
        width *= 2;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tree_of(parts: impl IntoIterator<Item = f32>) -> f32 {
        let mut tree = Tree::default();
        parts.into_iter().for_each(|part| tree.push(part, |a, b| a + b));
        tree.finish(|a, b| a + b).unwrap()
    }

    /// Numbers whose sum depends on the order.
    fn parts(count: usize) -> Vec<f32> {
        (0..count as u32)
            .map(|i| (f32::from(i.wrapping_mul(40_503) as u16) - 3e4) * 1.7_f32.powi(i as i32 % 9))
            .collect()
    }

    #[test]
    fn blocks_of_any_power_of_two_and_one_after_another_give_the_same_bits() {
        for (count, blocks) in [
            (4, vec![1, 2, 4]),
            (12, vec![1, 2, 4, 12]),
            (7, vec![1, 7]),
            (24, vec![1, 2, 4, 8, 24]),
        ] {
            let parts = parts(count);
            let whole = tree_of(parts.iter().copied());
            for block in blocks {
                let mut sums: Vec<f32> = parts
                    .chunks(block)
                    .map(|block| tree_of(block.iter().copied()))
                    .collect();
                sum_blocks(&mut sums, 1);
                assert_eq!(sums[0].to_bits(), whole.to_bits(), "{count} in blocks of {block}");
            }
        }
        // Negative control: another order has other bits.
        let in_a_row = parts(12).into_iter().reduce(|a, b| a + b).unwrap();
        assert_ne!(in_a_row.to_bits(), tree_of(parts(12)).to_bits());
    }

    #[test]
    fn blocks_of_several_numbers_are_added_number_by_number() {
        for (ranks, len) in [(1, 3), (2, 1), (3, 2), (5, 4), (8, 3)] {
            let all = parts(ranks * len);
            let mut sums = all.clone();
            sum_blocks(&mut sums, len);
            for (i, sum) in sums.iter().take(len).enumerate() {
                assert_eq!(
                    sum.to_bits(),
                    tree_of(all.iter().copied().skip(i).step_by(len)).to_bits()
                );
            }
        }
        sum_blocks(&mut [], 0);
    }

    #[test]
    fn what_is_absent_changes_no_bit() {
        for x in [0.0_f32, -0.0, 1.5, f32::MIN_POSITIVE, f32::NEG_INFINITY] {
            let nothing = absent(1).next().unwrap();
            assert_eq!((x + nothing).to_bits(), x.to_bits());
            assert_eq!((nothing + x).to_bits(), x.to_bits());
        }
    }
}
