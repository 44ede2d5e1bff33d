//! What ranks exchange, counted.

use std::cell::Cell;
use std::time::Instant;

use ligo_train::{Collective, Error};

/// Calls of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Calls {
    /// How many.
    pub calls: u64,
    /// Bytes that this rank gave to all of them together.
    pub bytes: u64,
    /// How long they lasted together, waiting for others included.
    pub seconds: f64,
}

impl Calls {
    fn and(self, bytes: usize, seconds: f64) -> Self {
        Self {
            calls: self.calls + 1,
            bytes: self.bytes + bytes as u64,
            seconds: self.seconds + seconds,
        }
    }
}

/// Calls of all kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Sums for all ranks.
    pub sums: Calls,
    /// Sums of which each rank gets a part.
    pub parts: Calls,
    /// Parts that become a whole again.
    pub wholes: Calls,
    /// Small numbers of every rank.
    pub gathers: Calls,
    /// What rank 0 tells.
    pub broadcasts: Calls,
}

/// Ranks whose calls are counted.
#[derive(Debug)]
pub struct Counted<'a> {
    ranks: &'a dyn Collective,
    tally: Cell<Tally>,
}

impl<'a> Counted<'a> {
    /// None yet.
    #[must_use]
    pub fn new(ranks: &'a dyn Collective) -> Self {
        Self {
            ranks,
            tally: Cell::default(),
        }
    }

    /// Those up to now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally.get()
    }

    fn count<T>(&self, kind: impl Fn(&mut Tally) -> &mut Calls, bytes: usize, call: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = call();
        let mut tally = self.tally.get();
        let calls = kind(&mut tally);
        *calls = calls.and(bytes, start.elapsed().as_secs_f64());
        self.tally.set(tally);
        result
    }
}

impl Collective for Counted<'_> {
    fn rank(&self) -> usize {
        self.ranks.rank()
    }

    fn size(&self) -> usize {
        self.ranks.size()
    }

    fn all_gather(&self, mine: &[u64]) -> Result<Vec<u64>, Error> {
        self.count(|t| &mut t.gathers, size_of_val(mine), || self.ranks.all_gather(mine))
    }

    fn sum(&self, values: &mut Vec<f32>) -> Result<(), Error> {
        let bytes = size_of_val(values.as_slice());
        self.count(|t| &mut t.sums, bytes, || self.ranks.sum(values))
    }

    fn sum_parts(&self, values: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        let bytes = size_of_val(values.as_slice());
        self.count(|t| &mut t.parts, bytes, || self.ranks.sum_parts(values, parts))
    }

    fn gather_parts(&self, mine: Vec<f32>, parts: &[usize]) -> Result<Vec<f32>, Error> {
        let bytes = size_of_val(mine.as_slice());
        self.count(|t| &mut t.wholes, bytes, || self.ranks.gather_parts(mine, parts))
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) -> Result<(), Error> {
        let count = bytes.len();
        self.count(|t| &mut t.broadcasts, count, || self.ranks.broadcast(bytes))
    }

    fn meet(&self) -> Result<(), Error> {
        self.ranks.meet()
    }
}

/// What each of `ranks` ranks on one machine sends when all sum `len` numbers: their parts to all others, and the sums of its own part to all
/// others. A ring sends as many bytes.
#[must_use]
pub fn sent(len: usize, ranks: usize) -> Sent {
    let others = ranks.max(1) - 1;
    Sent {
        messages: 2 * others,
        bytes: 2 * others * len.div_ceil(ranks.max(1)) * size_of::<f32>(),
    }
}

/// What one rank sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Messages.
    pub messages: usize,
    /// Bytes of all of them.
    pub bytes: usize,
}
