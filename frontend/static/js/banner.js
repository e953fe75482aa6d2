/* An announcement that was read can be put away; a cookie says which, so that the server leaves it out. */

const KEPT = 90 * 24 * 3600;

function away(notice) {
  const secure = location.protocol === "https:" ? "; secure" : "";
  document.cookie = `banner=${notice.dataset.banner}; path=/; max-age=${KEPT}; samesite=lax${secure}`;
  const group = notice.parentElement;
  notice.remove();
  if (!group.children.length) group.remove();
}

for (const button of document.querySelectorAll("[data-banner-away]")) {
  button.hidden = false;
  button.addEventListener("click", () => away(button.closest("[data-banner]")));
}
