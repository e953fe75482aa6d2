/* Parts of a page that are fetched again keep what their reader did with them: what is unfolded, how
   far a box is scrolled, where the focus is. */

const KEPT = "details";
const SCROLLED = ".table-box, .feed.is-scrolling, pre";

const all = (part, selector) => [...part.querySelectorAll(selector)];

/* Places, not elements: the part is about to be replaced by one of the same shape. */
function remember(part) {
  return {
    open: all(part, KEPT).map((details) => details.open),
    scrolled: all(part, SCROLLED).map((box) => [box.scrollLeft, box.scrollTop]),
    focused: all(part, "a, button, summary, input, [tabindex]").indexOf(document.activeElement),
  };
}

function restore(part, { open, scrolled, focused }) {
  all(part, KEPT).forEach((details, place) => { if (open[place]) details.open = true; });
  all(part, SCROLLED).forEach((box, place) => {
    [box.scrollLeft, box.scrollTop] = scrolled[place] ?? [0, 0];
  });
  if (focused >= 0) all(part, "a, button, summary, input, [tabindex]")[focused]?.focus({ preventScroll: true });
}

const remembered = new WeakMap();

document.addEventListener("htmx:beforeSwap", (event) => {
  const part = event.detail.target;
  if (part.hasAttribute("hx-get")) remembered.set(part, remember(part));
});

document.addEventListener("htmx:afterSwap", (event) => {
  const part = event.detail.target;
  if (remembered.has(part)) restore(part, remembered.get(part));
  remembered.delete(part);
});
