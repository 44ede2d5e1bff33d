//! The hub, played by a small server on this machine that speaks as much of its language as a download needs.
#![cfg(feature = "hub")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use ligo_data::hub::{Hub, HubAddress, HubSettings};
use ligo_data::{Corpus, Error, Tokenizer, TokenizerKind, Watch};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secret";

/// Files by `REPOSITORY/PATH`, where a repository is `datasets/OWNER/NAME` or `OWNER/NAME`. Those of `…/gated` want a token.
struct Server {
    endpoint: String,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        // The thread ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(&stream, &files, &log);
            }
        });
        Self { endpoint, seen }
    }

    fn requests(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn answer(mut stream: &TcpStream, files: &BTreeMap<String, Vec<u8>>, log: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    log.lock().unwrap().push(request.clone());
    let authorised = headers
        .iter()
        .any(|header| header.eq_ignore_ascii_case(&format!("authorization: bearer {TOKEN}")));
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target
        .split('?')
        .next()
        .unwrap()
        .trim_start_matches('/')
        .replace("%2F", "/");
    let (status, extra, body) = if path.contains("o/forbidden") {
        ("403 Forbidden", "X-Error-Code: GatedRepo\r\n".to_owned(), Vec::new())
    } else if path.contains("o/gated") && !authorised {
        ("401 Unauthorized", String::new(), Vec::new())
    } else if let Some((repository, folder)) = path.strip_prefix("api/").and_then(|p| p.split_once("/tree/main")) {
        tree(
            repository.trim_start_matches("models/"),
            folder.trim_matches('/'),
            files,
        )
    } else if let Some(body) = files.get(&path.replace("/resolve/main/", "/")) {
        let extra = format!(
            "ETag: \"{:016x}\"\r\nX-Repo-Commit: {COMMIT}\r\n",
            body.len() * 31 + path.len()
        );
        ("200 OK", extra, body.clone())
    } else {
        (
            "404 Not Found",
            "X-Error-Code: EntryNotFound\r\n".to_owned(),
            Vec::new(),
        )
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    if method == "GET" {
        stream.write_all(&body).unwrap();
    }
}

fn tree(repository: &str, folder: &str, files: &BTreeMap<String, Vec<u8>>) -> (&'static str, String, Vec<u8>) {
    let entries: Vec<String> = files
        .iter()
        .filter_map(|(path, body)| Some((path.strip_prefix(repository)?.strip_prefix('/')?, body.len())))
        .filter(|(path, _)| folder.is_empty() || path.starts_with(&format!("{folder}/")))
        .map(|(path, size)| format!("{{\"type\":\"file\",\"oid\":\"x\",\"size\":{size},\"path\":\"{path}\"}}"))
        .collect();
    if entries.is_empty() {
        let known = files.keys().any(|path| path.starts_with(&format!("{repository}/")));
        let code = if known { "EntryNotFound" } else { "RepoNotFound" };
        return ("404 Not Found", format!("X-Error-Code: {code}\r\n"), Vec::new());
    }
    let kind = "Content-Type: application/json\r\n".to_owned();
    ("200 OK", kind, format!("[{}]", entries.join(",")).into_bytes())
}

struct Setup {
    folder: tempfile::TempDir,
    server: Server,
}

fn setup() -> Setup {
    let mut files: BTreeMap<String, Vec<u8>> = [
        ("datasets/o/texts/en/a.txt", "first\n\nsecond"),
        ("datasets/o/texts/en/b.jsonl", "{\"text\": \"third\"}"),
        ("datasets/o/texts/en/notes.md", "no text of the corpus"),
        ("datasets/o/texts/dataset_infos.json", "{}"),
        ("datasets/o/texts/de/c.txt", "vierter"),
        ("datasets/o/gated/a.txt", "for members"),
        ("o/m/model.safetensors", "weights"),
        ("o/m/config.json", "{\"model_type\": \"gpt2\"}"),
        ("o/m/onnx/vocab.json", "{}"),
    ]
    .into_iter()
    .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
    .collect();
    let fixtures =
        PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../../tests/fixtures/tokenizers/gpt2");
    for name in ["vocab.json", "merges.txt"] {
        files.insert(format!("o/m/{name}"), fs::read(fixtures.join(name)).unwrap());
    }
    Setup {
        folder: tempfile::tempdir().unwrap(),
        server: Server::start(files),
    }
}

impl Setup {
    fn hub(&self, token: Option<&str>, offline: bool) -> Hub {
        Hub::new(HubSettings {
            endpoint: Some(self.server.endpoint.clone()),
            // A token of the machine's user must not decide; this one opens nothing.
            token: Some(token.unwrap_or("hf_other").to_owned()),
            cache: Some(self.folder.path().to_path_buf()),
            offline,
        })
        .unwrap()
    }

    fn fetch(&self, address: &str) -> ligo_data::Result<Vec<PathBuf>> {
        fetch(&self.hub(None, false), address)
    }
}

fn fetch(hub: &Hub, address: &str) -> ligo_data::Result<Vec<PathBuf>> {
    let address = HubAddress::parse(address).unwrap().unwrap();
    hub.fetch(
        &address,
        &|file| [".txt", ".jsonl"].iter().any(|end| file.ends_with(end)),
        Watch::none(),
    )
}

fn texts(paths: &[PathBuf]) -> Vec<String> {
    Corpus::open(paths)
        .unwrap()
        .documents()
        .map(|document| document.unwrap().text)
        .collect()
}

#[test]
fn a_file_a_folder_and_a_pattern_are_downloaded_and_read() {
    let setup = setup();
    let read = |address: &str| texts(&setup.fetch(address).unwrap());
    assert_eq!(read("hf://datasets/o/texts/de/c.txt"), ["vierter"]);
    assert_eq!(read("hf://datasets/o/texts/en"), ["first", "second", "third"]);
    assert_eq!(read("hf://datasets/o/texts/*/*.txt"), ["vierter", "first", "second"]);
    assert_eq!(read("hf://datasets/o/texts"), ["vierter", "first", "second", "third"]);
    // The cache speaks the layout that Python's library knows.
    let repository = setup.folder.path().join("datasets--o--texts");
    assert_eq!(fs::read_to_string(repository.join("refs/main")).unwrap(), COMMIT);
    let file = repository.join("snapshots").join(COMMIT).join("en/a.txt");
    assert_eq!(fs::read_to_string(file).unwrap(), "first\n\nsecond");
    assert!(!repository.join("snapshots").join(COMMIT).join("en/notes.md").exists());
}

#[test]
fn what_is_cached_is_not_downloaded_again_and_offline_nothing_is_asked() {
    let setup = setup();
    let address = "hf://datasets/o/texts/en/a.txt";
    let first = setup.fetch(address).unwrap();
    let downloads = |requests: Vec<String>| requests.iter().filter(|r| r.starts_with("GET")).count();
    assert_eq!(downloads(setup.server.requests()), 1);
    assert_eq!(setup.fetch(address).unwrap(), first);
    assert_eq!(downloads(setup.server.requests()), 1);
    let asked = setup.server.requests().len();
    let offline = setup.hub(None, true);
    for cached in [address, "hf://datasets/o/texts", "hf://datasets/o/texts/e*/*"] {
        assert_eq!(
            texts(&fetch(&offline, cached).unwrap()),
            ["first", "second"],
            "{cached}"
        );
    }
    match fetch(&offline, "hf://datasets/o/texts/en/b.jsonl") {
        Err(Error::HubNotCached { address, cache }) => {
            assert_eq!(address, "hf://datasets/o/texts/en/b.jsonl");
            assert_eq!(cache, setup.folder.path());
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(setup.server.requests().len(), asked);
}

#[test]
fn a_token_opens_what_is_closed_without() {
    let setup = setup();
    let address = "hf://datasets/o/gated/a.txt";
    match setup.fetch(address) {
        Err(error @ Error::HubDenied { status: 401, .. }) => {
            let message = error.to_string();
            assert!(message.contains(address) && message.contains("HF_TOKEN"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        texts(&fetch(&setup.hub(Some(TOKEN), false), address).unwrap()),
        ["for members"]
    );
    assert!(matches!(
        setup.fetch("hf://datasets/o/gated"),
        Err(Error::HubDenied { status: 401, .. })
    ));
    for closed in ["hf://datasets/o/forbidden/a.txt", "hf://datasets/o/forbidden"] {
        assert!(
            matches!(setup.fetch(closed), Err(Error::HubDenied { status: 403, .. })),
            "{closed}"
        );
    }
    let shown = format!(
        "{:?}",
        HubSettings {
            token: Some(TOKEN.to_owned()),
            ..HubSettings::default()
        }
    );
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[test]
fn what_is_not_there_is_said_to_be_missing() {
    let setup = setup();
    for (address, missing) in [
        ("hf://datasets/o/texts/en/absent.txt", "path"),
        ("hf://datasets/o/texts/fr", "path"),
        ("hf://datasets/o/nothing", "repository"),
        ("hf://datasets/o/texts/*.parquet", "file of the kind wanted"),
    ] {
        match setup.fetch(address) {
            Err(Error::HubNotFound { address: found, what }) => assert_eq!((found.as_str(), what), (address, missing)),
            other => panic!("{address}: {other:?}"),
        }
    }
}

#[test]
fn a_server_that_is_not_there_is_a_typed_error() {
    let setup = setup();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = |endpoint: &str| HubSettings {
        endpoint: Some(endpoint.to_owned()),
        cache: Some(setup.folder.path().to_path_buf()),
        ..HubSettings::default()
    };
    let hub = Hub::new(settings(&endpoint)).unwrap();
    let address = "hf://datasets/o/texts";
    assert!(matches!(fetch(&hub, address), Err(Error::HubFailed { address: found, .. }) if found == address));
    assert!(matches!(Hub::new(settings("no address")), Err(Error::HubFailed { .. })));
}

#[test]
fn the_files_of_a_tokenizer_are_fetched_and_opened() {
    let setup = setup();
    let hub = setup.hub(None, false);
    let address = HubAddress::parse("hf://o/m").unwrap().unwrap();
    let files = hub.fetch_tokenizer(&address, Watch::none()).unwrap();
    let tokenizer = Tokenizer::open(&files).unwrap();
    assert_eq!((tokenizer.kind(), tokenizer.vocab_size()), (TokenizerKind::Gpt2, 1000));
    let names = |folder: &Path| -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&files), ["config.json", "merges.txt", "vocab.json"]);
    assert_eq!(
        setup.hub(None, true).fetch_tokenizer(&address, Watch::none()).unwrap(),
        files
    );
}

#[test]
fn progress_reaches_the_size_and_a_wish_to_stop_is_heard() {
    let setup = setup();
    let seen = RefCell::new(Vec::new());
    let report = |done, total| seen.borrow_mut().push((done, total));
    let stop = AtomicBool::new(false);
    let address = HubAddress::parse("hf://datasets/o/texts/en").unwrap().unwrap();
    let keep = |file: &str| !file.ends_with(".md");
    let hub = setup.hub(None, false);
    hub.fetch(&address, &keep, Watch::new(&report, &stop)).unwrap();
    assert_eq!(seen.borrow().last(), Some(&(30, 30)));
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(matches!(
        hub.fetch(&address, &keep, Watch::new(&report, &stop)),
        Err(Error::Interrupted)
    ));
}
