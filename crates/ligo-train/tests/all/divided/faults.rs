//! A rank that is lost ends the others with its name, on the way there and on the way back.

use burn::tensor::Device;
use ligo_models::{Error, Pass};
use ligo_ops::Group;
use ligo_train::Error as TrainError;

use super::{Leaves, batch, each, part, wide};

#[test]
fn a_rank_that_does_not_come_is_named_by_the_pass() {
    let config = wide("gpt2");
    let found = each(2, |ranks| {
        let model = part(&config, &ranks, &mut Leaves::default());
        match ranks.rank() {
            0 => Some(model.loss_with(&batch(&config, &Device::flex().autodiff()), &Pass::evaluation())),
            _ => None,
        }
    });
    let Some(Err(Error::RankLost { reason })) = &found[0] else {
        panic!("{found:?}")
    };
    assert!(reason.contains("rank 1 of this run is lost"), "{reason}");
}

#[test]
fn a_rank_that_is_lost_on_the_way_back_leaves_nothing_that_looks_like_a_gradient() {
    let config = wide("bert");
    let found = each(2, |ranks| {
        let mut leaves = Leaves::default();
        let model = part(&config, &ranks, &mut leaves);
        let loss = model.loss_with(&batch(&config, &Device::flex().autodiff()), &Pass::evaluation());
        let loss = loss.unwrap();
        if ranks.rank() == 1 {
            return None;
        }
        let before = ranks.sums().count;
        let gradients = leaves.gradients(&loss);
        // One sum failed, and no further one was tried.
        assert_eq!(ranks.sums().count, before + 1);
        assert!(matches!(ranks.check(), Err(TrainError::RankLost { rank: Some(1), .. })));
        // It stays so.
        let again = model.loss_with(&batch(&config, &Device::flex().autodiff()), &Pass::evaluation());
        assert!(matches!(again, Err(Error::RankLost { .. })));
        let of_table = gradients.into_iter().find(|(name, _)| name.contains("word_embeddings"));
        Some((model.check(), of_table.unwrap().1))
    });
    let Some((checked, gradient)) = &found[0] else {
        panic!("rank 0 found nothing")
    };
    assert!(matches!(checked, Err(Error::RankLost { .. })));
    // Rows of tokens that occur.
    assert!(gradient.iter().any(|x| x.is_nan()));
}
