//! Training checkpoints: `checkpoints/step-N/` with `state.safetensors` (weights and moments, exact `f32`) and `state.json` (counters
//! and settings), each directory committed by one rename with a manifest of hashes.

use std::path::{Path, PathBuf};

use ligo_checkpoint::{AtomicDir, Disk, RunLock, TensorFile, latest_valid, prune, recover_all, state};
use ligo_cost::Flops;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::average::Averages;
use crate::collective::Shares;
use crate::progress::Progress;
use crate::store::download;
use crate::{Error, Event, Optimizer, ParamStore, TrainConfig};

/// 2 keeps the FLOPs that were spent, since steps need not cost the same.
const FORMAT: u32 = 2;
pub(crate) const FOLDER: &str = "checkpoints";
/// The folder inside a run's own that holds its state at the beginning of its decay.
pub(crate) const BRANCH: &str = "branch";
pub(crate) const PREFIX: &str = "step-";
pub(crate) const TENSORS: &str = "state.safetensors";
pub(crate) const COUNTERS: &str = "state.json";
pub(crate) const WEIGHT: &str = "weight/";
pub(crate) const FIRST_MOMENT: &str = "m/";
pub(crate) const SECOND_MOMENT: &str = "v/";
/// By their number.
const MOMENTS: [&str; 2] = [FIRST_MOMENT, SECOND_MOMENT];
const AVERAGE: &str = "average/";

/// What makes two runs the same run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunIdentity {
    pub(crate) objective: String,
    pub(crate) config: TrainConfig,
    pub(crate) cost: Flops,
    pub(crate) data: Value,
    pub(crate) extra: Value,
}

impl RunIdentity {
    /// All of it, to compare with that of other ranks.
    pub(crate) fn text(&self) -> String {
        json!(self).to_string()
    }

    pub(crate) fn differences(&self, saved: &Self) -> Vec<String> {
        let mut differences = self.config.differences(&saved.config);
        let mut compare = |name: &str, before: &Value, now: &Value| {
            if before != now {
                differences.push(format!("{name} was {before} and is now {now}"));
            }
        };
        compare("objective", &json!(saved.objective), &json!(self.objective));
        compare("cost per step", &json!(saved.cost), &json!(self.cost));
        compare("data", &saved.data, &self.data);
        match (&saved.extra, &self.extra) {
            // What is not named any more was found to decide nothing.
            (Value::Object(before), Value::Object(now)) if now.keys().all(|name| before.contains_key(name)) => {
                for (name, now) in now {
                    compare(name, &before[name], now);
                }
            }
            (before, now) => compare("identity", before, now),
        }
        differences
    }
}

/// Refuses a run's folder whose newest checkpoint belongs to a run with other settings or another identity (see
/// [`Trainer::with_identity`](crate::Trainer::with_identity)), before anything in it is changed. What cannot be read says nothing, and is found
/// damaged when a run begins there.
///
/// # Errors
/// [`Error::OtherRun`]; the folder cannot be listed.
pub fn check_same_run(run_dir: &Path, config: &TrainConfig, identity: &Value) -> Result<(), Error> {
    let folder = run_dir.join(FOLDER);
    let Some(step) = latest_valid(&folder, PREFIX)?.step else {
        return Ok(());
    };
    let Ok(Counters { run: saved, .. }) = read_counters(&step.path) else {
        return Ok(());
    };
    let now = RunIdentity {
        config: config.clone(),
        extra: identity.clone(),
        ..saved.clone()
    };
    match now.differences(&saved) {
        differences if differences.is_empty() => Ok(()),
        differences => Err(Error::OtherRun {
            dir: folder,
            differences,
        }),
    }
}

/// The content of `state.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Counters {
    format: u32,
    pub(crate) run: RunIdentity,
    pub(crate) optimizer_updates: u64,
    pub(crate) progress: Progress,
}

