// The page: settings and models from the server, the prompt, one answer or two side by side.

import { get, setKey } from "./api.js";
import { languagesOf } from "./highlight.js";
import { historyDialog, remember } from "./history.js";
import { Pane } from "./pane.js";
import { element } from "./routing.js";
import { themeButton } from "./theme.js";

const byId = (id) => document.getElementById(id);
const EXAMPLES = [
  "Sum of the even numbers of an array",
  "Count the vowels in a string, in Java",
  "Largest difference between neighbours in a list, in C++",
];
const world = { models: [], experts: [], languages: new Map(), labels: new Map(), tests: [] };
const panes = [new Pane(1, world)];
let running = null; // an AbortController while answers are written
let again = null; // timer of the next try to reach the server

byId("panes").append(panes[0].root);
themeButton(() => panes.forEach((pane) => pane.draw()));
historyDialog(restore);
for (const text of EXAMPLES) {
  const button = element("button", { type: "button" }, text);
  button.addEventListener("click", () => {
    byId("prompt").value = text;
    byId("prompt").focus();
  });
  byId("examples").append(button);
}
connect();

async function connect() {
  clearTimeout(again);
  try {
    const settings = await get("/playground/settings");
    world.tests = settings.tests;
    const most = byId("max-tokens");
    most.max = settings.max_tokens;
    most.value = Math.min(most.value, settings.max_tokens);
    world.languages = languagesOf(settings.languages);
    const { data } = await get("/v1/models");
    world.models = data;
    known();
  } catch (error) {
    if (error.status === 401) askForKey(error);
    else {
      const loading = error.status === 503;
      status(loading ? "waiting" : "bad", loading ? "loading the model" : "no answer from the server");
      again = setTimeout(connect, loading ? 500 : 3000);
    }
  }
}

// The server's models are known: fill in what depends on them.
function known() {
  byId("key-form").hidden = true;
  const experts = world.models.filter((model) => model.kind === "expert");
  const [head] = world.models;
  world.experts = experts.map((model) => model.id);
  const label = (name) => world.languages.get(name)?.label ?? name;
  world.labels = new Map(experts.map(({ id, languages }) => [id, languages.map(label).join(", ") || id]));
  const offered = head.kind === "dense" ? [...world.languages.keys()] : head.languages;
  const language = byId("language");
  const before = language.value;
  language.replaceChildren(
    new Option(head.kind === "dense" ? "not named" : "auto: the router reads it", ""),
    ...offered.map((name) => new Option(label(name), name)),
  );
  language.value = offered.includes(before) ? before : "";
  panes.forEach((pane, index) => pane.models(world.models, pane.model.value || second(index)));
  const kinds = experts.length ? `${experts.length} experts` : "one dense model";
  status("good", `${head.id}: ${kinds}`);
  byId("compare").disabled = world.models.length < 2;
}

const second = (index) => {
  const [head] = world.models;
  return index ? (world.models.find((model) => model.kind === "base") ?? head).id : head.id;
};

function askForKey(error) {
  status("waiting", "a key is needed");
  const place = byId("key-error");
  place.hidden = error.message.startsWith("no API key");
  place.textContent = place.hidden ? "" : "That is not the right key.";
  byId("key-form").hidden = false;
  byId("key").focus();
}

function status(state, text) {
  byId("status").dataset.state = state;
  byId("status").lastElementChild.textContent = text;
}

const announce = (text) => (byId("announce").textContent = text);

function compare(on) {
  byId("compare").checked = on;
  byId("panes").classList.toggle("two", on);
  if (on && panes.length === 1) {
    panes.push(new Pane(2, world));
    if (world.models.length) panes[1].models(world.models, second(1));
    byId("panes").append(panes[1].root);
  } else if (!on && panes.length === 2) panes.pop().root.remove();
}

function asked() {
  const prompt = byId("prompt").value.trim();
  const body = { messages: [{ role: "user", content: prompt }] };
  body.temperature = Number(byId("temperature").value || 0);
  body.max_tokens = Number(byId("max-tokens").value || 512);
  if (byId("language").value) body.language = byId("language").value;
  return body;
}

async function run() {
  const prompt = byId("prompt").value.trim();
  if (running || !world.models.length || !byId("composer").reportValidity()) return;
  if (!prompt) {
    byId("prompt").focus();
    panes[0].error("There is no task yet: say what the program should do.");
    return;
  }
  running = new AbortController();
  byId("run").disabled = true;
  byId("stop").disabled = false;
  announce("Writing");
  const found = await Promise.allSettled(panes.map((pane) => pane.run(asked(), running.signal)));
  running = null;
  byId("run").disabled = false;
  byId("stop").disabled = true;
  const failed = found.filter((one) => one.status === "rejected").map((one) => one.reason);
  if (failed.some((error) => error.status === 401)) askForKey(failed[0]);
  if (failed.some((error) => error.status === 0)) connect();
  announce(failed.length ? "" : panes.map((pane) => `Answer: ${pane.find(".stats").textContent}`).join(". "));
  if (panes.some((pane) => pane.text)) {
    remember({ prompt, language: byId("language").value, answers: panes.map((pane) => pane.saved()) });
  }
}

function restore(entry) {
  byId("prompt").value = entry.prompt;
  byId("language").value = entry.language ?? "";
  compare(entry.answers.length > 1);
  panes.forEach((pane, index) => pane.restore(entry.answers[index]));
  byId("prompt").focus();
}

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  run();
});
byId("stop").addEventListener("click", () => running?.abort());
byId("compare").addEventListener("change", (event) => compare(event.target.checked));
byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(byId("key").value.trim());
  byId("key").value = "";
  connect();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    run();
  } else if (event.key === "Escape") running?.abort();
});
