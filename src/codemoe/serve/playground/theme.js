// Light, dark, or as the system has it; remembered where storage is allowed.

const PLACE = "codemoe-theme";
const NEXT = { system: "light", light: "dark", dark: "system" };
const SIGNS = { system: "◐", light: "☀", dark: "☾" };

function stored() {
  try {
    const found = localStorage.getItem(PLACE);
    return found in NEXT ? found : "system";
  } catch {
    return "system";
  }
}

export function themeButton(changed) {
  const button = document.getElementById("theme");
  let theme = stored();
  const apply = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = SIGNS[theme];
    const name = theme === "system" ? "as the system" : theme;
    button.setAttribute("aria-label", `Colours: ${name}`);
    button.title = `Colours: ${name}`;
    changed();
  };
  button.addEventListener("click", () => {
    theme = NEXT[theme];
    try {
      localStorage.setItem(PLACE, theme);
    } catch {
      // It then lasts as long as the page.
    }
    apply();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
  apply();
}
