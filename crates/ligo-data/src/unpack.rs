//! Unpacking: plain, gzip and Zstandard files behind one `Read`.

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

/// All members of a gzip file, one after another. Zeros behind a member are nothing, as `gzip` and Python's `gzip` have it: tapes and some
/// file systems fill files up with them.
struct Gzip<R> {
    /// Between two members.
    source: Option<R>,
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Gzip<R> {
    fn new(source: R) -> Self {
        Self {
            source: None,
            // The first one must be there.
            member: Some(GzDecoder::new(source)),
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
        let goes_on = !source.fill_buf()?.is_empty();
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
                let count = member.read(buffer)?;
                if count > 0 {
                    return Ok(count);
                }
                self.source = self.member.take().map(GzDecoder::into_inner);
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
}

impl<R: BufRead> Zstd<R> {
    fn new(source: R) -> Self {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_ZSTD_WINDOW_BYTES);
        Self {
            source,
            decoder,
            in_frame: false,
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
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
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
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            }
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            }
            if let Some(stored) = self.decoder.get_checksum_from_data()
                && self.decoder.get_calculated_checksum() != Some(stored)
            {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the checksum of a Zstandard frame does not match",
                ));
            }
            self.in_frame = false;
        }
    }
}
