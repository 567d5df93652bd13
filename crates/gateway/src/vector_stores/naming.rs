//! The ids of files: a document's name in letters that a path can carry, so that no table of ids has to be kept.

use api::{Error, Fault, Tenant};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

const PREFIX: &str = "file-";

/// The id of a document.
pub(crate) fn file_id(name: &str) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(name))
}

/// The document of an id.
///
/// # Errors
/// 404: no id that we have given.
pub(super) fn named(id: &str) -> Result<String, Error> {
    let bytes = id.strip_prefix(PREFIX).and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok());
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| missing(id))
}

/// There is no such file.
pub(super) fn missing(id: &str) -> Error {
    let shown: String = id.chars().take(100).collect();
    Error::new(Fault::NotFound, "file_not_found", format!("There is no file `{shown}`."))
        .with_param("file_id")
}

/// The name under which a tenant's file becomes a document: inside the tenant's own folders, the first of them where the
/// name says none.
///
/// # Errors
/// 403: the tenant may see nothing.
pub(super) fn own_name(tenant: &Tenant, name: &str) -> Result<String, Error> {
    let Some(folders) = &tenant.scope else { return Ok(name.to_owned()) };
    let folders: Vec<&str> = folders.iter().map(|folder| folder.trim_end_matches('/')).collect();
    let inside = |folder: &&str| name.strip_prefix(*folder).is_some_and(|rest| rest.starts_with('/'));
    match folders.first() {
        Some(_) if folders.iter().any(inside) => Ok(name.to_owned()),
        Some(first) => Ok(format!("{first}/{name}")),
        None => {
            let message = "The scope of this key is empty: it may not write into any folder.";
            Err(Error::new(Fault::Forbidden, "scope_empty", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_names() {
        let id = file_id("notes/a b.md");
        assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{id}");
        assert_eq!(named(&id).expect("ours"), "notes/a b.md");
        for id in ["", "file-?", "x", "file-_w"] {
            assert_eq!(named(id).expect_err(id).code, "file_not_found");
        }
    }

    #[test]
    fn a_tenants_files_stay_in_its_folders() {
        let scoped = |folders: &[&str]| Tenant {
            scope: Some(folders.iter().map(ToString::to_string).collect()),
            ..Tenant::open()
        };
        let check = |tenant: Tenant, name: &str, expected: &str| {
            assert_eq!(own_name(&tenant, name).expect("a place"), expected);
        };
        check(Tenant::open(), "a.md", "a.md");
        check(scoped(&["acme", "shared"]), "a.md", "acme/a.md");
        check(scoped(&["acme/", "shared"]), "shared/a.md", "shared/a.md");
        check(scoped(&["acme"]), "acmes/a.md", "acme/acmes/a.md");
        assert_eq!(own_name(&scoped(&[]), "a.md").expect_err("nowhere").code, "scope_empty");
    }
}
