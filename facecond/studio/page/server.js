// Calls to the server. A fault of any kind comes back as {state: "error", what, fix}.

const API = `${window.gradio_config?.root ?? ""}/gradio_api`;
const CLIENT = crypto.getRandomValues(new Uint32Array(4)).join("-");

const UNREACHABLE = { state: "error", what: "The studio does not answer", fix: "Is it still running? Then try again." };
const FAULTS = {
  401: { state: "error", what: "You are signed out", fix: "Reload the page." },
  413: { state: "error", what: "The file is too large", fix: `Give up to ${FACTS.limits.upload >> 20} MB.` },
  503: { state: "error", what: "Too many people are drawing", fix: "Try again in a moment." },
};
const ODD = { state: "error", what: "The studio answered in an unexpected way", fix: "Reload the page." };

async function post(path, value) {
  const answer = await fetch(`${API}/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ data: [value] }),
  });
  if (!answer.ok) throw FAULTS[answer.status] ?? ODD;
  return answer.json();
}

const asFault = (error) => (error.state === "error" ? error : UNREACHABLE);

async function ask(name, value) {
  try {
    return (await post(`run/${name}`, value)).data[0];
  } catch (error) {
    return asFault(error);
  }
}

// Draws or edits; `tell` gets every event. Resolves with the last one.
async function askToDraw(name, value, tell) {
  try {
    const { event_id } = await post(`call/${name}`, value);
    const stream = await fetch(`${API}/call/${name}/${event_id}`);
    if (!stream.ok) throw FAULTS[stream.status] ?? ODD;
    let last = null;
    for await (const [event, data] of eventsOf(stream.body)) {
      if (event === "error") throw ODD;
      if (event === "generating" && data) {
        last = data[0];
        tell(last);
      }
    }
    return ["done", "cancelled", "error"].includes(last?.state) ? last : UNREACHABLE;
  } catch (error) {
    return asFault(error);
  }
}

async function* eventsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      const field = (key) => lines.find((line) => line.startsWith(`${key}: `))?.slice(key.length + 2);
      if (field("event")) yield [field("event"), JSON.parse(field("data") ?? "null")];
    }
  }
}

function cancelOnLeave(job) {
  const body = JSON.stringify({ data: [{ job }] });
  navigator.sendBeacon?.(`${API}/run/cancel`, new Blob([body], { type: "application/json" }));
}
