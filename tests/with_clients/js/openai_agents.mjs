// The Agents SDK of Node, over responses and over chat completions.
import {
  Agent,
  OpenAIChatCompletionsModel,
  OpenAIResponsesModel,
  Runner,
  setTracingDisabled,
  tool,
} from "@openai/agents";
import OpenAI from "openai";
import { z } from "zod";
import { API_KEY, BASE_URL, LIMITED_KEY, QUESTION, tell } from "./facts.mjs";

setTracingDisabled(true);
const add = tool({
  name: "add",
  description: "Adds.",
  parameters: z.object({ a: z.number(), b: z.number() }),
  execute: async ({ a, b }) => `${a + b}`,
});
const runner = new Runner({ tracingDisabled: true });
const agent = (name, Kind, more = {}, apiKey = API_KEY) => {
  const client = new OpenAI({ baseURL: BASE_URL, apiKey, maxRetries: 0 });
  return new Agent({ name: "A", model: new Kind(client, name), ...more });
};
const ask = async (...how) => (await runner.run(agent(...how), QUESTION)).finalOutput;
const stream = async (Kind) => {
  const run = await runner.run(agent("talker", Kind), QUESTION, { stream: true });
  let text = "";
  for await (const piece of run.toTextStream()) text += piece;
  await run.completed;
  return text;
};

const facts = {};
const kinds = { responses: OpenAIResponsesModel, chat: OpenAIChatCompletionsModel };
for (const [name, Kind] of Object.entries(kinds)) {
  facts[`answer_of_${name}`] = () => ask("talker", Kind);
  facts[`stream_of_${name}`] = () => stream(Kind);
  facts[`tools_of_${name}`] = () => ask("caller", Kind, { tools: [add] });
  facts[`agent_of_${name}`] = () => ask("helper", Kind);
}
facts.key_error = () => ask("talker", OpenAIResponsesModel, {}, "tnt_wrong");
facts.model_error = () => ask("nothing", OpenAIResponsesModel);
facts.limit_error = () => ask("talker", OpenAIResponsesModel, {}, LIMITED_KEY);
await tell(facts);