impl Counters {
    /// As it is written.
    pub(crate) fn text(&self, path: &Path) -> Result<Vec<u8>, Error> {
        serde_json::to_vec_pretty(self).map_err(|e| Error::BadCheckpoint {
            path: path.to_path_buf(),
            reason: e.to_string(),
        })
    }
}

/// What a state is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The run itself, which goes on from it.
    Resume,
    /// Runs of other lengths, which are the same up to there.
    Branch,
}

/// The checkpoints of one run. Holds the folder's lock, so that a second process cannot train into it.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    folder: PathBuf,
    keep: usize,
    disk: Disk,
    _lock: RunLock,
}

impl Checkpoints {
    /// Opens `run_dir/checkpoints` and repairs what a crash may have left there.
    pub(crate) fn open(run_dir: &Path, keep: usize, disk: Disk) -> Result<Self, Error> {
        let folder = run_dir.join(FOLDER);
        let lock = RunLock::acquire(&folder)?;
        recover_all(&folder)?;
        Ok(Self {
            folder,
            keep,
            disk,
            _lock: lock,
        })
    }

    /// Writes the state after `progress.step` steps, to go on from or for others, then removes the oldest checkpoints. `elsewhere` has the moments
    /// that are not here, in the order of [`moments_elsewhere`].
    pub(crate) fn save(
        &self,
        purpose: Purpose,
        run: &RunIdentity,
        progress: &Progress,
        (store, optimizer): (&ParamStore, &Optimizer),
        mut elsewhere: impl FnMut() -> Result<Vec<f32>, Error>,
    ) -> Result<PathBuf, Error> {
        let folder = self.folder_for(purpose)?;
        let path = folder.join(format!("{PREFIX}{}", progress.step));
        let dir = AtomicDir::begin_on(&self.disk, &path)?;
        let mut tensors = tensors_of(store, optimizer);
        tensors.extend(averages_of(store, optimizer));
        let declared = tensors.iter().map(|t| (t.name.clone(), t.shape.clone()));
        let mut writer = state::begin(&dir, TENSORS, &json!({"format": FORMAT}), declared)?;
        for tensor in &tensors {
            let values = match tensor.value {
                Some(value) => download(&tensor.name, value)?,
                None => elsewhere()?,
            };
            writer.write_f32(&tensor.name, &values)?;
        }
        writer.finish()?;
        let counters = Counters {
            format: FORMAT,
            run: run.clone(),
            optimizer_updates: optimizer.updates(),
            progress: progress.clone(),
        };
        dir.write(COUNTERS, &counters.text(&path)?)?;
        dir.commit()?;
        if purpose == Purpose::Resume {
            self.prune()?;
        }
        Ok(path)
    }

    /// The folder that states for a purpose lie in. Branches are not among the checkpoints, and stay.
    fn folder_for(&self, purpose: Purpose) -> Result<PathBuf, Error> {
        if purpose == Purpose::Resume {
            return Ok(self.folder.clone());
        }
        let folder = self.folder.with_file_name(BRANCH);
        std::fs::create_dir_all(&folder).map_err(|source| Error::Io {
            action: "create",
            path: folder.clone(),
            source,
        })?;
        Ok(folder)
    }

    /// Removes all but the newest checkpoints, which must be known to be good.
    pub(crate) fn prune(&self) -> Result<(), Error> {
        prune(&self.disk, &self.folder, PREFIX, self.keep)?;
        Ok(())
    }

    /// Restores the newest checkpoint whose hashes hold, and of its moments those that are kept here; `None` when there is none. Damaged ones are set aside under another name,
    /// so that they are neither used nor counted, and reported.
    pub(crate) fn restore(
        &self,
        run: &RunIdentity,
        (store, optimizer): (&mut ParamStore, &mut Optimizer),
        shares: Option<&Shares>,
        report: &mut dyn FnMut(Event),
    ) -> Result<Option<Restored>, Error> {
        let latest = latest_valid(&self.folder, PREFIX)?;
        for rejected in latest.rejected {
            let aside = self.set_aside(&rejected.step.path)?;
            report(Event::CheckpointRejected {
                path: aside,
                reason: rejected.error.to_string(),
            });
        }
        let Some(step) = latest.step else { return Ok(None) };
        read(&step.path, &self.folder, run, (store, optimizer), shares).map(Some)
    }

