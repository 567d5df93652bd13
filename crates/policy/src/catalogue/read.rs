//! From the text of `models.toml` to a [`Catalogue`]: every key with its range and its default.

mod provider;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::{Kind, Prices, Track};

use super::{
    ANY_TASK, Catalogue, Dialect, Duty, EXTRACTIVE, LatencyPrior, Model, ModelKind, Priors, Provider,
    Service, Supports, TASK_PREFIX,
};
use crate::file::{Document, Env, Field, Mistakes, Table, allowed};

const TOKENS_MAX: u64 = 100_000_000;
/// Names that mean something else where a model may be named.
const RESERVED: &[&str] = &["auto", "direct", ANY_TASK, EXTRACTIVE];

/// Reads the whole file.
pub(super) fn catalogue(file: &str, text: &str, env: &Env<'_>) -> Result<Catalogue, Mistakes> {
    let document = Document::parse(file, text)?;
    let root = document.root();
    let providers = provider::all(&root, env);
    let (models, services) = models(&root, &providers);
    let aliases = aliases(&root, &models, &services);
    let (task, extractive) = builtins(&root);
    root.finish();
    document.check()?;
    Ok(Catalogue {
        providers,
        models,
        services,
        aliases,
        task: Arc::new(task),
        extractive: Arc::new(extractive),
    })
}

fn models(root: &Table<'_>, providers: &[Arc<Provider>]) -> (Vec<Arc<Model>>, Vec<Arc<Service>>) {
    let (mut models, mut services) = (Vec::new(), Vec::new());
    let mut names: Vec<&str> = Vec::new();
    for table in root.optional("model").tables() {
        let field = table.required("name");
        let name = field.text();
        if let Some(name) = name {
            check_name(&field, name);
            if names.contains(&name) {
                field.wrong(format!("the name `{name}` is given twice; every model needs its own"));
            }
            names.push(name);
        }
        let name = name.unwrap_or_default();
        match table.optional("serves").one_of(&SERVES).flatten() {
            Some(duty) => services.extend(service(name, duty, &table, providers).map(Arc::new)),
            None => models.extend(model(name, &table, providers).map(Arc::new)),
        }
        table.finish();
    }
    (models, services)
}

/// What a model may do.
const SERVES: [(&str, Option<Duty>); 3] = [
    ("chat", None),
    (Duty::Embeddings.name(), Some(Duty::Embeddings)),
    (Duty::Rerank.name(), Some(Duty::Rerank)),
];

fn service(name: &str, duty: Duty, table: &Table<'_>, providers: &[Arc<Provider>]) -> Option<Service> {
    // Vectors and ranks of this process are the encoder's, which gateway.toml names.
    table.required("kind").one_of(&[("provider", ())]);
    let track = track(table, KindName::Provided);
    let reached = provided(name, table, providers, track);
    let prices = service_prices(table, track);
    let ModelKind::Provided { provider, id } = reached? else { return None };
    let speaks = match duty {
        Duty::Embeddings => provider.dialect != Dialect::Anthropic,
        Duty::Rerank => matches!(provider.dialect, Dialect::OpenAi | Dialect::OpenAiResponses),
    };
    if !speaks {
        table.optional("provider").wrong(format!(
            "the dialect of [provider.{}] has no words for {}; name a provider with another",
            provider.name,
            duty.name()
        ));
    }
    Some(Service { name: Arc::from(name), duty, provider, id, track, prices })
}

/// As [`prices`], for what writes nothing.
fn service_prices(table: &Table<'_>, track: Track) -> Prices {
    let field = match track {
        Track::External => table.required("prices"),
        Track::Local | Track::Retrieval => table.optional("prices"),
    };
    let Some(table) = field.table() else { return Prices::default() };
    let (input, request) = (table.optional("input"), table.optional("request"));
    if !input.is_given() && !request.is_given() {
        table.wrong("give `input`, US dollars per million tokens, or `request`, US dollars per request");
    }
    let prices = Prices {
        input: input.money_usd().unwrap_or_default(),
        request: request.money_usd().unwrap_or_default(),
        ..Prices::default()
    };
    table.finish();
    prices
}

fn check_name(field: &Field<'_>, name: &str) {
    if RESERVED.contains(&name) || name.starts_with(TASK_PREFIX) {
        let reserved = RESERVED.join(", ");
        field.wrong(format!(
            "the name `{name}` has a meaning of its own; choose one that is not {reserved} and does not begin with \
             `{TASK_PREFIX}`"
        ));
    }
}

#[derive(Clone, Copy)]
enum KindName {
    Provided,
    Llama,
}

