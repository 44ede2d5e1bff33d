//! The directory of a zip archive whose entries are stored as they are, which is how `torch.save` writes one.

use std::collections::HashMap;
use std::ops::Range;

use crate::names::printable;
use crate::strict::MAX_ENTRIES;

const END: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const END64: &[u8] = b"PK\x06\x06";
const LOCATOR64: &[u8] = b"PK\x06\x07";
const ENTRY: &[u8] = b"PK\x01\x02";
const ENTRY_BYTES: usize = 46;
const LOCAL: &[u8] = b"PK\x03\x04";
const LOCAL_BYTES: usize = 30;
/// The longest comment behind the end.
const MAX_COMMENT: usize = 0xffff;
/// Says that the number is in the extra field.
const ELSEWHERE: u32 = u32::MAX;

/// Little-endian numbers of some bytes; nothing where there are too few.
fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<u64> {
    let mut number = [0; 8];
    number[..N].copy_from_slice(bytes.get(at..at.checked_add(N)?)?);
    Some(u64::from_le_bytes(number))
}

/// The entries of an archive: where the content of each lies.
pub(super) fn entries(archive: &[u8]) -> Result<HashMap<String, Range<usize>>, String> {
    let (begin, count) = directory(archive).ok_or("the archive has no directory at its end; it may be cut off")?;
    if count > MAX_ENTRIES as u64 {
        return Err(format!("an archive of {count} entries, at most {MAX_ENTRIES} are read"));
    }
    let mut entries = HashMap::new();
    let mut at = usize::try_from(begin).unwrap_or(usize::MAX);
    for index in 0..count {
        let entry = entry(archive, at).ok_or_else(|| format!("entry {index} of the archive's directory is damaged"))?;
        if entry.is_encrypted || entry.method != 0 {
            let name = printable(&entry.name);
            return Err(format!(
                "entry `{name}` is compressed or encrypted; torch.save writes neither"
            ));
        }
        let name = printable(&entry.name);
        let content = content(archive, &entry).ok_or_else(|| format!("entry `{name}` lies outside of the file"))?;
        at = entry.next;
        if entries.insert(entry.name, content).is_some() {
            return Err(format!("entry `{name}` occurs twice"));
        }
    }
    Ok(entries)
}

/// Where the directory begins, and how many entries it has.
fn directory(archive: &[u8]) -> Option<(u64, u64)> {
    let last = archive.len().checked_sub(END_BYTES)?;
    let first = last.saturating_sub(MAX_COMMENT);
    let end = (first..=last).rev().find(|at| archive[*at..].starts_with(END))?;
    let (count, begin) = (number::<2>(archive, end + 10)?, number::<4>(archive, end + 16)?);
    let locator = end.checked_sub(20).filter(|at| archive[*at..].starts_with(LOCATOR64));
    let Some(locator) = locator else {
        return Some((begin, count));
    };
    let end64 = usize::try_from(number::<8>(archive, locator + 8)?).ok()?;
    archive.get(end64..)?.starts_with(END64).then_some(())?;
    Some((
        number::<8>(archive, end64.checked_add(48)?)?,
        number::<8>(archive, end64 + 32)?,
    ))
}

struct Entry {
    name: String,
    method: u64,
    is_encrypted: bool,
    bytes: u64,
    local: u64,
    next: usize,
}

fn entry(archive: &[u8], at: usize) -> Option<Entry> {
    archive.get(at..)?.starts_with(ENTRY).then_some(())?;
    let short = |offset| number::<2>(archive, at + offset);
    let [name, extra, comment] = [short(28)?, short(30)?, short(32)?].map(|length| length as usize);
    let names = at + ENTRY_BYTES;
    let name_bytes = archive.get(names..names + name)?;
    let extras = archive.get(names + name..names + name + extra)?;
    let [packed, bytes, local] = [20, 24, 42].map(|offset| number::<4>(archive, at + offset));
    let mut wide = wide_numbers(extras);
    // In this order, and only those that do not fit.
    let mut resolve = |number: u64| match number == u64::from(ELSEWHERE) {
        true => wide.next(),
        false => Some(number),
    };
    let bytes = resolve(bytes?)?;
    resolve(packed?)?;
    Some(Entry {
        name: String::from_utf8(name_bytes.to_vec()).ok()?,
        method: short(10)?,
        is_encrypted: short(8)? & 1 == 1,
        bytes,
        local: resolve(local?)?,
        next: names + name + extra + comment,
    })
}

/// The numbers of 64 bits in an entry's extra fields.
fn wide_numbers(extras: &[u8]) -> impl Iterator<Item = u64> + '_ {
    let mut at = 0;
    let mut found: &[u8] = &[];
    while let (Some(kind), Some(length)) = (number::<2>(extras, at), number::<2>(extras, at + 2)) {
        let field = extras.get(at + 4..at + 4 + length as usize).unwrap_or_default();
        if kind == 1 {
            found = field;
        }
        at += 4 + length as usize;
    }
    found
        .as_chunks::<8>()
        .0
        .iter()
        .map(|number| u64::from_le_bytes(*number))
}

fn content(archive: &[u8], entry: &Entry) -> Option<Range<usize>> {
    let local = usize::try_from(entry.local).ok()?;
    archive.get(local..)?.starts_with(LOCAL).then_some(())?;
    let [name, extra] = [number::<2>(archive, local + 26)?, number::<2>(archive, local + 28)?];
    let begin = local + LOCAL_BYTES + name as usize + extra as usize;
    let end = begin.checked_add(usize::try_from(entry.bytes).ok()?)?;
    (end <= archive.len()).then_some(begin..end)
}
