//! Growing a model that somebody else trained: what the recipe leaves out comes from there, and what does not fit is said.

use std::fs;
use std::path::Path;

use ligo_checkpoint::ModelDir;
use ligo_data::Tokenizer;

use crate::common::{self, Place, assert_says};

const STEPS: [&str; 11] = [
    "corpus.valid_fraction=0.3",
    "small.train.batch_size=4",
    "small.train.eval_batches=2",
    "large.train.steps=3",
    "large.train.batch_size=4",
    "large.train.eval_every=0",
    "large.train.eval_batches=2",
    "large.train.schedule.warmup_steps=0",
    "operator.train.steps=2",
    "operator.train.batch_size=4",
    "operator.train.eval_batches=2",
];

fn fixture(name: &str) -> String {
    common::fixture(name).to_str().unwrap().to_owned()
}

/// A run with a finished small model: `more` are further arguments, `models` the fields of the large one.
fn run(place: &Place, small: &str, models: &str, more: &[&str]) -> std::process::Output {
    let recipe = format!("name = \"given\"\n{models}\n[[methods]]\nname = \"scratch\"\n[[methods]]\nname = \"ligo\"\n");
    place.write("given.toml", recipe);
    let mut arguments = vec!["run", "--recipe", "given.toml", "--out", "run", "--small", small];
    for setting in STEPS {
        arguments.extend(["--set", setting]);
    }
    place.command(&[&arguments[..], more].concat()).output().unwrap()
}

/// A tokenizer of `words` words in `words/`, and a text of them.
fn words(place: &Place, words: usize) {
    fs::create_dir_all(place.path("words")).unwrap();
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"].map(String::from);
    let names: Vec<String> = special.into_iter().chain((5..words).map(|i| format!("w{i}"))).collect();
    place.write("words/vocab.txt", names.join("\n"));
    let word = |i: usize| format!("w{}", 5 + (i * 37 + i / 9 * 11) % (words - 5));
    let document = |d: usize| (25 * d..25 * (d + 1)).map(word).collect::<Vec<_>>().join(" ");
    let documents: Vec<String> = (0..160).map(document).collect();
    place.write("words.txt", documents.join("\n\n"));
}

const WORDS: [&str; 4] = ["--data", "words.txt", "--tokenizer", "words"];

#[test]
fn what_a_recipe_does_not_say_comes_from_the_small_model() {
    let place = Place::new();
    words(&place, 61);
    // GPT-2 with 24 positions, a vocabulary of 61 and 4 heads; the recipe says no more than what becomes larger.
    let small = fixture("gpt2/tied_4_heads");
    let large = "[data]\nseq_len = 16\n[large.model]\nn_embd = 48\nn_layer = 3";
    let output = run(&place, &small, large, &WORDS);
    assert!(output.status.success(), "{}", common::said(&output));
    let read = |path: &Path| -> serde_json::Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let before = read(&Path::new(&small).join("config.json"));
    let after = read(&place.path("run/methods/ligo/model/config.json"));
    for (field, value) in before.as_object().unwrap() {
        let expected = match field.as_str() {
            "n_embd" => &48.into(),
            "n_layer" => &3.into(),
            _ => value,
        };
        assert_eq!(&after[field], expected, "{field}");
    }
}

#[test]
fn a_tokenizer_of_another_model_and_samples_beyond_its_positions_are_refused() {
    let place = Place::new();
    words(&place, 40);
    let small = fixture("gpt2/tied_4_heads");
    let large = |seq_len| format!("[data]\nseq_len = {seq_len}\n[large.model]\nn_embd = 48\nn_layer = 3");
    let output = run(&place, &small, &large(16), &WORDS[..2]);
    assert_says(
        &common::complaint(&output),
        &["tied_4_heads", "vocabulary", "61", "--tokenizer"],
    );
    // It did not come so far as to take a folder.
    assert!(!place.path("run").exists());
    words(&place, 200);
    let output = run(&place, &small, &large(16), &WORDS);
    assert_says(
        &common::complaint(&output),
        &["tied_4_heads", "200", "61", "--tokenizer"],
    );
    let output = run(&place, &small, &large(32), &WORDS);
    assert_says(
        &common::complaint(&output),
        &["large.model.n_positions", "24", "data.seq_len is 32"],
    );
}

