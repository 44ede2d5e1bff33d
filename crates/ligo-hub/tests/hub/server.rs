//! The hub, played by a small server on this machine that speaks as much of its language as downloads and uploads need.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
pub const TOKEN: &str = "hf_secret";

/// Files by `REPOSITORY/PATH`, where a repository is `datasets/OWNER/NAME` or `OWNER/NAME`. Those of `…/gated` want a token.
pub struct Server {
    pub endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// What was asked.
#[derive(Clone)]
pub struct Request {
    /// Method and target.
    pub line: String,
    pub body: String,
}

impl Server {
    pub fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
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

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// How many files were sent.
    pub fn downloads(&self) -> usize {
        let requests = self.requests();
        let is_download = |request: &&Request| request.line.starts_with("GET") && request.line.contains("/resolve/");
        requests.iter().filter(is_download).count()
    }
}

type Answer = (&'static str, String, Vec<u8>);

fn answer(mut stream: &TcpStream, files: &BTreeMap<String, Vec<u8>>, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut text = String::new();
        reader.read_line(&mut text).unwrap_or(0);
        text.trim_end().to_owned()
    };
    let request = line();
    let mut headers = Vec::new();
    loop {
        let header = line().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        headers.push(header);
    }
    let length = headers
        .iter()
        .find_map(|header| header.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8_lossy(&body).into_owned();
    log.lock().unwrap().push(Request {
        line: request.clone(),
        body: body.clone(),
    });
    let authorised = headers.contains(&format!("authorization: bearer {TOKEN}"));
    let mut words = request.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    let path = target
        .split('?')
        .next()
        .unwrap()
        .trim_start_matches('/')
        .replace("%2F", "/");
    let (status, extra, answer) = if method == "POST" {
        if authorised {
            taken(&path, &body)
        } else {
            ("403 Forbidden", String::new(), Vec::new())
        }
    } else {
        sent(&path, authorised, files)
    };
    let head = format!(
        "HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\nConnection: close\r\n\r\n",
        answer.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    if method != "HEAD" {
        stream.write_all(&answer).unwrap();
    }
}

fn sent(path: &str, authorised: bool, files: &BTreeMap<String, Vec<u8>>) -> Answer {
    if path.contains("o/forbidden") {
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
    }
}

/// What uploads ask: a repository, which files go which way, and the commit.
fn taken(path: &str, body: &str) -> Answer {
    let json = |text: String| {
        (
            "200 OK",
            "Content-Type: application/json\r\n".to_owned(),
            text.into_bytes(),
        )
    };
    if path == "api/repos/create" {
        return json("{\"url\":\"http://hub/me/new\"}".to_owned());
    }
    if path.contains("/preupload/") {
        let asked: serde_json::Value = serde_json::from_str(body).unwrap();
        let files = asked["files"].as_array().unwrap().iter();
        let modes: Vec<_> = files
            .map(|file| serde_json::json!({"path": file["path"], "uploadMode": "regular", "shouldIgnore": false}))
            .collect();
        return json(serde_json::json!({"files": modes}).to_string());
    }
    if path.contains("/commit/") {
        return json(format!(
            "{{\"commitUrl\":\"http://hub/me/new/commit/{COMMIT}\",\"commitOid\":\"{COMMIT}\"}}"
        ));
    }
    ("404 Not Found", String::new(), Vec::new())
}

fn tree(repository: &str, folder: &str, files: &BTreeMap<String, Vec<u8>>) -> Answer {
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
