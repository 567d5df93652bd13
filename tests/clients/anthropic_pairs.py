"""The unmodified anthropic package at messages and count_tokens, with providers of every dialect.

Usage: anthropic_pairs.py BASE_URL, where BASE_URL ends in /v1. `clients.rs` starts the gateway that it expects.
"""

import functools
import sys

import anthropic
import pydantic

import pairs


class City(pydantic.BaseModel):
    city: str


class Messages:
    name = "messages"
    cases = list(pairs.CASES)
    reasons = {"end": "end_turn", "length": "max_tokens", "filter": "refusal", "calls": "tool_use"}
    stops = "stop_sequences"
    errors = {
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        404: anthropic.NotFoundError,
        429: anthropic.RateLimitError,
        500: anthropic.InternalServerError,
        "other": anthropic.APIStatusError,
        "stream": anthropic.APIError,
    }

    def __init__(self, base_url):
        self.base_url = base_url.removesuffix("/v1")

    @functools.cache  # making one takes longer than asking
    def client(self, key):
        return anthropic.Anthropic(
            base_url=self.base_url, api_key=key, max_retries=0, timeout=30, default_headers=pairs.HEADERS
        )

    def names(self, field):
        return {"type": "invalid_request_error"}

    def ask(self, model, text, stream, system=None, image=None, tools=False, schema=False, after=None, results=(),
            more=None, limit=100, stops=None, key=pairs.KEY, **sampling):
        content = text
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": image}
            content = [{"type": "image", "source": source}, {"type": "text", "text": text}]
        messages = [{"role": "user", "content": content}]
        if after:
            messages.append({"role": "assistant", "content": after.raw})
        if results:
            blocks = [{"type": "tool_result", "tool_use_id": call, "content": result} for call, result in results]
            messages.append({"role": "user", "content": blocks})
        if more:
            messages.append({"role": "user", "content": more})
        arguments = {"model": model, "messages": messages, "max_tokens": limit, "extra_body": sampling}
        if system:
            arguments["system"] = system
        if tools:
            tool = {"name": "weather", "description": "The weather.", "input_schema": pairs.WEATHER}
            arguments["tools"] = [tool]
        if schema:
            arguments["output_format"] = City
        if stops:
            arguments["stop_sequences"] = stops
        calls = self.client(key).messages
        if stream:
            with calls.stream(**arguments) as events:
                pieces = "".join(events.text_stream)
                answer = events.get_final_message()
            pairs.equal("text in pieces", pieces, "".join(block.text for block in answer.content if block.type == "text"))
        else:
            answer = calls.parse(**arguments) if schema else calls.create(**arguments)
        seen = pairs.Seen(raw=answer.content, reason=answer.stop_reason)
        for block in answer.content:
            if block.type == "text":
                seen.text += block.text
            elif block.type == "thinking":
                seen.thoughts += block.thinking
            elif block.type == "tool_use":
                seen.calls.append((block.id, block.name, block.input))
        usage = answer.usage
        cached = usage.cache_read_input_tokens or 0
        seen.usage = (usage.input_tokens + cached, cached, usage.output_tokens)
        if schema:
            seen.parsed = answer.parsed_output.model_dump()
        return seen


def count(endpoint):
    counted = endpoint.client(pairs.KEY).messages.count_tokens(
        model="chat-ok", messages=[{"role": "user", "content": "How long is this question?"}]
    )
    pairs.equal("some tokens", 3 < counted.input_tokens < 30, True)


def models(endpoint):
    client = endpoint.client(pairs.KEY)
    pairs.equal("a model is listed", "gemini-ok" in [model.id for model in client.models.list()], True)
    pairs.equal("a model", client.models.retrieve("gemini-ok").id, "gemini-ok")


def no_words(endpoint):
    act = lambda: endpoint.ask("chat-ok", "hello", False, top_k=5)
    return pairs.refused(act, anthropic.BadRequestError, "top_k")


def main(base_url):
    report = pairs.Report("anthropic, Python")
    endpoint = Messages(base_url)
    pairs.check(report, endpoint)
    report.case(endpoint.name, "chat", "top_k", lambda: no_words(endpoint))
    report.case("count_tokens", "gateway", "a count", lambda: count(endpoint))
    report.case("models", "gateway", "list and retrieve", lambda: models(endpoint))
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main(sys.argv[1])
