//! `gateway.toml`: how the gateway runs. What it decides is in `policy.toml`, who can answer in `models.toml`.

mod stores;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use api::{Priority, Secret, Tenant};
use policy::file::{Document, Env, Mistakes, Setting, Table};
pub(crate) use stores::{Place, Reranker, StoreSettings};

/// A checked `gateway.toml`. Paths are resolved against the file's own folder.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The file itself.
    pub(crate) file: PathBuf,
    pub(crate) listen: Listen,
    pub(crate) limits: Limits,
    pub(crate) files: Files,
    pub(crate) encoder: EncoderSettings,
    /// The stores of passages; the first is the default one.
    pub(crate) stores: Vec<StoreSettings>,
    pub(crate) cache: CacheSettings,
    pub(crate) feedback: FeedbackSettings,
    pub(crate) tasks: TaskSettings,
    /// Disk that the log of decisions may take; 0 keeps none.
    pub(crate) decisions_bytes_max: u64,
    pub(crate) tenants: Vec<TenantSettings>,
}

/// Where the gateway listens.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) data: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// What one client may take.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connections_max: usize,
    pub(crate) requests_max: usize,
    pub(crate) header_bytes_max: usize,
    pub(crate) body_bytes_max: usize,
    pub(crate) header_deadline: Duration,
    pub(crate) body_deadline: Duration,
    pub(crate) drain: Duration,
}

/// The other files.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) policy: PathBuf,
    pub(crate) models: PathBuf,
    pub(crate) exemplars: PathBuf,
    /// The folder of the tasks' declarations, which need not be there.
    pub(crate) tasks: PathBuf,
    /// The folder of everything that the gateway writes: the book, trained heads.
    pub(crate) state: PathBuf,
}

/// The sentence encoder.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct EncoderSettings {
    /// Its name in `/v1/embeddings`.
    pub(crate) name: String,
    pub(crate) model: PathBuf,
    pub(crate) runtime: PathBuf,
    /// Missing model files are downloaded from a hub.
    pub(crate) hub: bool,
    pub(crate) sessions: usize,
}

/// The cache of whole answers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CacheSettings {
    pub(crate) bytes_max: u64,
    pub(crate) ttl: Duration,
}

/// Answers that somebody may still judge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FeedbackSettings {
    pub(crate) bytes_max: u64,
    pub(crate) keep: Duration,
}

/// Closed tasks that nobody has declared.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TaskSettings {
    /// Prompts that look like a task are proposed as one.
    pub(crate) discover: bool,
    /// A proposal is declared without asking.
    pub(crate) auto_adopt: bool,
}

/// A tenant and its key.
pub(crate) struct TenantSettings {
    pub(crate) tenant: Arc<Tenant>,
    /// Its key, or where that stands, as the operator wrote it.
    key: Secret,
}

impl TenantSettings {
    /// Its keys as they are now: a file may hold several, one a line, so that a new one can be given out before the old
    /// one ends.
    ///
    /// # Errors
    /// What is not there, in words for the operator.
    pub(crate) fn keys(&self, env: &Env<'_>) -> Result<Vec<Secret>, String> {
        let name = &self.tenant.name;
        match Setting::read(self.key.expose(), env) {
            Ok(Setting::Value(text)) => {
                let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
                Ok(lines.map(Secret::new).collect())
            }
            Ok(Setting::Unset(unset)) => Err(format!("gateway.toml: tenant `{name}`: {unset}")),
            Err(wrong) => Err(format!("gateway.toml: tenant `{name}`: {wrong}")),
        }
    }

    /// The mistake of naming a policy that is not there, in words.
    pub(crate) fn unknown_policy(&self, policies: &policy::Policies) -> Option<String> {
        let wanted = self.tenant.policy.as_deref().filter(|wanted| policies.get(wanted).is_none())?;
        let names = policies.all().iter().map(|policy| &**policy.name());
        let names: Vec<&str> = names.collect();
        let tenant = &self.tenant.name;
        Some(format!(
            "gateway.toml: tenant `{tenant}`: there is no policy `{wanted}`; allowed: {}",
            names.join(", ")
        ))
    }
}

