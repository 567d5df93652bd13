// What Node's clients are asked to do at every endpoint, with a provider of every dialect behind it: the cases of
// `pairs.py` that depend on how a client reads answers and streams. Prints the same lines.

import { createRequire } from "node:module";
import { isDeepStrictEqual } from "node:util";

// The packages are installed beside the build, not beside this script.
export const load = createRequire(`${process.env.CLIENTS_MODULES}/`);

const PROVIDERS = ["chat", "azure", "responses", "anthropic", "gemini"];
const ANSWER = "Zug fährt nach Köln → 🚂 on track 3.";
export const WEATHER = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
export const KEY = "client-secret";
// Equal requests are answered from the cache, and the next client asks the same.
export const OPTIONS = { maxRetries: 0, timeout: 30_000, defaultHeaders: { "cache-control": "no-store" } };

export function equal(what, seen, expected) {
  if (!isDeepStrictEqual(seen, expected)) {
    throw new Error(`${what}: ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}`);
  }
}

// Checks that `act` is rejected with `kind`.
async function fails(act, kind, status) {
  let seen;
  try {
    seen = await act();
  } catch (error) {
    if (!(error instanceof kind)) throw error;
    if (status) equal("status", error.status, status);
    return;
  }
  throw new Error(`no ${kind.name}, but ${JSON.stringify(seen)}`);
}

const CASES = {
  async text(endpoint, model, stream) {
    const seen = await endpoint.ask(model, "hello", stream);
    equal("text", seen.text, ANSWER);
    equal("reason", seen.reason, endpoint.reasons.end);
    equal("usage", seen.usage, [20, 5, 9]);
  },
  async system(endpoint, model, stream) {
    equal("text", (await endpoint.ask(model, "who are you?", stream, { system: "A pointsman." })).text, "A pointsman.");
  },
  async tools(endpoint, model, stream) {
    const question = "How is the weather in Oslo and Rome?";
    let seen = await endpoint.ask(model, question, stream, { tools: true });
    equal("calls", seen.calls.map((call) => call.slice(1)), [["weather", { city: "Oslo" }], ["weather", { city: "Rome" }]]);
    equal("reason", seen.reason, endpoint.reasons.calls);
    const results = [[seen.calls[0][0], "4 degrees"], [seen.calls[1][0], "19 degrees"]];
    seen = await endpoint.ask(model, question, stream, { tools: true, after: seen.raw, results });
    equal("text", seen.text, "weather(Oslo) is 4 degrees; weather(Rome) is 19 degrees");
  },
  async image(endpoint, model, stream) {
    const seen = await endpoint.ask(model, "What is this?", stream, { image: PIXEL });
    equal("text", seen.text, `image/png, ${PIXEL.length} characters`);
  },
  async schema(endpoint, model, stream) {
    equal("parsed", JSON.parse((await endpoint.ask(model, "Which city?", stream, { schema: true })).text), { city: "Oslo" });
  },
  async length(endpoint, model, stream) {
    equal("reason", (await endpoint.ask(model, "too long", stream)).reason, endpoint.reasons.length);
  },
  async filtered(endpoint, model, stream) {
    equal("reason", (await endpoint.ask(model, "filtered", stream)).reason, endpoint.reasons.filter);
  },
};

function errors(endpoint, provider) {
  const ask = (behaviour, stream = false, more = {}) => endpoint.ask(`${provider}-${behaviour}`, "hello", stream, more);
  const { errors } = endpoint;
  const cases = [
    ["a wrong field", () => fails(() => ask("ok", false, { temperature: 9 }), errors.BadRequestError, 400)],
    ["a wrong key", () => fails(() => ask("ok", false, { key: "wrong" }), errors.AuthenticationError, 401)],
    ["no such model", () => fails(() => ask("none"), errors.NotFoundError, 404)],
    ["an error in a stream", () => fails(() => ask("broken", true), errors.APIError)],
    ["a cut stream", () => fails(() => ask("cut", true), errors.APIError)],
  ];
  for (const stream of [false, true]) {
    const label = stream ? ", streamed" : "";
    cases.push([`upstream 429${label}`, () => fails(() => ask("e429", stream), errors.RateLimitError, 429)]);
    // Two models, because one that keeps failing is left alone for a while.
    const broken = stream ? "e503" : "e500";
    cases.push([`upstream 500${label}`, () => fails(() => ask(broken, stream), errors.InternalServerError, 502)]);
    cases.push([`upstream 400${label}`, () => fails(() => ask("e400", stream), errors.APIError, 424)]);
  }
  return cases;
}

export class Report {
  failed = 0;

  constructor(client) {
    this.client = client;
  }

  async case(endpoint, provider, name, act) {
    let [mark, detail] = ["ok", ""];
    try {
      await act();
    } catch (problem) {
      [mark, detail] = ["FAIL", `${problem?.constructor?.name}: ${problem?.message}`];
      this.failed += 1;
    }
    console.log([mark, this.client, endpoint, provider, name, detail].join("\t"));
  }

  // Every case of `endpoint` with every provider, then its errors.
  async check(endpoint) {
    for (const provider of PROVIDERS) {
      for (const [name, act] of Object.entries(CASES)) {
        for (const stream of [false, true]) {
          const label = stream ? `${name}, streamed` : name;
          await this.case(endpoint.name, provider, label, () => act(endpoint, `${provider}-ok`, stream));
        }
      }
      for (const [name, act] of errors(endpoint, provider)) await this.case(endpoint.name, provider, name, act);
    }
  }
}
