//! Which part of an index a search may see.

/// A part of an index: everything, or the documents in some folders. A caller can narrow it and never widen it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    folders: Option<Vec<String>>,
}

impl Scope {
    /// The whole index.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The documents in `folders` (`docs`, `docs/guide`) or named by them, as far as this scope has them. No folders:
    /// no documents.
    #[must_use]
    pub fn narrowed(&self, folders: &[String]) -> Self {
        let clean = folders.iter().map(|folder| folder.trim_end_matches('/').to_owned());
        let clean = clean.filter(|folder| !folder.is_empty());
        let Some(allowed) = &self.folders else { return Self { folders: Some(clean.collect()) } };
        let mut both = Vec::new();
        for folder in clean {
            if allowed.iter().any(|outer| contains(outer, &folder)) {
                both.push(folder);
            } else {
                both.extend(allowed.iter().filter(|inner| contains(&folder, inner)).cloned());
            }
        }
        both.sort_unstable();
        both.dedup();
        Self { folders: Some(both) }
    }

    /// The folders, where it is not everything.
    pub fn folders(&self) -> Option<&[String]> {
        self.folders.as_deref()
    }
}

/// Whether `inner` is `outer` or lies below it.
pub(crate) fn contains(outer: &str, inner: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: &[&str], second: &[&str], expected: &[&str]) {
        let own = |folders: &[&str]| folders.iter().map(ToString::to_string).collect::<Vec<_>>();
        let scope = Scope::everything().narrowed(&own(first)).narrowed(&own(second));
        assert_eq!(scope.folders().unwrap(), own(expected));
    }

    #[test]
    fn a_scope_only_narrows() {
        check(&["a", "b"], &["a/c/"], &["a/c"]);
        check(&["a/c", "a/d", "b"], &["a"], &["a/c", "a/d"]);
        check(&["a"], &["ab", "b", ""], &[]);
        check(&[], &["a"], &[]);
        assert_eq!(Scope::everything().folders(), None);
    }
}
