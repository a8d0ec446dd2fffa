// One answer: who gives it, the stream of it, what is told of its routing.

import { chat } from "./api.js";
import { colourOf, mark, show, writer } from "./code.js";
import { guess } from "./highlight.js";
import { element, showLayers, showRouting, swatch } from "./routing.js";
import { programTests } from "./tests.js";

const FRAME_MS = 50; // a faster stream is drawn no oftener

export class Pane {
  constructor(number, world) {
    this.world = world; // {models, experts, languages, labels, tests}, filled in when known
    this.root = document.getElementById("pane").content.firstElementChild.cloneNode(true);
    this.root.setAttribute("aria-label", `Answer ${number}`);
    this.find = (selector) => this.root.querySelector(selector);
    this.model = this.find(".model");
    this.code = this.find("code");
    this.language = null;
    this.colour = "syntax";
    this.tests = programTests(this.find(".tests"), world, () => [this.text, this.language]);
    this.clear();
    this.listen();
  }

  clear() {
    this.text = "";
    this.tokens = [];
    this.layer = null;
    this.chosen = null;
    this.error(null);
    showRouting(this.find(".routing"), null);
    this.find(".view").hidden = true;
    this.find(".layers").hidden = true;
    this.find(".hint").hidden = false;
    this.find(".stats").textContent = "";
    this.find(".token").textContent = "";
    this.find(".copy").disabled = true;
    this.tests.hide();
  }

