"""The unmodified openai package against a running gateway: chat, stream, embeddings, models, errors.

Usage: openai_chat.py BASE_URL. Prints one line a check; exits 1 at the first that fails.
`clients.rs` starts the gateway that it expects: a model `smollm2` in the process, a trained task `mood`, an index that
knows the depot in Velm, and an external model.
"""

import sys

import openai


def check(name, holds, seen=""):
    print(f"{'ok  ' if holds else 'FAIL'} {name} {seen}")
    if not holds:
        sys.exit(1)


def main(base_url):
    client = openai.OpenAI(base_url=base_url, api_key="unused", max_retries=0, timeout=120)

    names = [model.id for model in client.models.list()]
    check("models lists auto", "auto" in names, names)
    check("models retrieves one", client.models.retrieve(names[0]).id == names[0])

    def ask(text, headers=None):
        return client.chat.completions.with_raw_response.create(
            model="auto", messages=[{"role": "user", "content": text}], extra_headers=headers or {}
        )

    for text, headers, track in [
        ("Prove step by step that the square root of two is irrational.", None, "external"),
        ("How many shunting engines does the depot in Velm keep?", None, "retrieval"),
        ("Such joy, a lovely morning!", {"x-pointsman-task": "mood"}, "local"),
    ]:
        raw = ask(text, headers)
        answer = raw.parse()
        seen = raw.headers["x-pointsman-track"]
        check(f"auto takes the {track} track", seen == track, f"({seen}) {answer.choices[0].message.content[:60]!r}")
        check("an answer has its usage", answer.usage.total_tokens > 0)

    raw = client.chat.completions.with_raw_response.create(
        model="smollm2",
        messages=[{"role": "user", "content": "Say hello."}],
        max_tokens=12,
        temperature=0,
        logprobs=True,
        top_logprobs=2,
    )
    answer = raw.parse()
    check("the in-process model answers", bool(answer.choices[0].message.content))
    check("with log-probabilities", len(answer.choices[0].logprobs.content[0].top_logprobs) == 2)
    check("on the local track", raw.headers["x-pointsman-track"] == "local")

    chunks = list(
        client.chat.completions.create(
            model="smollm2",
            messages=[{"role": "user", "content": "Count to five."}],
            max_tokens=16,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    check("a stream has text", bool(text.strip()), repr(text[:40]))
    check("a stream ends with a reason", any(c.choices and c.choices[0].finish_reason for c in chunks))
    check("a stream has its usage last", chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0)

    made = client.embeddings.create(model="all-minilm-l6-v2", input=["a red fox", "a crimson fox", "tax law"])
    vectors = [item.embedding for item in made.data]
    alike = sum(a * b for a, b in zip(vectors[0], vectors[1]))
    apart = sum(a * b for a, b in zip(vectors[0], vectors[2]))
    check("embeddings know what is alike", alike > apart + 0.3, f"{alike:.2f} {apart:.2f}")

    first = ask("Prove step by step that the square root of three is irrational.")
    again = ask("Prove step by step that the square root of three is irrational.")
    check("an equal request is answered from the cache", "hit" in again.headers["cache-status"], again.headers["cache-status"])
    check("with the same answer", first.parse().choices == again.parse().choices)

    try:
        client.chat.completions.create(model="no-such-model", messages=[{"role": "user", "content": "hi"}])
        check("an unknown model is refused", False)
    except openai.NotFoundError as error:
        check("an unknown model is refused", error.code == "model_not_found", error.message[:60])
    try:
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hi"}], temperature=9)
        check("a wrong field is refused", False)
    except openai.BadRequestError as error:
        check("a wrong field is refused by its name", error.param == "temperature")


if __name__ == "__main__":
    main(sys.argv[1])
