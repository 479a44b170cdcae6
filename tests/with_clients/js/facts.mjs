// What every program of this folder prints; `programs/facts.py` in JavaScript.
export const { BASE_URL, API_KEY, LIMITED_KEY } = process.env;
export const QUESTION = "What is 2 and 3?";

export async function tell(facts) {
  const told = {};
  for (const [name, fact] of Object.entries(facts)) {
    try {
      told[name] = await fact();
    } catch (error) {
      told[name] = raised(error);
      if (!name.endsWith("_error")) console.error(name, error);
    }
  }
  console.log(JSON.stringify(told));
}

function raised(error) {
  const headers = error.responseHeaders ?? error.headers;
  const found = headers?.get ? headers.get("retry-after") : headers?.["retry-after"];
  const own = error.constructor?.name ?? "";
  const names = [own, error.name].filter((name, place, all) => all.indexOf(name) === place);
  const status = error.statusCode ?? error.status;
  return { raised: names, status_code: status, ...(found ? { retry_after: found } : {}) };
}