#[test]
fn the_tokenizer_beside_a_given_model_is_the_one_that_is_used() {
    let place = Place::new();
    words(&place, 61);
    fs::create_dir(place.path("small")).unwrap();
    for file in ["config.json", "model.safetensors"] {
        let from = Path::new(&fixture("gpt2/tied_4_heads")).join(file);
        fs::copy(from, place.path("small").join(file)).unwrap();
    }
    fs::copy(place.path("words/vocab.txt"), place.path("small/vocab.txt")).unwrap();
    let large = "[data]\nseq_len = 16\n[large.model]\nn_embd = 48\nn_layer = 3";
    let output = run(&place, "small", large, &WORDS[..2]);
    assert!(output.status.success(), "{}", common::said(&output));
    let hash = |folder: &str| Tokenizer::open(&place.path(folder)).unwrap().hash().to_owned();
    for used in ["run/tokenizer", "run/methods/ligo/model"] {
        assert_eq!(hash(used), hash("words"), "{used}");
    }
}

/// Puts the weights of one model in the place of another's, with the same times.
fn exchange(place: &Place, from: &str, to: &str) {
    let to = place.path(to);
    let time = fs::metadata(to.join("model.safetensors")).unwrap().modified().unwrap();
    for file in ["model.safetensors", "manifest.json"] {
        let target = to.join(file);
        fs::copy(place.path(from).join(file), &target).unwrap();
        fs::File::options()
            .write(true)
            .open(&target)
            .unwrap()
            .set_modified(time)
            .unwrap();
    }
}

#[test]
fn a_model_that_changed_under_its_path_is_another_input() {
    let place = Place::new();
    let methods = "methods=[{name=\"scratch\"}]";
    place.shown(&[
        "run",
        "--recipe",
        "recipe.toml",
        "--data",
        "text.txt",
        "--out",
        "first",
        "--set",
        methods,
    ]);
    let train = |out: &'static str, more: &[&'static str]| -> Vec<&'static str> {
        let settings = [
            "train",
            "--tokens",
            "first",
            "--seq-len",
            "16",
            "--set",
            "steps=2",
            "--set",
            "batch_size=4",
            "--set",
            "eval_batches=2",
            "--out",
            out,
        ];
        [&settings, more].concat()
    };
    // Two models of one shape: the first run's small one, and that trained on.
    place.shown(&train("later", &["--init", "first/small/model"]));
    for name in ["init", "teacher"] {
        fs::create_dir(place.path(name)).unwrap();
        for file in fs::read_dir(place.path("first/small/model")).unwrap() {
            let file = file.unwrap().path();
            fs::copy(&file, place.path(name).join(file.file_name().unwrap())).unwrap();
        }
    }
    let large = fs::read(place.path("first/methods/scratch/model/config.json")).unwrap();
    place.write("large.json", large);
    let learn = [
        "learn",
        "--small",
        "init",
        "--large",
        "large.json",
        "--tokens",
        "first",
        "--seq-len",
        "16",
        "--set",
        "steps=2",
        "--set",
        "batch_size=4",
        "--set",
        "eval_batches=2",
        "--out",
        "operator",
    ];
    let commands = [
        (train("started", &["--init", "init"]), "init", "init was"),
        (
            train("taught", &["--init", "first/small/model", "--teacher", "teacher"]),
            "teacher",
            "teacher was",
        ),
        (learn.to_vec(), "init", "small was"),
    ];
    for (command, input, changed) in commands {
        exchange(&place, "first/small/model", input);
        place.shown(&command);
        assert_says(&place.shown(&command), &["complete, skipped"]);
        exchange(&place, "later/model", input);
        let message = place.refused(&command);
        assert_says(
            &message,
            &["other settings", changed, "counts by its content", "remove"],
        );
        assert!(
            !message.contains("skipped") && !message.contains("made again"),
            "{message}"
        );
        // Back again, and nothing was lost.
        exchange(&place, "first/small/model", input);
        assert_says(&place.shown(&command), &["complete, skipped"]);
        // Nor by other settings.
        let longer = [&command[..], &["--set", "steps=3"]].concat();
        let message = place.refused(&longer);
        assert_says(&message, &["other settings", "steps was 2 and is now 3", "remove"]);
        assert!(!message.contains("made again"), "{message}");
        assert_eq!(
            message.contains("train its model further"),
            command[0] == "train",
            "{message}"
        );
        assert_says(&place.shown(&command), &["complete, skipped"]);
    }
}

