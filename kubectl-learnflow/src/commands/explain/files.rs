//! The files that are named, and those of folders.

use crate::problem::Problem;
use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

/// No such file is longer; what is has been taken for one by mistake.
const LONGEST: u64 = 4 << 20;

/// Each with its name, in order.
pub(in crate::commands) fn read(paths: &[PathBuf]) -> Result<Vec<(String, String)>, Problem> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            let inside = inside(path).map_err(|e| cannot(path, &e))?;
            if inside.is_empty() {
                let what = format!("{} has no file that ends in .yaml, .yml or .json.", path.display());
                return Err(Problem::new(what).next("Name the files with -f."));
            }
            for path in inside {
                all.push(one(&path)?);
            }
        } else {
            all.push(one(path)?);
        }
    }
    Ok(all)
}

fn inside(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let ending = path.extension().and_then(|ending| ending.to_str());
        if path.is_file() && matches!(ending, Some("yaml" | "yml" | "json")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn one(path: &Path) -> Result<(String, String), Problem> {
    let mut text = String::new();
    let read = |from: &mut dyn Read, text: &mut String| from.take(LONGEST + 1).read_to_string(text);
    let (name, length) = if path == Path::new("-") {
        ("standard input".to_owned(), read(&mut io::stdin().lock(), &mut text))
    } else {
        let length = fs::File::open(path).and_then(|mut file| read(&mut file, &mut text));
        (path.display().to_string(), length)
    };
    match length {
        Ok(length) if length as u64 > LONGEST => {
            Err(Problem::new(format!("{name} is longer than 4 MiB.")).next("Name files with Dapr's objects."))
        }
        Ok(_) => Ok((name, text)),
        Err(e) => Err(cannot(path, &e)),
    }
}

fn cannot(path: &Path, error: &io::Error) -> Problem {
    Problem::new(format!("Cannot read {}: {error}.", path.display())).next("Name files with Dapr's objects with -f.")
}