  listen() {
    this.find(".copy").addEventListener("click", () => this.copy());
    for (const button of this.root.querySelectorAll("[data-colour]")) {
      button.addEventListener("click", () => this.colourBy(button.dataset.colour));
    }
    const pre = this.find("pre");
    pre.addEventListener("mouseover", (event) => this.choose(event.target.dataset.token));
    pre.addEventListener("click", (event) => this.choose(event.target.dataset.token));
    pre.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || !this.tokens.length || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      this.choose(Math.min(Math.max((this.chosen ?? -1) + step, 0), this.tokens.length - 1));
    });
  }

  models(entries, wanted) {
    const options = (kind, title) => {
      const own = entries.filter((entry) => entry.kind === kind);
      if (!own.length) return [];
      const group = element("optgroup", { label: title });
      for (const { id, routing } of own) {
        const two = routing.includes("token") && routing.includes("auto");
        if (kind !== "mixture" || routing.includes("auto") || !routing.includes("token")) {
          group.append(new Option(two ? `${id} · one expert an answer` : id, `${id}|auto`));
        }
        if (routing.includes("token")) group.append(new Option(`${id} · an expert a token`, `${id}|token`));
      }
      return [group];
    };
    this.model.replaceChildren(
      ...options("mixture", "Mixture"),
      ...options("dense", "Model"),
      ...options("expert", "One expert"),
      ...options("base", "Base"),
    );
    const values = [...this.model.options].map((option) => option.value);
    this.model.value = values.find((value) => value === wanted || value.startsWith(`${wanted}|`)) ?? values[0];
  }

  async run(asked, signal) {
    this.clear();
    const [id, by] = this.model.value.split("|");
    const entry = this.world.models.find((one) => one.id === id);
    const body = { ...asked, model: id, stream_options: { include_usage: true } };
    if (entry?.routing.includes("trace")) body.routing = { by, trace: true };
    this.language = asked.language ?? null;
    this.colourBy(by === "token" ? "experts" : "syntax");
    this.find(".layers").open = true;
    this.find(".hint").hidden = true;
    this.root.setAttribute("aria-busy", "true");
    const started = performance.now();
    let first = null;
    let usage = null;
    let reason = "stopped by you";
    try {
      for await (const chunk of chat(body, signal)) {
        usage = chunk.usage ?? usage;
        const choice = chunk.choices[0];
        if (!choice) continue;
        if (choice.delta.content) first ??= performance.now();
        if (choice.finish_reason) reason = choice.finish_reason === "length" ? "cut at max tokens" : "complete";
        this.take(choice.delta.content ?? "", choice.routing);
      }
    } catch (error) {
      if (error.name !== "AbortError") {
        this.error(error.message);
        throw error;
      }
    } finally {
      this.root.removeAttribute("aria-busy");
      this.draw();
      this.finished(performance.now() - started, first && first - started, usage, reason);
    }
  }

  take(text, routing) {
    this.text += text;
    if (routing?.tokens) this.tokens.push(...routing.tokens);
    if (routing?.by) {
      this.routing = routing;
      this.language ??= routing.language ?? null;
      showRouting(this.find(".routing"), routing, this.world.experts, this.world.labels);
    }
    this.drawing ??= setTimeout(() => this.draw(), FRAME_MS);
  }

  draw() {
    clearTimeout(this.drawing);
    this.drawing = null;
    if (!this.text) return;
    const { experts, languages } = this.world;
    this.find(".view").hidden = false;
    const colour = (token) => colourOf(experts, writer(token, this.layer));
    const language = languages.get(this.language) ?? guess(this.text, languages);
    show(this.code, this.text, language, this.tokens, colour);
    mark(this.code, this.chosen);
    const traced = this.tokens.some((token) => token.expert || token.experts);
    for (const part of [".bar", ".token"]) this.find(part).hidden = !traced;
    const seen = new Set(this.tokens.map((token) => writer(token, this.layer)));
    this.find(".legend").replaceChildren(
      ...experts.filter((name) => traced && seen.has(name)).map((name) => element("span", {}, swatch(experts, name), name)),
    );
    const layered = Boolean(this.tokens[0]?.experts);
    this.find(".layers").hidden = !layered;
    if (layered) {
      showLayers(this.find(".rows"), this.tokens, experts, this.layer, (layer) => {
        this.layer = layer;
        this.colourBy("experts");
        this.draw();
        this.find('.rows [aria-pressed="true"]').focus();
      });
    }
  }

  finished(total, first, usage, reason) {
    if (!this.text) return;
    const tokens = usage?.completion_tokens ?? this.tokens.length;
    const parts = [reason];
    if (tokens) parts.push(`${tokens} tokens`);
    if (first) parts.push(`first text after ${Math.round(first)} ms`);
    if (first && tokens > 1) parts.push(`${Math.round((1000 * (tokens - 1)) / Math.max(total - first, 1))} tokens/s`);
    this.find(".stats").textContent = parts.join(" · ");
    this.find(".copy").disabled = false;
    this.tests.offer(this.language);
  }

  colourBy(colour) {
    this.colour = colour;
    this.find(".view").dataset.colour = colour;
    for (const button of this.root.querySelectorAll("[data-colour]")) {
      button.setAttribute("aria-pressed", String(button.dataset.colour === colour));
    }
  }

  choose(index) {
    if (index === undefined || !this.tokens[index]) return;
    this.chosen = Number(index);
    mark(this.code, this.chosen);
    const token = this.tokens[index];
    const { experts } = this.world;
    const who = token.experts
      ? token.experts.map((name, layer) => {
          const own = swatch(experts, name);
          own.title = `layer ${layer}: ${name ?? "no gate"}`;
          return own;
        })
      : [swatch(experts, token.expert)];
    const said = writer(token, this.layer) ?? "the base";
    const where = token.experts ? (this.layer === null ? "most layers: " : `layer ${this.layer}: `) : "";
    this.find(".token").replaceChildren(
      `token ${this.chosen + 1} `,
      element("code", {}, JSON.stringify(token.token)),
      " ",
      element("span", { className: "who", "aria-hidden": "true" }, ...who),
      ` ${where}${said}`,
    );
  }

  error(message) {
    const place = this.find(".error");
    place.hidden = !message;
    place.textContent = message ?? "";
    if (message) this.find(".hint").hidden = true;
  }

  async copy() {
    const button = this.find(".copy");
    try {
      await navigator.clipboard.writeText(this.text);
      button.textContent = "Copied";
    } catch {
      // Where the clipboard is closed to pages, the text is chosen for Ctrl+C.
      getSelection().selectAllChildren(this.code);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (button.textContent = "Copy"), 1600);
  }

  // An answer from the history, without what only a run tells.
  restore({ model, text, tokens, routing, language, stats }) {
    this.clear();
    if ([...this.model.options].some((option) => option.value === model)) this.model.value = model;
    this.language = language;
    this.find(".hint").hidden = true;
    this.colourBy(model?.endsWith("|token") ? "experts" : "syntax");
    this.text = text;
    this.tokens = tokens ?? [];
    if (routing) this.take("", routing);
    this.draw();
    this.find(".copy").disabled = false;
    this.find(".stats").textContent = stats;
    this.tests.offer(language);
  }

  saved() {
    return {
      model: this.model.value,
      text: this.text,
      tokens: this.tokens.length <= 600 ? this.tokens : [],
      routing: this.routing && { ...this.routing, tokens: undefined },
      language: this.language,
      stats: this.find(".stats").textContent,
    };
  }
}
