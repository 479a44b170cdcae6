// LangChain of Node, over chat completions and over responses.
import { ChatOpenAI } from "@langchain/openai";
import { API_KEY, BASE_URL, LIMITED_KEY, QUESTION, tell } from "./facts.mjs";

const model = (name, useResponsesApi, apiKey = API_KEY) =>
  new ChatOpenAI({
    model: name,
    apiKey,
    useResponsesApi,
    maxRetries: 0,
    configuration: { baseURL: BASE_URL },
  });
const used = (usage) => [usage.input_tokens, usage.output_tokens];

const answer = async (...how) => {
  const said = await model(...how).invoke(QUESTION);
  return [said.text, used(said.usage_metadata)];
};
const stream = async (useResponsesApi) => {
  let whole;
  for await (const chunk of await model("talker", useResponsesApi).stream(QUESTION))
    whole = whole === undefined ? chunk : whole.concat(chunk);
  return [whole.text, used(whole.usage_metadata)];
};
const agent = async (useResponsesApi) => {
  const said = await model("helper", useResponsesApi).invoke(QUESTION);
  return [said.text, said.tool_calls.length];
};

await tell({
  answer: () => answer("talker", false),
  answer_of_responses: () => answer("talker", true),
  stream: () => stream(false),
  stream_of_responses: () => stream(true),
  agent: () => agent(false),
  agent_of_responses: () => agent(true),
  key_error: () => answer("talker", false, "tnt_wrong"),
  model_error: () => answer("nothing", false),
  limit_error: () => answer("talker", false, LIMITED_KEY),
});
