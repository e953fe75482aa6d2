/* Figures become charts: the data is JSON in the page, the colours are the stylesheet's, the table
   below is the server's. The library is loaded by the first figure that needs it. */

const DASH = [6, 4];
const POINTS = ["circle", "rectRot", "triangle", "rect", "crossRot", "star", "cross", "triangle"];
const UPSIDE_DOWN = 7; // the last one, or it would be the third
const LONGEST_NAME = 16;
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/* ------------------------------------------------------------- figures in words */

function bytes(value) {
  let unit = 0;
  while (Math.abs(value) >= 999.5 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  return `${value.toFixed(unit === 0 || Math.abs(value) >= 99.95 ? 0 : 1)}\u00a0${UNITS[unit]}`;
}

function seconds(value) {
  if (value < 1) return `${Math.round(value * 1000)}\u00a0ms`;
  if (value < 60) return `${Number(value.toFixed(1))}\u00a0s`;
  if (value < 3600) return `${Number((value / 60).toFixed(1))}\u00a0min`;
  return `${Number((value / 3600).toFixed(1))}\u00a0h`;
}

const plain = new Intl.NumberFormat("en-GB", { maximumSignificantDigits: 4 });
const share = new Intl.NumberFormat("en-GB", { style: "percent", maximumFractionDigits: 1 });
const FORMATS = { number: (v) => plain.format(v), percent: (v) => share.format(v), bytes, duration: seconds };

const formatOf = (figure) => FORMATS[figure.dataset.format] ?? FORMATS.number;
const dataOf = (figure) => JSON.parse(figure.querySelector("script[type='application/json']").textContent);

/* ---------------------------------------------------------------------- colours */

function resolver() {
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const resolve = (name) => {
    probe.style.color = `var(${name})`;
    return getComputedStyle(probe).color;
  };
  return { resolve, done: () => probe.remove() };
}

function palette() {
  const { resolve, done } = resolver();
  const colours = {
    ink: resolve("--ink"), soft: resolve("--ink-soft"), line: resolve("--line"),
    axis: resolve("--line-strong"), surface: resolve("--raised"),
    hues: Array.from({ length: 8 }, (_, hue) => resolve(`--hue-${hue}`)),
  };
  done();
  return colours;
}

/* ------------------------------------------------------------------------ chart */

function points({ values }, labels) {
  return values.flatMap((y, place) => (y === null ? [] : [{ x: labels[place], y }]));
}

function spansOf({ values, low, high }, kind) {
  const known = (value, place) => low && value !== null && low[place] !== null;
  const spans = values.map((value, place) => (known(value, place) ? [low[place], high[place]] : []));
  return kind === "scatter" ? spans.filter((_, place) => values[place] !== null) : spans;
}

function dataset(series, position, { kind, colours, spanned, dots, labels }) {
  const place = (series.hue ?? position) % POINTS.length; // colour and mark are the organisation's
  const colour = series.strong ? colours.ink : colours.hues[place];
  return {
    label: series.name,
    data: kind === "scatter" ? points(series, labels) : series.values,
    spans: spansOf(series, kind),
    borderColor: colour,
    backgroundColor: kind === "bar" || series.strong ? colour : colours.surface,
    borderDash: series.dashed ? DASH : [],
    borderWidth: kind === "bar" ? 0 : series.strong ? 3 : 2,
    pointStyle: kind === "bar" ? "rect" : series.strong ? "rectRounded" : POINTS[place],
    pointRotation: kind !== "bar" && place === UPSIDE_DOWN ? 180 : 0,
    pointRadius: series.values.length > 60 ? 0 : 3.5,
    pointHoverRadius: 5,
    pointBorderWidth: 1.75,
    maxBarThickness: 36,
    showLine: !dots,
    spanGaps: spanned,
  };
}

function axis(title, colours, ticks) {
  return {
    title: { display: Boolean(title), text: title, color: colours.soft },
    grid: { color: colours.line, drawTicks: false },
    border: { color: colours.axis },
    ticks: { color: colours.soft, padding: 8, ...ticks },
  };
}

/* How sure a value is: a line from its lowest to its highest, through its point or bar. */
function whiskersOf(chart, index) {
  const { spans } = chart.data.datasets[index];
  const at = (value) => chart.scales.y.getPixelForValue(value);
  return chart.getDatasetMeta(index).data.flatMap(({ x }, place) => {
    const [low, high] = spans[place] ?? [];
    return low === undefined ? [] : [{ x, top: at(high), bottom: at(low) }];
  });
}

const whiskerPath = ({ x, top, bottom }) => `M${x - 4} ${top}h8M${x} ${top}V${bottom}M${x - 4} ${bottom}h8`;

const WHISKERS = {
  id: "whiskers",
  afterDatasetsDraw(chart, _, { colour }) {
    const { ctx } = chart;
    ctx.save();
    ctx.strokeStyle = colour;
    ctx.lineWidth = 1.5;
    chart.data.datasets.forEach((one, index) => {
      if (!chart.isDatasetVisible(index)) return;
      for (const whisker of whiskersOf(chart, index)) ctx.stroke(new Path2D(whiskerPath(whisker)));
    });
    ctx.restore();
  },
};

/* The axis must hold the whole of each interval. */
function reach(data) {
  const bounds = data.series.flatMap((one) => [...(one.low ?? []), ...(one.high ?? [])]).filter((value) => value !== null);
  return bounds.length ? { suggestedMin: Math.min(0, ...bounds), suggestedMax: Math.max(0, ...bounds) } : {};
}

const EACH_NAMED = { // a bar without its name says nothing, so long names are cut and lean
  autoSkip: false, maxRotation: 60,
  callback(place) {
    const name = this.getLabelForValue(place);
    return name.length > LONGEST_NAME ? `${name.slice(0, LONGEST_NAME - 1)}…` : name;
  },
};

function configuration(figure, colours) {
  const { kind, x, y } = figure.dataset;
  const data = dataOf(figure);
  const show = formatOf(figure);
  const family = getComputedStyle(document.body).fontFamily;
  const dots = kind === "scatter" || "dots" in figure.dataset;
  const look = { kind, colours, spanned: Boolean(data.spanned), dots, labels: data.labels };
  const stacked = Boolean(data.stacked);
  const along = { bar: EACH_NAMED, scatter: { maxTicksLimit: 6, callback: FORMATS.number } }[kind] ?? { maxRotation: 0, autoSkipPadding: 16 };
  return {
    type: kind,
    plugins: [WHISKERS],
    data: {
      labels: data.labels,
      datasets: data.series.map((one, position) => dataset(one, position, look)),
    },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: kind === "scatter" ? "nearest" : "index", intersect: false },
      font: { family },
      scales: {
        x: { ...axis(x, colours, along), stacked },
        y: { ...axis(y, colours, { callback: show, maxTicksLimit: 6 }), stacked, ...reach(data), ...(data.floor ?? {}) },
      },
      plugins: {
        whiskers: { colour: colours.ink },
        legend: {
          position: "bottom", align: "start",
          labels: { color: colours.ink, usePointStyle: true, boxWidth: 8, boxHeight: 8, padding: 14, font: { family, size: 13 } },
        },
        tooltip: {
          backgroundColor: colours.surface, titleColor: colours.ink, bodyColor: colours.ink,
          borderColor: colours.axis, borderWidth: 1, cornerRadius: 4, padding: 10, usePointStyle: true,
          titleFont: { family }, bodyFont: { family },
          callbacks: {
            title: (items) => (x ? `${x} ${items[0].label || FORMATS.number(items[0].parsed.x)}` : items[0].label),
            label: (item) => ` ${item.dataset.label}: ${item.raw === null ? "–" : show(item.parsed.y)}`,
          },
        },
      },
    },
  };
}

