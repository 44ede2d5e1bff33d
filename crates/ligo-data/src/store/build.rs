//! Writing a token store: one thread reads and unpacks, the pool tokenizes, the caller's thread writes.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use super::folder::write_synced;
use super::partial::Partial;
use super::progress::Progress;
use super::read::{PassOutcome, read_batches};
use super::tokens::{STORE_JSON, TOKENS_BIN, TokenStore};
use super::writer::{Place, TokenWriter};
use crate::{Corpus, Error, Note, Result, Tokenizer, Watch};

/// How the work is cut up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Text handed to the pool at once. At most four such pieces exist at a time, which bounds the memory.
    pub batch_bytes: usize,
    /// How often progress is recorded: what a killed build loses at most. Each time the disk is waited for.
    pub record_every: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            batch_bytes: 4 << 20,
            record_every: Duration::from_secs(10),
        }
    }
}

impl TokenStore {
    /// Tokenizes a corpus into a new folder. Documents follow each other with [`crate::SpecialIds::separator`] between them, and each begins
    /// with [`Tokenizer::document_start`] where there is one.
    ///
    /// The folder appears by one rename when everything is written. Until then the store grows in `.partial-NAME` beside it, with a record of
    /// what is safely on the disk: written every ten seconds or so, and when the build ends early, for whatever reason. The next build of the same folder
    /// reads the text up to there again, which is much quicker than tokenizing it, and goes on behind it; the finished store is the same to
    /// the byte. When the text before that place, the tokenizer or this crate's version has changed, or something is damaged, it
    /// begins anew. A [`crate::Note`] says which.
    ///
    /// # Errors
    /// Those of reading and tokenizing; [`Error::MissingSpecialToken`] when there is no separator; [`Error::StoreExists`]; [`Error::StoreBusy`] when
    /// another process builds the same folder; [`Error::EmptyCorpus`] when no document gives a token; [`Error::Interrupted`].
    pub fn build(folder: &Path, corpus: &Corpus, tokenizer: &Tokenizer, watch: Watch<'_>) -> Result<Self> {
        Self::build_at_pace(folder, corpus, tokenizer, Pace::default(), watch)
    }

    pub(super) fn build_at_pace(
        folder: &Path,
        corpus: &Corpus,
        tokenizer: &Tokenizer,
        pace: Pace,
        watch: Watch<'_>,
    ) -> Result<Self> {
        let partial = Partial::claim(folder)?;
        match fill(&partial, folder, corpus, tokenizer, pace, watch) {
            Ok(()) => {
                partial.finish()?;
                Self::open(folder)
            }
            Err(error) => {
                partial.leave();
                Err(error)
            }
        }
    }
}

fn fill(
    partial: &Partial,
    folder: &Path,
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    pace: Pace,
    watch: Watch<'_>,
) -> Result<()> {
    let store = partial.store();
    let writer = TokenWriter::open(&store.join(TOKENS_BIN), folder, tokenizer)?;
    let mut build = Build {
        partial,
        folder,
        corpus,
        tokenizer,
        pace,
        watch,
        writer,
        place: Some(Place::default()),
        recorded: Place::default(),
        recorded_at: Instant::now(),
        continued: None,
    };
    build.go_back()?;
    let place = build.run()?;
    if build.writer.tokens() == 0 {
        partial.forget()?;
        return Err(corpus.empty_error());
    }
    // Whatever fails from here on, nothing is tokenized twice.
    build.record()?;
    let json_path = store.join(STORE_JSON);
    let json = serde_json::to_vec(&build.writer.info(&place)).map_err(|error| Error::BadStore {
        path: json_path.clone(),
        reason: error.to_string(),
    })?;
    write_synced(&json_path, &json)?;
    drop(build);
    if !partial.is_locked() {
        // Nothing kept another process from writing to the same files.
        TokenStore::open(&store)?;
    }
    Ok(())
}

/// One build, from a claimed folder to its last token.
struct Build<'a> {
    partial: &'a Partial,
    folder: &'a Path,
    corpus: &'a Corpus,
    tokenizer: &'a Tokenizer,
    pace: Pace,
    watch: Watch<'a>,
    writer: TokenWriter,
    /// Where the writer is; `None` when it stopped within a piece of text.
    place: Option<Place>,
    /// The place of the record on the disk.
    recorded: Place,
    recorded_at: Instant,
    /// To be said once the text turns out to be the one of the record.
    continued: Option<Note>,
}

