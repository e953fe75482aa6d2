/* A copy button in the head of every code block; its width is fixed, so nothing moves. */

const DONE_FOR = 2000; // ms

function addButton(block) {
  if (block.querySelector(".copy")) return;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button is-small is-quiet copy";
  button.textContent = block.dataset.copy;
  block.querySelector(".code-head").append(button);
}

function select(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}

async function copy(button) {
  const block = button.closest("[data-copy]");
  const code = block.querySelector("code");
  try {
    await navigator.clipboard.writeText(code.textContent.trim());
    button.textContent = block.dataset.copied;
  } catch {
    select(code); // no clipboard over plain HTTP: the reader presses the keys
    button.textContent = block.dataset.selected;
  }
  setTimeout(() => { button.textContent = block.dataset.copy; }, DONE_FOR);
}

function start(root) {
  for (const block of root.querySelectorAll("[data-copy]")) addButton(block);
  if (root.matches?.("[data-copy]")) addButton(root);
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt));
document.addEventListener("click", (event) => {
  const button = event.target.closest(".copy");
  if (button) copy(button);
});
