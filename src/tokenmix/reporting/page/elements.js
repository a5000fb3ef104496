// Elements are made by calls and texts are set as texts: nothing that a study names is ever read as HTML.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

export function link(kind, id, text) {
  return element("a", { href: address(kind, id) }, text);
}

// The place of a cell, run, claim or value in this page; the PDF links to the same.
export function address(kind, id) {
  return `#${kind}=${id}`;
}

// Terms with their descriptions; those without are left out.
export function facts(pairs) {
  const told = pairs.filter(([, value]) => value !== null && value !== "" && value !== undefined);
  return element("dl", {}, ...told.flatMap(([term, value]) => [element("dt", {}, term), element("dd", {}, ...[value].flat())]));
}

// A small table that needs no sorting.
export function grid(heads, rows) {
  const head = element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
  return element("div", { class: "scroll" }, element("table", { class: "grid" }, element("thead", {}, head), element("tbody", {}, ...body)));
}

export const code = (text) => element("code", {}, text);

export function score(value) {
  return value === null || value === undefined ? "n/a" : value.toFixed(3).replace("-", "−");
}

export function probability(p) {
  return p !== null && p < 0.001 ? "< 0.001" : score(p);
}

export function interval(low, high) {
  return `[${score(low)}, ${score(high)}]`;
}
