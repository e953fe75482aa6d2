/* What unfolds: menus that close by themselves, and confirmations that become dialogs. */

function closeMenus(except) {
  for (const menu of document.querySelectorAll("[data-menu][open]")) {
    if (menu !== except) menu.open = false;
  }
}

function ask(confirm) {
  const dialog = confirm.querySelector("dialog");
  confirm.open = true;
  dialog.open = false; // until now it was shown in its place
  dialog.showModal();
  dialog.addEventListener("close", () => fold(confirm), { once: true });
}

function fold(confirm) {
  confirm.open = false;
  confirm.querySelector("dialog").open = true; // as the server sent it
  confirm.querySelector("summary").focus();
}

document.addEventListener("click", (event) => {
  closeMenus(event.target.closest("[data-menu]"));
  const confirm = event.target.closest("summary")?.closest("[data-confirm]");
  if (confirm) {
    event.preventDefault();
    ask(confirm);
  } else if (event.target.matches("dialog:modal")) {
    event.target.close(); // a click beside the sheet, on the backdrop
  }
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const menu = event.target.closest("[data-menu][open]");
  closeMenus();
  menu?.querySelector("summary").focus();
});
