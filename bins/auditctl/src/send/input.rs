//! Which files are meant.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::error::CliError;

/// Bytes read at once.
const READ_BUFFER: usize = 256 * 1024;

/// One source of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// Standard input.
    Stdin,
    /// A file and its length.
    File {
        /// As named, or as the glob found it.
        path: PathBuf,
        /// Length when it was found; a file that grows is read to its end all the same.
        bytes: u64,
    },
}

impl Input {
    /// The name in messages.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Stdin => "-".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// The length, where it is known.
    pub(crate) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File { bytes, .. } => Some(*bytes),
        }
    }

    /// Opens it from the beginning.
    pub(crate) fn open(&self) -> Result<Box<dyn BufRead + Send>, CliError> {
        match self {
            Self::Stdin => Ok(Box::new(BufReader::with_capacity(
                READ_BUFFER,
                std::io::stdin(),
            ))),
            Self::File { path, .. } => {
                let file =
                    File::open(path).map_err(|error| CliError::file("open", path, &error))?;
                Ok(Box::new(BufReader::with_capacity(READ_BUFFER, file)))
            }
        }
    }
}

/// The inputs that the arguments name, a glob's in the order of their names. Nothing found is an error, so that a
/// mistyped glob is not taken for "all sent".
pub(crate) fn expand(arguments: &[String]) -> Result<Vec<Input>, CliError> {
    let mut inputs = Vec::new();
    for argument in arguments {
        if argument == "-" {
            inputs.push(Input::Stdin);
        } else if Path::new(argument).is_file() {
            inputs.push(file(Path::new(argument))?);
        } else {
            inputs.extend(expand_glob(argument)?);
        }
    }
    if inputs
        .iter()
        .filter(|input| **input == Input::Stdin)
        .count()
        > 1
    {
        return Err(CliError::Usage(
            "standard input can be read only once; name `-` once".to_owned(),
        ));
    }
    Ok(inputs)
}

fn expand_glob(pattern: &str) -> Result<Vec<Input>, CliError> {
    let bad =
        |error: &dyn std::fmt::Display| CliError::Usage(format!("cannot read {pattern}: {error}"));
    let mut found = Vec::new();
    for path in glob::glob(pattern).map_err(|error| bad(&error))? {
        let path = path.map_err(|error| bad(&error))?;
        if path.is_file() {
            found.push(file(&path)?);
        }
    }
    if found.is_empty() {
        return Err(CliError::Usage(format!(
            "no file is called {pattern}; quote a glob if the shell does not know it"
        )));
    }
    Ok(found)
}

fn file(path: &Path) -> Result<Input, CliError> {
    let bytes = std::fs::metadata(path)
        .map_err(|error| CliError::file("read", path, &error))?
        .len();
    Ok(Input::File {
        path: path.to_owned(),
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_gives_its_files_in_order_and_nothing_found_is_an_error() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["b.json", "a.json", "c.txt"] {
            std::fs::write(dir.path().join(name), "{}").expect("written");
        }
        let pattern = dir.path().join("*.json").display().to_string();
        let names: Vec<_> = expand(&[pattern])
            .expect("found")
            .iter()
            .map(Input::name)
            .collect();
        assert!(
            names[0].ends_with("a.json") && names[1].ends_with("b.json") && names.len() == 2,
            "{names:?}"
        );
        let error =
            expand(&[dir.path().join("*.xml").display().to_string()]).expect_err("nothing there");
        assert_eq!(error.exit_code(), 2);
    }

    #[test]
    fn standard_input_is_read_once() {
        assert!(expand(&["-".to_owned(), "-".to_owned()]).is_err());
    }
}
