//! A rank that hangs is noticed by the others: each tells the others from time to time how many calls it has come to, and whoever has waited
//! in one for too long looks who is behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ferrompi::{Communicator, Source, Tag};

/// Calls that a rank has come to: twice the number of those that are over, and one more inside of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<AtomicU64>);

/// A call that lasts.
pub(crate) struct Inside<'a>(&'a Calls);

impl Calls {
    pub(crate) fn enter(&self) -> Inside<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Inside(self)
    }

    fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What a rank has heard of the others. Time is counted in ticks of its own, so that a job that is suspended as a whole does not age.
#[derive(Debug)]
struct Heard {
    rank: usize,
    /// Calls of each rank, and the ticks since it told them.
    of: Vec<(u64, u32)>,
    /// Ticks that this rank has waited in the same call for.
    waited: u32,
}

/// Ticks in the longest wait.
const TICKS: u32 = 4;

/// Who holds up the others.
#[derive(Debug, PartialEq, Eq)]
enum Culprit {
    /// Nothing was heard of it for long.
    Silent(usize),
    /// It is alive and does not come to the call.
    Behind(usize),
    /// All are in the call.
    Nobody,
}

impl Heard {
    fn new(rank: usize, size: usize) -> Self {
        Self {
            rank,
            of: vec![(0, 0); size],
            waited: 0,
        }
    }

    fn tell(&mut self, rank: usize, calls: u64) {
        if let Some(of) = self.of.get_mut(rank) {
            *of = (calls, 0);
        }
    }

    /// A tick after which this rank is at `calls`; who holds it up, when it has waited for too long.
    fn tick(&mut self, calls: u64) -> Option<Culprit> {
        let before = std::mem::replace(&mut self.of[self.rank], (calls, 0)).0;
        let is_inside = calls % 2 == 1;
        self.waited = if is_inside && before == calls {
            self.waited + 1
        } else {
            0
        };
        let others = (0..self.of.len()).filter(|rank| *rank != self.rank);
        others.clone().for_each(|rank| self.of[rank].1 += 1);
        if self.waited < TICKS {
            return None;
        }
        let silent = others
            .clone()
            .find(|rank| self.of[*rank].1 >= TICKS - 1)
            .map(Culprit::Silent);
        let behind = || {
            others
                .clone()
                .find(|rank| self.of[*rank].0 < calls)
                .map(Culprit::Behind)
        };
        Some(silent.or_else(behind).unwrap_or(Culprit::Nobody))
    }
}

/// A thread that watches the other ranks.
pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches over a communicator of its own, until the value is dropped.
    pub(crate) fn start(ranks: Communicator, calls: Calls, patience: Duration) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || watch(&ranks, &calls, patience, &seen));
        Self {
            is_over,
            thread: Some(thread),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[allow(clippy::print_stderr, reason = "the program waits elsewhere and cannot say it")]
fn watch(ranks: &Communicator, calls: &Calls, patience: Duration, is_over: &AtomicBool) {
    let (rank, size) = (ranks.rank(), ranks.size());
    let mut heard = Heard::new(rank as usize, size as usize);
    loop {
        // A pause that was cut short would only be an early tick.
        std::thread::park_timeout(patience / TICKS);
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let now = calls.now();
        if exchange(ranks, now, &mut heard).is_err() {
            // MPI is ending, or the network is broken, of which the calls themselves tell.
            return;
        }
        if let Some(culprit) = heard.tick(now) {
            let seconds = patience.as_secs_f64();
            match culprit {
                Culprit::Silent(of) => eprintln!(
                    "rank {of} of {size} has not been heard of for {seconds} s: it hangs, or its machine is gone"
                ),
                Culprit::Behind(of) => {
                    eprintln!("rank {of} of {size} has kept the others waiting for {seconds} s: it hangs")
                }
                Culprit::Nobody => {
                    eprintln!("the {size} ranks have waited for each other for {seconds} s: the network hangs")
                }
            }
            eprintln!("rank {rank} ends the run; the same command goes on from the last checkpoint");
            ranks.abort(75);
        }
    }
}

/// Tells the others and hears them. A few bytes are sent without waiting for who receives them.
fn exchange(ranks: &Communicator, now: u64, heard: &mut Heard) -> ferrompi::Result<()> {
    for other in (0..ranks.size()).filter(|other| *other != ranks.rank()) {
        ranks.send(&[now], other, 0)?;
    }
    while let Some(status) = ranks.iprobe::<u64>(Source::Any, Tag::Any)? {
        let mut calls = [0];
        ranks.recv(&mut calls, status.source, status.tag)?;
        if let Source::Rank(other) = status.source {
            heard.tell(other as usize, calls[0]);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What rank 0 of 3 sees in so many ticks in call 7, while ranks 1 and 2 tell `calls` until the tick they fall silent at.
    fn seen(ticks: u32, calls: [u64; 2], silent_from: [u32; 2]) -> Option<Culprit> {
        let mut heard = Heard::new(0, 3);
        let mut last = None;
        for tick in 0..=ticks {
            for (other, (calls, from)) in calls.into_iter().zip(silent_from).enumerate() {
                if tick < from {
                    heard.tell(other + 1, calls);
                }
            }
            last = heard.tick(7);
        }
        last
    }

    #[test]
    fn who_holds_up_the_others_is_found_after_the_longest_wait_and_not_before() {
        const NEVER: u32 = u32::MAX;
        assert_eq!(seen(TICKS - 1, [7, 6], [NEVER, 1]), None);
        assert_eq!(seen(TICKS, [7, 6], [NEVER, NEVER]), Some(Culprit::Behind(2)));
        assert_eq!(seen(TICKS, [7, 7], [1, NEVER]), Some(Culprit::Silent(1)));
        // Who is silent comes first: who is behind may wait for it.
        assert_eq!(seen(TICKS, [6, 7], [NEVER, 1]), Some(Culprit::Silent(2)));
        assert_eq!(seen(TICKS, [7, 7], [NEVER, NEVER]), Some(Culprit::Nobody));
    }

    #[test]
    fn whoever_computes_or_moves_on_does_not_wait() {
        let mut heard = Heard::new(0, 2);
        for call in 0..50 {
            assert_eq!(heard.tick(2 * call + 1), None);
        }
        for _ in 0..50 {
            assert_eq!(heard.tick(100), None);
        }
    }

    #[test]
    fn a_call_counts_when_it_begins_and_when_it_ends() {
        let calls = Calls::default();
        {
            let _inside = calls.enter();
            assert_eq!(calls.now(), 1);
        }
        assert_eq!(calls.now(), 2);
    }
}