    fn set_aside(&self, path: &Path) -> Result<PathBuf, Error> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let free = (0..)
            .map(|i| self.folder.join(format!("damaged-{i}-{name}")))
            .find(|aside| aside.symlink_metadata().is_err());
        let aside = free.unwrap_or_else(|| self.folder.join("damaged"));
        std::fs::rename(path, &aside).map_err(|source| Error::Io {
            action: "rename",
            path: path.to_path_buf(),
            source,
        })?;
        Ok(aside)
    }
}

/// A checkpoint that was taken.
#[derive(Debug)]
pub(crate) struct Restored {
    pub(crate) progress: Progress,
    pub(crate) path: PathBuf,
    tensors: TensorFile,
}

impl Restored {
    /// The first or second moment of a parameter.
    pub(crate) fn moment(&self, name: &str, which: usize) -> Result<Vec<f32>, Error> {
        Ok(self.tensors.read_f32(&format!("{}{name}", MOMENTS[which]))?)
    }
}

/// One tensor of the state on its device; none where another rank has it.
struct StateTensor<'a> {
    name: String,
    shape: Vec<usize>,
    value: Option<&'a burn::tensor::Tensor<1>>,
}

fn tensors_of<'a>(store: &'a ParamStore, optimizer: &'a Optimizer) -> Vec<StateTensor<'a>> {
    let mut tensors = Vec::new();
    for (i, (info, value)) in store.infos().iter().zip(store.values()).enumerate() {
        let mut push = |prefix: &str, value| {
            let name = format!("{prefix}{}", info.name);
            tensors.push(StateTensor {
                name,
                shape: info.shape.clone(),
                value,
            });
        };
        push(WEIGHT, Some(value));
        let moments = MOMENTS.into_iter().zip(optimizer.moments_at(i));
        for (prefix, moment) in moments.take(optimizer.moment_count(i)) {
            push(prefix, moment);
        }
    }
    tensors
}

/// The parameter of each moment that rank 0 does not keep, in the order in which they are saved, and which one of its moments it is.
pub(crate) fn moments_elsewhere<'a>(
    shares: &'a Shares,
    optimizer: &'a Optimizer,
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let places = (0..shares.len()).filter(|i| shares.owner(*i) > 0);
    places.flat_map(|i| (0..optimizer.moment_count(i)).map(move |which| (i, which)))
}

/// The weights that an average is made of.
fn averages_of<'a>(store: &'a ParamStore, optimizer: &'a Optimizer) -> Vec<StateTensor<'a>> {
    let kept = optimizer.averages().into_iter().flat_map(Averages::kept).enumerate();
    let tensors = kept.flat_map(|(i, values)| {
        store.infos().iter().zip(values).map(move |(info, value)| StateTensor {
            name: format!("{AVERAGE}{i}/{}", info.name),
            shape: info.shape.clone(),
            value: Some(value),
        })
    });
    tensors.collect()
}

/// The counters of a checkpoint of today's format.
pub(crate) fn read_counters(path: &Path) -> Result<Counters, Error> {
    let bad = |reason: String| Error::BadCheckpoint {
        path: path.to_path_buf(),
        reason,
    };
    let file = path.join(COUNTERS);
    let text = std::fs::read(&file).map_err(|source| Error::Io {
        action: "read",
        path: file,
        source,
    })?;
    // The format comes first: another version may have other fields.
    let value: Value = serde_json::from_slice(&text).map_err(|e| bad(format!("{COUNTERS}: {e}")))?;
    if value.get("format") != Some(&json!(FORMAT)) {
        let found = value.get("format").cloned().unwrap_or_default();
        return Err(bad(format!("expected state format {FORMAT}, found {found}")));
    }
    serde_json::from_value(value).map_err(|e| bad(format!("{COUNTERS}: {e}")))
}