const canvasOf = (figure) => figure.querySelector("canvas[data-chart]");

function draw(figure) {
  const canvas = canvasOf(figure);
  globalThis.Chart.getChart(canvas)?.destroy();
  new globalThis.Chart(canvas, configuration(figure, palette()));
}

function drawAll() {
  if (!globalThis.Chart) return;
  for (const figure of document.querySelectorAll("[data-chart-figure]")) draw(figure);
}

/* ----------------------------------------------------------------------- export */

function save(name, type, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function csv(figure) {
  const { labels, series } = dataOf(figure);
  const quote = (value) => {
    const text = String(value ?? "");
    const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text; // no formulas
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const columns = series.flatMap(({ name, values, low, high }) => [
    [name, values], ...(low ? [[`${name}, ${figure.dataset.low}`, low], [`${name}, ${figure.dataset.high}`, high]] : []),
  ]);
  const rows = [[figure.dataset.x || "label", ...columns.map(([name]) => name)]];
  labels.forEach((label, row) => rows.push([label, ...columns.map(([, values]) => values[row])]));
  return rows.map((row) => row.map(quote).join(",")).join("\r\n") + "\r\n";
}

const escape = (text) => String(text).replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

function svgText(text, x, y, anchor, colour) {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="${colour}">${escape(text)}</text>`;
}

function svgLine(points, { data, borderColor, borderWidth, borderDash, spanGaps }) {
  let pen = "M"; // lifted where a value is missing, unless gaps are spanned
  const path = points.map(({ x, y }, place) => {
    if (data[place] === null) {
      pen = spanGaps ? pen : "M";
      return "";
    }
    const stroke = `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
    return stroke;
  });
  return `<path fill="none" stroke="${borderColor}" stroke-width="${borderWidth}" stroke-dasharray="${borderDash.join(" ")}" d="${path.join("")}"/>`;
}

