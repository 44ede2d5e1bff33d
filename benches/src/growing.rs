//! Growth from file to file, timed beside a copy of as many bytes.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use burn::tensor::Device;
use ligo_arch::{LlamaConfig, ModelConfig};
use ligo_checkpoint::{AtomicDir, Declared, Dtype, MANIFEST_FILE, ModelDir, ModelWriter};
use ligo_growth::stream::{GrowOptions, grow_directory};
use ligo_growth::{OperatorSpec, files};
use serde_json::{Value, json};

type Fault = Box<dyn std::error::Error>;

/// Payload of a shard.
const SHARD_BYTES: u64 = 750_000_000;

/// Sizes of a Llama.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// What it is called.
    pub name: &'static str,
    /// Its layers.
    pub layers: usize,
    hidden: usize,
    ffn: usize,
    heads: usize,
    key_heads: usize,
}

impl Shape {
    /// `1b` as TinyLlama, `7b` as Llama 2; fewer layers take less of a disk.
    #[must_use]
    pub fn named(name: &str, layers: Option<usize>) -> Option<Self> {
        let shape = match name {
            "1b" => Self {
                name: "1b",
                layers: 22,
                hidden: 2048,
                ffn: 5632,
                heads: 32,
                key_heads: 4,
            },
            "7b" => Self {
                name: "7b",
                layers: 32,
                hidden: 4096,
                ffn: 11008,
                heads: 32,
                key_heads: 32,
            },
            _ => return None,
        };
        Some(Self {
            layers: layers.unwrap_or(shape.layers).max(1),
            ..shape
        })
    }

    fn config(self) -> ModelConfig {
        let mut config = LlamaConfig::new(32_000, self.hidden, self.layers, self.heads, self.ffn);
        config.num_key_value_heads = Some(self.key_heads);
        ModelConfig::Llama(config)
    }

    fn wider(self) -> Self {
        Self {
            hidden: 2 * self.hidden,
            ffn: 2 * self.ffn,
            heads: 2 * self.heads,
            key_heads: 2 * self.key_heads,
            ..self
        }
    }

    fn deeper(self) -> Self {
        Self {
            layers: 2 * self.layers,
            ..self
        }
    }
}

/// A growth that is timed.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    operator: &'static str,
    widens: bool,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::new("depth stackbert", "stackbert", false),
        Self::new("depth zero-blocks", "zero-blocks", false),
        Self::new("depth interpose", "interpose", false),
        Self::new("width hyper-cloning", "hyper-cloning", true),
        Self::new("width fpi", "fpi", true),
        Self::new("width aki", "aki", true),
        Self::new("width lemon", "lemon", true),
        Self::new("width zero-pad", "zero-pad", true),
    ];

    const fn new(name: &'static str, operator: &'static str, widens: bool) -> Self {
        Self { name, operator, widens }
    }

    /// The growth of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|case| case.name == name)
    }

    /// Whether mergekit's passthrough makes the same model.
    #[must_use]
    pub fn is_passthrough(self) -> bool {
        self.operator == "stackbert" && !self.widens
    }
}

/// What a growth took.
#[derive(Clone, Copy, Debug)]
pub struct Made {
    /// Wall time.
    pub seconds: f64,
    /// Bytes of the weights that were written.
    pub bytes: u64,
    /// The peak of resident memory; 0 where the system does not tell.
    pub peak: u64,
    /// Seconds of all cores together.
    pub cpu: f64,
}

impl Made {
    /// The quicker of two.
    #[must_use]
    pub fn better(self, other: Self) -> Self {
        if other.seconds < self.seconds { other } else { self }
    }
}

/// Writes the small model, without a manifest, as from the hub; returns the bytes of its weights.
///
/// # Errors
/// It cannot be written.
pub fn make(folder: &Path, shape: Shape) -> Result<u64, Fault> {
    let config = shape.config();
    let small = folder.join("small");
    let _ = fs::remove_dir_all(&small);
    let dir = AtomicDir::begin(&small)?;
    let mut declared: Vec<Declared> = (config.table().params().filter(|p| p.spec.required))
        .map(|p| Declared {
            name: p.name.clone(),
            dtype: Dtype::Bf16,
            shape: p.shape,
        })
        .collect();
    declared.sort_by(|a, b| a.name.cmp(&b.name));
    let mut writer = ModelWriter::new(&dir, declared.clone(), SHARD_BYTES)?;
    let mut bits = 0x9E37_79B9_7F4A_7C15u64;
    for tensor in &declared {
        let count: usize = tensor.shape.iter().product();
        let bytes: Vec<u8> = (0..count).flat_map(|_| number(&mut bits)).collect();
        writer.write_bytes(&tensor.name, &bytes)?;
    }
    writer.write_config(&config.to_json())?;
    writer.finish()?;
    dir.commit()?;
    fs::remove_file(small.join(MANIFEST_FILE))?;
    weights(&small).map(|files| files.iter().map(|(_, bytes)| bytes).sum())
}

/// A bf16 number of some hundredths.
fn number(bits: &mut u64) -> [u8; 2] {
    *bits ^= *bits << 13;
    *bits ^= *bits >> 7;
    *bits ^= *bits << 17;
    (((*bits >> 40) as u16 & 0x80ff) | 0x3c00).to_le_bytes()
}

