//! What `${...}` in a configuration stands for.

use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

/// **Extension point.** Where values come from that a configuration only names.
///
/// Called while a configuration is read, once for each mention; must not block for long.
pub trait Lookup {
    /// The value of a variable, if it is set.
    fn variable(&self, name: &str) -> Option<String>;

    /// What a file holds, without the line end.
    ///
    /// # Errors
    /// In words, which may name the file and must not hold anything of it.
    fn file(&self, path: &str) -> Result<Zeroizing<String>, String>;
}

/// A function is a look-up of variables, without files.
impl<F: Fn(&str) -> Option<String>> Lookup for F {
    fn variable(&self, name: &str) -> Option<String> {
        self(name)
    }

    fn file(&self, _path: &str) -> Result<Zeroizing<String>, String> {
        Err("files are not read here".to_owned())
    }
}

/// The environment and the files of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings;

/// Bytes of a file that a configuration names, at most.
const FILE_BYTES_MAX: u64 = 64 << 10;

impl Lookup for Surroundings {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    /// A regular file (or a link to one) of at most 64 KiB of UTF-8 that is not empty. Its mode is not judged: orchestrators
    /// mount secrets readable for everybody inside the container.
    fn file(&self, path: &str) -> Result<Zeroizing<String>, String> {
        let cannot = |reason: &dyn std::fmt::Display| format!("{path} cannot be read: {reason}");
        if !Path::new(path).is_absolute() {
            return Err(
                "a file must be named by its whole path (`${file:/run/secrets/name}`)".to_owned(),
            );
        }
        let metadata = std::fs::metadata(path).map_err(|error| cannot(&error))?;
        if !metadata.is_file() {
            return Err(cannot(&"it is no regular file"));
        }
        let read = bounded(Path::new(path), FILE_BYTES_MAX).map_err(|error| cannot(&error))?;
        let Some(mut text) = read else {
            return Err(cannot(&format_args!(
                "it has more than {FILE_BYTES_MAX} bytes"
            )));
        };
        let end = text.trim_end_matches(['\r', '\n']).len();
        text.truncate(end);
        if text.is_empty() {
            return Err(cannot(&"it is empty"));
        }
        Ok(text)
    }
}

/// What a file holds; `None` when it is more than so many bytes.
pub(crate) fn bounded(path: &Path, bytes_max: u64) -> std::io::Result<Option<Zeroizing<String>>> {
    let file = std::fs::File::open(path)?;
    let mut text = Zeroizing::new(String::new());
    file.take(bytes_max.saturating_add(1))
        .read_to_string(&mut text)?;
    Ok((text.len() as u64 <= bytes_max).then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_text_without_the_line_end_and_no_other_file_gives_any() {
        let dir = tempfile::tempdir().expect("a directory");
        let check = |name: &str, content: &[u8], expected: Result<&str, &str>| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).expect("written");
            let path = path.display().to_string();
            let found = Surroundings.file(&path);
            let found = found
                .as_ref()
                .map(|text| text.as_str())
                .map_err(|error| error.replace(&path, "FILE"));
            assert_eq!(found, expected.map_err(str::to_owned), "{name}");
        };
        check("plain", b"hunter2", Ok("hunter2"));
        check("line", b" hunter2 \r\n", Ok(" hunter2 "));
        check("empty", b"\n", Err("FILE cannot be read: it is empty"));
        check(
            "bytes",
            b"hunter2\xff",
            Err("FILE cannot be read: stream did not contain valid UTF-8"),
        );
        check(
            "large",
            &vec![b'x'; 70_000],
            Err("FILE cannot be read: it has more than 65536 bytes"),
        );
        let directory = Surroundings.file(&dir.path().display().to_string());
        assert!(directory.is_err_and(|error| error.ends_with("it is no regular file")));
        assert!(
            Surroundings
                .file("plain")
                .is_err_and(|error| error.contains("whole path"))
        );
    }
}
