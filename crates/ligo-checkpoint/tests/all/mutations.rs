//! Thousands of damaged files: no panic, no large allocation, every refusal names the file.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{Seek, SeekFrom, Write};
use std::panic::catch_unwind;

use ligo_checkpoint::{Disk, TensorFile, verify};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::SafeTensors;

use crate::support::{raw_file, save_step};

/// Counts what each thread has allocated, so that tests that run beside each other do not disturb the count.
struct Counting;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    NOW.set(NOW.get() + change);
    PEAK.set(PEAK.get().max(NOW.get()));
}

// SAFETY: every call is passed on to the system's allocator; only sizes are counted beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promises are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `pointer` came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most that this thread allocated beyond the start while `act` ran.
fn peak_of<T>(act: impl FnOnce() -> T) -> (T, usize) {
    let before = NOW.get();
    PEAK.set(before);
    let value = act();
    (value, (PEAK.get() - before) as usize)
}

fn small_file() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},"embed.weight":{"dtype":"F32","shape":[4,3],"data_offsets":[0,48]},"half":{"dtype":"BF16","shape":[5],"data_offsets":[48,58]},"scale":{"dtype":"F16","shape":[],"data_offsets":[58,60]},"ids":{"dtype":"U8","shape":[1,2],"data_offsets":[60,62]}}"#;
    raw_file(header, 62)
}

/// One random damage: flipped bits, a cut, an extension, or an edit of the header.
fn damage(rng: &mut ChaCha8Rng, original: &[u8]) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let header = 8..original.len() - 62;
    match rng.random_range(0..7) {
        0 => (0..rng.random_range(1..4)).for_each(|_| {
            let at = rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << rng.random_range(0..8);
        }),
        1 => bytes.truncate(rng.random_range(0..bytes.len())),
        2 => (0..rng.random_range(1..20)).for_each(|_| bytes.push(rng.random())),
        3 => {
            let length: u64 = if rng.random() {
                rng.random()
            } else {
                rng.random_range(0..2 * original.len() as u64)
            };
            bytes[..8].copy_from_slice(&length.to_le_bytes());
        }
        4 => {
            let at = rng.random_range(header);
            let replacements = b"0123456789[]{}\",:-eE.\\u \n\0\xff";
            bytes[at] = replacements[rng.random_range(0..replacements.len())];
        }
        5 => {
            // Cut a piece out of the header and put it somewhere else, with the length corrected or not.
            let from = rng.random_range(header.clone());
            let piece: Vec<u8> = bytes[from..(from + rng.random_range(1..40)).min(header.end)].to_vec();
            let at = rng.random_range(header);
            bytes.splice(at..at, piece.iter().copied());
            if rng.random() {
                let length = (original.len() - 62 - 8 + piece.len()) as u64;
                bytes[..8].copy_from_slice(&length.to_le_bytes());
            }
        }
        _ => {
            // Another number in place of one in the header.
            let digits: Vec<usize> = header.filter(|&at| bytes[at].is_ascii_digit()).collect();
            let at = digits[rng.random_range(0..digits.len())];
            let number =
                [0, 1, 255, u64::from(u32::MAX), u64::MAX, rng.random_range(0..70)][rng.random_range(0..6)].to_string();
            bytes.splice(at..=at, number.bytes());
            let length = (original.len() - 62 - 8 + number.len() - 1) as u64;
            bytes[..8].copy_from_slice(&length.to_le_bytes());
        }
    }
    bytes
}

fn mutations(count: usize, seed: u64) {
    let original = small_file();
    TensorFile::from_bytes("intact", original.clone()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut refused, mut accepted) = (0, 0);
    for round in 0..count {
        let bytes = damage(&mut rng, &original);
        let copy = bytes.clone();
        let (result, peak) = peak_of(|| {
            catch_unwind(|| {
                let file = TensorFile::from_bytes("damaged.safetensors", bytes)?;
                let readable = file
                    .tensors()
                    .iter()
                    .filter(|info| file.read_f32(&info.name).is_ok())
                    .count();
                Ok::<_, ligo_checkpoint::Error>(readable)
            })
        });
        assert!(
            peak <= 2 * copy.len() + (64 << 20),
            "round {round}: {peak} bytes allocated for {}",
            copy.len()
        );
        match result.unwrap_or_else(|_| panic!("round {round} panicked")) {
            Ok(_) => {
                accepted += 1;
                let reference = SafeTensors::deserialize(&copy);
                assert!(
                    reference.is_ok(),
                    "round {round}: the reference refuses it: {:?}",
                    reference.err()
                );
            }
            Err(error) => {
                refused += 1;
                assert!(
                    error.to_string().starts_with("damaged.safetensors: "),
                    "round {round}: {error}"
                );
            }
        }
    }
    assert!(
        refused > count / 10 * 7 && accepted > 0,
        "{refused} refused, {accepted} accepted"
    );
}

#[test]
fn damaged_input_never_panics_nor_allocates_much_and_is_refused_by_name() {
    mutations(20_000, 6);
}

#[test]
#[ignore = "takes a minute: cargo xtask test --long mutations"]
fn a_million_damaged_inputs_never_panic_nor_allocate_much() {
    let asked = std::env::var("LIGO_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = asked.unwrap_or(7);
    println!("LIGO_SEED={seed}");
    mutations(1_000_000, seed);
}

#[test]
fn a_header_made_to_use_memory_stays_within_bounds() {
    let tiny = |i: usize| format!(r#""{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    let many = (0..300_000).map(tiny).collect::<Vec<_>>().join(",");
    let dims = format!(
        r#"{{"a":{{"dtype":"U8","shape":[{}],"data_offsets":[0,0]}}}}"#,
        "0,".repeat(4_000_000) + "0"
    );
    let keys = (0..900_000)
        .map(|i| format!(r#""{i:x}":"""#))
        .collect::<Vec<_>>()
        .join(",");
    let metadata = format!(r#"{{"__metadata__":{{{keys}}}}}"#);
    for (header, fits) in [(format!("{{{many}}}"), true), (dims, false), (metadata, false)] {
        let bytes = raw_file(&header, 0);
        let length = bytes.len();
        let (result, peak) = peak_of(|| TensorFile::from_bytes("greedy", bytes));
        assert_eq!(result.is_ok(), fits, "{:?}", result.err());
        assert!(peak <= 2 * length + (64 << 20), "{peak} bytes allocated for {length}");
    }
}

#[test]
fn with_a_manifest_every_single_flipped_bit_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("step-1");
    save_step(&Disk::default(), folder.path(), 1, 2).unwrap();
    let mut flips = 0;
    for entry in std::fs::read_dir(&target).unwrap() {
        let path = entry.unwrap().path();
        let content = std::fs::read(&path).unwrap();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        let mut put = |at: usize, byte: u8| {
            file.seek(SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for (at, &byte) in content.iter().enumerate() {
            for bit in 0..8 {
                put(at, byte ^ (1 << bit));
                assert!(verify(&target).is_err(), "{}, byte {at}, bit {bit}", path.display());
                flips += 1;
            }
            put(at, byte);
        }
    }
    verify(&target).unwrap();
    assert!(flips > 4_000, "{flips}");
}
