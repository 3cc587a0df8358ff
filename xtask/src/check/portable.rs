//! Nothing that ties the repository to one machine or one mirror: no registry's host, no folder of somebody's machine.
//!
//! Tools know their registries from their configuration. What is looked for is put together from parts here, so that this
//! file does not name it either.

use super::tree::Tree;
use super::{Report, Violation};

/// Hosts of package registries, in small letters.
const HOSTS: &[&str] = &[
    concat!("npm", "js.org"),
    concat!("npm", "js.com"),
    concat!("npm", "mirror.com"),
    concat!("yarn", "pkg.com"),
    concat!("py", "pi.org"),
    concat!("python", "hosted.org"),
    concat!("crates", ".io"),
    concat!("deb.", "debian.org"),
    concat!("security.", "debian.org"),
    concat!("archive.", "ubuntu.com"),
];

/// Beginnings of absolute paths on somebody's machine.
const FOLDERS: &[&str] = &[
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/Us", "ers/"),
    concat!(r"C:\Us", r"ers\"),
];

pub(super) fn check(tree: &Tree) -> Report {
    let mut violations = Vec::new();
    let mut count = 0;
    for file in tree.files.iter().filter(|file| file.path != "Cargo.lock") {
        let Some(text) = &file.text else { continue };
        count += 1;
        for (index, line) in text.lines().enumerate() {
            if let Some(what) = fault(line) {
                violations.push(Violation::new(&file.path, index + 1, what));
            }
        }
    }
    Report { looked_at: format!("{count} texts"), violations }
}

fn fault(line: &str) -> Option<String> {
    let small = line.to_ascii_lowercase();
    if let Some(host) = HOSTS.iter().find(|host| small.contains(**host)) {
        return Some(format!("names the registry {host}: leave the address to the tool's own configuration"));
    }
    // In the middle of a longer path or an address it is somebody else's folder.
    let begins = |at: usize| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~$}*".contains(c));
    let folder = FOLDERS.iter().find(|folder| line.match_indices(**folder).any(|(at, _)| begins(at)))?;
    Some(format!("names {folder}, a folder of one machine: use a path relative to the repository"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_folders_are_named() {
        for host in HOSTS {
            let line = format!("see https://{}/x", host.to_uppercase());
            assert!(fault(&line).is_some_and(|what| what.contains("registry")), "{host}");
        }
        for folder in FOLDERS {
            assert!(fault(&format!("path = \"{folder}me/x\"")).is_some(), "{folder}");
            assert!(fault(&format!("file://{folder}me")).is_some(), "{folder}");
        }
    }

    #[test]
    fn other_paths_are_fine() {
        for path in &FOLDERS[..4] {
            for path in [format!("a{path}b"), format!("..{path}"), format!("${{X}}{path}")] {
                assert_eq!(fault(&path), None);
            }
        }
        let tree = Tree::of(&[("Cargo.lock", HOSTS[6]), ("a.md", "b\nc"), ("d.md", HOSTS[0])]);
        let found: Vec<_> = check(&tree).violations.into_iter().map(|it| (it.file, it.line)).collect();
        assert_eq!(found, [("d.md".to_owned(), 1)]);
    }
}
