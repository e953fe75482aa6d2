/* Swagger UI in our frame: it follows our colours, and shows the form's token with what it sends. */

const root = document.documentElement;
const place = document.getElementById("reference");
const dark = matchMedia("(prefers-color-scheme: dark)");

function follow() {
  const { theme } = root.dataset;
  root.classList.toggle("dark-mode", theme ? theme === "dark" : dark.matches);
}

follow();
dark.addEventListener("change", follow);
new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });

globalThis.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  presets: [globalThis.SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: -1,
  displayRequestDuration: true,
  requestInterceptor: (request) => {
    const isRead = ["GET", "HEAD", undefined].includes(request.method);
    const isOurs = new URL(request.url, location.href).origin === location.origin;
    if (!isRead && isOurs) request.headers["X-CSRFToken"] = place.dataset.token;
    return request;
  },
});
