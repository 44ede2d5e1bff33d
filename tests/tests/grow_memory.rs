//! Growing from directory to directory needs memory for one tensor, however many layers there are (T15).
//!
//! A binary of its own: its allocator counts every live byte of the process.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use burn::tensor::Device;
use ligo_arch::{BertConfig, ModelConfig};
use ligo_checkpoint::{Dtype, ModelDir, WriteOptions, write_model};
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{LigoConfig, OperatorSpec, Sharing};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// One measurement at a time.
static TURN: Mutex<()> = Mutex::new(());

const MB: usize = 1_000_000;

struct Counting;

fn add(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call is handed to the system's allocator as it is; counting touches no memory of the caller.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new block may both be live for a moment.
        add(size);
        let moved = unsafe { System.realloc(pointer, layout, size) };
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        moved
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Runs `work` and returns by how many bytes the live memory rose above where it stood.
fn peak_of(work: impl FnOnce()) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    work();
    PEAK.load(Ordering::Relaxed) - before
}

fn bert(vocab: usize, hidden: usize, layers: usize) -> ModelConfig {
    ModelConfig::Bert(BertConfig {
        max_position_embeddings: 64,
        ..BertConfig::new(vocab, hidden, layers, hidden / 32)
    })
}

fn write(config: &ModelConfig, path: &Path) {
    let table = config.table();
    let tensors = table.params().map(|p| {
        // Any values will do, and constants are quick.
        let values = vec![0.01; p.num_elements()];
        (p.name, p.shape, values.into())
    });
    let tensors: Vec<_> = tensors.collect();
    write_model(path, &config.to_json(), tensors, &WriteOptions::default()).unwrap();
}

/// The peak of growing `small` into `large`. The operator's own matrices are there before.
fn peak(folder: &Path, small: &ModelConfig, large: &ModelConfig, spec: &OperatorSpec) -> usize {
    let device = Device::flex();
    let map = spec.build(&small.table(), &large.table(), &device, 0.02, 1).unwrap();
    let mut source = ModelDir::open(folder.join("small")).unwrap();
    let target = folder.join("large");
    let peak = peak_of(|| {
        let options = GrowOptions {
            // Half as much to write; the arithmetic is in f32 all the same.
            dtype: Some(Dtype::Bf16),
            max_shard_bytes: Some(20_000_000),
            ..GrowOptions::default()
        };
        grow_directory(
            &map,
            &mut source,
            small,
            large,
            &target,
            &options,
            &device,
            &mut |_, _| true,
        )
        .unwrap();
    });
    std::fs::remove_dir_all(&target).unwrap();
    peak
}

fn ligo(sharing: Sharing) -> OperatorSpec {
    OperatorSpec::Ligo(LigoConfig {
        sharing,
        ..LigoConfig::default()
    })
}

#[test]
fn the_peak_is_the_largest_tensor_with_its_source() {
    let _turn = TURN.lock().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (small, large) = (bert(30_000, 512, 3), bert(30_000, 768, 5));
    write(&small, &folder.path().join("small"));
    let (target, source) = (30_000 * 768 * 4, 30_000 * 512 * 4);
    let bound = target + source + 64 * MB;
    let whole = 4 * large.table().num_parameters();
    assert!(
        whole > bound,
        "a whole model of {whole} bytes must not fit the bound of {bound}"
    );
    for spec in [ligo(Sharing::Shared), ligo(Sharing::PerLargeLayer)] {
        let peak = peak(folder.path(), &small, &large, &spec);
        println!("{}: peak {} MB, bound {} MB", spec.name(), peak / MB, bound / MB);
        assert!(
            peak <= bound,
            "{spec:?}: {} MB live, allowed are {} MB",
            peak / MB,
            bound / MB
        );
        assert!(
            peak >= target,
            "{spec:?}: the counter saw {peak} bytes, less than one tensor"
        );
    }
}

#[test]
fn the_peak_does_not_grow_with_the_number_of_layers() {
    let _turn = TURN.lock().unwrap();
    for spec in [
        ligo(Sharing::Shared),
        ligo(Sharing::PerLargeLayer),
        ligo(Sharing::PerSmallLayer),
    ] {
        // Once for whatever is set up at the first use.
        let peaks = [2, 8, 32].map(|layers| {
            let folder = tempfile::tempdir().unwrap();
            let (small, large) = (bert(100, 64, layers / 2), bert(100, 96, layers));
            write(&small, &folder.path().join("small"));
            peak(folder.path(), &small, &large, &spec)
        });
        println!("{spec:?}: {peaks:?} bytes for 2, 8 and 32 layers");
        // Names, shapes and hashes of 24 more layers: 16 tensors each, under 2 kB a tensor. One layer has 440 kB of weights.
        let directory = 24 * 16 * 2_000;
        assert!(
            peaks[2] <= peaks[1] + directory,
            "{spec:?}: {} bytes for 8 layers, {} for 32",
            peaks[1],
            peaks[2]
        );
    }
}
