"""The unmodified openai package at chat completions, responses and completions, with providers of every dialect.

Usage: openai_pairs.py BASE_URL, where BASE_URL ends in /v1. `clients.rs` starts the gateway that it expects.
"""

import json
import sys

import openai
import pydantic

import pairs


class City(pydantic.BaseModel):
    city: str


ERRORS = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    "other": openai.APIStatusError,
    "stream": openai.APIError,
}


class Endpoint:
    errors = ERRORS
    stops = "stop"

    def __init__(self, base_url):
        self.base_url = base_url

    def client(self, key):
        return openai.OpenAI(
            base_url=self.base_url, api_key=key, max_retries=0, timeout=30, default_headers=pairs.HEADERS
        )

    def names(self, field):
        return {"param": field}


def given(**fields):
    return {name: value for name, value in fields.items() if value is not None}


class Chat(Endpoint):
    name = "chat/completions"
    cases = list(pairs.CASES)
    reasons = {"end": "stop", "length": "length", "filter": "content_filter", "calls": "tool_calls"}

    def ask(self, model, text, stream, system=None, image=None, tools=False, schema=False, after=None, results=(),
            more=None, limit=None, stops=None, key=pairs.KEY, **sampling):
        content = text
        if image:
            url = {"url": f"data:image/png;base64,{image}"}
            content = [{"type": "text", "text": text}, {"type": "image_url", "image_url": url}]
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": content})
        if after:
            messages.append(after.raw)
            messages += [{"role": "tool", "tool_call_id": call, "content": result} for call, result in results]
        if more:
            messages.append({"role": "user", "content": more})
        function = {"name": "weather", "description": "The weather.", "parameters": pairs.WEATHER, "strict": True}
        arguments = given(
            model=model,
            messages=messages,
            tools=[{"type": "function", "function": function}] if tools else None,
            response_format=City if schema else None,
            max_tokens=limit,
            stop=stops,
            **sampling,
        )
        calls = self.client(key).chat.completions
        if not stream:
            answer = calls.parse(**arguments) if schema else calls.create(**arguments)
        elif schema or tools:
            with calls.stream(**arguments, stream_options={"include_usage": True}) as events:
                answer = events.until_done().get_final_completion()
        else:
            return self.gather(calls.create(**arguments, stream=True, stream_options={"include_usage": True}))
        message = answer.choices[0].message
        return pairs.Seen(
            text=message.content or "",
            thoughts=getattr(message, "reasoning_content", ""),
            calls=[
                (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []
            ],
            reason=answer.choices[0].finish_reason,
            usage=used(answer.usage),
            parsed=message.parsed.model_dump() if schema else None,
            raw=message.to_dict() if not (schema or tools) else message,
        )

    def gather(self, chunks):
        seen = pairs.Seen()
        for chunk in chunks:
            if chunk.usage:
                pairs.equal("choices of the usage", chunk.choices, [])
                seen.usage = used(chunk.usage)
            for choice in chunk.choices:
                seen.text += choice.delta.content or ""
                seen.thoughts += getattr(choice.delta, "reasoning_content", None) or ""
                seen.reason = choice.finish_reason or seen.reason
        seen.raw = {"role": "assistant", "content": seen.text, "reasoning_content": seen.thoughts}
        return seen


def used(usage):
    return (usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens)


class Responses(Endpoint):
    name = "responses"
    cases = [case for case in pairs.CASES if case != "stops"]
    reasons = {"end": "completed", "length": "max_output_tokens", "filter": "content_filter", "calls": "completed"}

    def ask(self, model, text, stream, system=None, image=None, tools=False, schema=False, after=None, results=(),
            more=None, limit=None, key=pairs.KEY, **sampling):
        items = text
        if image or after:
            content = [{"type": "input_text", "text": text}]
            if image:
                url = f"data:image/png;base64,{image}"
                content.append({"type": "input_image", "detail": "auto", "image_url": url})
            items = [{"role": "user", "content": content}]
        if after:
            items += after.raw
            items += [{"type": "function_call_output", "call_id": call, "output": result} for call, result in results]
        if more:
            items.append({"role": "user", "content": more})
        function = {"type": "function", "name": "weather", "parameters": pairs.WEATHER, "strict": True}
        arguments = given(
            model=model,
            input=items,
            instructions=system,
            tools=[function] if tools else None,
            text_format=City if schema else None,
            max_output_tokens=limit,
            **sampling,
        )
        responses = self.client(key).responses
        if stream and (schema or tools or text in ("hello", "think")):
            with responses.stream(**arguments) as events:
                pieces = [event.delta for event in events if event.type == "response.output_text.delta"]
                answer = events.get_final_response()
            pairs.equal("text in pieces", "".join(pieces), answer.output_text)
        elif stream:
            *_, last = list(responses.create(**arguments, stream=True))
            answer = last.response
        else:
            answer = responses.parse(**arguments) if schema else responses.create(**arguments)
        seen = pairs.Seen(text=answer.output_text, raw=answer.output)
        for item in answer.output:
            if item.type == "reasoning":
                seen.thoughts += "".join(part.text for part in item.summary)
            if item.type == "function_call":
                seen.calls.append((item.call_id, item.name, json.loads(item.arguments)))
        seen.reason = answer.incomplete_details.reason if answer.incomplete_details else answer.status
        usage = answer.usage
        seen.usage = (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens)
        if schema:
            seen.parsed = answer.output_parsed.model_dump()
        return seen


class Completions(Endpoint):
    name = "completions"
    cases = ["text", "length", "filtered", "sampling", "stops"]
    reasons = {"end": "stop", "length": "length", "filter": "content_filter"}

    def ask(self, model, text, stream, limit=None, stops=None, key=pairs.KEY, **sampling):
        arguments = given(model=model, prompt=text, max_tokens=limit, stop=stops, **sampling)
        calls = self.client(key).completions
        if not stream:
            answer = calls.create(**arguments)
            choice = answer.choices[0]
            return pairs.Seen(text=choice.text, reason=choice.finish_reason, usage=used(answer.usage))
        seen = pairs.Seen()
        for chunk in calls.create(**arguments, stream=True, stream_options={"include_usage": True}):
            if chunk.usage:
                seen.usage = used(chunk.usage)
            for choice in chunk.choices:
                seen.text += choice.text
                seen.reason = choice.finish_reason or seen.reason
        return seen


def models(endpoint):
    client = endpoint.client(pairs.KEY)
    names = [model.id for model in client.models.list()]
    pairs.equal("a model is listed", "gemini-ok" in names, True)
    pairs.equal("a model", client.models.retrieve("gemini-ok").id, "gemini-ok")


def embeddings(endpoint):
    made = endpoint.client(pairs.KEY).embeddings.create(model="all-minilm-l6-v2", input=["a fox", "tax law"])
    pairs.equal("lengths", [len(item.embedding) for item in made.data], [384, 384])


def no_words(endpoint, field, **more):
    act = lambda: endpoint.ask("anthropic-ok", "hello", False, **more)
    return pairs.refused(act, openai.BadRequestError, field)


def main(base_url):
    report = pairs.Report("openai, Python")
    for endpoint in (Chat(base_url), Responses(base_url), Completions(base_url)):
        pairs.check(report, endpoint)
    chat = Chat(base_url)
    report.case(chat.name, "anthropic", "logprobs", lambda: no_words(chat, "logprobs", logprobs=True))
    report.case(chat.name, "anthropic", "n", lambda: no_words(chat, "n", n=2))
    report.case("models", "gateway", "list and retrieve", lambda: models(chat))
    report.case("embeddings", "gateway", "embeddings", lambda: embeddings(chat))
    sys.exit(1 if report.failed else 0)


if __name__ == "__main__":
    main(sys.argv[1])
