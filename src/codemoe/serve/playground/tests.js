// "Run tests": offered where the server was started for it and the language's tools are there.

import { post } from "./api.js";

const EXAMPLES = {
  python: "assert f(2) == 4",
  javascript: "const assert = require('assert');\nassert.deepEqual(f(2), 4);",
};

export function programTests(root, world, program) {
  const source = root.querySelector("textarea");
  const button = root.querySelector("button");
  const verdict = root.querySelector(".verdict");
  const label = root.querySelector("label");
  const example = root.querySelector(".example");
  source.id = `tests-${Math.random().toString(36).slice(2)}`;
  label.htmlFor = source.id;

  button.addEventListener("click", async () => {
    const [code, language] = program();
    button.disabled = true;
    verdict.className = "verdict";
    verdict.textContent = "running";
    try {
      const asked = { language, code: `${code}\n`, tests: source.value };
      const found = await (await post("/playground/tests", asked)).json();
      verdict.classList.add(found.status === "pass" ? "good" : "bad");
      const detail = found.detail ? `: ${found.detail}` : "";
      verdict.textContent = `${found.status}${detail} (${found.seconds.toFixed(2)} s, ${found.tier})`;
    } catch (error) {
      verdict.classList.add("bad");
      verdict.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });

  return {
    hide() {
      root.hidden = true;
      verdict.textContent = "";
    },
    offer(language) {
      root.hidden = !world.tests.includes(language);
      example.hidden = !(language in EXAMPLES);
      example.querySelector("code").textContent = EXAMPLES[language] ?? "";
    },
  };
}
