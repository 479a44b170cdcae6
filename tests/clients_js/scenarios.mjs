// What a program in JavaScript does with the official client. Run as
//   BASE_URL=… API_KEY=… node scenarios.mjs <scenario>
// and prints what it got as one line of JSON.
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: process.env.BASE_URL,
  apiKey: process.env.API_KEY,
  maxRetries: 0,
});
const messages = [{ role: "user", content: "hello" }];

async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

async function refused(request) {
  try {
    await request;
  } catch (error) {
    const kind = error.constructor.name;
    return { kind, status: error.status, code: error.code, id: error.requestID };
  }
  return { kind: "nothing" };
}

const scenarios = {
  async chat() {
    const answer = await client.chat.completions.create({ model: "tiny", messages });
    return { text: answer.choices[0].message.content, usage: answer.usage };
  },

  async chat_stream() {
    const stream_options = { include_usage: true };
    const asked = { model: "tiny", messages, stream: true, stream_options };
    const chunks = await all(await client.chat.completions.create(asked));
    const text = chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? "").join("");
    return { text, chunks: chunks.length, usage: chunks.at(-1).usage };
  },

  async response() {
    const made = await client.responses.create({ model: "tiny", input: "hello" });
    const again = await client.responses.retrieve(made.id);
    return { text: made.output_text, status: made.status, again: again.output_text };
  },

  async response_stream() {
    const asked = { model: "tiny", input: "hello", stream: true };
    const events = await all(await client.responses.create(asked));
    const deltas = events.filter((event) => event.type === "response.output_text.delta");
    return {
      text: deltas.map((event) => event.delta).join(""),
      numbers: events.map((event) => event.sequence_number),
      end: events.at(-1).type,
    };
  },

  async stream_helper() {
    const stream = client.responses.stream({ model: "tiny", input: "hello" });
    return { text: (await stream.finalResponse()).output_text };
  },

  async resume() {
    const asked = { model: "tiny", input: "hello", stream: true };
    const events = [];
    for await (const event of await client.responses.create(asked)) {
      events.push(event);
      if (events.length === 6) break;
    }
    const after = { stream: true, starting_after: events.at(-1).sequence_number };
    const rest = await all(await client.responses.retrieve(events[0].response.id, after));
    return {
      numbers: [...events, ...rest].map((event) => event.sequence_number),
      end: rest.at(-1).type,
    };
  },

  async errors() {
    const stranger = client.withOptions({ apiKey: "tnt_nobody" });
    return {
      key: await refused(stranger.responses.create({ model: "tiny", input: "hello" })),
      model: await refused(client.chat.completions.create({ model: "nobody", messages })),
      response: await refused(client.responses.retrieve("resp_nothing")),
      parameter: await refused(client.responses.create({ model: "tiny", input: [] })),
    };
  },
};

console.log(JSON.stringify(await scenarios[process.argv[2]]()));