impl std::fmt::Debug for TenantSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TenantSettings").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the text of a `gateway.toml`.
    ///
    /// # Errors
    /// Every mistake of the file.
    pub(crate) fn parse(file: &Path, text: &str, env: &Env<'_>) -> Result<Self, Mistakes> {
        let document = Document::parse(&file.display().to_string(), text)?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let root = document.root();
        let reader = Reader { folder, env };
        let files = section(&root, "files", |table| reader.files(table));
        let settings = Self {
            file: file.to_owned(),
            listen: section(&root, "listen", |table| reader.listen(table)),
            limits: section(&root, "limits", |table| reader.limits(table)),
            encoder: section(&root, "encoder", |table| reader.encoder(table)),
            stores: reader.stores(&root, &files.state),
            files,
            cache: section(&root, "cache", |table| reader.cache(table)),
            feedback: section(&root, "feedback", feedback),
            tasks: section(&root, "tasks", tasks),
            decisions_bytes_max: section(&root, "decisions", decisions_bytes_max),
            tenants: root
                .optional("tenant")
                .tables()
                .into_iter()
                .filter_map(|table| reader.tenant(table))
                .collect(),
        };
        root.finish();
        document.check()?;
        Ok(settings)
    }
}

impl Settings {
    /// A path in `models.toml`, which counts from that file's folder.
    pub(crate) fn beside_models(&self, path: impl AsRef<Path>) -> PathBuf {
        self.files.models.parent().unwrap_or(Path::new(".")).join(path)
    }
}

/// Reads one section; an absent one is all defaults, which every reader gives for `None`.
fn section<'d, T>(root: &Table<'d>, key: &str, read: impl FnOnce(Option<&Table<'d>>) -> T) -> T {
    let table = root.optional(key).table();
    let value = read(table.as_ref());
    if let Some(table) = table {
        table.finish();
    }
    value
}

fn feedback(table: Option<&Table<'_>>) -> FeedbackSettings {
    let bytes_max = table.and_then(|table| table.optional("bytes_max").integer(0..=1 << 40));
    let hours = table.and_then(|table| table.optional("keep_hours").integer(1..=8760));
    FeedbackSettings {
        bytes_max: bytes_max.unwrap_or(32 << 20),
        keep: Duration::from_secs(hours.unwrap_or(24) * 3600),
    }
}

fn tasks(table: Option<&Table<'_>>) -> TaskSettings {
    let switch = |key: &str| table.and_then(|table| table.optional(key).boolean());
    TaskSettings {
        discover: switch("discover").unwrap_or(true),
        auto_adopt: switch("auto_adopt").unwrap_or(false),
    }
}

fn decisions_bytes_max(table: Option<&Table<'_>>) -> u64 {
    table.and_then(|table| table.optional("bytes_max").integer(0..=1 << 40)).unwrap_or(64 << 20)
}

struct Reader<'a> {
    folder: &'a Path,
    env: &'a Env<'a>,
}

