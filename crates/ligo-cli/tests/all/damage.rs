//! Damage to any file of a run's folder: the same command again either ends with the numbers and models of the undamaged run, or says what is
//! wrong. It never panics and never ends with other numbers. `LIGO_SEED` draws other damages.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ligo_report::summary::Summary;

use crate::common::{self, COMPARE, Place, copy_folder, draws};

/// What is done to a file.
#[derive(Debug)]
enum Damage {
    /// One bit of one byte.
    Bit(usize, u8),
    /// Everything from here on is gone.
    Truncated(usize),
    /// A stretch of zeros, as a lost block of a disk leaves it.
    Zeros(usize),
    /// One digit of a text is another one.
    Digit(usize),
    /// Something stands behind the end.
    Longer,
    /// The file is not there.
    Missing,
}

impl Damage {
    fn draw(bytes: &[u8], draw: &mut impl FnMut(usize) -> usize) -> Self {
        let place = draw(bytes.len().max(1));
        let digits: Vec<usize> = (0..bytes.len()).filter(|i| bytes[*i].is_ascii_digit()).collect();
        match draw(8) {
            0 => Self::Truncated(place),
            1 => Self::Zeros(place),
            2 => Self::Longer,
            3 => Self::Missing,
            4 | 5 if !digits.is_empty() => Self::Digit(digits[draw(digits.len())]),
            _ => Self::Bit(place, 1 << draw(8)),
        }
    }

    fn apply(&self, path: &Path, mut bytes: Vec<u8>) {
        match *self {
            Self::Missing => return fs::remove_file(path).unwrap(),
            Self::Bit(place, bit) => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bit;
                }
            }
            Self::Truncated(length) => bytes.truncate(length),
            Self::Zeros(start) => bytes.iter_mut().skip(start).take(512).for_each(|byte| *byte = 0),
            Self::Digit(place) => bytes[place] = b'0' + (bytes[place] - b'0' + 1) % 10,
            Self::Longer => bytes.extend(b"7"),
        }
        fs::write(path, bytes).unwrap();
    }
}

/// What a run is for: losses, costs and the bytes of its models. Times and energy are another's every time.
fn results(run: &Path) -> (Vec<String>, BTreeMap<PathBuf, Vec<u8>>) {
    let summary = Summary::read(run.join("summary.json")).unwrap();
    let numbers = summary.methods.iter().map(|method| {
        let curve: Vec<(u64, u64)> = method
            .curve
            .iter()
            .map(|point| (point.loss.to_bits(), point.cost.flops.exact.to_bits()))
            .collect();
        format!("{} {:?} {curve:?}", method.name, method.loss_final)
    });
    let mut models = BTreeMap::new();
    for model in ["small/model", "methods/scratch/model", "methods/ligo/model"] {
        for file in ["config.json", "model.safetensors", "tokenizer.json"] {
            let path = Path::new(model).join(file);
            models.insert(path.clone(), fs::read(run.join(&path)).unwrap());
        }
    }
    (numbers.collect(), models)
}

fn damages(count: usize) {
    let place = Place::new();
    place.shown(&COMPARE);
    fs::rename(place.path("run"), place.path("whole")).unwrap();
    let expected = results(&place.path("whole"));
    let files: Vec<PathBuf> = place.files("whole").into_keys().collect();
    let mut draw = draws(7);
    let (mut healed, mut refused, mut faults) = (0, 0, Vec::new());
    for _ in 0..count {
        copy_folder(&place.path("whole"), &place.path("run"));
        // What is deleted is computed again, from what is there.
        let deleted = [None, Some("methods/ligo"), Some("methods"), Some("small")][draw(4)];
        if let Some(folder) = deleted {
            fs::remove_dir_all(place.path("run").join(folder)).unwrap();
        }
        let there = |file: &&PathBuf| deleted.is_none_or(|folder| !file.starts_with(place.path("whole").join(folder)));
        let left: Vec<&PathBuf> = files.iter().filter(there).collect();
        let file = left[draw(left.len())].strip_prefix(place.path("whole")).unwrap();
        let path = place.path("run").join(file);
        let bytes = fs::read(&path).unwrap();
        let damage = Damage::draw(&bytes, &mut draw);
        damage.apply(&path, bytes);

        let output = place.command(&COMPARE).output().unwrap();
        let said = common::said(&output);
        let about = format!("{} with {damage:?}, {deleted:?} deleted", file.display());
        if said.contains("panicked") || !matches!(output.status.code(), Some(0 | 1)) {
            faults.push(format!("{about}: {:?}\n{said}", output.status));
        } else if !output.status.success() {
            refused += 1;
        } else if results(&place.path("run")) == expected {
            healed += 1;
        } else {
            faults.push(format!("{about}: other results without a word\n{said}"));
        }
        fs::remove_dir_all(place.path("run")).unwrap();
    }
    println!("{count} damages: {healed} without effect or mended, {refused} refused");
    assert!(
        faults.is_empty(),
        "{} of {count}:\n{}",
        faults.len(),
        faults.join("\n\n")
    );
}

#[test]
fn a_finished_model_whose_weights_are_damaged_is_written_again() {
    let place = Place::new();
    place.shown(&COMPARE);
    let expected = results(&place.path("run"));
    for model in ["methods/scratch/model", "methods/ligo/model", "small/model"] {
        let path = place.path("run").join(model).join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        // A method's model is the end of it: nothing but this check opens it again.
        let told = place.shown(&COMPARE);
        common::assert_says(&told, &[&format!("run/{model}/model.safetensors"), "it is made again"]);
        assert!(results(&place.path("run")) == expected, "{model}");
    }
}

#[test]
fn damage_to_a_file_of_a_run_is_mended_or_said() {
    damages(25);
}

#[test]
#[ignore = "takes minutes: cargo xtask test --long damage"]
fn a_thousand_damages_are_mended_or_said() {
    damages(1000);
}
