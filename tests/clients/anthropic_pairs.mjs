// The unmodified @anthropic-ai/sdk package for Node at messages and count_tokens, with providers of every dialect.
// Usage: anthropic_pairs.mjs BASE_URL, where BASE_URL ends in /v1. `clients.rs` starts the gateway that it expects.

import { KEY, OPTIONS, Report, WEATHER, equal, load } from "./pairs.mjs";

const Anthropic = load("@anthropic-ai/sdk").default;
const baseURL = process.argv[2].replace(/\/v1$/, "");
const client = (apiKey) => new Anthropic({ ...OPTIONS, baseURL, apiKey });

const messages = {
  name: "messages",
  errors: Anthropic,
  reasons: { end: "end_turn", length: "max_tokens", filter: "refusal", calls: "tool_use" },
  async ask(model, text, stream, { system, image, tools, schema, after, results, key = KEY, ...sampling } = {}) {
    const source = { type: "base64", media_type: "image/png", data: image };
    const content = image ? [{ type: "image", source }, { type: "text", text }] : text;
    const turns = [{ role: "user", content }];
    if (after) turns.push({ role: "assistant", content: after });
    if (results) {
      const blocks = results.map(([id, result]) => ({ type: "tool_result", tool_use_id: id, content: result }));
      turns.push({ role: "user", content: blocks });
    }
    const body = { model, messages: turns, max_tokens: 100, ...sampling };
    if (system) body.system = system;
    if (tools) body.tools = [{ name: "weather", input_schema: WEATHER }];
    if (schema) body.output_config = { format: { type: "json_schema", schema: WEATHER } };
    const calls = client(key).messages;
    const answer = stream ? await calls.stream(body).finalMessage() : await calls.create(body);
    const { usage } = answer;
    const cached = usage.cache_read_input_tokens ?? 0;
    const blocks = (type) => answer.content.filter((block) => block.type === type);
    return {
      text: blocks("text").map((block) => block.text).join(""),
      calls: blocks("tool_use").map((block) => [block.id, block.name, block.input]),
      reason: answer.stop_reason,
      usage: [usage.input_tokens + cached, cached, usage.output_tokens],
      raw: answer.content,
    };
  },
};

const report = new Report("anthropic, Node");
await report.check(messages);
await report.case("count_tokens", "gateway", "a count", async () => {
  const asked = { model: "chat-ok", messages: [{ role: "user", content: "How long is this question?" }] };
  const { input_tokens: tokens } = await client(KEY).messages.countTokens(asked);
  equal("some tokens", 3 < tokens && tokens < 30, true);
});
await report.case("models", "gateway", "retrieve", async () => {
  equal("a model", (await client(KEY).models.retrieve("gemini-ok")).id, "gemini-ok");
});
process.exit(report.failed ? 1 : 0);
