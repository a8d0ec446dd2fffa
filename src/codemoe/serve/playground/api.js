// What the page asks of its server. The key stays in this tab.

const KEY = "codemoe-key";
let key = read();

export class ServerError extends Error {
  constructor(message, status, code = null) {
    super(message);
    this.status = status; // 0: no answer at all
    this.code = code;
  }
}

export function setKey(value) {
  key = value;
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    // Storage may be forbidden; the key then lasts as long as the page.
  }
}

function read() {
  try {
    return sessionStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServerError("The server does not answer. Is it still running?", 0);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  try {
    const { error } = await response.json();
    return new ServerError(error.message, response.status, error.code);
  } catch {
    return new ServerError(`The server answered with status ${response.status}.`, response.status);
  }
}

export const get = async (path) => (await ask(path)).json();

export async function post(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  return ask(path, { method: "POST", headers, body: JSON.stringify(body), signal });
}

// The chunks of a streamed chat. An error in mid-stream, or an end without [DONE], is thrown.
export async function* chat(body, signal) {
  const response = await post("/v1/chat/completions", { ...body, stream: true }, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new ServerError("The connection broke in the middle of the answer.", 0);
    }
    if (part.done) throw new ServerError("The answer ended before it was complete.", 0);
    text += part.value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.slice("data: ".length);
      if (data === "[DONE]") return;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new ServerError(chunk.error.message, 500, chunk.error.code);
      yield chunk;
    }
  }
}
