// What is told of the routing: a sequence router's confidence, and the per-layer view of token gates.

import { colourOf } from "./code.js";

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-") || key.startsWith("data-")) made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

export function swatch(experts, name) {
  const made = element("i", { className: "swatch" });
  const index = colourOf(experts, name);
  if (index !== null) made.dataset.x = index;
  return made;
}

// One line that says who answers, and a bar for each expert that the router weighed.
export function showRouting(place, routing, experts, labels) {
  place.replaceChildren();
  place.hidden = !routing;
  if (!routing) return;
  const by = {
    "the sequence router": "answers: the router's choice",
    name: "answers: it was named",
    "token gates": "Each layer's gate chooses at every token.",
    nobody: "The base alone: no expert acts.",
  }[routing.by];
  if (!routing.expert) {
    place.append(element("p", {}, by ?? routing.by));
    return;
  }
  const said = element("p", {}, swatch(experts, routing.expert), element("b", {}, routing.expert), ` ${by ?? routing.by}`);
  place.append(said);
  if (routing.by !== "the sequence router") return;
  const list = element("ul", { className: "confidence" });
  const rows = Object.entries(routing.probabilities).sort((a, b) => b[1] - a[1]);
  for (const [name, share] of rows) {
    const bar = element("span", { className: "meter", "aria-hidden": "true" });
    const fill = element("i");
    fill.style.width = `${100 * share}%`;
    const index = colourOf(experts, name);
    if (index !== null) fill.dataset.x = index;
    bar.append(fill);
    const label = element("span", { className: "name" }, labels.get(name) ?? name);
    list.append(element("li", {}, label, bar, element("span", { className: "share" }, percent(share))));
  }
  place.append(list);
}

// A strip of tokens for each layer; choosing one colours the code by it. `choose(layer or null)`.
export function showLayers(place, tokens, experts, chosen, choose) {
  const layers = tokens[0]?.experts?.length ?? 0;
  const rows = [null, ...Array(layers).keys()];
  place.replaceChildren(
    ...rows.map((layer) => {
      const strip = element("canvas", { className: "strip", width: tokens.length, height: 1, "aria-hidden": "true" });
      paint(strip, tokens.map((token) => majority(token, layer)), experts);
      const shares = share(tokens.map((token) => majority(token, layer)));
      const top = shares[0] ? `${shares[0][0] ?? "no gate"} ${percent(shares[0][1])}` : "";
      const name = layer === null ? "all layers" : `layer ${layer}`;
      const row = element(
        "button",
        { type: "button", className: "row", "aria-pressed": String(layer === chosen) },
        element("span", { className: "name" }, name),
        strip,
        element("span", { className: "share" }, top),
      );
      row.addEventListener("click", () => choose(layer));
      return row;
    }),
  );
}

function majority(token, layer) {
  if (layer !== null) return token.experts[layer];
  const votes = share(token.experts.filter(Boolean));
  return votes[0]?.[0] ?? null;
}

// [name, share] of a list of names, the commonest first.
function share(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => [name, count / names.length]).sort((a, b) => b[1] - a[1]);
}

function paint(canvas, names, experts) {
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.documentElement);
  names.forEach((name, at) => {
    const index = colourOf(experts, name);
    context.fillStyle = style.getPropertyValue(index === null ? "--rule" : `--x${index}`);
    context.fillRect(at, 0, 1, 1);
  });
}