function svgBar({ x, y, base, width }, colour) {
  return `<rect x="${(x - width / 2).toFixed(1)}" y="${Math.min(y, base).toFixed(1)}" width="${width.toFixed(1)}" height="${Math.abs(base - y).toFixed(1)}" fill="${colour}"/>`;
}

function svgSeries(chart, one, index) {
  const { type, data } = chart.getDatasetMeta(index);
  const dots = () => data.filter((_, place) => one.data[place] !== null).map(({ x, y }) => `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="3.5" fill="${one.borderColor}"/>`);
  const bars = () => data.filter((_, place) => one.data[place] !== null).map((bar) => svgBar(bar, one.backgroundColor));
  const whiskers = whiskersOf(chart, index).map((whisker) => `<path fill="none" stroke="currentColor" d="${whiskerPath(whisker)}"/>`);
  return `<g><title>${escape(one.label)}</title>${type === "bar" ? bars().join("") : one.showLine ? svgLine(data, one) : dots().join("")}${whiskers.join("")}</g>`;
}

function svg(figure) {
  const chart = globalThis.Chart.getChart(canvasOf(figure));
  const { soft, line, ink, surface } = palette();
  const { x, y } = chart.scales;
  const { left, right, bottom } = chart.chartArea;
  const { datasets } = chart.data;
  const keyAt = (index) => bottom + 60 + index * 18;
  const height = keyAt(datasets.length);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 -32 ${chart.width} ${height + 32}" font-family="sans-serif" font-size="12" color="${ink}">`,
    `<rect y="-32" width="100%" height="100%" fill="${surface}"/>`,
    svgText(titleOf(figure), left, -12, "start", ink),
    ...y.ticks.map(({ label, value }) => {
      const at = y.getPixelForValue(value);
      return `<path d="M${left} ${at.toFixed(1)}H${right}" stroke="${line}"/>${svgText(label, left - 8, at + 4, "end", soft)}`;
    }),
    ...x.ticks.map(({ label }, place) => svgText(label, x.getPixelForTick(place), bottom + 18, "middle", soft)),
    svgText(figure.dataset.x, (left + right) / 2, bottom + 38, "middle", soft),
    ...datasets.map((one, index) => svgSeries(chart, one, index)),
    ...datasets.map((one, index) => `<rect x="${left}" y="${keyAt(index) - 8}" width="14" height="4" fill="${one.borderColor}"/>${svgText(one.label, left + 22, keyAt(index) - 2, "start", ink)}`),
    "</svg>",
  ].join("\n");
}

const titleOf = (figure) => figure.querySelector("figcaption").textContent.trim();
const EXPORTS = { CSV: ["csv", "text/csv", csv], SVG: ["svg", "image/svg+xml", svg] };

function addTools(figure) {
  const tools = figure.querySelector(".chart-tools");
  if (tools.childElementCount) return;
  for (const kind of Object.keys(EXPORTS)) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button is-small is-quiet";
    button.dataset.export = kind;
    button.textContent = kind;
    button.setAttribute("aria-label", figure.dataset[kind.toLowerCase()]);
    tools.append(button);
  }
}

/* ------------------------------------------------------------------------ start */

async function start(root) {
  const figures = [...root.querySelectorAll("[data-chart-figure]")];
  if (root.matches?.("[data-chart-figure]")) figures.push(root);
  if (!figures.length) return;
  figures.forEach(addTools);
  if (!globalThis.Chart) await import(figures[0].dataset.library); // sets the global Chart
  figures.filter((figure) => figure.isConnected).forEach(draw);
}

start(document);
document.addEventListener("htmx:load", (event) => start(event.detail.elt));
document.addEventListener("htmx:beforeCleanupElement", (event) => {
  if (event.target.matches?.("canvas[data-chart]")) globalThis.Chart?.getChart(event.target)?.destroy();
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-export]");
  if (!button) return;
  const figure = button.closest("[data-chart-figure]");
  const [suffix, type, make] = EXPORTS[button.dataset.export];
  save(`${canvasOf(figure).id}.${suffix}`, type, make(figure));
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
