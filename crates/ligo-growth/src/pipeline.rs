//! Tensors made on all cores, and at the same time written, hashed and forced to the disk.
//!
//! One thread writes, in the order of the files. Others make the blocks before they are due, one takes the hashes of what was written, and one forces files to
//! the disk while the next is written.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use ligo_checkpoint::{AtomicDir, DiskFile, Dtype, FileEntry, FileHasher, Flusher, ModelDir, ModelWriter, Progress};

use crate::Error;
use crate::recipe::Recipe;

/// Bytes of a block; a row that is longer is a block of its own.
const BLOCK_BYTES: usize = 1 << 20;
/// Bytes after which a file's content begins to be forced to the disk.
const FLUSH_BYTES: usize = 64 << 20;

/// A tensor that is to be written.
pub(crate) struct Order<'a> {
    pub name: &'a str,
    pub dtype: Dtype,
    pub elements: usize,
    pub recipe: Recipe<'a>,
    /// Whether values that are no numbers are refused.
    pub finite: bool,
    /// What it is made of, whose memory is given back when it is written.
    pub sources: Vec<String>,
    pub source: &'a ModelDir,
    /// The directory that is written, for errors.
    pub target: &'a Path,
}

/// Bytes that are written.
enum Block<'a> {
    Stored(&'a [u8]),
    Made(Vec<u8>),
}

impl Block<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Block::Stored(bytes) => bytes,
            Block::Made(bytes) => bytes,
        }
    }
}

/// A block that is to be made, and whom to give it.
struct Job<'a> {
    order: Arc<Order<'a>>,
    elements: Range<usize>,
    reply: SyncSender<Result<Vec<u8>, Error>>,
}

/// A block that is made already or will be.
enum Due<'a> {
    Now(&'a [u8]),
    Later(Receiver<Result<Vec<u8>, Error>>),
}

impl Order<'_> {
    fn block(&self, elements: Range<usize>) -> Result<Vec<u8>, Error> {
        let values = self.recipe.values(elements.clone());
        if self.finite && !values.iter().fold(true, |all, value| all & value.is_finite()) {
            return Err(Error::MapNotFinite { name: self.name.into() });
        }
        let mut bytes = Vec::with_capacity(values.len() * self.dtype.bits() / 8);
        let encoded = self.dtype.encode_into(&values, &mut bytes);
        encoded.map_err(|fault| fault.of_tensor(self.target, self.name, self.dtype, elements.start))?;
        Ok(bytes)
    }
}

/// What was written.
enum Event<'a> {
    Begin(Vec<u8>),
    Bytes(Block<'a>),
    /// A file is whole. Its hash counts when it was written in its order.
    End(String, DiskFile, bool),
}

/// What is to be forced to the disk.
enum Closing {
    Begun(Flusher),
    Whole(String, DiskFile, Option<FileEntry>),
}

/// Writes tensors; dropped, it waits for what is under way.
pub(crate) struct Pipeline<'a, 'w, 'd, 'p> {
    writer: &'w mut ModelWriter<'d>,
    /// Told how many tensors more are written; false stops.
    written: &'p mut dyn FnMut(usize) -> bool,
    jobs: Sender<Job<'a>>,
    events: SyncSender<Event<'a>>,
    flushes: Sender<Closing>,
    state: &'w State,
    due: VecDeque<(Arc<Order<'a>>, Due<'a>, bool)>,
    window: usize,
    unflushed: usize,
    in_order: bool,
}

/// What the threads tell each other.
#[derive(Default)]
struct State {
    flushing: AtomicBool,
    failed: AtomicBool,
}

/// Runs `work` with a pipeline into `dir`; each file that is whole is vouched for and noted in `done`.
pub(crate) fn run<'a, R>(
    dir: &AtomicDir,
    writer: &mut ModelWriter<'_>,
    done: Option<&mut Progress>,
    written: &mut dyn FnMut(usize) -> bool,
    work: impl FnOnce(&mut Pipeline<'a, '_, '_, '_>) -> Result<R, Error>,
) -> Result<R, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let state = State::default();
    let (jobs, queue) = channel::<Job<'a>>();
    let (events, hashed) = sync_channel::<Event<'a>>(2 * threads);
    let (flushes, closing) = channel();
    let queue = Mutex::new(queue);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| make_blocks(&queue));
        }
        let whole = flushes.clone();
        scope.spawn(move || take_hashes(&hashed, &whole));
        let told = &state;
        let closer = scope.spawn(move || close_files(&closing, dir, done, told));
        let mut pipeline = Pipeline {
            writer,
            written,
            jobs,
            events,
            flushes,
            state: &state,
            due: VecDeque::new(),
            window: 4 * threads,
            unflushed: 0,
            in_order: false,
        };
        let result = work(&mut pipeline);
        drop(pipeline);
        // A panic is passed on by the scope.
        let closed = closer.join().unwrap_or(Ok(()));
        closed?;
        result
    })
}

fn make_blocks(queue: &Mutex<Receiver<Job<'_>>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { order, elements, reply }) = job else {
            return;
        };
        // Nobody waits for it any more where writing has failed.
        let _ = reply.send(order.block(elements));
    }
}

fn take_hashes(written: &Receiver<Event<'_>>, whole: &Sender<Closing>) {
    let mut hasher = FileHasher::default();
    for event in written {
        match event {
            Event::Begin(head) => {
                hasher = FileHasher::default();
                hasher.update(&head);
            }
            Event::Bytes(block) => hasher.update(block.bytes()),
            Event::End(name, file, in_order) => {
                let entry = std::mem::take(&mut hasher).finish();
                let _ = whole.send(Closing::Whole(name, file, in_order.then_some(entry)));
            }
        }
    }
}

