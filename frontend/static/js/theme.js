/* Light, dark, or as the system has it. The choice is a cookie, so that the server sends the page in
   its colours at once and nothing flashes. */

const YEAR = 365 * 24 * 3600;
const root = document.documentElement;
const buttons = () => document.querySelectorAll("[data-theme-choice]");

function remember(choice) {
  const age = choice === "auto" ? 0 : YEAR;
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `theme=${choice}; path=/; max-age=${age}; samesite=lax${secure}`;
}

function apply(choice) {
  if (choice === "auto") delete root.dataset.theme;
  else root.dataset.theme = choice;
  for (const button of buttons()) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
  }
}

document.addEventListener("click", (event) => {
  const choice = event.target.closest("[data-theme-choice]")?.dataset.themeChoice;
  if (!choice) return;
  remember(choice);
  apply(choice);
});
