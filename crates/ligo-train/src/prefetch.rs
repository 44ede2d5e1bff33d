use std::cell::RefCell;
use std::ops::Range;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::Scope;

use ligo_data::Cursor;

use crate::step::StepBatches;
use crate::{BatchSource, TrainConfig};

/// Makes the batches of the next step while this one computes. What comes out is what [`StepBatches::at`] gives.
pub(crate) struct Prefetch<'a> {
    config: &'a TrainConfig,
    source: &'a dyn BatchSource,
    /// Micro-steps of this rank.
    share: Range<usize>,
    requests: Sender<Cursor>,
    made: Receiver<Result<StepBatches, ligo_data::Error>>,
    /// Where the batches begin that were asked for and not taken yet.
    pending: RefCell<Option<Cursor>>,
}

impl<'a> Prefetch<'a> {
    /// A thread that ends with the value.
    pub(crate) fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        config: &'a TrainConfig,
        source: &'a dyn BatchSource,
        share: Range<usize>,
    ) -> Self
    where
        'a: 'scope,
    {
        let (requests, asked) = mpsc::channel();
        let (give, made) = mpsc::channel();
        let mine = share.clone();
        scope.spawn(move || {
            for cursor in asked {
                if give.send(StepBatches::at(config, source, cursor, &mine)).is_err() {
                    return;
                }
            }
        });
        Self {
            config,
            source,
            share,
            requests,
            made,
            pending: RefCell::new(None),
        }
    }

    /// Lets the batches of the step at a cursor be made.
    pub(crate) fn request(&self, cursor: Cursor) {
        if self.pending.borrow().is_none() && self.requests.send(cursor).is_ok() {
            self.pending.replace(Some(cursor));
        }
    }

    /// The batches of the step at a cursor: those that were made ahead, or else made now.
    pub(crate) fn take(&self, cursor: Cursor) -> Result<StepBatches, ligo_data::Error> {
        if let Some(ahead) = self.pending.take()
            && let Ok(made) = self.made.recv()
            && ahead == cursor
        {
            return made;
        }
        StepBatches::at(self.config, self.source, cursor, &self.share)
    }
}
