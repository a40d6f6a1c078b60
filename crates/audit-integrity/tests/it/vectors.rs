//! The committed vectors of `tests/vectors/v1` are what this code computes, and what an independent program computes.
//!
//! `UPDATE_GOLDEN=1` rewrites them; the bytes of version 1 may gain cases and never change.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use audit_integrity::bundle::Bundle;

use crate::vector_files;
use crate::vector_inputs::EVENTS;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/v1")
}

/// Every file below a directory, by its path.
fn files_below(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(directory)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                files.insert(name, fs::read(path).unwrap());
            }
        }
    }
    files
}

fn write(directory: &Path, files: &BTreeMap<String, Vec<u8>>) {
    for (name, bytes) in files {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn check(directory: &Path) -> std::process::Output {
    Command::new("python3")
        .arg(self::directory().join("check.py"))
        .arg(directory)
        .output()
        .unwrap()
}

#[test]
fn the_vectors_are_what_this_code_computes() {
    let mut computed = vector_files::all();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write(&directory(), &computed);
    }
    let mut committed = files_below(&directory());
    for by_hand in ["README.md", "check.py"] {
        assert!(committed.remove(by_hand).is_some(), "{by_hand}");
    }
    assert!(
        committed.keys().eq(computed.keys()),
        "{:?} {:?}",
        committed.keys(),
        computed.keys()
    );
    // Another version of the encoder may find another block for the same bytes.
    let unpacked = |files: &mut BTreeMap<String, Vec<u8>>| {
        Bundle::decompress(
            &files.remove("ledger-0/chunk.lz4").unwrap(),
            EVENTS.len() as u32,
        )
        .unwrap()
    };
    assert_eq!(unpacked(&mut computed), unpacked(&mut committed));
    for (name, bytes) in computed {
        assert!(
            committed[&name] == bytes,
            "{name} differs; UPDATE_GOLDEN=1 would rewrite it"
        );
    }
}

#[test]
fn an_independent_program_agrees() {
    let output = check(&directory());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// Where a vector is changed, the program must say so; otherwise its agreement means nothing.
#[test]
fn the_independent_program_notices_every_change() {
    let committed = vector_files::all();
    let edits: [(&str, &str, &str); 14] = [
        ("values.json", "1e+21", "1e21"),
        (
            "events.json",
            "\\\"action\\\":\\\"login\\\"",
            "\\\"action\\\":\\\"logon\\\"",
        ),
        ("events.json", "\"salt\": \"0", "\"salt\": \"1"),
        ("events.json", "\"claim\": \"", "\"claim\": \"0"),
        (
            "events.json",
            "\\\"kind\\\":\\\"event\\\"",
            "\\\"kind\\\":\\\"evens\\\"",
        ),
        ("events.json", "\"leafHash\": \"", "\"leafHash\": \"f"),
        ("control.json", "permanent", "perpetual"),
        ("heads.json", "\"epoch\": 3", "\"epoch\": 4"),
        ("heads.json", "\"mac\": \"", "\"mac\": \"0"),
        ("heads.json", "— audit.invalid", "— audit.other"),
        ("keys.json", "\"laneKey\": \"00", "\"laneKey\": \"ff"),
        ("proofs.json", "\"index\": 5,", "\"index\": 6,"),
        ("proofs.json", "\"old\": 7\n", "\"old\": 6\n"),
        ("proofs/ledger-0-5.tlog-proof", "index 5", "index 4"),
    ];
    for (file, written, other) in edits {
        let text = String::from_utf8(committed[file].clone()).unwrap();
        let changed = text.replacen(written, other, 1);
        assert!(changed != text, "{file} has no {written}");
        notices(&committed, file, changed.into_bytes());
    }
    for file in [
        "ledger-0/tile/0/000",
        "ledger-0/tile/1/000.p/1",
        "ledger-0/tile/entries/000",
        "ledger-0/chunk.lz4",
    ] {
        let mut bytes = committed[file].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        notices(&committed, file, bytes);
    }
}

fn notices(committed: &BTreeMap<String, Vec<u8>>, file: &str, changed: Vec<u8>) {
    let copy = tempfile::tempdir().unwrap();
    write(copy.path(), committed);
    fs::write(copy.path().join(file), changed).unwrap();
    let output = check(copy.path());
    assert_eq!(
        output.status.code(),
        Some(1),
        "{file}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
}
