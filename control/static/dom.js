// Builds the page. Every value becomes a text node: a patient's name can hold anything, and is never markup.

/** An element. `attributes`: `class`, `on…` listeners (functions), booleans, text. Children: nodes or plain values. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else node.setAttribute(name, String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined).map(asNode));
  return node;
}

function asNode(child) {
  return child instanceof Node ? child : document.createTextNode(String(child));
}

export const byId = (id) => document.getElementById(id);

/** Replace what an element holds. */
export function fill(node, ...children) {
  node.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined).map(asNode));
}

export function badge(kind, icon, text, title = null) {
  return el("span", { class: `badge ${kind}`, title }, el("span", { "aria-hidden": "true" }, icon), text);
}

export function notice(kind, text, hint = "") {
  return el("p", { class: `notice ${kind}`, role: kind === "error" ? "alert" : null }, text, hint ? el("span", { class: "hint" }, hint) : null);
}

/** A table with one header cell for each column `[title, class]` and the given rows. */
export function table(columns, rows, caption) {
  const head = columns.map(([title, kind]) => el("th", { scope: "col", class: kind }, title));
  return el("div", { class: "scroll" },
    el("table", { "aria-label": caption }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}