fn model(name: &str, table: &Table<'_>, providers: &[Arc<Provider>]) -> Option<Model> {
    let kinds = [("provider", KindName::Provided), ("llama", KindName::Llama)];
    let kind = table.required("kind").one_of(&kinds);
    // Without its kind nobody knows which other keys are right: telling them all as unknown would mislead.
    let Some(kind) = kind else {
        table.entries();
        return None;
    };
    let context = match kind {
        KindName::Provided => table.required("context_tokens"),
        KindName::Llama => table.optional("context_tokens"),
    };
    let context_tokens = context.integer(16..=TOKENS_MAX).unwrap_or(2048);
    let output = table.optional("output_tokens_max").integer(1..=TOKENS_MAX);
    let track = track(table, kind);
    let (kind, supports, latency) = match kind {
        KindName::Provided => (provided(name, table, providers, track), &["tools", "json"][..], LATENCY_API),
        KindName::Llama => (llama(table), &["logprobs"][..], LATENCY_LLAMA),
    };
    let prices = prices(table, track);
    let supports = self::supports(table, supports);
    let quality = priors(&table.required("quality")).unwrap_or_else(|| Priors::flat(0.0));
    let latency = latency_prior(table, latency);
    Some(Model {
        name: Arc::from(name),
        kind: kind?,
        track,
        prices,
        context_tokens,
        output_tokens_max: output.unwrap_or(context_tokens).min(context_tokens),
        supports,
        quality,
        latency,
    })
}

/// A model behind an API is external unless the operator says that its server stands on this side of the fence.
fn track(table: &Table<'_>, kind: KindName) -> Track {
    let tracks = [("local", Track::Local), ("external", Track::External)];
    let field = table.optional("track");
    match (field.one_of(&tracks), kind) {
        (Some(Track::External), KindName::Llama) => {
            field.wrong("a model in this process is always local; leave `track` out");
            Track::Local
        }
        (Some(track), _) => track,
        (None, KindName::Llama) => Track::Local,
        (None, KindName::Provided) => Track::External,
    }
}

fn provided(name: &str, table: &Table<'_>, providers: &[Arc<Provider>], track: Track) -> Option<ModelKind> {
    let id = table.optional("id").text().unwrap_or(name).to_owned();
    let field = table.required("provider");
    let wanted = field.text()?;
    let Some(provider) = providers.iter().find(|provider| &*provider.name == wanted) else {
        let names = providers.iter().map(|provider| &*provider.name);
        field.wrong(format!("there is no [provider.{wanted}]{}", allowed(wanted, names)));
        return None;
    };
    // What never leaves this host must not be one wrong word away from doing so.
    if track == Track::Local && !provider.allow_private_addresses {
        field.wrong(format!(
            "a local model's server stands on a private address: set `allow_private_addresses = true` in \
             [provider.{wanted}], or leave `track` out"
        ));
    }
    Some(ModelKind::Provided { provider: Arc::clone(provider), id })
}

fn llama(table: &Table<'_>) -> Option<ModelKind> {
    let path = table.required("path").text();
    let count = |key: &str, range, default: u64| {
        let number = table.optional(key).integer(range).unwrap_or(default);
        usize::try_from(number).unwrap_or(usize::MAX)
    };
    let contexts = count("contexts", 1..=64, 1);
    let queue_max = count("queue_max", 0..=10_000, 16);
    #[expect(clippy::cast_possible_truncation, reason = "both are small and need no more than three digits")]
    let share = |key: &str, range, default: f64| table.optional(key).number(range).unwrap_or(default) as f32;
    let temperature = share("temperature", 0.0..=2.0, 0.2);
    let top_p = share("top_p", 0.0..=1.0, 0.9);
    let reader = table.optional("reader").text().map(str::to_owned);
    Some(ModelKind::Llama { path: path?.to_owned(), contexts, queue_max, temperature, top_p, reader })
}

/// Prices are needed where somebody sends a bill: without them no budget holds.
fn prices(table: &Table<'_>, track: Track) -> Prices {
    let field = match track {
        Track::External => table.required("prices"),
        Track::Local | Track::Retrieval => table.optional("prices"),
    };
    let Some(table) = field.table() else { return Prices::default() };
    let prices = Prices {
        input: table.required("input").money_usd().unwrap_or_default(),
        cached_input: table.optional("cached_input").money_usd(),
        output: table.required("output").money_usd().unwrap_or_default(),
        request: table.optional("request").money_usd().unwrap_or_default(),
    };
    table.finish();
    prices
}

fn supports(table: &Table<'_>, default: &[&str]) -> Supports {
    const NAMES: &[&str] = &["tools", "images", "audio", "json", "logprobs"];
    let field = table.optional("supports");
    let items = field.text_list();
    for item in &items {
        if !NAMES.contains(&item.text) {
            let hint = allowed(item.text, NAMES.iter().copied());
            item.wrong(format!("`{}` is not known{hint}", item.text));
        }
    }
    let has = |name: &str| match field.is_given() {
        true => items.iter().any(|item| item.text == name),
        false => default.contains(&name),
    };
    Supports {
        tools: has("tools"),
        images: has("images"),
        audio: has("audio"),
        json: has("json"),
        logprobs: has("logprobs"),
    }
}

