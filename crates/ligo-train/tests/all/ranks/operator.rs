//! Ranks that learn an operator together.

use super::*;

/// A rank that counts the numbers it sums.
#[derive(Debug)]
struct Counting(ThreadRank, AtomicUsize);

impl Collective for Counting {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        self.0.all_gather(mine)
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error> {
        self.1.fetch_add(values.len(), Ordering::Relaxed);
        self.0.sum(values)
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.0.broadcast(bytes)
    }
}

#[test]
fn learning_an_operator_sums_its_matrices_only() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        steps: 6,
        eval_every: 3,
        ..with_micro_batches(4)
    };
    // Losses, learned numbers, numbers of the large model, and numbers that were summed in a step.
    let learn = |rank: ThreadRank| {
        let counting = Counting(rank, AtomicUsize::new(0));
        let (toy, device) = (Toy::new(), Device::flex());
        let loader = toy.loader(true);
        let mut large = BertConfig::new(toy.tokens.info().vocab_size, 24, 3, 3);
        large.max_position_embeddings = toy::SEQ_LEN;
        let large = ModelConfig::Bert(large);
        let operator = LigoOperator::new(&toy.model.table(), &large.table(), &LigoConfig::default(), 4).unwrap();
        let small = toy.store().to_values().unwrap().into_iter();
        let mut small = MemorySource::new(small.map(|(info, values)| (info.name, info.shape, values)));
        let objective = OperatorObjective::new(operator, &large, &mut small, &device).unwrap();
        let start = objective.start(&device).unwrap();
        let learned = start.num_parameters();
        let data = RunData {
            train: &loader,
            valid: &toy.valid,
        };
        let dir = folder.path().join(format!("{}", counting.size()));
        let trainer = Trainer::new(config.clone(), &objective, start, data, dir).unwrap();
        let mut trainer = trainer.with_ranks(&counting).unwrap();
        let result = run(&mut trainer, &mut Watcher::default()).unwrap();
        let whole = large.table().num_parameters();
        let losses: Vec<f64> = result.curve.iter().map(|point| point.loss).collect();
        (losses, learned, whole, counting.1.load(Ordering::Relaxed) / 6)
    };
    let on = |size: usize| {
        std::thread::scope(|scope| {
            let learn = &learn;
            let ranks = ThreadRank::all(size).into_iter();
            let threads: Vec<_> = ranks.map(|rank| scope.spawn(move || learn(rank))).collect();
            let mut ended: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            ended.swap_remove(0)
        })
    };
    let (one, ..) = on(1);
    let (two, learned, whole, summed) = on(2);
    assert!(one[2] < one[0] - 0.01, "nothing was learned: {one:?}");
    for (a, b) in one.iter().zip(&two) {
        assert!((a - b).abs() < 1e-5 * a, "{one:?} and {two:?}");
    }
    assert_eq!(summed, learned);
    assert!(learned < whole, "{learned} {whole}");
}
