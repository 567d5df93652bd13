// The unmodified openai package for Node at chat completions and responses, with providers of every dialect.
// Usage: openai_pairs.mjs BASE_URL, where BASE_URL ends in /v1. `clients.rs` starts the gateway that it expects.

import { KEY, OPTIONS, Report, WEATHER, equal, load } from "./pairs.mjs";

const OpenAI = load("openai").default;
const baseURL = process.argv[2];
const client = (apiKey) => new OpenAI({ ...OPTIONS, baseURL, apiKey });
const parsed = (call) => JSON.parse(call);

const chat = {
  name: "chat/completions",
  errors: OpenAI,
  reasons: { end: "stop", length: "length", filter: "content_filter", calls: "tool_calls" },
  async ask(model, text, stream, { system, image, tools, schema, after, results = [], key = KEY, ...sampling }) {
    const content = image
      ? [{ type: "text", text }, { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } }]
      : text;
    const messages = [{ role: "user", content }];
    if (system) messages.unshift({ role: "system", content: system });
    if (after) messages.push(after);
    for (const [id, result] of results) messages.push({ role: "tool", tool_call_id: id, content: result });
    const body = { model, messages, ...sampling };
    if (tools) body.tools = [{ type: "function", function: { name: "weather", parameters: WEATHER } }];
    if (schema) body.response_format = { type: "json_schema", json_schema: { name: "city", schema: WEATHER, strict: true } };
    const { completions } = client(key).chat;
    const answer = stream
      ? await completions.stream({ ...body, stream_options: { include_usage: true } }).finalChatCompletion()
      : await completions.create(body);
    const [{ message, finish_reason }] = answer.choices;
    const { usage } = answer;
    return {
      text: message.content ?? "",
      calls: (message.tool_calls ?? []).map((call) => [call.id, call.function.name, parsed(call.function.arguments)]),
      reason: finish_reason,
      usage: [usage.prompt_tokens, usage.prompt_tokens_details.cached_tokens, usage.completion_tokens],
      raw: message,
    };
  },
};

const responses = {
  name: "responses",
  errors: OpenAI,
  reasons: { end: "completed", length: "max_output_tokens", filter: "content_filter", calls: "completed" },
  async ask(model, text, stream, { system, image, tools, schema, after, results = [], key = KEY, ...sampling }) {
    const content = [{ type: "input_text", text }];
    if (image) content.push({ type: "input_image", detail: "auto", image_url: `data:image/png;base64,${image}` });
    const input = [{ role: "user", content }, ...(after ?? [])];
    for (const [id, result] of results) input.push({ type: "function_call_output", call_id: id, output: result });
    const body = { model, input, ...sampling };
    if (system) body.instructions = system;
    if (tools) body.tools = [{ type: "function", name: "weather", parameters: WEATHER, strict: true }];
    if (schema) body.text = { format: { type: "json_schema", name: "city", schema: WEATHER, strict: true } };
    const calls = client(key).responses;
    const answer = stream ? await calls.stream(body).finalResponse() : await calls.create(body);
    const { usage } = answer;
    return {
      text: answer.output_text,
      calls: answer.output
        .filter((item) => item.type === "function_call")
        .map((item) => [item.call_id, item.name, parsed(item.arguments)]),
      reason: answer.incomplete_details?.reason ?? answer.status,
      usage: [usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.output_tokens],
      // What the package adds for its readers is no part of an item.
      raw: answer.output.map(({ parsed_arguments, ...item }) => item),
    };
  },
};

for (const endpoint of [chat, responses]) {
  const { ask } = endpoint;
  endpoint.ask = (model, text, stream, more = {}) => ask(model, text, stream, more);
}
const report = new Report("openai, Node");
await report.check(chat);
await report.check(responses);
await report.case("embeddings", "gateway", "embeddings", async () => {
  const made = await client(KEY).embeddings.create({ model: "all-minilm-l6-v2", input: ["a fox", "tax law"] });
  equal("lengths", made.data.map((item) => item.embedding.length), [384, 384]);
});
await report.case("models", "gateway", "retrieve", async () => {
  equal("a model", (await client(KEY).models.retrieve("gemini-ok")).id, "gemini-ok");
});
process.exit(report.failed ? 1 : 0);
