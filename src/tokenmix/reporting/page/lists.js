// The sortable and filterable lists. DataTables shows one page of rows at a time, so that thousands cost nothing.
import { jQuery } from "datatables";
import { address, element, interval, link, probability, score } from "elements";

const text = (title, value, more = {}) => ({ title, value, show: (row) => value(row), ...more });
const number = (title, value, more = {}) => ({ title, value, show: (row) => score(value(row)), number: true, ...more });
const count = (title, value, more = {}) => ({ title, value, show: (row) => String(value(row) ?? ""), number: true, ...more });

// name -> {title, rows, kind and id of what a row leads to, columns}
export function lists(content) {
  const dataset = text("Data set", (row) => content.datasets[row.dataset] ?? row.dataset, { choose: true });
  const init = text("Start", (row) => row.init, { choose: true, wide: true });
  const status = text("Status", (row) => (row.mark ? `${row.status} (${row.mark})` : row.status), { choose: true });
  const scores = (value) => Object.entries(content.metrics).map(([metric, title]) => number(title, (row) => value(row.scores[metric])));
  return {
    cells: {
      title: "Cells", rows: content.cells, kind: "cell", id: (row) => row.id,
      columns: [
        text("Model", (row) => row.label, { choose: true, link: true }), dataset, init,
        ...scores((found) => found?.[0]),
        text("Tables", (row) => row.tables.join(", "), { wide: true }),
        count("Seeds", (row) => row.seeds, { wide: true }), count("Cases", (row) => row.cases, { wide: true }), status,
      ],
    },
    runs: {
      title: "Runs", rows: content.runs, kind: "run", id: (row) => row.id,
      columns: [
        // the hash is enough beside the other columns; search and sort know the whole name
        text("Run", (row) => row.run, { link: true, show: (row) => row.run.split(".").at(-1) }), text("Model", (row) => row.label, { choose: true }),
        dataset, init, count("Seed", (row) => row.seed, { choose: true }),
        ...scores((found) => found),
        count("Minutes", (row) => (row.seconds === null ? null : Math.round(row.seconds / 6) / 10), { wide: true }),
        text("Computed", (row) => row.ended.slice(0, 10), { wide: true }),
        text("Host", (row) => row.host, { choose: true, wide: true }), text("Commit", (row) => row.commit, { choose: true, wide: true }), status,
      ],
    },
    reported: {
      title: "Reported against reproduced", rows: content.reported, kind: "cell", id: (row) => row.id,
      empty: "No published value has a counterpart in this study.",
      columns: [
        text("Model", (row) => row.label, { choose: true, link: true }), dataset, init,
        text("Metric", (row) => content.metrics[row.metric] ?? row.metric, { choose: true }),
        number("Reported", (row) => row.reported), number("Reproduced", (row) => row.reproduced),
        number("Difference", (row) => row.difference),
        text("Interval", (row) => interval(row.difference_low, row.difference_high), { wide: true }),
        text("Inside", (row) => (row.inside ? "yes" : "no"), { choose: true }),
        text("Images", (row) => (row.alike ? "published size" : "other size"), { choose: true, wide: true }),
        text("Published in", (row) => row.table, { choose: true, wide: true }),
      ],
    },
    claims: {
      title: "Claims", rows: Object.entries(content.claims).map(([id, claim]) => ({ id, ...claim })), kind: "claim", id: (row) => row.id,
      empty: "The paper makes no claims.",
      columns: [
        text("Claim", (row) => row.sentence, { link: true }), text("Verdict", (row) => row.verdict, { choose: true, badge: true }),
        number("p, corrected", (row) => row.p_holm, { wide: true, show: (row) => probability(row.p_holm) }), text("Reason", (row) => row.reason, { wide: true }),
        text("Written in", (row) => row.where, { wide: true }),
      ],
    },
    values: {
      title: "Values", rows: content.values, kind: "value", id: (row) => row.id,
      columns: [
        text("Value", (row) => row.id, { link: true }), text("Kind", (row) => row.id.split("/")[0], { choose: true, wide: true }),
        count("Printed as", (row) => (typeof row.value === "number" ? row.value : null), { show: (row) => row.text, prose: true }),
        text("Unit", (row) => row.unit, { choose: true, wide: true }), count("n", (row) => row.n, { wide: true }), text("How", (row) => row.how, { wide: true, prose: true }),
        text("Rule", (row) => row.rule, { choose: true, wide: true }), text("Config", (row) => row.config || "default", { wide: true }),
      ],
    },
  };
}

export function list(made) {
  const { columns, rows } = made;
  const classes = (column) => ["wide", "number", "prose"].filter((name) => column[name]).join(" ");
  const heads = columns.map((column) => element("th", { class: classes(column), scope: "col" }, column.title));
  const table = element("table", { class: "display compact" }, element("thead", {}, element("tr", {}, ...heads)));
  const filters = element("div", { class: "filters" });
  const place = element("div", {}, filters, element("div", { class: "scroll" }, table));
  const api = jQuery(table).DataTable({
    data: rows,
    columns: columns.map((column) => ({
      data: null,
      type: column.number ? "num" : "string",
      className: classes(column),
      render: (_, use, row) => rendered(made, column, use, row),
    })),
    order: [],
    autoWidth: false,
    pageLength: 25,
    lengthMenu: [10, 25, 100],
    language: { emptyTable: made.empty ?? "Nothing.", search: "Search", lengthMenu: "_MENU_ per page" },
  });
  columns.forEach((column, place) => column.choose && filters.append(filter(api, column, place, rows)));
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tbody tr");
    if (row && !event.target.closest("a") && api.row(row).data()) location.hash = address(made.kind, made.id(api.row(row).data()));
  });
  return place;
}

function rendered(made, column, use, row) {
  const value = column.value(row);
  if (use === "display") {
    const shown = column.show(row) ?? "";
    if (column.link) return link(made.kind, made.id(row), shown);
    return element("span", column.badge ? { class: `badge ${value}` } : {}, shown);
  }
  if (use !== "filter") return column.number ? value ?? -Infinity : value;
  // a number is looked for as it is shown; before it searches, DataTables reads as HTML what looks like an entity
  return String(column.number ? column.show(row) : value).replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
}

function filter(api, column, place, rows) {
  const values = [...new Set(rows.map((row) => String(column.value(row))))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const options = values.map((value) => element("option", { value }, value));
  const choice = element("select", {}, element("option", { value: "" }, "all"), ...options);
  choice.addEventListener("change", () => api.column(place).search(choice.value, { exact: choice.value !== "" }).draw());
  return element("label", {}, column.title, choice);
}
