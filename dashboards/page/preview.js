"use strict";
const boards = JSON.parse(document.getElementById("data").textContent);
const element = (tag, attributes = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), attributes);
  made.append(...children);
  return made;
};
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const NAMED = ["green", "blue", "yellow", "orange", "red", "purple"];
const PALETTE = ["blue", "orange", "green", "purple", "red", "yellow"];
const colour = (name) => (name = (name || "").replace(/^(semi-)?(dark|light)-/, ""), NAMED.includes(name) ? css("--" + name) : name);

function scaled(value) {
  const prefixes = [[1e9, "G"], [1e6, "M"], [1e3, "k"], [1, ""], [1e-3, "m"]];
  if (!value) return [0, ""];
  const [size, prefix] = prefixes.find(([limit]) => Math.abs(value) >= limit) || [1e-3, "m"];
  return [value / size, prefix];
}

function said(value, unit, decimals) {
  if (value === null || value === undefined || value === "") return "";
  if (unit === "dateTimeAsIso") return (typeof value === "number" ? new Date(value).toISOString() : value).replace("T", " ").slice(0, 19);
  if (typeof value !== "number") return String(value);
  const plain = (n, most) => n.toLocaleString("en", { maximumFractionDigits: decimals ?? most });
  if (unit.startsWith("si:")) { const [n, prefix] = scaled(value); return plain(n, 2) + " " + prefix + unit.slice(3); }
  if (unit.startsWith("suffix:")) return plain(value, 3) + " " + unit.slice(7).trim();
  if (unit === "percent") return plain(value, 2) + " %";
  if (unit === "s") return plain(value, 1) + " s";
  if (unit === "d") return plain(value, 0) + " days";
  return plain(value, 3);
}

function settings(panel, column) {
  const found = { unit: panel.fieldConfig.defaults.unit, decimals: panel.fieldConfig.defaults.decimals };
  for (const one of panel.fieldConfig.overrides || []) {
    if (one.matcher.options === column) for (const { id, value } of one.properties) found[id] = value;
  }
  return found;
}

function valueColour(panel, value, set) {
  const mapped = (set.mappings || []).map((one) => one.options[value]).find(Boolean);
  if (mapped) return mapped.color;
  const steps = panel.fieldConfig.defaults.thresholds?.steps || [];
  if (typeof value !== "number" || steps.length < 2) return "";
  return steps.filter((step) => step.value === null || step.value === undefined || value >= step.value).at(-1).color;
}

function stat(panel, { columns, rows }) {
  const row = rows[0] || [];
  const shown = columns.map((column, place) => {
    const set = settings(panel, column), value = row[place];
    const text = said(value, set.unit, set.decimals) || panel.fieldConfig.defaults.noValue || "–";
    const bold = element("b", { textContent: text, className: "c-" + valueColour(panel, value, set) });
    return element("div", {}, bold, ...(columns.length > 1 ? [element("span", { textContent: column })] : []));
  });
  return element("div", { className: columns.length > 1 ? "stat" : "stat one" }, ...shown);
}

function link(text, set) {
  const url = set.links?.[0]?.url || "";
  const target = /^\/d\/([\w-]+)\?var-(\w+)=/.exec(url);
  if (!target || !text) return text;
  if (target[1] === "cl-record") {
    const copy = () => navigator.clipboard?.writeText("carbonledger resolve " + text);
    return element("button", { className: "code", type: "button", textContent: text, title: "Copy: carbonledger resolve " + text, onclick: copy });
  }
  const board = boards.find((one) => one.uid === target[1]);
  return board?.views.some((view) => view.chosen[0] === text) ? element("a", { href: `#${target[1]}/${encodeURIComponent(text)}`, textContent: text }) : text;
}

