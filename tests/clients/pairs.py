"""What every client is asked to do at every endpoint, with a provider of every dialect behind it.

An endpoint gives `name`, `reasons` (its words for why an answer ends), `errors` (the exception for each status), and
`ask`, which calls the model and returns what was `Seen`. What a case cannot do by design must be refused by its name.
The provider is `tests/src/dialects.rs`: what it answers follows from the request.

A line is printed for each case: mark, client, endpoint, provider, case, detail, apart by tabs.
"""

import dataclasses
import typing

PROVIDERS = ["chat", "azure", "responses", "anthropic", "gemini"]
ANSWER = "Zug fährt nach Köln → 🚂 on track 3."
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)
KEY = "client-secret"
# Equal requests are answered from the cache, and the next client asks the same.
HEADERS = {"cache-control": "no-store"}


@dataclasses.dataclass
class Seen:
    """An answer, as the client's own types show it."""

    text: str = ""
    thoughts: str = ""
    calls: list = dataclasses.field(default_factory=list)  # (id, name, arguments)
    reason: str = ""
    usage: tuple = ()  # prompt, of these cached, completion
    parsed: typing.Any = None
    raw: typing.Any = None  # what the next turn gives back


class Wrong(Exception):
    """Something is not as it should be."""


def equal(what, seen, expected):
    if seen != expected:
        raise Wrong(f"{what}: {seen!r} instead of {expected!r}")


class Report:
    """Runs cases and remembers what failed."""

    def __init__(self, client):
        self.client = client
        self.failed = 0

    def case(self, endpoint, provider, name, act):
        mark, detail = "ok", ""
        try:
            detail = act() or ""
        except Exception as problem:  # whatever a client raises is a failure of this case alone
            mark, detail = "FAIL", f"{type(problem).__name__}: {problem}"
            self.failed += 1
        print(mark, self.client, endpoint, provider, name, detail, sep="\t", flush=True)


def fails(act, kind, **attributes):
    """Checks that `act` raises `kind` with these attributes of its error body, and says which."""
    try:
        seen = act()
    except kind as error:
        body = error.body if isinstance(error.body, dict) else {}
        body = body.get("error", body)
        for name, expected in attributes.items():
            found = getattr(error, name) if name == "status_code" else body.get(name)
            if found != expected:
                raise Wrong(f"{name} is {found!r} instead of {expected!r}: {error}") from error
        return ""
    raise Wrong(f"no {kind.__name__}, but {seen!r}")


def refused(act, kind, param):
    fails(act, kind, code="unsupported_by_target", param=param)
    return f"refused by name: {param}"


def text(endpoint, model, stream):
    seen = endpoint.ask(model, "hello", stream)
    equal("text", seen.text, ANSWER)
    equal("reason", seen.reason, endpoint.reasons["end"])
    equal("usage", seen.usage, (20, 5, 9))


def system(endpoint, model, stream):
    equal("text", endpoint.ask(model, "who are you?", stream, system="A pointsman.").text, "A pointsman.")


def tools(endpoint, model, stream):
    question = "How is the weather in Oslo and Rome?"
    seen = endpoint.ask(model, question, stream, tools=True)
    equal("text", seen.text, "I look.")
    equal("calls", [call[1:] for call in seen.calls], [("weather", {"city": "Oslo"}), ("weather", {"city": "Rome"})])
    equal("ids", len({call[0] for call in seen.calls}), 2)
    equal("reason", seen.reason, endpoint.reasons["calls"])
    results = list(zip([call[0] for call in seen.calls], ["4 degrees", "19 degrees"]))
    seen = endpoint.ask(model, question, stream, tools=True, after=seen, results=results)
    equal("text", seen.text, "weather(Oslo) is 4 degrees; weather(Rome) is 19 degrees")


def image(endpoint, model, stream):
    seen = endpoint.ask(model, "What is this?", stream, image=PIXEL)
    equal("text", seen.text, f"image/png, {len(PIXEL)} characters")


def schema(endpoint, model, stream):
    equal("parsed", endpoint.ask(model, "Which city?", stream, schema=True).parsed, {"city": "Oslo"})


def reasoning(endpoint, model, stream):
    seen = endpoint.ask(model, "think", stream)
    equal("text", seen.text, ANSWER)
    equal("thoughts", seen.thoughts, "Let me see. ")
    seen = endpoint.ask(model, "think", stream, after=seen, more="hello again")
    equal("text after it", seen.text, ANSWER)


def length(endpoint, model, stream):
    equal("reason", endpoint.ask(model, "too long", stream).reason, endpoint.reasons["length"])


def filtered(endpoint, model, stream):
    equal("reason", endpoint.ask(model, "filtered", stream).reason, endpoint.reasons["filter"])


def sampling(endpoint, model, stream):
    seen = endpoint.ask(model, "sampling", stream, temperature=0.5, top_p=0.9, limit=50)
    equal("text", seen.text, "0.5 0.9 50")


def stops(endpoint, model, stream):
    ask = lambda: endpoint.ask(model, "stop at", stream, stops=["fährt"])
    if model.startswith("responses-"):
        return refused(ask, endpoint.errors[400], endpoint.stops)
    seen = ask()
    equal("text", seen.text, "Zug ")
    own = endpoint.name == "messages" and model.startswith("anthropic-")
    equal("reason", seen.reason, "stop_sequence" if own else endpoint.reasons["end"])
    return ""


CASES = {
    "text": text,
    "system": system,
    "tools": tools,
    "image": image,
    "schema": schema,
    "reasoning": reasoning,
    "length": length,
    "filtered": filtered,
    "sampling": sampling,
    "stops": stops,
}


def check(report, endpoint):
    """Every case of `endpoint` with every provider, then its errors."""
    for provider in PROVIDERS:
        for name in endpoint.cases:
            for stream in (False, True):
                label = f"{name}, streamed" if stream else name
                act = lambda: CASES[name](endpoint, f"{provider}-ok", stream)
                report.case(endpoint.name, provider, label, act)
        for name, act in errors(endpoint, provider):
            report.case(endpoint.name, provider, name, act)


def errors(endpoint, provider):
    ask = lambda behaviour, stream=False, **more: endpoint.ask(f"{provider}-{behaviour}", "hello", stream, **more)
    raised = endpoint.errors
    yield "a wrong field", lambda: fails(lambda: ask("ok", temperature=9), raised[400], **endpoint.names("temperature"))
    yield "a wrong key", lambda: fails(lambda: ask("ok", key="wrong"), raised[401], status_code=401)
    yield "no such model", lambda: fails(lambda: ask("none"), raised[404], status_code=404)
    for stream in (False, True):
        label = ", streamed" if stream else ""
        yield f"upstream 429{label}", lambda: fails(lambda: ask("e429", stream), raised[429], status_code=429)
        yield f"upstream 500{label}", lambda: fails(lambda: ask("e500", stream), raised[500], status_code=502)
        yield f"upstream 400{label}", lambda: fails(lambda: ask("e400", stream), raised["other"], status_code=424)
        yield f"upstream 404{label}", lambda: fails(lambda: ask("missing", stream), raised["other"])
    yield "an error in a stream", lambda: fails(lambda: ask("broken", True), raised["stream"])
    yield "a cut stream", lambda: fails(lambda: ask("cut", True), raised["stream"])
