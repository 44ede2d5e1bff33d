//! TensorBoard event files with scalars, without TensorFlow and without `protoc`.
//!
//! The existing crates either need `protoc` on the machine or carry much more than scalars; the part of the format
//! that scalars need is small and has not changed in years.

mod event;
mod frame;

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::{Error, Record, Result};
use event::What;

/// Writes one event file in a folder that TensorBoard watches.
///
/// ```
/// # fn main() -> Result<(), ligo_metrics::Error> {
/// # let folder = tempfile::tempdir().unwrap();
/// let mut events = ligo_metrics::TensorBoardWriter::create(folder.path(), 0)?;
/// events.scalar("train/loss", 1, 9.21)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct TensorBoardWriter {
    path: PathBuf,
    file: File,
}

impl TensorBoardWriter {
    /// Opens a new event file in `folder` for a run that stands at `step` (0: a new run).
    ///
    /// A resumed run writes a file of its own; its first event tells readers to forget what older files say of
    /// later steps.
    ///
    /// # Errors
    /// [`Error::Io`] when the folder or file cannot be made.
    pub fn create(folder: impl AsRef<Path>, step: u64) -> Result<Self> {
        let folder = folder.as_ref();
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let (path, file) = new_file(folder)?;
        let mut writer = Self { path, file };
        writer.put(0, &What::FileVersion)?;
        if step > 0 {
            writer.put(step + 1, &What::Start)?;
        }
        Ok(writer)
    }

    /// Adds one point to the curve `tag`.
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn scalar(&mut self, tag: &str, step: u64, value: f64) -> Result<()> {
        self.put(
            step,
            &What::Scalar {
                tag,
                value: value as f32,
            },
        )
    }

    /// Adds the numbers of a metrics record (an event has none).
    ///
    /// # Errors
    /// [`Error::Io`] when the disk refuses.
    pub fn record(&mut self, record: &Record) -> Result<()> {
        match record {
            Record::Train(train) => {
                self.scalar("train/loss", train.step, train.loss)?;
                self.scalar("train/lr", train.step, train.lr)?;
                self.scalar("train/grad_norm", train.step, train.grad_norm)?;
                self.scalar("train/tokens_per_second", train.step, train.tokens_per_second)
            }
            Record::Eval(eval) => {
                self.scalar("valid/loss", eval.step, eval.loss)?;
                self.scalar("cost/flops_exact", eval.step, eval.cost.flops.exact)?;
                self.scalar("cost/flops_electra", eval.step, eval.cost.flops.electra)?;
                self.scalar("cost/seconds", eval.step, eval.cost.seconds)
            }
            Record::Event(_) => Ok(()),
        }
    }

    /// The file that is written.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn put(&mut self, step: u64, what: &What<'_>) -> Result<()> {
        let wall_time = now().as_secs_f64();
        let record = frame::frame(&event::encode(wall_time, step, what));
        self.file.write_all(&record).map_err(Error::io("write", &self.path))
    }
}

/// A file whose name no other run has, and whose names sort by time: TensorBoard reads them in that order.
fn new_file(folder: &Path) -> Result<(PathBuf, File)> {
    let seconds = now().as_secs();
    let mut count = 0;
    loop {
        let name = format!("events.out.tfevents.{seconds:010}.ligo.{}.{count}", std::process::id());
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => count += 1,
            Err(source) => {
                return Err(Error::Io {
                    action: "create",
                    path,
                    source,
                });
            }
        }
    }
}

fn now() -> std::time::Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
