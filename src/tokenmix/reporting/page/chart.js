// Learning curves as SVG: one line a run, its selected checkpoint marked, values under the pointer.
import { element } from "elements";

const WIDTH = 640, HEIGHT = 300, LEFT = 52, RIGHT = 12, TOP = 12, BOTTOM = 38;
const NO_CURVES = ["epoch", "iteration", "lr", "selected"];

// runs: [{name, curve, selection}]; a choice of columns stands above the drawing, first that which selects checkpoints.
export function chart(runs) {
  const told = runs.filter((run) => run.curve?.iteration?.length);
  const columns = [...new Set(told.flatMap((run) => Object.keys(run.curve)))].filter((name) => !NO_CURVES.includes(name));
  if (!columns.length) return element("p", {}, "No learning curve is on record.");
  const choice = element("select", {}, ...columns.map((name) => element("option", { value: name }, name.replaceAll("_", " "))));
  choice.value = columns.find((name) => name === `val_${told[0].selection}`) ?? columns[0];
  const place = element("div");
  const draw = () => place.replaceChildren(drawing(told, choice.value));
  choice.addEventListener("change", draw);
  draw();
  return element("figure", { class: "curves" }, element("label", {}, "Curve of ", choice), place);
}

function drawing(runs, column) {
  const lines = runs.map((run) => ({ name: run.name, points: points(run.curve, column) })).filter((line) => line.points.length);
  if (!lines.length) return element("p", {}, "No values.");
  const all = lines.flatMap((line) => line.points);
  const x = scale(0, Math.max(...all.map((p) => p.x)), LEFT, WIDTH - RIGHT);
  const y = scale(Math.min(...all.map((p) => p.y)), Math.max(...all.map((p) => p.y)), HEIGHT - BOTTOM, TOP);
  const title = `${column.replaceAll("_", " ")} over iterations, ${lines.length} runs`;
  const drawn = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": title });
  for (const tick of x.ticks) drawn.append(text(x(tick), HEIGHT - 20, tick, "middle"));
  for (const tick of y.ticks) {
    drawn.append(svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y(tick), y2: y(tick), class: "rule" }));
    drawn.append(text(LEFT - 6, y(tick) + 4, tick, "end"));
  }
  drawn.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "iteration", "middle"));
  lines.forEach((line, number) => {
    const path = line.points.map((p) => `${x(p.x).toFixed(1)},${y(p.y).toFixed(1)}`).join(" ");
    drawn.append(svg("polyline", { points: path, class: `line line${number % 6}` }));
    for (const p of line.points.filter((p) => p.selected || line.points.length === 1)) {
      drawn.append(svg("circle", { cx: x(p.x), cy: y(p.y), r: 4, class: `line${number % 6}` }));
    }
  });
  const legend = element("ul", { class: "legend" });
  const keys = lines.map((line, number) => {
    const value = element("span");
    legend.append(element("li", { class: `line${number % 6}` }, line.name, value));
    return value;
  });
  const cursor = svg("line", { y1: TOP, y2: HEIGHT - BOTTOM, class: "cursor", visibility: "hidden" });
  drawn.append(cursor);
  drawn.addEventListener("pointermove", (event) => {
    const at = x.back(((event.clientX - drawn.getBoundingClientRect().left) / drawn.clientWidth) * WIDTH);
    const near = all.reduce((a, b) => (Math.abs(b.x - at) < Math.abs(a.x - at) ? b : a)).x;
    for (const end of ["x1", "x2"]) cursor.setAttribute(end, x(near));
    cursor.setAttribute("visibility", "visible");
    lines.forEach((line, number) => {
      const found = line.points.find((p) => p.x === near);
      keys[number].textContent = found ? `: ${found.y} at ${near}` : "";
    });
  });
  return element("div", {}, drawn, legend);
}

function points(curve, column) {
  const values = curve[column] ?? [];
  return curve.iteration.map((x, i) => ({ x, y: values[i], selected: curve.selected?.[i] === 1 })).filter((p) => Number.isFinite(p.y));
}

// A linear scale from values to pixels, with round ticks.
function scale(low, high, from, to) {
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const place = (value) => from + ((value - low) / (high - low)) * (to - from);
  place.back = (pixel) => low + ((pixel - from) / (to - from)) * (high - low);
  place.ticks = [];
  for (let n = Math.ceil(low / step); n * step <= high; n++) place.ticks.push(Number((n * step).toPrecision(6)));
  return place;
}

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

function text(x, y, value, anchor) {
  const made = svg("text", { x, y, "text-anchor": anchor });
  made.textContent = value;
  return made;
}