fn close_files(
    closing: &Receiver<Closing>,
    dir: &AtomicDir,
    mut done: Option<&mut Progress>,
    state: &State,
) -> Result<(), Error> {
    let mut close = |closing| -> Result<(), Error> {
        match closing {
            Closing::Begun(flusher) => {
                flusher.flush()?;
                state.flushing.store(false, Ordering::Relaxed);
            }
            Closing::Whole(name, file, entry) => {
                let path = file.path().to_path_buf();
                file.finish()?;
                let entry = match entry {
                    Some(entry) => entry,
                    None => FileEntry::of(&path)?,
                };
                dir.vouch(&name, entry.clone());
                if let Some(done) = &mut done {
                    done.add_entry(dir, &name, entry)?;
                }
            }
        }
        Ok(())
    };
    let closed = closing.iter().try_for_each(&mut close);
    state.failed.store(closed.is_err(), Ordering::Relaxed);
    closed
}

impl<'a> Pipeline<'a, '_, '_, '_> {
    /// Adds a tensor behind those that were added before.
    pub(crate) fn add(&mut self, order: Order<'a>) -> Result<(), Error> {
        let order = Arc::new(order);
        if let Recipe::Copy(bytes) = order.recipe {
            let blocks = bytes.chunks(BLOCK_BYTES).map(Due::Now).collect();
            return self.add_blocks(&order, blocks);
        }
        let step = order.recipe.step();
        let rows = (BLOCK_BYTES / (order.dtype.bits() / 8).max(1) / step).max(1);
        for begin in (0..order.elements).step_by(rows * step) {
            let end = (begin + rows * step).min(order.elements);
            let (reply, block) = sync_channel(1);
            // Makers live as long as this end of their queue.
            let _ = self.jobs.send(Job {
                order: Arc::clone(&order),
                elements: begin..end,
                reply,
            });
            self.push(&order, Due::Later(block), end == order.elements)?;
        }
        match order.elements {
            0 => self.add_blocks(&order, Vec::new()),
            _ => Ok(()),
        }
    }

    fn add_blocks(&mut self, order: &Arc<Order<'a>>, blocks: Vec<Due<'a>>) -> Result<(), Error> {
        let count = blocks.len();
        if count == 0 {
            return self.push(order, Due::Now(&[]), true);
        }
        let mut numbered = blocks.into_iter().enumerate();
        numbered.try_for_each(|(number, block)| self.push(order, block, number + 1 == count))
    }

    fn push(&mut self, order: &Arc<Order<'a>>, block: Due<'a>, is_last: bool) -> Result<(), Error> {
        self.due.push_back((Arc::clone(order), block, is_last));
        while self.due.len() > self.window {
            self.write_next()?;
        }
        Ok(())
    }

    /// Writes all that was added.
    pub(crate) fn drain(&mut self) -> Result<(), Error> {
        while !self.due.is_empty() {
            self.write_next()?;
        }
        Ok(())
    }

    /// Passes over the tensors of the next file, which is complete; returns how many they are.
    pub(crate) fn skip_file(&mut self) -> Result<usize, Error> {
        self.drain()?;
        let skipped = self.writer.skip_file();
        self.tell(skipped)?;
        Ok(skipped)
    }

    fn write_next(&mut self) -> Result<(), Error> {
        let Some((order, due, is_last)) = self.due.pop_front() else {
            return Ok(());
        };
        let block = match due {
            Due::Now(bytes) => Block::Stored(bytes),
            // The other end is gone where a thread has panicked, which the scope passes on.
            Due::Later(block) => Block::Made(block.recv().map_err(|_| Error::Interrupted)??),
        };
        if self.state.failed.load(Ordering::Relaxed) {
            // The fault itself is what the thread returns that forces files to the disk.
            return Err(Error::Interrupted);
        }
        if self.writer.open_file().is_none()
            && let Some((head, in_order)) = self.writer.next_head()
        {
            self.in_order = in_order;
            let _ = self.events.send(Event::Begin(head.to_vec()));
        }
        self.writer.append(order.name, block.bytes())?;
        self.flush(block.bytes().len())?;
        let _ = self.events.send(Event::Bytes(block));
        if is_last {
            self.end_tensor(&order)?;
        }
        Ok(())
    }

    /// Lets the disk begin: forcing a whole file to it at once would be waited for.
    fn flush(&mut self, written: usize) -> Result<(), Error> {
        self.unflushed += written;
        if self.unflushed >= FLUSH_BYTES && !self.state.flushing.swap(true, Ordering::Relaxed) {
            let flusher = self.writer.open_file().map(DiskFile::flusher).transpose()?;
            flusher.into_iter().for_each(|flusher| {
                let _ = self.flushes.send(Closing::Begun(flusher));
            });
            self.unflushed = 0;
        }
        Ok(())
    }

    fn end_tensor(&mut self, order: &Order<'a>) -> Result<(), Error> {
        self.writer.complete(order.name)?;
        order.sources.iter().for_each(|name| order.source.release(name));
        if let Some((name, file)) = self.writer.take_complete() {
            let _ = self.events.send(Event::End(name, file, self.in_order));
        }
        self.tell(1)
    }

    fn tell(&mut self, tensors: usize) -> Result<(), Error> {
        match (self.written)(tensors) {
            true => Ok(()),
            false => Err(Error::Interrupted),
        }
    }
}
