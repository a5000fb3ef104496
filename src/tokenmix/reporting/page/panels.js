// What stands behind one cell, run, claim or value.
import { chart } from "chart";
import { code, element, facts, grid, interval, link, probability, score } from "elements";

// Learning curves are most of the page's bytes: they are read when the first one is asked for.
let read;
const curves = () => (read ??= JSON.parse(document.getElementById("curves").textContent));

const curveOf = (run) => ({ name: `seed ${run.seed}`, curve: curves()[run.run], selection: run.selection });
const heading = (text) => element("h3", {}, text);
const short = (hash) => (hash ? code(hash.slice(0, 8)) : "");
const pairs = (object) => Object.entries(object ?? {}).map(([name, value]) => `${name} ${value}`).join(", ");

export function cellPanel(content, id) {
  const cell = content.cells.find((cell) => cell.id === id);
  if (!cell) return null;
  const runs = cell.runs.map((name) => content.runs.find((run) => run.run === name)).filter((run) => run);
  const metrics = Object.entries(content.metrics).filter(([metric]) => cell.scores[metric]);
  const reported = content.reported.filter((entry) => entry.id === id);
  const [first] = metrics;
  return [
    element("h2", {}, `${cell.label} on ${content.datasets[cell.dataset]}`),
    facts([["cell", code(cell.id)], ["start", cell.init], ["tables", cell.tables.join(", ")], ["test cases", String(cell.cases)], ["status", [cell.status, cell.mark].join(" ")]]),
    heading("Scores"),
    grid(
      ["metric", "mean", "std over seeds", `${100 * content.level} % interval over cases`],
      metrics.map(([metric, title]) => {
        const [mean, std, low, high] = cell.scores[metric];
        return [title, score(mean), score(std), interval(low, high)];
      }),
    ),
    ...(reported.length
      ? [heading("Reported"), grid(["metric", "reported", "difference", "interval", "inside"], reported.map((entry) => [content.metrics[entry.metric] ?? entry.metric, score(entry.reported), score(entry.difference), interval(entry.difference_low, entry.difference_high), entry.inside ? "yes" : "no"]))]
      : []),
    heading("Learning curves"),
    chart(runs.map(curveOf)),
    heading("Runs"),
    grid(["run", "seed", ...metrics.map(([, title]) => title), "status"], runs.map((run) => [link("run", run.id, run.run), String(run.seed), ...metrics.map(([metric]) => score(run.scores[metric])), run.status])),
    heading("Provenance"),
    facts([
      ["how", cell.how], ["rule", cell.rule], ["config", cell.config || "default"], ["files", cell.files.map((file) => code(file))],
      ["again", code(cell.command)], ["check", code(`tokenmix trace ${first[0]}/${cell.id} --study ${content.study.name}`)],
    ]),
  ];
}

export function runPanel(content, id) {
  const run = content.runs.find((run) => run.id === id);
  if (!run) return null;
  return [
    element("h2", {}, `Seed ${run.seed} of ${run.label} on ${content.datasets[run.dataset]}`),
    facts([
      ["run", code(run.run)], ["cell", link("cell", run.cell, run.cell)], ["status", [run.status, run.mark].join(" ")],
      ["selected", run.epoch === null ? "" : `epoch ${run.epoch}`],
    ]),
    heading("Scores on the test split"),
    grid(["metric", "value"], Object.entries(run.scores).map(([metric, value]) => [content.metrics[metric] ?? metric, score(value)])),
    heading("Learning curve"),
    chart([curveOf(run)]),
    heading("Provenance"),
    facts([
      ["spec", [short(run.spec), " ", code(run.plan)]], ["seed", String(run.seed)],
      ["data", [short(run.data), " ", code(run.data_folder)]], ["source", pairs(run.data_source)], ["weights", pairs(run.weights)],
      ["code", [short(run.code), " ", code(run.code_folder)]], ["commit", code(run.commit)],
      ["predictions", run.predictions && [code(run.predictions), " sha256 ", short(run.predictions_sha256)]], ["attested", code(run.attestation)],
      ["host", run.host], ["device", run.device], ["ended", run.ended],
      ["time", run.seconds === null ? "" : `${run.seconds.toFixed(0)} s`], ["memory", run.memory === null ? "" : `${Math.round(run.memory)} MB at most`],
      ["log", run.log && code(run.log)], ["benchmark", run.benchmark && code(run.benchmark)], ["again", code(run.command)],
    ]),
  ];
}

export function claimPanel(content, id) {
  const claim = content.claims[id];
  if (!claim) return null;
  const range = (entry) => `${score(entry.estimate)} ${interval(entry.low, entry.high)}`;
  const each = (entry) => Object.entries(entry.datasets).map(([name, value]) => `${content.datasets[name] ?? name} ${score(value)}`).join(", ");
  return [
    element("h2", {}, claim.sentence),
    facts([
      ["claim", code(id)], ["verdict", element("span", { class: `badge ${claim.verdict}` }, claim.verdict)], ["reason", claim.reason], ["predicate", claim.predicate],
      ["p", claim.p === null ? "" : `${probability(claim.p)}, corrected ${probability(claim.p_holm)}`], ["written in", claim.where],
    ]),
    ...(claim.evidence.length
      ? [heading("Evidence"), grid(["comparison", "difference", "needed", "data sets", "cases", "runs"], claim.evidence.map((entry) => [entry.contrast, range(entry), `${entry.side} ${score(entry.threshold)}`, each(entry), String(entry.cases), String(entry.runs.length)]))]
      : []),
  ];
}

export function valuePanel(content, id) {
  const value = content.values.find((value) => value.id === id);
  if (!value) return null;
  const known = new Map(content.runs.map((run) => [run.run, run]));
  const runs = value.runs.map((name) => known.get(name) ?? name);
  const cells = [...new Set(runs.map((run) => run.cell).filter((cell) => cell))];
  const links = (shown) => shown.map((each) => element("li", {}, each));
  const beside = content.values.filter((other) => other.line === value.line && other !== value);
  const all = !value.runs.length && !value.files.length;
  return [
    element("h2", {}, [value.text, value.unit].join(" ")),
    facts([
      ["value", code(value.id)], ["raw", typeof value.value === "number" ? code(String(value.value)) : ""], ["n", value.n === null ? "" : String(value.n)],
      ["how", value.how], ["rule", value.rule], ["config", value.config || "default"], ["files", value.files.map((file) => element("div", {}, code(file)))], ["runs", all ? "all of the study" : ""],
      ["check", code(`tokenmix trace ${value.id} --study ${content.study.name}`)],
    ]),
    ...(cells.length ? [heading("Cells"), element("ul", {}, ...links(cells.map((cell) => link("cell", cell, cell))))] : []),
    ...(runs.length
      ? [heading("Runs"), element("details", {}, element("summary", {}, `${runs.length} runs`), element("ul", {}, ...links(runs.map((run) => (run.id ? link("run", run.id, run.run) : code(run))))))]
      : []),
    ...(beside.length ? [heading("On the same line of the appendix"), grid(["value", "printed as", "how"], beside.map((other) => [link("value", other.id, other.id), other.text, other.how]))] : []),
  ];
}