fn weights(folder: &Path) -> Result<Vec<(PathBuf, u64)>, Fault> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|e| e == "safetensors") {
            found.push((entry.path(), entry.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}

/// Grows the small model in this process.
///
/// # Errors
/// It cannot be grown.
pub fn grow(folder: &Path, shape: Shape, case: Case) -> Result<Value, Fault> {
    ligo_ops::tune_allocator();
    let start = Instant::now();
    let device = Device::flex();
    let small = shape.config();
    let large = if case.widens { shape.wider() } else { shape.deeper() }.config();
    let spec = OperatorSpec::from_name(case.operator).ok_or("no such operator")?;
    let large = spec.adjust(&small, &large);
    let map = spec.build(&small.table(), &large.table(), &device, 0.02, 1)?;
    let mut source = files::with_params(ModelDir::open(folder.join("small"))?, &small.table());
    let target = folder.join("large");
    let options = GrowOptions {
        max_shard_bytes: Some(SHARD_BYTES),
        identity: Some(json!(case.name)),
        ..GrowOptions::default()
    };
    grow_directory(
        &map,
        &mut source,
        &small,
        &large,
        &target,
        &options,
        &device,
        &mut |_, _| true,
    )?;
    let (seconds, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds());
    let bytes: u64 = weights(&target)?.iter().map(|(_, bytes)| bytes).sum();
    fs::remove_dir_all(&target)?;
    Ok(json!({"seconds": seconds, "bytes": bytes, "peak": peak(), "cpu": cpu}))
}

/// The most memory that was resident at once.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| 1024 * kilobytes)
}

/// What this process has taken of all cores so far; 0 where the system does not tell.
fn cpu_seconds() -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the program's name, which may hold spaces: user and system time are fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

/// Grows in a process of its own.
///
/// # Errors
/// It fails.
pub fn in_child(folder: &Path, shape: Shape, case: Case) -> Result<Made, Fault> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("--folder").arg(folder);
    command.args(["--shape", shape.name, "--layers", &shape.layers.to_string()]);
    made(command.args(["--case", case.name]))
}

fn made(command: &mut Command) -> Result<Made, Fault> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let line: Value = serde_json::from_str(text.trim().lines().last().unwrap_or_default())?;
    let number = |key: &str| line[key].as_u64().unwrap_or(0);
    Ok(Made {
        seconds: line["seconds"].as_f64().unwrap_or(f64::NAN),
        bytes: number("bytes"),
        peak: number("peak"),
        cpu: line["cpu"].as_f64().unwrap_or(0.0),
    })
}

/// Reads the small model, so that growth and copy both find it in memory, where it fits.
///
/// # Errors
/// A file cannot be read.
pub fn warm(folder: &Path) -> Result<(), Fault> {
    for (file, _) in weights(&folder.join("small"))? {
        io::copy(&mut File::open(file)?, &mut io::sink())?;
    }
    Ok(())
}

/// Copies the small model's files, again and again, until so many bytes are on the disk; returns the seconds, and those of the
/// processor.
///
/// # Errors
/// A file cannot be copied.
pub fn copy(folder: &Path, bytes: u64) -> Result<[f64; 2], Fault> {
    let (target, sources) = (folder.join("copy"), weights(&folder.join("small"))?);
    fs::create_dir_all(&target)?;
    let (start, before) = (Instant::now(), cpu_seconds());
    let mut left = bytes;
    for (number, (source, _)) in sources.iter().cycle().enumerate() {
        if left == 0 {
            break;
        }
        let mut file = File::create(target.join(number.to_string()))?;
        left -= io::copy(&mut File::open(source)?.take(left), &mut file)?;
        file.sync_all()?;
    }
    let taken = [start.elapsed().as_secs_f64(), cpu_seconds() - before];
    fs::remove_dir_all(&target)?;
    Ok(taken)
}

/// The stacked model by mergekit; nothing where Python (`LIGO_PYTHON`, else `python3`) has none.
///
/// # Errors
/// It is there and fails.
pub fn mergekit(folder: &Path, shape: Shape) -> Result<Option<Made>, Fault> {
    let python = std::env::var("LIGO_PYTHON").unwrap_or_else(|_| "python3".into());
    let has = Command::new(&python).args(["-c", "import mergekit.merge"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let small = folder.join("small");
    let slice = json!({"sources": [{"model": small, "layer_range": [0, shape.layers]}]});
    let plan = json!({"slices": [slice, slice], "merge_method": "passthrough", "dtype": "bfloat16"});
    fs::write(folder.join("plan.yaml"), plan.to_string())?;
    let target = folder.join("merged");
    let mut command = Command::new(&python);
    command.args(["-c", MERGE]).arg(folder.join("plan.yaml")).arg(&target);
    let mut merged = made(&mut command)?;
    merged.bytes = weights(&target)?.iter().map(|(_, bytes)| bytes).sum();
    fs::remove_dir_all(&target)?;
    Ok(Some(merged))
}

const MERGE: &str = "
import json, os, resource, subprocess, sys, time
start = time.perf_counter()
subprocess.run([sys.executable, '-m', 'mergekit.scripts.run_yaml', *sys.argv[1:], '--no-copy-tokenizer', '--lazy-unpickle'],
               check=True, stdout=subprocess.DEVNULL)
os.sync()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps({'seconds': time.perf_counter() - start, 'peak': 1024 * used.ru_maxrss, 'bytes': 0, 'cpu': used.ru_utime + used.ru_stime}))
";