function table(panel, { columns, rows }) {
  const sets = columns.map((column) => settings(panel, column));
  const numeric = columns.map((_, place) => rows.every((row) => row[place] === null || typeof row[place] === "number"));
  const head = columns.map((name, place) => element("th", { textContent: name.replaceAll("_", " "), className: numeric[place] ? "number" : "" }));
  const lines = rows.map((row) => element("tr", {}, ...row.map((value, place) => {
    const set = sets[place], text = said(value, set.unit === "string" ? "" : set.unit, set.decimals);
    const kind = numeric[place] ? "number" : text.length > 60 && !set.links ? "long" : "";
    const cell = element("td", { className: kind }, link(text, set));
    if (set.mappings) cell.classList.add("c-" + valueColour(panel, value, set));
    return cell;
  })));
  return element("table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...lines));
}

function split(answer) {
  const names = [...new Set(answer.rows.map((row) => row[1]))];
  const times = [...new Set(answer.rows.map((row) => row[0]))];
  const values = new Map(answer.rows.map((row) => [row[0] + "|" + row[1], row[2]]));
  return { columns: [answer.columns[0], ...names], rows: times.map((at) => [at, ...names.map((name) => values.get(at + "|" + name) ?? null)]) };
}

function traces(panel, answer) {
  const custom = panel.fieldConfig.defaults.custom || {};
  const bars = panel.type === "barchart" || custom.drawStyle === "bars";
  const x = answer.rows.map((row) => (panel.type === "timeseries" ? String(row[0]).replace(" ", "T") : row[0]));
  const made = answer.columns.slice(1).map((name, place) => {
    const set = settings(panel, name), paint = colour(set.color?.fixedColor || PALETTE[place % PALETTE.length]);
    const y = answer.rows.map((row) => row[place + 1]);
    const trace = { x, y, name, type: bars ? "bar" : "scatter", hovertemplate: "%{y:.4s}<extra>%{fullData.name}</extra>" };
    if (bars) trace.marker = { color: paint };
    else Object.assign(trace, { mode: answer.rows.length < 2 ? "markers" : "lines", line: { color: paint, width: 2 }, connectgaps: true });
    return { trace, below: set["custom.fillBelowTo"], paint };
  });
  for (const one of made.filter((one) => one.below)) {
    const other = made.find((candidate) => candidate.trace.name === one.below);
    made.splice(made.indexOf(other), 1);
    made.splice(made.indexOf(one), 0, other);
    for (const edge of [one, other]) Object.assign(edge.trace.line, { width: 1, dash: "dot" });
    Object.assign(one.trace, { fill: "tonexty", fillcolor: one.paint + "26" });
  }
  return made.map((one) => one.trace);
}

function chart(panel, raw) {
  const place = element("div", { className: "chart" });
  const answer = panel.fieldConfig.defaults.displayName ? split(raw) : raw;
  const unit = panel.fieldConfig.defaults.unit, stacked = panel.fieldConfig.defaults.custom?.stacking?.mode === "normal";
  const suffix = unit.startsWith("si:") ? unit.slice(3) : unit === "percent" ? " %" : unit === "s" ? " s" : unit === "d" ? " d" : "";
  const axis = { gridcolor: css("--line"), linecolor: css("--line"), zerolinecolor: css("--line"), automargin: true };
  const layout = {
    autosize: true, margin: { l: 8, r: 8, t: 4, b: 8 }, barmode: stacked ? "stack" : "group", hovermode: "x unified",
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: css("--text"), size: 11 },
    showlegend: true, legend: { orientation: "h", y: -0.18, yanchor: "top" }, hoverlabel: { bgcolor: css("--panel"), font: { color: css("--text") } },
    xaxis: { ...axis, type: panel.type === "timeseries" ? "date" : "category" },
    yaxis: { ...axis, rangemode: "tozero", tickformat: unit.startsWith("si:") ? "~s" : "", ticksuffix: suffix },
  };
  place.draw = () => Plotly.newPlot(place, traces(panel, answer), layout, { responsive: true, displayModeBar: false });
  return place;
}

const DRAWN = { stat, table, timeseries: chart, barchart: chart };

function show() {
  const [uid, ...chosen] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const board = boards.find((one) => one.uid === uid) || boards[0];
  const fits = (view) => chosen.every((value, place) => view.chosen[place] === value);
  const view = board.views.find((one) => chosen.length && fits(one)) || board.views[0];
  document.getElementById("about").textContent = board.description;
  document.getElementById("boards").replaceChildren(...boards.map((one) => {
    const made = element("button", { type: "button", textContent: one.title, onclick: () => { location.hash = one.uid; } });
    if (one === board) made.setAttribute("aria-current", "page");
    return made;
  }));
  document.getElementById("choices").replaceChildren(...board.variables.map((variable, place) => choice(board, view, variable, place)));
  const panels = board.panels.map((panel, place) => drawn(panel, view.answers[place]));
  document.getElementById("panels").replaceChildren(...panels);
  for (const place of document.querySelectorAll(".chart")) place.draw();
}

function choice(board, view, variable, place) {
  const before = view.chosen.slice(0, place);
  const values = [...new Set(board.views.filter((one) => before.every((value, i) => one.chosen[i] === value)).map((one) => one.chosen[place]))];
  const options = values.map((value) => element("option", { value, textContent: value, selected: value === view.chosen[place] }));
  const select = element("select", { onchange: () => { location.hash = [board.uid, ...before, select.value].map(encodeURIComponent).join("/"); } }, ...options);
  return element("label", {}, variable.label, select);
}

function drawn(panel, answer) {
  const says = element("p", { className: "says", textContent: panel.description, hidden: true });
  const why = element("button", { className: "why", type: "button", textContent: "?", title: panel.description, onclick: () => { says.hidden = !says.hidden; } });
  why.setAttribute("aria-label", "What is shown: " + panel.title);
  const { x, y, w, h } = panel.gridPos;
  const made = element("section", { className: panel.type === "stat" && answer.columns.length === 1 ? "single" : "" },
    element("h2", {}, element("span", { textContent: panel.title }), why), says,
    element("div", { className: "body" }, DRAWN[panel.type](panel, answer)));
  Object.assign(made.style, { gridColumn: `${x + 1} / span ${w}`, gridRow: `${y + 1} / span ${h}` });
  return made;
}

const root = document.documentElement;
root.dataset.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
document.getElementById("theme").onclick = () => { root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark"; show(); };
addEventListener("hashchange", show);
show();