#[cfg(unix)]
#[test]
fn a_small_model_of_links_is_what_they_lead_to() {
    let place = Place::new();
    words(&place, 61);
    fs::create_dir(place.path("small")).unwrap();
    let link = |from: &str| {
        for file in ["config.json", "model.safetensors"] {
            let target = place.path("small").join(file);
            let _ = fs::remove_file(&target);
            std::os::unix::fs::symlink(place.path(from).join(file), target).unwrap();
        }
    };
    // The same shape with other weights.
    let source = ModelDir::open(fixture("gpt2/tied_4_heads")).unwrap();
    for (name, factor) in [("one", 1.0), ("two", 1.5)] {
        let tensors = source.names().filter_map(|tensor| {
            let values = source
                .read_f32(tensor)
                .ok()?
                .iter()
                .map(|x| factor * x)
                .collect::<Vec<_>>();
            Some((tensor.to_owned(), source.info(tensor)?.shape.clone(), values.into()))
        });
        let tensors: Vec<_> = tensors.collect();
        let options = ligo_checkpoint::WriteOptions::default();
        ligo_checkpoint::write_model(place.path(name), source.config().unwrap(), tensors, &options).unwrap();
    }
    let large = "[data]\nseq_len = 16\n[large.model]\nn_embd = 48\nn_layer = 3";
    link("one");
    assert!(run(&place, "small", large, &WORDS).status.success());
    link("two");
    let output = run(&place, "small", large, &WORDS);
    let said = common::said(&output);
    assert_says(
        &said,
        &["small model: made again", "(model)", "scratch: complete, skipped"],
    );
    // What was grown from the other weights is neither taken for done nor shown.
    assert!(!output.status.success(), "{said}");
    let summary = ligo_report::Summary::read(place.path("run/summary.json")).unwrap();
    let shown: Vec<&str> = summary.methods.iter().map(|method| method.id.as_str()).collect();
    assert_eq!(shown, ["scratch"], "{said}");
}

#[test]
fn files_of_two_models_in_one_folder_are_told() {
    let place = Place::new();
    fs::create_dir(place.path("mixed")).unwrap();
    for (from, file) in [
        ("gpt2/tied_4_heads", "model.safetensors"),
        ("bert/tied_4_heads", "config.json"),
    ] {
        fs::copy(Path::new(&fixture(from)).join(file), place.path("mixed").join(file)).unwrap();
    }
    let says = ["mixed", "config.json says BERT", "those of GPT-2"];
    assert_says(&place.refused(&["verify", "mixed"]), &says);
    let large = place.path("mixed/config.json");
    let grow = [
        "grow",
        "--small",
        "mixed",
        "--large",
        large.to_str().unwrap(),
        "--method",
        "stackbert",
        "--out",
        "x",
    ];
    assert_says(&place.refused(&grow), &says);
    // And a recipe for one family with a model of another.
    let gpt2 = fixture("gpt2/tied_4_heads");
    let recipe = [
        "run",
        "--recipe",
        "bert-mini",
        "--small",
        &gpt2,
        "--data",
        "text.txt",
        "--out",
        "run",
    ];
    let families = ["cannot grow a `gpt2` model into a `bert` model"];
    assert_says(&place.refused(&recipe), &[&families[..], &["large.model"]].concat());
    let named =
        "[large.model]\nmodel_type = \"bert\"\nhidden_size = 48\nnum_hidden_layers = 3\nnum_attention_heads = 4";
    let output = run(&place, &gpt2, named, &["--data", "text.txt"]);
    assert_says(&common::complaint(&output), &families);
    // And from file to file.
    let bert = format!("{}/config.json", fixture("bert/tied_4_heads"));
    let grow = [
        "grow",
        "--small",
        &gpt2,
        "--large",
        &bert,
        "--method",
        "stackbert",
        "--out",
        "x",
    ];
    assert_says(&place.refused(&grow), &families);
    assert!(!place.path("x").exists());
}

