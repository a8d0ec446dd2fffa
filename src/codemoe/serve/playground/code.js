// One answer's code on the page: coloured by syntax, and by who wrote each token.

import { pieces } from "./highlight.js";

// Colours are the server's experts in their order; the base alone has none.
export const colourOf = (experts, name) => {
  const index = experts.indexOf(name);
  return index < 0 ? null : index % 7;
};

// Who wrote a token: in one layer, or in most of them.
export function writer(token, layer = null) {
  if (!token.experts) return token.expert ?? null;
  if (layer !== null) return token.experts[layer];
  const votes = new Map();
  for (const name of token.experts) if (name) votes.set(name, (votes.get(name) ?? 0) + 1);
  return [...votes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

// The server counts characters, JavaScript halves of some.
function starts(text, tokens) {
  if (!/[\ud800-\udfff]/.test(text)) return tokens.map((token) => token.start);
  const at = [0];
  for (const character of text) at.push(at[at.length - 1] + character.length);
  return tokens.map((token) => at[token.start] ?? text.length);
}

// Replace the content of `element`; `colour(token)` is a number or null.
export function show(element, text, language, tokens, colour) {
  const kinds = pieces(text, language);
  const begins = starts(text, tokens);
  const out = document.createDocumentFragment();
  let at = 0;
  let piece = 0;
  let token = -1;
  while (at < text.length) {
    while (piece < kinds.length && kinds[piece][1] <= at) piece += 1;
    while (token + 1 < begins.length && begins[token + 1] <= at) token += 1;
    const [start, end, kind] = kinds[piece] ?? [text.length, text.length, null];
    const inside = start <= at;
    const stop = Math.min(inside ? end : start, begins[token + 1] ?? text.length, text.length);
    const span = document.createElement("span");
    span.textContent = text.slice(at, stop);
    if (inside && kind) span.className = kind;
    if (token >= 0) {
      span.dataset.token = token;
      const index = colour(tokens[token]);
      if (index !== null) span.dataset.x = index;
    }
    out.append(span);
    at = stop;
  }
  element.replaceChildren(out);
}

export function mark(element, token) {
  for (const old of element.querySelectorAll(".chosen")) old.classList.remove("chosen");
  if (token === null) return;
  for (const span of element.querySelectorAll(`[data-token="${token}"]`)) span.classList.add("chosen");
}
