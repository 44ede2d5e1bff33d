//! The program `ligo-hub` and what starts it, against a server that plays the hub.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod server;

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use ligo_hub::{Destination, Error, Helper, Hub, HubAddress, Missing, model_files};

use server::{COMMIT, Server, TOKEN};

struct Setup {
    folder: tempfile::TempDir,
    server: Server,
}

fn setup() -> Setup {
    let files: BTreeMap<String, Vec<u8>> = [
        ("datasets/o/texts/en/a.txt", "first"),
        ("datasets/o/texts/en/b.jsonl", "{\"text\": \"second\"}"),
        ("datasets/o/texts/en/notes.md", "no text of the corpus"),
        ("datasets/o/texts/de/c.txt", "dritter"),
        ("datasets/o/gated/a.txt", "for members"),
        ("o/m/model.safetensors", "weights"),
        ("o/m/config.json", "{\"model_type\": \"gpt2\"}"),
        ("o/m/vocab.json", "{}"),
        ("o/m/pytorch_model.bin", "the same weights"),
        ("o/m/onnx/model.onnx", "and again"),
        ("o/words/vocab.json", "{}"),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect();
    Setup {
        folder: tempfile::tempdir().unwrap(),
        server: Server::start(files),
    }
}

impl Setup {
    fn helper(&self, endpoint: &str, token: &str) -> Helper {
        let cache = self.folder.path().join("cache");
        // A token and a proxy of the machine's user must not decide.
        Helper::at(env!("CARGO_BIN_EXE_ligo-hub"))
            .with("HF_ENDPOINT", endpoint)
            .with("HF_TOKEN", token)
            .with("HF_HUB_CACHE", cache.to_str().unwrap())
            .with("NO_PROXY", "127.0.0.1")
    }

    fn hub(&self, token: &str) -> Hub {
        Hub {
            cache: self.folder.path().join("cache"),
            offline: false,
            helper: Some(self.helper(&self.server.endpoint, token)),
        }
    }

    fn offline(&self) -> Hub {
        Hub {
            offline: true,
            ..self.hub("")
        }
    }

    fn texts(&self, address: &str) -> Result<Vec<String>, Error> {
        texts(&self.hub("hf_other"), address)
    }
}

fn parse(address: &str) -> HubAddress {
    HubAddress::parse(address).unwrap().unwrap()
}

fn fetch(hub: &Hub, address: &str) -> Result<ligo_hub::Fetched, Error> {
    let choose = |names: &[String]| {
        let is_text = |name: &&String| [".txt", ".jsonl"].iter().any(|end| name.ends_with(end));
        names.iter().filter(is_text).cloned().collect()
    };
    hub.fetch(&parse(address), "text", &choose, &mut |_, _| true)
}

fn texts(hub: &Hub, address: &str) -> Result<Vec<String>, Error> {
    let files = fetch(hub, address)?.files;
    Ok(files.iter().map(|file| fs::read_to_string(file).unwrap()).collect())
}

#[test]
fn a_file_a_folder_and_a_pattern_are_downloaded() {
    let setup = setup();
    let read = |address: &str| setup.texts(address).unwrap();
    let second = "{\"text\": \"second\"}";
    assert_eq!(read("hf://datasets/o/texts/de/c.txt"), ["dritter"]);
    assert_eq!(read("hf://datasets/o/texts/en"), ["first", second]);
    assert_eq!(read("hf://datasets/o/texts/*/*.txt"), ["dritter", "first"]);
    assert_eq!(read("hf://datasets/o/texts"), ["dritter", "first", second]);
    // The cache speaks the layout that Python's library knows.
    let repository = setup.folder.path().join("cache/datasets--o--texts");
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let snapshot = repository.join("snapshots").join(COMMIT);
    assert_eq!(fs::read_to_string(snapshot.join("en/a.txt")).unwrap(), "first");
    assert!(!snapshot.join("en/notes.md").exists());
}

#[test]
fn what_is_cached_is_not_downloaded_again_and_offline_nothing_is_asked() {
    let setup = setup();
    let address = "hf://datasets/o/texts/en/a.txt";
    let first = fetch(&setup.hub("hf_other"), address).unwrap();
    assert_eq!((setup.server.downloads(), &first.not_asked), (1, &None));
    assert_eq!(fetch(&setup.hub("hf_other"), address).unwrap(), first);
    assert_eq!(setup.server.downloads(), 1);
    let asked = setup.server.requests().len();
    for cached in [address, "hf://datasets/o/texts", "hf://datasets/o/texts/e*/*"] {
        let found = fetch(&setup.offline(), cached).unwrap();
        assert_eq!(found.files, first.files, "{cached}");
        assert!(found.not_asked.unwrap().contains("HF_HUB_OFFLINE"));
    }
    // Without the program, or without a connection, what is there does as well.
    let alone = Hub {
        helper: None,
        ..setup.hub("")
    };
    assert_eq!(fetch(&alone, address).unwrap().files, first.files);
    assert!(
        matches!(fetch(&alone, "hf://datasets/o/texts/de"), Err(Error::NoHelper { wanted }) if wanted.ends_with("/de"))
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let cut_off = Hub {
        helper: Some(setup.helper(&endpoint, "")),
        ..setup.hub("")
    };
    let found = fetch(&cut_off, address).unwrap();
    assert_eq!(found.files, first.files);
    assert!(found.not_asked.unwrap().contains("cannot get"));
    assert!(matches!(
        fetch(&cut_off, "hf://datasets/o/texts/de"),
        Err(Error::Failed { .. })
    ));

    let absent = "hf://datasets/o/texts/en/b.jsonl";
    match fetch(&setup.offline(), absent) {
        Err(Error::NotCached { address, cache }) => {
            assert_eq!((address.as_str(), cache), (absent, setup.offline().cache));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(setup.server.requests().len(), asked);
}

#[test]
fn a_token_opens_what_is_closed_without() {
    let setup = setup();
    let address = "hf://datasets/o/gated/a.txt";
    match setup.texts(address) {
        Err(error @ Error::Denied { status: 401, .. }) => {
            let message = error.to_string();
            assert!(message.contains(address) && message.contains("HF_TOKEN"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(texts(&setup.hub(TOKEN), address).unwrap(), ["for members"]);
    for closed in ["hf://datasets/o/forbidden/a.txt", "hf://datasets/o/forbidden"] {
        assert!(
            matches!(setup.texts(closed), Err(Error::Denied { status: 403, .. })),
            "{closed}"
        );
    }
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let setup = setup();
    for (address, missing) in [
        ("hf://datasets/o/texts/en/absent.txt", Missing::Path),
        ("hf://datasets/o/texts/fr", Missing::Path),
        ("hf://datasets/o/texts/*.parquet", Missing::Path),
        ("hf://datasets/o/nothing", Missing::Repository),
    ] {
        match setup.texts(address) {
            Err(Error::NotFound { address: found, what }) => assert_eq!((found.as_str(), what), (address, missing)),
            other => panic!("{address}: {other:?}"),
        }
    }
    let fault = setup
        .texts("hf://datasets/o/texts/en/notes.md")
        .unwrap_err()
        .to_string();
    assert!(
        fault.contains("holds no text") && fault.contains("en/notes.md"),
        "{fault}"
    );
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn of_a_model_come_the_files_that_are_needed_and_of_a_tokenizer_its_own() {
    let setup = setup();
    let hub = setup.hub("hf_other");
    let tokenizer = hub.named(
        &parse("hf://o/m"),
        "tokenizer",
        &["vocab.json", "merges.txt"],
        &mut |_, _| true,
    );
    let (folder, _) = tokenizer.unwrap();
    assert_eq!(names(&folder), ["vocab.json"]);
    // A tokenizer alone is no model.
    assert!(matches!(
        setup.offline().model(&parse("hf://o/m"), &mut |_, _| true),
        Err(Error::NotCached { .. })
    ));
    let mut seen = Vec::new();
    let (model, not_asked) = hub
        .model(&parse("hf://o/m"), &mut |done, total| {
            seen.push((done, total));
            true
        })
        .unwrap();
    assert_eq!((&model, not_asked), (&folder, None));
    assert_eq!(names(&model), ["config.json", "model.safetensors", "vocab.json"]);
    assert_eq!(ligo_hub::model_of(&model), Some(("o/m".into(), COMMIT.into())));
    assert_eq!(
        ligo_hub::snapshot_in(&hub.cache.join("models--o--m")),
        Some(model.clone())
    );
    assert_eq!(seen.last(), Some(&(31, 31)));
    assert_eq!(
        setup.offline().model(&parse("hf://o/m"), &mut |_, _| true).unwrap().0,
        model
    );

    let fault = hub.model(&parse("hf://o/words"), &mut |_, _| true).unwrap_err();
    assert!(fault.to_string().contains("holds no model"), "{fault}");
    let stopped = hub.model(&parse("hf://o/m"), &mut |_, _| false);
    assert_eq!(stopped, Err(Error::Interrupted));
}

#[test]
fn a_folder_is_uploaded_in_one_commit() {
    let setup = setup();
    let folder = setup.folder.path().join("grown");
    fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    let files = ["config.json", "model.safetensors", "1_Pooling/config.json"];
    for file in files {
        fs::write(folder.join(file), format!("this is {file}")).unwrap();
    }
    let files = files.map(String::from);
    let to = Destination {
        repository: "me/new".into(),
        private: true,
        message: Some("twice as deep".into()),
        ..Destination::default()
    };
    let url = setup.hub(TOKEN).push(&folder, &files, &to, &mut |_, _| true).unwrap();
    assert_eq!(url, format!("http://hub/me/new/commit/{COMMIT}"));
    let requests = setup.server.requests();
    let bodies = |part: &str| -> Vec<&str> {
        let of = requests.iter().filter(|request| request.line.contains(part));
        of.map(|request| request.body.as_str()).collect()
    };
    let made: serde_json::Value = serde_json::from_str(bodies("/repos/create")[0]).unwrap();
    assert_eq!(
        (&made["name"], &made["organization"], &made["private"]),
        (&"new".into(), &"me".into(), &true.into())
    );
    let commits = bodies("/commit/main");
    assert_eq!(commits.len(), 1);
    let lines: Vec<serde_json::Value> = commits[0]
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["value"]["summary"], "twice as deep");
    let sent: Vec<&str> = lines[1..]
        .iter()
        .map(|line| line["value"]["path"].as_str().unwrap())
        .collect();
    assert_eq!(sent, files);
    // base64 of "this is config.json"
    assert_eq!(lines[1]["value"]["content"], "dGhpcyBpcyBjb25maWcuanNvbg==");

    let refused = setup.hub("hf_other").push(&folder, &files, &to, &mut |_, _| true);
    assert!(
        matches!(refused, Err(Error::MayNotWrite { status: 403, .. })),
        "{refused:?}"
    );
    let offline = setup.offline().push(&folder, &files, &to, &mut |_, _| true);
    assert!(matches!(offline, Err(Error::Offline { .. })));
}

#[test]
fn a_program_of_another_kind_is_no_helper() {
    let setup = setup();
    let hub = Hub {
        helper: Some(Helper::at(PathBuf::from(env!("CARGO_BIN_EXE_ligo-hub"))).with("HF_ENDPOINT", "no address")),
        ..setup.hub("")
    };
    assert!(matches!(fetch(&hub, "hf://o/m"), Err(Error::Failed { .. })));
    assert_eq!(model_files(&[], ""), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_link_of_the_cache_that_leads_nowhere_is_called_that() {
    let setup = setup();
    let hub = setup.offline();
    let snapshot = hub.cache.join("models--o--m/snapshots/abc");
    fs::create_dir_all(&snapshot).unwrap();
    let refs = hub.cache.join("models--o--m/refs");
    fs::create_dir_all(&refs).unwrap();
    fs::write(refs.join("main"), "abc").unwrap();
    fs::write(snapshot.join("config.json"), "{}").unwrap();
    let link = snapshot.join("model.safetensors");
    std::os::unix::fs::symlink("../../blobs/gone", &link).unwrap();
    let found = hub.model(&parse("hf://o/m"), &mut |_, _| true);
    let target = PathBuf::from("../../blobs/gone");
    let address = "hf://o/m".to_owned();
    assert_eq!(found, Err(Error::BrokenLink { address, link, target }));
    // What is not wanted may lead anywhere.
    fs::create_dir_all(hub.cache.join("models--o--m/blobs")).unwrap();
    fs::write(hub.cache.join("models--o--m/blobs/gone"), "weights").unwrap();
    std::os::unix::fs::symlink("nowhere", snapshot.join("flax_model.msgpack")).unwrap();
    let (folder, _) = hub.model(&parse("hf://o/m"), &mut |_, _| true).unwrap();
    assert_eq!(folder, snapshot);
}