/// CIFAR's records: a label and 3 × 32 × 32 bytes, as bright as the label says.
fn pictures(place: &Place, classes: usize) {
    fs::create_dir_all(place.path("pictures")).unwrap();
    for (name, count) in [("train", 40), ("valid", 16)] {
        let picture = |i: usize| {
            let label = i % classes;
            let pixels = (0..3072).map(move |j| (label * 40 + (i * 7 + j * 13) % 40) as u8);
            std::iter::once(label as u8).chain(pixels)
        };
        let bytes: Vec<u8> = (0..count).flat_map(picture).collect();
        place.write(&format!("pictures/{name}.bin"), bytes);
    }
    let names: Vec<String> = (0..classes).map(|i| format!("class {i}")).collect();
    place.write("pictures/classes.txt", names.join("\n"));
}

/// A ViT for pictures of 32 pixels in patches of 8, as `ligo run` leaves it.
fn trained_vit(place: &Place) -> String {
    pictures(place, 3);
    let mut arguments = vec!["run", "--recipe", "vit-mini", "--data", "pictures", "--out", "first"];
    let short = [
        "small.train.steps=3",
        "small.train.eval_every=0",
        "small.train.schedule.warmup_steps=0",
        "methods=[{name=\"scratch\"}]",
    ];
    for setting in STEPS.iter().chain(&short) {
        arguments.extend(["--set", setting]);
    }
    place.shown(&arguments);
    "first/small/model".into()
}

#[test]
fn a_model_of_images_grows_at_another_resolution() {
    let place = Place::new();
    let small = trained_vit(&place);
    let config: serde_json::Value =
        serde_json::from_slice(&fs::read(place.path(&small).join("config.json")).unwrap()).unwrap();
    let patch = config["patch_size"].as_u64().unwrap() as usize;
    let hidden = config["hidden_size"].as_u64().unwrap() as usize;
    // Pictures of half the side, through a run.
    let large = "[corpus]\nsource = \"images\"\n[large.model]\nimage_size = 16\nnum_hidden_layers = 4";
    let output = run(&place, &small, large, &["--data", "pictures"]);
    assert!(output.status.success(), "{}", common::said(&output));
    let grown = ModelDir::open(place.path("run/methods/ligo/model")).unwrap();
    let table = grown.info("vit.embeddings.position_embeddings").unwrap();
    assert_eq!(table.shape, [1, 1 + (16 / patch).pow(2), hidden]);
    let preprocessor = fs::read_to_string(place.path("run/methods/ligo/model/preprocessor_config.json")).unwrap();
    assert_says(&preprocessor, &["\"height\": 16"]);
    // And from file to file, where only the positions differ.
    let mut bigger = config.clone();
    bigger["image_size"] = (32 + patch).into();
    place.write("bigger.json", bigger.to_string());
    place.shown(&[
        "grow",
        "--small",
        &small,
        "--large",
        "bigger.json",
        "--method",
        "direct-copy",
        "--out",
        "bigger",
    ]);
    let (before, after) = (
        ModelDir::open(place.path(&small)).unwrap(),
        ModelDir::open(place.path("bigger")).unwrap(),
    );
    for name in before.names() {
        let same = before.read_f32(name).unwrap() == after.read_f32(name).unwrap();
        assert_eq!(same, name != "vit.embeddings.position_embeddings", "{name}");
    }
    let prefix = |dir: &ModelDir| dir.read_f32("vit.embeddings.position_embeddings").unwrap()[..hidden].to_vec();
    assert_eq!(prefix(&before), prefix(&after));
    place.shown(&["verify", "bigger"]);
    // A size that patches do not fill.
    bigger["image_size"] = (32 + patch + 1).into();
    place.write("bigger.json", bigger.to_string());
    let grow = [
        "grow",
        "--small",
        &small,
        "--large",
        "bigger.json",
        "--method",
        "direct-copy",
        "--out",
        "no",
    ];
    assert_says(&place.refused(&grow), &["patch_size", "does not divide"]);
}

#[test]
fn images_of_other_classes_are_refused() {
    let place = Place::new();
    let small = trained_vit(&place);
    pictures(&place, 5);
    let large = "[corpus]\nsource = \"images\"\n[large.model]\nnum_hidden_layers = 4";
    let output = run(&place, &small, large, &["--data", "pictures"]);
    assert_says(
        &common::complaint(&output),
        &["first/small/model", "3 classes", "have 5"],
    );
}
