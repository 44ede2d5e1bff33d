//! JPEG and PNG files to pictures.
//!
//! A damaged file is refused, not shown as far as it goes: half a picture with a gray rest would be trained on unnoticed.

use std::io::Cursor;

use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::image::Image;

/// The longest side that is decoded; a header of some bytes may ask for gigabytes.
const MAX_SIDE: usize = 16_384;

/// Decodes a JPEG or PNG file, told apart by its first bytes. Transparency is dropped and EXIF rotation ignored, as torchvision's loader does.
///
/// # Errors
/// The reason in words.
pub(super) fn decode(bytes: &[u8]) -> Result<Image, String> {
    if bytes.starts_with(&[0xff, 0xd8]) {
        jpeg(bytes)
    } else if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        png(bytes)
    } else {
        let start: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Err(format!(
            "neither JPEG nor PNG; it has {} bytes and begins with [{}]",
            bytes.len(),
            start.join(" ")
        ))
    }
}

fn jpeg(bytes: &[u8]) -> Result<Image, String> {
    // The decoder does not miss the end of the last row of blocks. In entropy-coded data 0xff is followed by 0 or a restart marker, so the last
    // start of a scan found this way is the real one; thumbnails lie before it.
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    let (scan, end) = (last(0xda), last(0xd9));
    if end.is_none() || end < scan {
        return Err("no end-of-image marker: the file is cut off".to_owned());
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(MAX_SIDE)
        .set_max_height(MAX_SIDE);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| error.to_string())?;
    let gray = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (colorspace, channels) = if gray {
        (ColorSpace::Luma, 1)
    } else {
        (ColorSpace::RGB, 3)
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colorspace));
    let pixels = decoder.decode().map_err(|error| error.to_string())?;
    let (width, height) = decoder.dimensions().ok_or("no dimensions")?;
    Image::new(height, width, channels, pixels).map_err(|error| error.to_string())
}

fn png(bytes: &[u8]) -> Result<Image, String> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| error.to_string())?;
    let (width, height) = reader.info().size();
    let (width, height) = (width as usize, height as usize);
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(format!(
            "{width}×{height} pixels; at most {MAX_SIDE} on a side are read"
        ));
    }
    let size = reader.output_buffer_size().ok_or("too large for this machine")?;
    let mut buffer = vec![0; size];
    let frame = reader.next_frame(&mut buffer).map_err(|error| error.to_string())?;
    buffer.truncate(frame.buffer_size());
    reader.finish().map_err(|error| error.to_string())?;
    let (channels, stride) = match frame.color_type {
        png::ColorType::Grayscale => (1, 1),
        png::ColorType::GrayscaleAlpha => (1, 2),
        png::ColorType::Rgb => (3, 3),
        png::ColorType::Rgba => (3, 4),
        png::ColorType::Indexed => return Err("the palette was not resolved".to_owned()),
    };
    let pixels = if channels == stride {
        buffer
    } else {
        let opaque = buffer.chunks_exact(stride).flat_map(|pixel| &pixel[..channels]);
        opaque.copied().collect()
    };
    Image::new(height, width, channels, pixels).map_err(|error| error.to_string())
}