impl Reader<'_> {
    fn listen(&self, table: Option<&Table<'_>>) -> Listen {
        Listen { data: self.address(table, "data", 8080), admin: self.address(table, "admin", 9090) }
    }

    fn address(&self, table: Option<&Table<'_>>, key: &str, port: u16) -> SocketAddr {
        let default = SocketAddr::from(([127, 0, 0, 1], port));
        let Some(field) = table.map(|table| table.optional(key)) else { return default };
        let text = match field.setting(self.env) {
            Some(Setting::Value(text)) => text,
            Some(Setting::Unset(_)) | None => return default,
        };
        text.parse().unwrap_or_else(|_| {
            field.wrong(format!(
                "`{text}` is no address; allowed: an IP and a port, such as 127.0.0.1:{port}"
            ));
            default
        })
    }

    fn limits(&self, table: Option<&Table<'_>>) -> Limits {
        let size = |key: &str, low: u64, high: u64, default: u64| {
            let given = table.and_then(|table| table.optional(key).integer(low..=high));
            usize::try_from(given.unwrap_or(default)).unwrap_or(usize::MAX)
        };
        let time = |key: &str, default: u64| {
            let given = table.and_then(|table| table.optional(key).duration_ms(1..=3_600_000));
            given.unwrap_or(Duration::from_millis(default))
        };
        Limits {
            connections_max: size("connections_max", 1, 1_000_000, 10_000),
            requests_max: size("requests_max", 1, 1_000_000, 4096),
            header_bytes_max: size("header_bytes_max", 8192, 1 << 20, 32 << 10),
            body_bytes_max: size("body_bytes_max", 1024, 1 << 30, 16 << 20),
            header_deadline: time("header_deadline_ms", 10_000),
            body_deadline: time("body_deadline_ms", 30_000),
            drain: time("drain_ms", 30_000),
        }
    }

    fn files(&self, table: Option<&Table<'_>>) -> Files {
        Files {
            policy: self.path(table, "policy", "policy.toml"),
            models: self.path(table, "models", "models.toml"),
            exemplars: self.path(table, "exemplars", "exemplars"),
            tasks: self.path(table, "tasks", "tasks"),
            state: self.path(table, "state", "../var"),
        }
    }

    fn encoder(&self, table: Option<&Table<'_>>) -> EncoderSettings {
        let name = table.and_then(|table| table.optional("name").text());
        let sessions = table.and_then(|table| table.optional("sessions").integer(1..=256));
        EncoderSettings {
            name: name.unwrap_or("all-minilm-l6-v2").to_owned(),
            model: self.path(table, "model", "../.models/minilm"),
            runtime: self.path(table, "runtime", "../.models/onnxruntime/libonnxruntime.so"),
            hub: table.and_then(|table| table.optional("hub").boolean()).unwrap_or(false),
            sessions: usize::try_from(sessions.unwrap_or(1)).unwrap_or(1),
        }
    }

    fn cache(&self, table: Option<&Table<'_>>) -> CacheSettings {
        let bytes_max = table.and_then(|table| table.optional("bytes_max").integer(0..=1 << 40));
        let ttl = table.and_then(|table| table.optional("ttl_s").integer(1..=31_536_000));
        CacheSettings {
            bytes_max: bytes_max.unwrap_or(128 << 20),
            ttl: Duration::from_secs(ttl.unwrap_or(3600)),
        }
    }

    /// A tenant; one whose key is in an unset variable can never be matched, which is a mistake: it would be locked
    /// out without a word.
    fn tenant(&self, table: Table<'_>) -> Option<TenantSettings> {
        let name = table.required("name").text();
        let key_field = table.required("key");
        let key = key_field.given(self.env).and_then(|_| key_field.text()).map(Secret::new);
        let priority = table.optional("priority").one_of(&Priority::ALL).unwrap_or_default();
        let policy = table.optional("policy").text().map(Arc::from);
        let private = table.optional("private").boolean().unwrap_or(false);
        let list = |key: &str| {
            let field = table.optional(key);
            let texts = field.text_list().iter().map(|item| item.text.to_owned()).collect::<Vec<_>>();
            field.is_given().then_some(texts)
        };
        let (stores, scope) = (list("stores"), list("scope"));
        let daily_budget = table.optional("daily_budget_usd").money_usd();
        let latency_budget = table.optional("latency_budget_ms").duration_ms(1..=3_600_000);
        let cost_budget = table.optional("cost_budget_usd").money_usd();
        let quality_floor = table.optional("quality_floor").probability();
        table.finish();
        let tenant = Tenant {
            name: Arc::from(name?),
            policy,
            private,
            priority,
            stores: stores.map(|names| names.iter().map(|name| Arc::from(name.as_str())).collect()),
            scope,
            daily_budget,
            latency_budget,
            cost_budget,
            quality_floor,
        };
        Some(TenantSettings { tenant: Arc::new(tenant), key: key? })
    }

    fn path(&self, table: Option<&Table<'_>>, key: &str, default: &str) -> PathBuf {
        let given = table.and_then(|table| table.optional(key).setting(self.env));
        match given {
            Some(Setting::Value(path)) => self.folder.join(path),
            Some(Setting::Unset(_)) | None => self.folder.join(default),
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::file::Place;

    use super::*;

    fn parse(text: &str) -> Result<Settings, Mistakes> {
        Settings::parse(Path::new("config/gateway.toml"), text, &|place| {
            (place == Place::Variable("KEY_A")).then(|| "secret".to_owned())
        })
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        let settings = parse("").expect("defaults");
        assert_eq!(settings.listen.data.to_string(), "127.0.0.1:8080");
        assert_eq!(settings.files.policy, Path::new("config/policy.toml"));
        assert_eq!(settings.cache.ttl, Duration::from_secs(3600));
        assert!(settings.tenants.is_empty());
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_key() {
        let mistakes = parse(
            "[listen]\ndata = \"here\"\nadmn = \"x\"\n[limits]\nbody_bytes_max = 1\n[[tenant]]\nname = \"a\"\n\
             key = \"env:KEY_B\"\n",
        )
        .expect_err("mistakes")
        .to_string();
        for part in [
            "config/gateway.toml:2: listen.data: `here` is no address",
            "config/gateway.toml:3: listen.admn",
            "config/gateway.toml:5: limits.body_bytes_max",
            "config/gateway.toml:8: tenant[0].key: the environment variable `KEY_B` is not set",
        ] {
            assert!(mistakes.contains(part), "{mistakes}\nlacks {part}");
        }
    }

    #[test]
    fn a_tenant_has_its_key_from_the_environment_and_never_shows_it() {
        let settings =
            parse("[[tenant]]\nname = \"a\"\nkey = \"env:KEY_A\"\ndaily_budget_usd = 1.5\n").expect("good");
        let keys = settings.tenants[0].keys(&|_| Some("old\n\n new \n".to_owned())).expect("two keys");
        assert_eq!(keys.iter().map(Secret::expose).collect::<Vec<_>>(), ["old", "new"]);
        assert!(settings.tenants[0].keys(&|_| None).expect_err("no key").contains("`a`"));
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
