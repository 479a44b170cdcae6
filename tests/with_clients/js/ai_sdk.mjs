// The Vercel AI SDK: its OpenAI provider (responses by default) and the one for compatible servers.
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { API_KEY, BASE_URL, LIMITED_KEY, QUESTION, tell } from "./facts.mjs";

const openai = (apiKey = API_KEY) => createOpenAI({ baseURL: BASE_URL, apiKey });
const responses = (name, key) => openai(key)(name);
const chat = (name, key) => openai(key).chat(name);
const compatible = (name, key = API_KEY) =>
  createOpenAICompatible({ name: "tenantry", baseURL: BASE_URL, apiKey: key, includeUsage: true })(name);

const add = tool({
  description: "Adds.",
  inputSchema: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => a + b,
});
const ask = (model, more = {}) =>
  generateText({ model, prompt: QUESTION, maxRetries: 0, ...more });
const used = (usage) => [usage.inputTokens, usage.outputTokens];

const answer = async (kind) => {
  const said = await ask(kind("talker"));
  return [said.text, used(said.usage)];
};
const stream = async (kind) => {
  const said = streamText({ model: kind("talker"), prompt: QUESTION, maxRetries: 0 });
  let text = "";
  for await (const piece of said.textStream) text += piece;
  return [text, used(await said.usage)];
};
const tools = async (kind) =>
  (await ask(kind("caller"), { tools: { add }, stopWhen: stepCountIs(3) })).text;
const agent = async (kind) => {
  const said = await ask(kind("helper"));
  return [said.text, said.finishReason];
};
const streamedAgent = async (kind) => {
  const said = streamText({ model: kind("helper"), prompt: QUESTION, maxRetries: 0 });
  return [await said.text, await said.finishReason];
};
const schema = async (kind) =>
  (await ask(kind("writer"), { output: Output.object({ schema: z.object({ name: z.string() }) }) }))
    .output.name;
const conversation = async (kind) => {
  const first = await ask(kind("talker"));
  const messages = [
    { role: "user", content: QUESTION },
    ...first.response.messages,
    { role: "user", content: "And then?" },
  ];
  return (await generateText({ model: kind("talker"), messages, maxRetries: 0 })).text;
};

const facts = {};
for (const [name, kind] of Object.entries({ responses, chat, compatible })) {
  facts[`answer_of_${name}`] = () => answer(kind);
  facts[`stream_of_${name}`] = () => stream(kind);
  facts[`tools_of_${name}`] = () => tools(kind);
  facts[`agent_of_${name}`] = () => agent(kind);
  facts[`streamed_agent_of_${name}`] = () => streamedAgent(kind);
  facts[`conversation_of_${name}`] = () => conversation(kind);
}
facts.schema_of_responses = () => schema(responses);
facts.schema_of_chat = () => schema(chat);
facts.key_error = () => ask(responses("talker", "tnt_wrong"));
facts.model_error = () => ask(responses("nothing"));
facts.limit_error = () => ask(responses("talker", LIMITED_KEY));
await tell(facts);
