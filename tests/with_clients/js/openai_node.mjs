// The official client of Node.
import OpenAI from "openai";
import { API_KEY, BASE_URL, LIMITED_KEY, QUESTION, tell } from "./facts.mjs";

const client = (apiKey = API_KEY) => new OpenAI({ baseURL: BASE_URL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: QUESTION }];
const used = (usage) => [usage.prompt_tokens, usage.completion_tokens];
const parameters = {
  type: "object",
  properties: { a: { type: "integer" }, b: { type: "integer" } },
};
const chat = (more = {}, key = API_KEY) =>
  client(key).chat.completions.create({ model: "talker", messages, ...more });

async function answer() {
  const said = await chat();
  return [said.choices[0].message.content, used(said.usage)];
}

async function stream() {
  const run = client().chat.completions.stream({
    model: "talker",
    messages,
    stream_options: { include_usage: true },
  });
  return [await run.finalContent(), used(await run.totalUsage())];
}

async function tools() {
  const run = client().chat.completions.runTools({
    model: "caller",
    messages,
    tools: [
      {
        type: "function",
        function: { name: "add", parameters, parse: JSON.parse, function: ({ a, b }) => `${a + b}` },
      },
    ],
  });
  return await run.finalContent();
}

async function response() {
  const said = await client().responses.create({ model: "talker", input: QUESTION });
  return [said.output_text, [said.usage.input_tokens, said.usage.output_tokens]];
}

async function streamedResponse() {
  const run = client().responses.stream({ model: "talker", input: QUESTION });
  return (await run.finalResponse()).output_text;
}

await tell({
  answer,
  stream,
  tools,
  response,
  streamed_response: streamedResponse,
  key_error: () => chat({}, "tnt_wrong"),
  model_error: () => chat({ model: "nothing" }),
  limit_error: () => chat({}, LIMITED_KEY),
});