fn read(
    path: &Path,
    folder: &Path,
    run: &RunIdentity,
    (store, optimizer): (&mut ParamStore, &mut Optimizer),
    shares: Option<&Shares>,
) -> Result<Restored, Error> {
    let bad = |reason: String| Error::BadCheckpoint {
        path: path.to_path_buf(),
        reason,
    };
    let counters = read_counters(path)?;
    let differences = run.differences(&counters.run);
    if !differences.is_empty() {
        return Err(Error::OtherRun {
            dir: folder.to_path_buf(),
            differences,
        });
    }

    let (_, tensors) = state::open(path.join(TENSORS))?;
    let averages = check_tensors(&tensors, store, optimizer).map_err(bad)?;
    if let Some(shares) = shares {
        optimizer.keep_share(shares);
    }
    for (i, info) in store.infos().to_vec().into_iter().enumerate() {
        let name = &info.name;
        store.set(name, tensors.read_f32(&format!("{WEIGHT}{name}"))?)?;
        let here = optimizer.moments_at(i).map(|moment| moment.is_some());
        let read = |which: usize| match here[which] {
            true => tensors.read_f32(&format!("{}{name}", MOMENTS[which])),
            false => Ok(Vec::new()),
        };
        let (m, v) = (read(0)?, read(1)?);
        optimizer.put_moments(store, i, m, v)?;
    }
    optimizer.set_updates(counters.optimizer_updates);
    if let Some(kept) = optimizer.averages_mut() {
        let names = || store.infos().iter().map(|info| &info.name);
        let read = |i: usize| {
            names()
                .map(|name| tensors.read_f32(&format!("{AVERAGE}{i}/{name}")))
                .collect()
        };
        let values: Result<Vec<Vec<Vec<f32>>>, _> = (0..averages).map(read).collect();
        kept.restore(store, values?);
    }
    Ok(Restored {
        progress: counters.progress,
        path: path.to_path_buf(),
        tensors,
    })
}

/// Compares names and shapes before anything is changed, and counts the weights that an average is made of.
fn check_tensors(file: &TensorFile, store: &ParamStore, optimizer: &Optimizer) -> Result<usize, String> {
    let mut expected: Vec<(String, &[usize])> = Vec::new();
    let own = tensors_of(store, optimizer);
    expected.extend(own.iter().map(|tensor| (tensor.name.clone(), tensor.shape.as_slice())));
    // How many there are depends on how far the run is.
    let first = |i: usize| store.infos().first().map(|info| format!("{AVERAGE}{i}/{}", info.name));
    let most = optimizer.averages().map_or(0, Averages::limit);
    let is_there = |i: &usize| first(*i).is_some_and(|name| file.info(&name).is_some());
    let averages = (0..most).take_while(is_there).count();
    for i in 0..averages {
        let named = |info: &'_ crate::ParamInfo| format!("{AVERAGE}{i}/{}", info.name);
        expected.extend(store.infos().iter().map(|info| (named(info), info.shape.as_slice())));
    }
    for (name, shape) in &expected {
        match file.info(name) {
            None => return Err(format!("tensor `{name}` is missing")),
            Some(found) if found.shape != *shape => {
                return Err(format!(
                    "tensor `{name}` should have shape {shape:?}, found {:?}",
                    found.shape
                ));
            }
            Some(_) => {}
        }
    }
    if file.tensors().len() != expected.len() {
        return Err(format!(
            "expected {} tensors, found {}",
            expected.len(),
            file.tensors().len()
        ));
    }
    Ok(averages)
}
