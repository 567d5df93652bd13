//! Keys: who is asking. Owns the look-up from a presented key to its tenant; keeps no key in plain text.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use api::{Error, Fault, Tenant};

/// The keys of the operator's file, each by its BLAKE3 hash only. The time of a look-up depends on the hash of what was
/// presented, which tells nothing about how much of a real key was guessed.
#[derive(Clone)]
pub struct Keys {
    tenants: HashMap<[u8; 32], Arc<Tenant>>,
    open: Option<Arc<Tenant>>,
}

impl Keys {
    /// The keys with their tenants. A tenant may have several keys. Without any key the gateway is open: everybody is
    /// [`Tenant::open`].
    ///
    /// # Errors
    /// A key is empty or given twice; the error names the tenants, never the key.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, Arc<Tenant>)>) -> Result<Self, Error> {
        let mut tenants: HashMap<[u8; 32], Arc<Tenant>> = HashMap::new();
        for (key, tenant) in keys {
            if key.trim().is_empty() {
                return Err(Error::field(
                    "tenant.key",
                    format!("The key of tenant `{}` is empty: set a non-empty one.", tenant.name),
                ));
            }
            if let Some(other) = tenants.insert(hash(key), Arc::clone(&tenant)) {
                return Err(Error::field(
                    "tenant.key",
                    format!(
                        "Tenants `{}` and `{}` have the same key: give each its own.",
                        other.name, tenant.name
                    ),
                ));
            }
        }
        let open = tenants.is_empty().then(|| Arc::new(Tenant::open()));
        Ok(Self { tenants, open })
    }

    /// No keys: everybody is [`Tenant::open`].
    pub fn open() -> Self {
        Self { tenants: HashMap::new(), open: Some(Arc::new(Tenant::open())) }
    }

    /// Whether requests are served without a key.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The tenant of the `presented` key: the token of `authorization: Bearer`, or the value of `x-api-key`.
    ///
    /// # Errors
    /// A 401: no key was presented, or one that is not known.
    pub fn authenticate(&self, presented: Option<&str>) -> Result<Arc<Tenant>, Error> {
        if let Some(tenant) = &self.open {
            return Ok(Arc::clone(tenant));
        }
        let Some(key) = presented.map(str::trim).filter(|key| !key.is_empty()) else {
            return Err(Error::new(
                Fault::Unauthorized,
                "missing_api_key",
                "This gateway asks for a key: send it as `authorization: Bearer KEY` or `x-api-key: KEY`.",
            ));
        };
        self.tenants.get(&hash(key)).cloned().ok_or_else(|| {
            Error::new(
                Fault::Unauthorized,
                "invalid_api_key",
                "The key is not known to this gateway: check it, or ask its operator for one.",
            )
        })
    }
}

impl fmt::Debug for Keys {
    /// Names the tenants; hashes of keys stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.tenants.values().map(|tenant| &tenant.name)).finish()
    }
}

fn hash(key: &str) -> [u8; 32] {
    *blake3::hash(key.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str) -> Arc<Tenant> {
        Arc::new(Tenant { name: Arc::from(name), ..Tenant::open() })
    }

    #[test]
    fn a_key_opens_its_own_tenant_only() {
        let keys = Keys::new([("ka", tenant("a")), ("kb", tenant("b")), ("ka2", tenant("a"))]).unwrap();
        for (presented, expected) in [
            (Some("ka"), Ok("a")),
            (Some(" ka2 "), Ok("a")),
            (Some("kb"), Ok("b")),
            (Some("k"), Err("invalid_api_key")),
            (Some("KA"), Err("invalid_api_key")),
            (Some(" "), Err("missing_api_key")),
            (None, Err("missing_api_key")),
        ] {
            let got = keys.authenticate(presented);
            let got = got.as_ref().map(|tenant| &*tenant.name).map_err(|error| {
                assert_eq!(error.fault.status(), 401);
                error.code
            });
            assert_eq!(got, expected, "{presented:?}");
        }
        assert!(!keys.is_open());
        assert!(!format!("{keys:?}").contains("ka"));
    }

    #[test]
    fn without_keys_everybody_is_the_open_tenant() {
        for keys in [Keys::open(), Keys::new([]).unwrap()] {
            assert!(keys.is_open());
            assert_eq!(keys.authenticate(None).unwrap(), keys.authenticate(Some("x")).unwrap());
        }
    }

    #[test]
    fn empty_and_shared_keys_are_refused_without_telling_them() {
        let shared = Keys::new([("secret", tenant("a")), ("secret", tenant("b"))]).unwrap_err();
        assert!(shared.message.contains("`a` and `b`") && !shared.message.contains("secret"));
        assert!(Keys::new([(" ", tenant("a"))]).unwrap_err().message.contains("`a`"));
    }
}
