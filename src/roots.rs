//! The directories below which the tasks of a locked server stay. Paths are compared when all links
//! in them are resolved, and part by part.

use std::fs;
use std::io;
use std::path::Path;

/// The path of what is there, with all links and `..` resolved. `name` says whose path it is.
pub fn resolved(name: &str, path: &Path) -> Result<String, String> {
    let why = match fs::canonicalize(path).map(|real| real.into_os_string().into_string()) {
        Ok(Ok(real)) => return Ok(real),
        Ok(Err(_)) => io::Error::other("it is not UTF-8"),
        Err(why) => why,
    };
    Err(format!("{name}: cannot use {}: {why}", path.display()))
}

/// Refuses a resolved path that is neither a root nor below one.
pub fn hold(roots: &[String], name: &str, path: &Path) -> Result<(), String> {
    if roots.iter().any(|root| path.starts_with(root)) {
        return Ok(());
    }
    let (path, roots) = (path.display(), roots.join(", "));
    Err(format!(
        "{name}: {path} is not below a --root of this --locked server ({roots}); name one that is"
    ))
}

/// The same of paths that are to be resolved first. Where there are no roots every path will do.
pub fn hold_all(roots: &[String], name: &str, paths: &[&Path]) -> Result<(), String> {
    if roots.is_empty() {
        return Ok(());
    }
    paths.iter().try_for_each(|path| hold(roots, name, Path::new(&resolved(name, path)?)))
}

/// Refuses a path that was resolved and is not what it leads to any more.
pub fn still_resolved(name: &str, path: &str) -> Result<(), String> {
    if resolved(name, Path::new(path))? == path {
        return Ok(());
    }
    Err(format!("{name}: {path} was replaced, or a link was put on the way to it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_holds_itself_and_what_is_below_by_whole_names() {
        let held = |roots: &[&str], path: &str| {
            let roots: Vec<String> = roots.iter().map(|root| (*root).to_owned()).collect();
            hold(&roots, "cwd", Path::new(path)).is_ok()
        };
        for path in ["/a/b", "/a/b/c", "/a/b/c d/e"] {
            assert!(held(&["/x", "/a/b"], path), "{path}");
        }
        for path in ["/a/bc", "/a", "/", "/a/B", "a/b", "", "/x/a/b"] {
            assert!(!held(&["/a/b"], path), "{path}");
        }
        assert!(held(&["/"], "/etc") && !held(&[], "/etc"));
        let why = hold(&["/a".into(), "/b".into()], "cwd", Path::new("/etc")).expect_err("outside");
        assert!(why.starts_with("cwd: /etc is not below a --root") && why.contains("(/a, /b)"));
    }

    #[test]
    fn links_and_dots_are_resolved_and_what_is_not_there_is_refused() {
        let real = |path| resolved("cwd", Path::new(path));
        assert_eq!(real("/usr/bin/../../usr/./lib"), Ok("/usr/lib".into()));
        assert!(real("/no/such").expect_err("nothing").starts_with("cwd: cannot use /no/such: "));
        assert!(real("").is_err());
        let still = |path| still_resolved("--image", path);
        assert_eq!(still("/usr/lib"), Ok(()));
        assert!(still("/usr/../usr/lib").is_err() && still("/no/such").is_err());
        let roots = ["/usr".to_owned()];
        let hold = |path: &str| hold_all(&roots, "worktree", &[Path::new(path)]);
        assert!(hold("/usr/lib/..").is_ok() && hold("/usr/lib/../..").is_err());
        assert!(hold_all(&[], "worktree", &[Path::new("/no/such")]).is_ok());
    }
}
