// The start: reads the content, shows what the address asks for (#runs, #cell=..., #run=..., #claim=..., #value=...).
import { element } from "elements";
import { list, lists } from "lists";
import { cellPanel, claimPanel, runPanel, valuePanel } from "panels";

const content = JSON.parse(document.getElementById("content").textContent);
content.runs = objects(content.runs);
content.values = objects(content.values);

const PANELS = { cell: cellPanel, run: runPanel, claim: claimPanel, value: valuePanel };
const HOME = { cell: "cells", run: "runs", claim: "claims", value: "values" };
const panel = document.getElementById("panel");
const main = document.querySelector("main");
const nav = document.querySelector("nav");
const all = lists(content);
const shown = {};
let current = "cells";

for (const [name, { title, rows }] of Object.entries(all)) {
  nav.append(element("a", { href: `#${name}`, "data-list": name }, title, element("small", {}, String(rows.length))));
}

// Rows become objects; a field with a pool holds a place in it.
function objects({ fields, rows, pools = {} }) {
  return rows.map((row) => Object.fromEntries(fields.map((field, place) => [field, pools[field] ? pools[field][row[place]] : row[place]])));
}

// A list is made when it is first looked at.
function showList(name) {
  current = name;
  shown[name] ??= main.appendChild(list(all[name]));
  for (const [other, place] of Object.entries(shown)) place.hidden = other !== name;
  for (const tab of nav.children) tab.toggleAttribute("aria-current", tab.dataset.list === name);
}

function showPanel(parts) {
  panel.hidden = !parts;
  document.body.classList.toggle("open", Boolean(parts));
  if (!parts) return panel.replaceChildren();
  const close = element("a", { href: `#${current}`, class: "close", "aria-label": "Close" }, "×");
  panel.replaceChildren(close, ...parts);
  panel.scrollTop = 0;
}

function follow() {
  const [kind, ...rest] = location.hash.slice(1).split("=");
  const id = decodeURIComponent(rest.join("="));
  if (PANELS[kind]) {
    if (!main.children.length) showList(HOME[kind]);
    showPanel(PANELS[kind](content, id) ?? [element("h2", {}, `No ${kind} of this study is called ${id}`)]);
  } else {
    showList(all[kind] ? kind : "cells");
    showPanel(null);
  }
}

addEventListener("hashchange", follow);
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !panel.hidden) location.hash = current;
});

const theme = document.getElementById("theme");
const system = matchMedia("(prefers-color-scheme: dark)");
function paint() {
  document.documentElement.style.colorScheme = theme.value;
  // DataTables looks for this class
  document.documentElement.classList.toggle("dark", theme.value === "dark" || (theme.value !== "light" && system.matches));
}
// a browser may refuse to remember anything for a page from a file
try {
  theme.value = localStorage.getItem("theme") ?? theme.value;
} catch {}
theme.addEventListener("change", () => {
  paint();
  try {
    localStorage.setItem("theme", theme.value);
  } catch {}
});
system.addEventListener("change", paint);
paint();
follow();
document.body.dataset.ready = "yes";
