//! A file as its source finds it.

use std::sync::Arc;

use audit_config_source::{Check, ConfigSource, Fetched, Sha256, SourceError, SourceSettings};

use crate::keys::{document, refusal, signed_by, signer, source};

fn file(path: &std::path::Path, check: Check) -> Arc<dyn ConfigSource> {
    let place = format!("file://{}", path.display());
    source(&place, &SourceSettings::default(), check)
}

#[tokio::test]
async fn a_file_comes_once_and_again_when_it_changed_at_the_same_length() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("worker.toml");
    let source = file(&path, Check::default());
    assert_eq!(source.place(), path.display().to_string());
    assert_eq!(refusal(&*source).await.to_string(), "does not exist");
    std::fs::write(&path, "ledgers = 4").expect("written");
    let (first, mark) = document(&*source).await;
    assert_eq!(first.name, path.display().to_string());
    let again = source.fetch(Some(&mark)).await;
    assert!(matches!(again, Ok(Fetched::Unchanged)), "{again:?}");
    std::fs::write(&path, "ledgers = 5").expect("written");
    let changed = source.fetch(Some(&mark)).await;
    let Ok(Fetched::Document(second, _)) = changed else {
        panic!("the file changed: {changed:?}");
    };
    assert_eq!(second.text, "ledgers = 5");
    assert_eq!(source.fetch_version("1").await.expect("an answer"), None);
}

#[tokio::test]
async fn a_file_is_held_to_the_same_bounds_and_checks() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("worker.toml");
    let source = file(&path, Check::default());
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).expect("written");
    assert_eq!(
        refusal(&*source).await.to_string(),
        "has more than 1048576 bytes"
    );
    let of_a_directory = refusal(&*file(dir.path(), Check::default())).await;
    assert!(
        matches!(of_a_directory, SourceError::Unreachable(_)),
        "{of_a_directory:?}"
    );

    std::fs::write(&path, "ledgers = 4").expect("written");
    let pinned = Check {
        sha256: Some(Sha256::of(b"ledgers = 5")),
        ..Check::default()
    };
    let error = refusal(&*file(&path, pinned)).await;
    assert!(matches!(error, SourceError::Check(_)), "{error:?}");

    let signer = signer(7);
    let signed = file(&path, signed_by(&signer));
    let beside = dir.path().join("worker.toml.sig");
    let error = refusal(&*signed).await.to_string();
    let missing = format!("there is no signature at {}", beside.display());
    assert!(error.ends_with(&missing), "{error}");
    std::fs::write(&beside, signer.sign(b"ledgers = 5")).expect("written");
    let error = refusal(&*signed).await.to_string();
    assert!(error.contains("the signature is not of the key"), "{error}");
    std::fs::write(&beside, signer.sign(b"ledgers = 4")).expect("written");
    document(&*signed).await;
}