/// `{ default = 0.6, reasoning = 0.3, grounded = 0.7 }`.
fn priors(field: &Field<'_>) -> Option<Priors> {
    let table = field.table()?;
    let mut priors = Priors::flat(table.required("default").probability()?);
    for kind in Kind::ALL {
        if let Some(quality) = table.optional(kind.name()).probability() {
            priors.by_kind[*kind as usize] = quality;
        }
    }
    priors.grounded = table.optional("grounded").probability();
    table.finish();
    Some(priors)
}

const LATENCY_API: LatencyPrior = LatencyPrior {
    first_token: Duration::from_millis(600),
    per_token: Duration::from_millis(12),
    prompt_token: Duration::from_micros(20),
};
/// SmolLM2-135M as Q8_0 on one thread of an idle machine: 404 tokens/s read, 96 tokens/s written.
const LATENCY_LLAMA: LatencyPrior = LatencyPrior {
    first_token: Duration::from_millis(10),
    per_token: Duration::from_millis(10),
    prompt_token: Duration::from_micros(2500),
};
/// One vector of a short text and a product of a few thousand numbers.
const LATENCY_TASK: LatencyPrior = LatencyPrior {
    first_token: Duration::from_millis(5),
    per_token: Duration::ZERO,
    prompt_token: Duration::from_micros(50),
};
/// One vector for each sentence of the passages.
const LATENCY_EXTRACTIVE: LatencyPrior = LatencyPrior {
    first_token: Duration::from_millis(150),
    per_token: Duration::ZERO,
    prompt_token: Duration::ZERO,
};

fn latency_prior(table: &Table<'_>, default: LatencyPrior) -> LatencyPrior {
    let minute_ms = 60_000;
    let micros = table.optional("prompt_token_us").integer(0..=1_000_000);
    let per_token = table.optional("per_token_ms").number(0.0..=60_000.0);
    LatencyPrior {
        first_token: table
            .optional("first_token_ms")
            .duration_ms(0..=minute_ms)
            .unwrap_or(default.first_token),
        per_token: per_token.map_or(default.per_token, |ms| Duration::from_secs_f64(ms / 1e3)),
        prompt_token: micros.map_or(default.prompt_token, Duration::from_micros),
    }
}

fn aliases(
    root: &Table<'_>,
    models: &[Arc<Model>],
    services: &[Arc<Service>],
) -> BTreeMap<String, Arc<Model>> {
    let is_taken = |name: &str| {
        let services = services.iter().map(|service| &*service.name);
        models.iter().map(|model| &*model.name).chain(services).any(|taken| taken == name)
    };
    let mut aliases = BTreeMap::new();
    for table in root.optional("alias").tables() {
        let (name_field, model_field) = (table.required("name"), table.required("model"));
        let (name, wanted) = (name_field.text(), model_field.text());
        table.finish();
        let (Some(name), Some(wanted)) = (name, wanted) else { continue };
        check_name(&name_field, name);
        if is_taken(name) || aliases.contains_key(name) {
            name_field.wrong(format!("the name `{name}` is given twice; every alias needs its own"));
        }
        match models.iter().find(|model| &*model.name == wanted) {
            Some(model) => _ = aliases.insert(name.to_owned(), Arc::clone(model)),
            None => {
                let names = models.iter().map(|model| &*model.name);
                model_field.wrong(format!("there is no model `{wanted}`{}", allowed(wanted, names)));
            }
        }
    }
    aliases
}

/// The built-in targets, whose priors `[builtin.task]` and `[builtin.extractive]` may change.
fn builtins(root: &Table<'_>) -> (Model, Model) {
    let table = root.optional("builtin").table();
    let read = |name: &str, kind: ModelKind, quality: Priors, latency: LatencyPrior| {
        let table = table.as_ref().and_then(|table| table.optional(name).table());
        let given = table.as_ref().and_then(|table| priors(&table.optional("quality")));
        let latency = table.as_ref().map_or(latency, |table| latency_prior(table, latency));
        if let Some(table) = table {
            table.finish();
        }
        builtin(name, kind, given.unwrap_or(quality), latency)
    };
    // A head is only a candidate for what is like its training data, and is trusted as far as that goes.
    let task = read(ANY_TASK, ModelKind::Task, Priors::flat(1.0), LATENCY_TASK);
    let quoting = Priors { grounded: Some(0.65), ..Priors::flat(0.0) };
    let extractive = read(EXTRACTIVE, ModelKind::Extractive, quoting, LATENCY_EXTRACTIVE);
    if let Some(table) = table {
        table.finish();
    }
    (task, extractive)
}

fn builtin(name: &str, kind: ModelKind, quality: Priors, latency: LatencyPrior) -> Model {
    let json = kind == ModelKind::Task;
    Model {
        name: Arc::from(name),
        kind,
        track: Track::Local,
        prices: Prices::default(),
        // Both read texts of any length, window by window.
        context_tokens: u64::MAX,
        output_tokens_max: u64::MAX,
        supports: Supports { json, ..Supports::default() },
        quality,
        latency,
    }
}
