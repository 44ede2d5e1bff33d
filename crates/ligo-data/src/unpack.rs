//! Unpacking: plain, gzip and Zstandard files behind one `Read`.

use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use crate::{Packing, Result, input};

/// `zstd --long` makes windows of 128 MiB; larger ones would let a small file ask for any amount of memory.
const MAX_ZSTD_WINDOW_BYTES: u64 = 128 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// The first byte of every member of a gzip file.
const GZIP_BEGINS: u8 = 0x1f;

/// Opens a file and unpacks it. `bytes_read` is increased by the bytes taken from disk.
pub(crate) fn open(path: &Path, packing: Packing, bytes_read: Arc<AtomicU64>) -> Result<Box<dyn BufRead + Send>> {
    let file = input::open(path)?;
    let source = BufReader::with_capacity(BUFFER_BYTES, Counted { file, bytes_read });
    Ok(match packing {
        Packing::Plain => Box::new(source),
        Packing::Gzip => Box::new(BufReader::with_capacity(BUFFER_BYTES, Gzip::new(source))),
        Packing::Zstd => Box::new(BufReader::with_capacity(BUFFER_BYTES, Zstd::new(source))),
    })
}

struct Counted {
    file: File,
    bytes_read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

fn invalid(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}

/// The file ends in the middle of something packed.
fn cut_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file is cut off: what is packed in it does not end; copy or download it again",
    )
}

/// The bytes that come next are not packed in this way, behind so many pieces that are.
fn no_packing(packing: &str, pieces: u64) -> io::Error {
    match pieces {
        0 => invalid(format!(
            "its name says that it is packed by {packing}, and its content is not"
        )),
        _ => invalid(format!(
            "what {packing} packed ends before the file does, and something else follows; the file is damaged, or something was appended to it"
        )),
    }
}

fn damaged(packing: &str, error: &dyn Error) -> io::Error {
    invalid(format!(
        "what {packing} packed is damaged: {error}; copy or download the file again"
    ))
}

/// Whether an error comes of a file that ends too early.
fn is_cut(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let found = error.downcast_ref::<io::Error>();
        if found.is_some_and(|found| found.kind() == io::ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// All members of a gzip file, one after another. Zeros behind a member are nothing, as `gzip` and Python's `gzip` have it: tapes and some
/// file systems fill files up with them.
struct Gzip<R> {
    /// Between two members.
    source: Option<R>,
    member: Option<GzDecoder<R>>,
    /// Members that are read.
    members: u64,
}

impl<R: BufRead> Gzip<R> {
    fn new(source: R) -> Self {
        Self {
            source: None,
            // The first one must be there.
            member: Some(GzDecoder::new(source)),
            members: 0,
        }
    }

    /// What an error of the decoder means for the file.
    fn told(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => cut_off(),
            io::ErrorKind::InvalidInput if error.to_string().contains("header") => no_packing("gzip", self.members),
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => damaged("gzip", &error),
            _ => error,
        }
    }

    /// Moves to the next member; false at the end of the file.
    fn next_member(&mut self) -> io::Result<bool> {
        let Some(source) = &mut self.source else {
            return Ok(false);
        };
        loop {
            let waiting = source.fill_buf()?;
            let zeros = waiting.iter().take_while(|&&byte| byte == 0).count();
            if zeros == 0 {
                break;
            }
            source.consume(zeros);
        }
        let next = source.fill_buf()?.first().copied();
        if next.is_some_and(|byte| byte != GZIP_BEGINS) {
            return Err(no_packing("gzip", self.members));
        }
        let goes_on = next.is_some();
        if goes_on {
            self.member = self.source.take().map(GzDecoder::new);
        }
        Ok(goes_on)
    }
}

impl<R: BufRead> Read for Gzip<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(member) = &mut self.member {
                let count = member.read(buffer).map_err(|error| self.told(error))?;
                if count > 0 {
                    return Ok(count);
                }
                self.source = self.member.take().map(GzDecoder::into_inner);
                self.members += 1;
            }
            if !self.next_member()? {
                return Ok(0);
            }
        }
    }
}

/// All frames of a Zstandard file, one after another, with their checksums compared (`ruzstd` leaves both to the caller).
struct Zstd<R> {
    source: R,
    decoder: FrameDecoder,
    in_frame: bool,
    /// Frames that are read.
    frames: u64,
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW_BYTES);
        Self {
            source,
            decoder,
            in_frame: false,
            frames: 0,
        }
    }

    /// Moves to the next data frame; false at the end of the file.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.source.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let length = u64::from(length);
                    let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
                    if skipped < length {
                        return Err(cut_off());
                    }
                }
                Err(error) if is_cut(&error) => return Err(cut_off()),
                Err(FrameDecoderError::ReadFrameHeaderError(_)) => {
                    return Err(no_packing("Zstandard", self.frames));
                }
                Err(error) => return Err(damaged("Zstandard", &error)),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if !self.next_frame()? {
                    return Ok(0);
                }
                self.in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| match is_cut(&error) {
                        true => cut_off(),
                        false => damaged("Zstandard", &error),
                    })?;
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if let Some(stored) = self.decoder.get_checksum_from_data()
                && self.decoder.get_calculated_checksum() != Some(stored)
            {
                return Err(invalid("the checksum of a Zstandard frame does not match"));
            }
            self.in_frame = false;
            self.frames += 1;
        }
    }
}
