use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::{Device, Int, Tensor, TensorData};
use ligo_arch::Experts;
use ligo_ops::traffic;

use crate::rotation::AttentionContext;
use crate::stack::Context;
use crate::token_drop::Division;

/// What the layers of a mixture read beside hidden states.
#[derive(Clone)]
pub(crate) struct Around {
    pub(super) tokens: AttentionContext,
    /// What routers did in this pass, where somebody asks.
    pub(super) ledger: Option<Ledger>,
}

impl Context for Around {
    fn for_kept(&self, tokens: &Division) -> Self {
        Self {
            tokens: self.tokens.for_kept(tokens),
            ledger: self.ledger.clone(),
        }
    }
}

/// What the routers of all layers did.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Option<Entry>>>);

/// Sums over layers and tokens.
struct Entry {
    /// How often each expert was chosen, `[E]`.
    chosen: Tensor<1>,
    /// The probabilities of each, `[E]`.
    probabilities: Tensor<1>,
    /// Tokens, `[1]`.
    tokens: Tensor<1>,
}

impl Ledger {
    /// `E · Σ_e f_e · p_e` with the share `f` of tokens that were sent to an expert and the mean `p` of its probability (Fedus et al.,
    /// arXiv:2101.03961), over the tokens of all layers; nothing where no router ran.
    pub(crate) fn balance(&self) -> Option<Tensor<1>> {
        let entry = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let [experts] = entry.chosen.dims();
        let products = (entry.chosen * entry.probabilities).sum();
        Some(products / (entry.tokens.clone() * entry.tokens) * experts as f64)
    }

    /// Adds a layer; `mask [N]` is 0 at padding.
    fn add(&self, routing: &Routing, mask: Option<Tensor<1>>) {
        let [count, _] = routing.probabilities.dims();
        let device = routing.probabilities.device();
        let mask = mask.unwrap_or_else(|| Tensor::ones([count], &device));
        let weighted = |x: Tensor<2>| (x * mask.clone().unsqueeze_dim(1)).sum_dim(0).squeeze_dim(0);
        let entry = Entry {
            chosen: weighted(routing.one_hot(&device)),
            probabilities: weighted(routing.probabilities.clone()),
            tokens: mask.clone().sum(),
        };
        let mut sum = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *sum = Some(match sum.take() {
            None => entry,
            Some(before) => Entry {
                chosen: before.chosen + entry.chosen,
                probabilities: before.probabilities + entry.probabilities,
                tokens: before.tokens + entry.tokens,
            },
        });
    }
}

/// Which experts each of `N` tokens goes through, and how much they count.
pub(super) struct Routing {
    /// Of all experts, `[N, E]`.
    probabilities: Tensor<2>,
    /// The experts of each token, the most probable first; `active` of each.
    chosen: Vec<usize>,
    active: usize,
}

impl Routing {
    /// The `active` most probable experts of each token, by `logits [N, E]`; of equals the first.
    ///
    /// How many tokens an expert gets decides the shapes of what it computes, so the probabilities are read by the host.
    pub(super) fn new(logits: Tensor<2>, active: usize) -> Self {
        let [count, experts] = logits.dims();
        // By its parts, which are the same with and without gradients: burn's own softmax is not, to the last bit.
        let largest = logits.clone().detach().max_dim(1);
        let exponentials = (logits - largest).exp();
        let probabilities = exponentials.clone() / exponentials.sum_dim(1);
        let flat = probabilities.clone().without_autodiff().reshape([count * experts]);
        // A device that does not answer will not give the loss either, which is where that is told.
        let values = traffic::read(&flat).unwrap_or_else(|_| vec![0.0; count * experts]);
        let mut chosen = Vec::with_capacity(count * active);
        let mut order: Vec<usize> = Vec::with_capacity(experts);
        for row in values.chunks_exact(experts) {
            order.clear();
            order.extend(0..experts);
            order.sort_by(|a, b| row[*b].total_cmp(&row[*a]));
            chosen.extend(&order[..active]);
        }
        Self {
            probabilities,
            chosen,
            active,
        }
    }

    /// Notes what was done, where somebody asks.
    pub(super) fn note(&self, around: &Around) {
        if let Some(ledger) = &around.ledger {
            let mask = around.tokens.visibility.mask();
            ledger.add(self, mask.map(|mask| mask.flatten(0, 1)));
        }
    }

    /// The tokens that go through an expert, and where each token's experts stand when all are put one behind the other.
    pub(super) fn by_expert(&self) -> (Vec<Vec<usize>>, Vec<usize>) {
        let [_, experts] = self.probabilities.dims();
        let mut tokens = vec![Vec::new(); experts];
        let mut within = Vec::with_capacity(self.chosen.len());
        for (i, expert) in self.chosen.iter().enumerate() {
            within.push(tokens[*expert].len());
            tokens[*expert].push(i / self.active);
        }
        let begins: Vec<usize> = tokens
            .iter()
            .scan(0, |at, tokens| {
                let begin = *at;
                *at += tokens.len();
                Some(begin)
            })
            .collect();
        let places = self.chosen.iter().zip(within).map(|(expert, i)| begins[*expert] + i);
        let places = places.collect();
        (tokens, places)
    }

    /// How much each expert counts for its token, `[N, active]`.
    pub(super) fn weights(&self, experts: Experts) -> Tensor<2> {
        let weights = self
            .probabilities
            .clone()
            .gather(1, self.indices(&self.probabilities.device()));
        match experts.normalized {
            true => weights.clone() / weights.sum_dim(1),
            false => weights,
        }
    }

    fn indices(&self, device: &Device) -> Tensor<2, Int> {
        indices(&self.chosen, device).reshape([self.chosen.len() / self.active, self.active])
    }

    /// 1 where a token goes through an expert, `[N, E]`.
    fn one_hot(&self, device: &Device) -> Tensor<2> {
        let [count, experts] = self.probabilities.dims();
        let mut values = vec![0.0f32; count * experts];
        for (i, expert) in self.chosen.iter().enumerate() {
            values[i / self.active * experts + expert] = 1.0;
        }
        traffic::upload(TensorData::new(values, [count, experts]), device)
    }
}

/// Numbers of rows on a device.
pub(super) fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    let count = rows.len();
    traffic::upload(TensorData::new(rows, [count]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routing(active: usize) -> Routing {
        let logits = Tensor::from_data([[0.0, 2.0, 1.0], [3.0, 0.0, 3.0], [1.0, 4.0, 0.0]], &Device::flex());
        Routing::new(logits, active)
    }

    #[test]
    fn each_token_goes_through_its_most_probable_experts_and_of_equals_the_first() {
        assert_eq!(routing(2).chosen, [1, 2, 0, 2, 1, 0]);
        assert_eq!(routing(1).chosen, [1, 0, 1]);
        let (tokens, places) = routing(2).by_expert();
        assert_eq!(tokens, [vec![1, 2], vec![0, 2], vec![0, 1]]);
        assert_eq!(places, [2, 4, 0, 5, 3, 1]);
        for (i, place) in places.iter().enumerate() {
            let order: Vec<usize> = tokens.iter().flatten().copied().collect();
            assert_eq!(order[*place], i / 2);
        }
    }

    #[test]
    fn an_expert_that_nobody_needs_gets_no_token() {
        let (tokens, _) = routing(1).by_expert();
        assert_eq!(tokens, [vec![1], vec![0, 2], vec![]]);
    }
}