impl Build<'_> {
    /// Puts the writer where an earlier build stopped, or at the beginning.
    fn go_back(&mut self) -> Result<()> {
        let new = self.writer.info(&Place::default());
        let found = match Progress::read(&self.partial.progress(), &new)? {
            None => return self.writer.restart(),
            Some(Err(reason)) => Err(reason),
            Some(Ok(progress)) => self.writer.resume(&progress, self.watch)?.map(|()| progress),
        };
        match found {
            Err(reason) => self.begin_anew(reason),
            Ok(Progress { texts, store, .. }) => {
                self.continued = Some(Note::Continued {
                    path: self.folder.to_path_buf(),
                    documents: store.documents,
                    tokens: store.tokens,
                });
                self.recorded = Place {
                    texts,
                    text_bytes: store.text_bytes,
                    corpus_sha256: store.corpus_sha256,
                };
                self.place = Some(self.recorded.clone());
                Ok(())
            }
        }
    }

    fn begin_anew(&mut self, reason: &'static str) -> Result<()> {
        self.watch.note(&Note::BegunAnew {
            path: self.folder.to_path_buf(),
            reason,
        });
        // First, so that the record never speaks of tokens that are gone.
        self.partial.forget()?;
        self.continued = None;
        self.recorded = Place::default();
        self.place = Some(Place::default());
        self.writer.restart()
    }

    /// Tokenizes the rest of the corpus and returns its end.
    fn run(&mut self) -> Result<Place> {
        let ended = match self.pass() {
            Ok(PassOutcome::Changed) => {
                self.begin_anew("the text it was begun with has changed")?;
                self.pass()
            }
            other => other,
        };
        let ended = ended.and_then(|reading| self.watch.check().map(|()| reading));
        match ended {
            Err(error) => {
                // The reason for the end matters more than a record that cannot be written; the one before it still holds.
                let _ = self.record();
                return Err(error);
            }
            Ok(PassOutcome::Whole { without_text: count }) if count > 0 => {
                self.watch.note(&Note::WithoutText { count })
            }
            Ok(_) => {}
        }
        let total = self.corpus.total_bytes();
        self.watch.report(total, total);
        Ok(self.place.clone().unwrap_or_default())
    }

    fn pass(&mut self) -> Result<PassOutcome> {
        let (corpus, done, batch_bytes) = (self.corpus, self.recorded.clone(), self.pace.batch_bytes);
        let total = corpus.total_bytes();
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(2);
            let reader = scope.spawn(move || read_batches(corpus, &done, batch_bytes, &sender));
            let written = (|| {
                for batch in &receiver {
                    self.watch.check()?;
                    // The reader goes no further than the record when the text is another.
                    if batch.place.texts >= self.recorded.texts
                        && let Some(note) = self.continued.take()
                    {
                        self.watch.note(&note);
                    }
                    if !batch.texts.is_empty() {
                        self.write(&batch.texts, batch.place)?;
                    }
                    self.watch.report(batch.bytes_read.min(total), total);
                }
                Ok(())
            })();
            // Without a receiver the reader stops at its next batch.
            drop(receiver);
            let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            written.and(read)
        })
    }

    fn write(&mut self, texts: &[String], behind: Place) -> Result<()> {
        let documents = self.tokenizer.encode_batch(texts)?;
        self.place = None;
        for ids in documents {
            self.writer.document(&ids)?;
        }
        self.place = Some(behind);
        if self.recorded_at.elapsed() >= self.pace.record_every {
            self.record()?;
        }
        Ok(())
    }

    /// Brings the tokens to the disk and then records that they are there.
    fn record(&mut self) -> Result<()> {
        if let Some(place) = self.place.clone().filter(|place| *place != self.recorded) {
            self.writer.sync()?;
            let progress = Progress::new(place.texts, self.writer.info(&place));
            progress.write(&self.partial.progress())?;
            (self.recorded, self.recorded_at) = (place, Instant::now());
        }
        Ok(())
    }
}
