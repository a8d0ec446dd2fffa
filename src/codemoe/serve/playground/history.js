// Earlier runs, kept in this browser. Storage that is full, forbidden or spoilt costs only the history.

import { element } from "./routing.js";

const PLACE = "codemoe-history";
const MOST = 40;

export function load() {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE) ?? "[]");
    return Array.isArray(found) ? found.filter((one) => typeof one?.prompt === "string" && Array.isArray(one.answers)) : [];
  } catch {
    return [];
  }
}

function store(entries) {
  try {
    localStorage.setItem(PLACE, JSON.stringify(entries));
    return true;
  } catch {
    return false;
  }
}

export function remember(entry) {
  let entries = [{ ...entry, at: Date.now() }, ...load()].slice(0, MOST);
  // A full store gives up its oldest runs first.
  while (entries.length && !store(entries)) entries = entries.slice(0, Math.floor(entries.length / 2));
}

export function historyDialog(restore) {
  const dialog = document.getElementById("history");
  const list = document.getElementById("history-list");
  const note = document.getElementById("history-note");
  const clear = document.getElementById("clear-history");

  function fill() {
    const entries = load();
    clear.disabled = !entries.length;
    note.textContent = entries.length ? "Kept in this browser only." : "Nothing yet: runs are kept in this browser only.";
    list.replaceChildren(
      ...entries.map((entry) => {
        const names = entry.answers.map((answer) => answer.model.split("|")[0]).join(" and ");
        const when = new Date(entry.at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
        const button = element(
          "button",
          { type: "button" },
          element("b", {}, entry.prompt.slice(0, 160)),
          element("span", { className: "muted" }, `${names} · ${when}`),
        );
        button.addEventListener("click", () => {
          dialog.close();
          restore(entry);
        });
        return element("li", {}, button);
      }),
    );
  }

  document.getElementById("show-history").addEventListener("click", () => {
    fill();
    dialog.showModal();
  });
  document.getElementById("close-history").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // its backdrop
  });
  clear.addEventListener("click", () => {
    store([]);
    fill();
  });
}
