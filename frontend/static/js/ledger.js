/* Checks a federation's ledger in the reader's own browser, from its export: that each entry has its
   hash and names the one before it, and that they add up to the newest checkpoint, which the ledger's
   key has signed. What entries mean (signatures of agents, values, credits) `foedus-verify` checks. */

const ENTRY = '{"entry":';
const LEAF = ',"leaf":"';
const NOTHING = "0".repeat(64); // before the first
const SHOWN_EVERY = 500; // entries
const encoder = new TextEncoder();

/* What is wrong, by the name of its words on the page, and the figures that stand in them. */
class Wrong extends Error {
  constructor(name, figures = {}) {
    super(name);
    this.figures = figures;
  }
}

/* ------------------------------------------------------------------------ hashes */

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
const base64 = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

async function sha256(...parts) {
  const all = new Uint8Array(await new Blob(parts).arrayBuffer());
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all));
}

const leafOf = (text) => sha256(new Uint8Array([0]), encoder.encode(text));
const nodeOf = (left, right) => sha256(new Uint8Array([1]), left, right);

/* The perfect subtrees that a tree of so many entries is made of, the largest first (RFC 6962). */
class Tree {
  #trees = [];

  async add(leaf) {
    let tree = { level: 0, hash: leaf };
    while (this.#trees.at(-1)?.level === tree.level) {
      tree = { level: tree.level + 1, hash: await nodeOf(this.#trees.pop().hash, tree.hash) };
    }
    this.#trees.push(tree);
  }

  async root() {
    const hashes = this.#trees.map(({ hash }) => hash);
    let root = hashes.pop() ?? (await sha256());
    while (hashes.length) root = await nodeOf(hashes.pop(), root);
    return root;
  }
}

/* ----------------------------------------------------------------------- entries */

async function* linesOf(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream("utf-8", { fatal: true })).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    yield* lines;
  }
  if (rest) yield rest;
}

async function follows(line, index, before) {
  const text = line.slice(ENTRY.length, line.lastIndexOf(LEAF));
  const leaf = await leafOf(text);
  const { entry, leaf: said } = JSON.parse(line);
  if (entry.index !== index) throw new Wrong("absent", { index });
  if (entry.prev !== before) throw new Wrong("loose", { index });
  if (said !== hex(leaf)) throw new Wrong("changed", { index });
  return leaf;
}

/* -------------------------------------------------------------------- checkpoint */

function checkpointOf(note) {
  const [origin, size, root] = note.split("\n");
  const text = note.slice(0, note.indexOf("\n\n") + 1);
  return { origin, size: Number(size), root, text, signature: note.split("\n\n")[1].split("\n")[0] };
}

/* Whether the key has signed; null where this browser cannot tell. */
async function isSigned({ text, signature }, key) {
  const publicKey = base64(key.split("+").slice(2).join("+")).slice(1);
  const value = base64(signature.split(" ").at(-1)).slice(4);
  try {
    const imported = await crypto.subtle.importKey("raw", publicKey, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, value, encoder.encode(text));
  } catch {
    return null;
  }
}

async function check({ address, note, key }, tell) {
  const checkpoint = note ? checkpointOf(note) : null;
  const response = await fetch(address, { headers: { accept: "application/x-ndjson, */*" } });
  if (!response.ok) throw new Wrong("unread", { status: response.status });
  const tree = new Tree();
  let [index, before, root] = [0, NOTHING, null];
  for await (const line of linesOf(response)) {
    if (!line.startsWith(ENTRY)) continue;
    const leaf = await follows(line, index, before);
    await tree.add(leaf);
    before = hex(leaf);
    index += 1;
    if (index === checkpoint?.size) root = await tree.root();
    if (index % SHOWN_EVERY === 0) tell("follow", { count: shown(index) });
  }
  return { count: index, ...(await held(checkpoint, root, key)) };
}

async function held(checkpoint, root, key) {
  if (!checkpoint) return { signed: null };
  const same = root && hex(root) === hex(base64(checkpoint.root));
  if (!same) throw new Wrong("unequal", { size: checkpoint.size });
  const signed = await isSigned(checkpoint, key);
  if (signed === false) throw new Wrong("unsigned");
  return { size: checkpoint.size, signed };
}

/* ------------------------------------------------------------------------- words */

const shown = (figure) => figure.toLocaleString("en-GB");

/* The page has the words, in its language; figures stand in them as {name}. */
function worded(status, name, figures = {}) {
  return status.getAttribute(`data-says-${name}`).replace(/\{(\w+)\}/g, (_, figure) => figures[figure]);
}

function inWords(status, { count, size, signed }) {
  const whole = worded(status, "whole", { count: shown(count) });
  if (size === undefined) return `${whole} ${worded(status, "open")}`;
  return `${whole} ${worded(status, signed ? "signed" : "unknown", { size: shown(size) })}`;
}

/* ------------------------------------------------------------------------- start */

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-check-ledger]");
  if (!button) return;
  const status = document.getElementById(button.getAttribute("aria-describedby"));
  const show = (words, tone) => {
    status.textContent = words;
    status.className = `verdict small tone-${tone}`;
  };
  const tell = (name, figures, tone = "neutral") => show(worded(status, name, figures), tone);
  if (!globalThis.crypto?.subtle) {
    tell("insecure", {}, "attention");
    return;
  }
  button.disabled = true;
  tell("reading");
  try {
    show(inWords(status, await check(button.dataset, tell)), "positive");
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    tell(error.message, error.figures, "negative");
  } finally {
    button.disabled = false;
  }
});
