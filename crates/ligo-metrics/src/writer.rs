//! Writing `metrics.jsonl`.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::reader::complete_lines;
use crate::{Error, EventRecord, Record, Result};

/// Appends records to a metrics file, one write a line.
///
/// Steps of `train` and `eval` records strictly increase, those of all records never go back; the writer refuses
/// anything else, so that a reader can rely on it.
#[derive(Debug)]
pub struct MetricsWriter {
    path: PathBuf,
    file: File,
    /// Bytes of complete lines.
    length: u64,
    last: Last,
    /// The line that a resume was cut at because it is no record.
    damaged: Option<usize>,
}

/// The last step of each kind.
#[derive(Debug, Default)]
struct Last {
    any: Option<u64>,
    train: Option<u64>,
    eval: Option<u64>,
}

impl MetricsWriter {
    /// Starts a new file; one that exists is emptied.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be made.
    pub fn create(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::create(path).map_err(Error::io("create", path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file,
            length: 0,
            last: Last::default(),
            damaged: None,
        })
    }

    /// Continues a file after `step`: every record of a later step, and a torn last line, are cut off. So is all from the first line on
    /// that is no record, which [`Self::damaged`] then names: a run is in its checkpoints, and must not be held up by its log.
    /// A file that does not exist is started.
    ///
    /// # Errors
    /// [`Error::Io`] when the file cannot be opened or cut.
    pub fn resume(path: impl AsRef<Path>, step: u64) -> Result<Self> {
        let path = path.as_ref();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(Error::io("open", path))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::io("read", path))?;
        let mut writer = Self {
            path: path.to_path_buf(),
            file,
            length: 0,
            last: Last::default(),
            damaged: None,
        };
        for line in complete_lines(path, &bytes) {
            let line = match line {
                Ok(line) => line,
                Err(Error::BadRecord { line, .. }) => {
                    writer.damaged = Some(line);
                    break;
                }
                Err(other) => return Err(other),
            };
            if line.record.step() > step {
                break;
            }
            writer.last.note(&line.record);
            writer.length = line.end;
        }
        writer.cut().map_err(Error::io("shorten", path))?;
        Ok(writer)
    }

    /// The line, from 1, that a resumed file was cut at because it is no record.
    #[must_use]
    pub fn damaged(&self) -> Option<usize> {
        self.damaged
    }

    /// Appends one record. After an error the file holds complete lines only, as before the call.
    ///
    /// # Errors
    /// [`Error::StepOrder`] when the step does not follow the last one, [`Error::Io`] when the disk refuses.
    pub fn write(&mut self, record: impl Into<Record>) -> Result<()> {
        let record = record.into();
        self.check_order(&record)?;
        let mut line = serde_json::to_vec(&record).map_err(|source| Error::Encode {
            what: "a record",
            source,
        })?;
        line.push(b'\n');
        if let Err(source) = self.file.write_all(&line) {
            // Half a line followed by a whole one would spoil both; what cannot be cut now is cut on resume.
            let _ = self.cut();
            return Err(Error::Io {
                action: "write",
                path: self.path.clone(),
                source,
            });
        }
        self.length += line.len() as u64;
        self.last.note(&record);
        Ok(())
    }

    /// Appends an [`EventRecord`].
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn event(&mut self, step: u64, kind: &str, message: impl Into<String>) -> Result<()> {
        self.write(EventRecord {
            step,
            kind: kind.to_string(),
            message: message.into(),
        })
    }

    /// Makes sure that what was written survives a power cut; call it before a checkpoint is committed.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn sync(&mut self) -> Result<()> {
        self.file.sync_data().map_err(Error::io("write", &self.path))
    }

    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn cut(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length)).map(drop)
    }

    fn check_order(&self, record: &Record) -> Result<()> {
        let found = record.step();
        let strictly_after = match record {
            Record::Train(_) => self.last.train,
            Record::Eval(_) => self.last.eval,
            Record::Event(_) => None,
        };
        match (self.last.any, strictly_after) {
            (_, Some(last)) if found <= last => Err(self.order(record, last)),
            (Some(last), _) if found < last => Err(self.order(record, last)),
            _ => Ok(()),
        }
    }

    fn order(&self, record: &Record, last: u64) -> Error {
        Error::StepOrder {
            path: self.path.clone(),
            kind: record.kind(),
            last,
            found: record.step(),
        }
    }
}

impl Last {
    fn note(&mut self, record: &Record) {
        let step = Some(record.step());
        self.any = step;
        match record {
            Record::Train(_) => self.train = step,
            Record::Eval(_) => self.eval = step,
            Record::Event(_) => {}
        }
    }
}
