"use strict";
const { document: profile, timeline } = JSON.parse(document.getElementById("data").textContent);

const GROUPS = {
  events: ["event_decode", "representation", "event_encoder", "alignment", "event_memory"],
  vision: ["frame_read", "preprocess", "vision_tower", "vision"],
  prefill: ["prefill_frame", "question", "target"],
  draft: ["early_draft", "early_drafter", "predictor", "draft_step", "draft", "draft_head", "acceptance_predictor"],
  verify: ["verify", "round"],
  accept: ["accept", "detokenize"],
};
const LABELS = {
  events: "events", vision: "frames and tower", prefill: "prefill", draft: "drafting", verify: "verifying",
  accept: "accepting, text", other: "between",
};
const group = (name) => Object.keys(GROUPS).find((key) => GROUPS[key].includes(name)) ?? "other";
const colour = (name) => `var(--${group(name)})`;
const words = (name) => name.replaceAll("_", " ");
const DASH = "\u2013", TIMES = "\u00d7";
const number = (value, digits = 2, unit = "") => (value === null || value === undefined ? DASH : value.toFixed(digits) + unit);
const milliseconds = (value) => number(value, value < 10 ? 2 : value < 100 ? 1 : 0, " ms");
const bytes = (count) => (count >= 1e10 ? number(count / 1e9, 1, " GB") : number(count === null ? null : count / 1e6, 1, " MB"));
const interval = (found, unit = "", digits = 2) =>
  found ? `${number(found.value, digits)}${unit} [${number(found.low, digits)}, ${number(found.high, digits)}]` : DASH;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(parent, tag, attributes = {}, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== "") made.textContent = text;
  parent.append(made);
  return made;
}

/** A picture as wide as its figure; `says` is what a screen reader hears instead. */
function picture(id, height, says) {
  const holder = document.querySelector(`#${id} .chart`);
  const width = Math.max(holder.clientWidth, 260);
  holder.replaceChildren();
  const svg = shape(holder, "svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": says });
  return { svg, width, height };
}

function nothing(id, text) {
  document.querySelector(`#${id} .chart`).replaceChildren(element("p", { class: "none" }, text));
}

const scale = (from, to, start, end) => (value) => start + ((value - from) / (to - from || 1)) * (end - start);

/** Round values for an axis, about `count` of them. */
function ticks(from, to, count) {
  const rough = (to - from) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let tick = Math.ceil(from / step - 1e-9) * step; tick <= to + step * 1e-9; tick += step) found.push(+tick.toPrecision(12));
  return found;
}

function table(head, rows, kind = "") {
  const top = element("tr", {}, ...head.map((cell) => element("th", { scope: "col" }, cell)));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, String(cell)))));
  return element("table", { class: kind }, element("thead", {}, top), element("tbody", {}, ...body));
}

const fill = (selector, ...children) => document.querySelector(selector).replaceChildren(...children);

function drawHead() {
  const { machine, bundle, source, verdict, made } = profile;
  const name = machine.model ?? machine.processor ?? machine.architecture;
  const clips = `${source.clips} clips (${source.different_clips} different) of ${source.camera}`;
  const when = made.slice(0, 16).replace("T", " ") + " UTC";
  fill("#subject", `${name}, ${machine.cores} ${machine.cores === 1 ? "core" : "cores"} \u00b7 bundle ${bundle.recipe} for ${bundle.board} \u00b7 ${clips} \u00b7 ${when}`);
  fill("#verdict", verdict.text[0].toUpperCase() + verdict.text.slice(1) + ".");
  document.getElementById("verdict").className = { true: "good", false: "bad" }[verdict.helps] ?? "unsure";
  document.title = `xsd-edge profile: ${verdict.text}`;
}

function drawTiles() {
  const { speedup, acceptance, costs, memory, power } = profile;
  const measured = (found) => (found.measured ? number(found.measured.value, 2, TIMES) : DASH);
  const range = (found) => (found.measured ? `[${number(found.measured.low)}, ${number(found.measured.high)}]` : "nothing decoded");
  const joules = power.drafted.energy_per_answer_j;
  const tiles = [
    ["decoding", measured(speedup.decode), `${range(speedup.decode)}, predicted ${number(speedup.decode.predicted, 2, TIMES)}`],
    ["whole answer", measured(speedup.answer), `${range(speedup.answer)}, predicted ${number(speedup.answer.predicted, 2, TIMES)}`],
    ["tokens a round", number(acceptance.tokens_per_round), `in ${acceptance.rounds} rounds`],
    ["acceptance \u03b1", acceptance.alpha ? number(acceptance.alpha.value) : DASH, `breaks even at ${number(profile.break_even.alpha)}`],
    ["plain step", milliseconds(costs.step_ms), `draft step c = ${number(costs.c.value, 3)}`],
    ["peak memory", bytes(memory.peak_rss_bytes), `KV cache ${bytes(memory.kv_bytes)}`],
    ["energy an answer", number(joules, 2, " J"), joules === null ? "no power sensor" : `plain ${number(power.plain.energy_per_answer_j, 2, " J")}`],
  ];
  fill("#tiles", ...tiles.map(([what, value, more]) =>
    element("div", { class: "tile" }, element("span", {}, what), element("b", {}, value), element("span", {}, more))));
}

function drawSpeedup() {
  const rows = [
    ["decoding", profile.speedup.decode], ["whole answer", profile.speedup.answer], ["first token", profile.speedup.first_token],
  ].filter(([, found]) => found.measured);
  const values = rows.flatMap(([, f]) => [f.measured.low, f.measured.high, f.predicted ?? 1]);
  const top = Math.max(1.2, ...values) * 1.05, from = Math.min(0.8, ...values) * 0.95;
  const says = rows.map(([name, f]) => `${name} ${interval(f.measured, TIMES)}`).join("; ");
  const { svg, width, height } = picture("speedup", 34 + rows.length * 52, says);
  const x = scale(from, top, 8, width - 12);
  for (const tick of ticks(from, top, Math.min(6, width / 70))) {
    shape(svg, "line", { class: "grid", x1: x(tick), x2: x(tick), y1: 0, y2: height - 22 });
    shape(svg, "text", { x: x(tick), y: height - 6, "text-anchor": "middle" }, `${tick}${TIMES}`);
  }
  shape(svg, "line", { class: "one", x1: x(1), x2: x(1), y1: 0, y2: height - 22 });
  rows.forEach(([name, { measured, predicted }], index) => {
    const y = 34 + index * 52, hue = measured.low > 1 ? "var(--good)" : measured.high < 1 ? "var(--bad)" : "var(--unsure)";
    const label = `${name} ${interval(measured, TIMES)}${predicted ? `, predicted ${number(predicted, 2, TIMES)}` : ""}`;
    shape(svg, "text", { class: "strong", x: 8, y: y - 14 }, label);
    shape(svg, "line", { x1: x(measured.low), x2: x(measured.high), y1: y, y2: y, stroke: hue, "stroke-width": 4, "stroke-linecap": "round", opacity: 0.55 });
    if (predicted) shape(svg, "path", { d: `M${x(predicted)} ${y - 7}l7 7l-7 7l-7-7z`, fill: "none", stroke: "var(--ink)", "stroke-width": 1.5 });
    shape(svg, "circle", { class: "mark", cx: x(measured.value), cy: y, r: 5.5, fill: hue });
  });
}

function drawTimeline() {
  const clip = timeline[document.getElementById("clip").selectedIndex];
  const last = Math.max(...clip.arms.flatMap((arm) => arm.spans.map(([, , began, took]) => began + took)));
  const row = 18, gap = 34, tall = clip.arms.length * (3 * row + gap) + 20;
  const { svg, width } = picture("timeline", tall, `Timeline of clip ${clip.clip}: ${clip.arms.map((a) => `${a.name} ${number(a.ms, 0)} ms`).join(", ")}`);
  const x = scale(0, last, 4, width - 4);
  for (const tick of ticks(0, last, Math.min(10, width / 80))) {
    shape(svg, "line", { class: "grid", x1: x(tick), x2: x(tick), y1: 0, y2: tall - 18 });
    shape(svg, "text", { x: x(tick), y: tall - 4, "text-anchor": tick ? "middle" : "start" }, `${tick} ms`);
  }
  clip.arms.forEach((arm, index) => {
    const y0 = index * (3 * row + gap) + 22;
    const waited = arm.end === null ? "" : `, ${number(arm.ms - arm.end, 0)} ms after the clip's end`;
    shape(svg, "text", { class: "strong", x: 4, y: y0 - 7 }, `${arm.name}: ${number(arm.ms, 0)} ms${waited}`);
    for (const [depth, name, began, took] of arm.spans) {
      const label = `${words(name)}: ${number(took, 3)} ms, at ${number(began, 1)} ms`;
      const bar = shape(svg, "rect", {
        class: "span", x: x(began), y: y0 + (depth - 1) * row, width: Math.max(x(began + took) - x(began) - 0.4, 0.8),
        height: row - 3, rx: 1.5, fill: colour(name), opacity: name === "round" ? "var(--pale)" : 1,
      });
      shape(bar, "title", {}, label);
      bar.addEventListener("click", () => fill("#span", `${arm.name}: ${label}`));
    }
    if (arm.end !== null) shape(svg, "line", { class: "one", x1: x(arm.end), x2: x(arm.end), y1: y0 - 3, y2: y0 + 3 * row });
  });
}

function prepareTimeline() {
  const chooser = document.getElementById("clip");
  chooser.replaceChildren(...timeline.map((each) => element("option", {}, `${each.clip + 1}: ${each.text}`)));
  chooser.addEventListener("change", drawTimeline);
  fill("#timeline .legend", ...Object.entries(LABELS).filter(([key]) => key !== "other").map(([key, label]) =>
    element("span", {}, element("i", { style: `background: var(--${key})` }), label)));
}

function drawStages() {
  const rows = Object.entries(profile.stages).filter(([name, row]) => row.n || name === "other");
  const { svg, width } = picture("stages", rows.length * 24 + 4, rows.map(([n, r]) => `${words(n)} ${number(r.share * 100, 1)} %`).join("; "));
  const most = Math.max(...rows.map(([, row]) => row.share)), x = scale(0, most, 0, width - 106 - 52);
  rows.forEach(([name, row], index) => {
    const y = index * 24 + 2;
    shape(svg, "text", { class: "strong", x: 0, y: y + 14 }, words(name));
    const bar = shape(svg, "rect", { class: "bar", x: 106, y: y + 2, width: Math.max(x(Math.max(row.share, 0)), 1), height: 16, rx: 2, fill: colour(name) });
    shape(bar, "title", {}, row.n ? `${row.n} calls, median ${number(row.p50_ms, 3)} ms, p99 ${number(row.p99_ms, 3)} ms` : "what no stage accounts for");
    shape(svg, "text", { x: 106 + Math.max(x(Math.max(row.share, 0)), 1) + 6, y: y + 14 }, `${number(row.share * 100, 1)} %`);
  });
  const head = ["stage", "n", "mean", "p50", "p95", "p99", "max", "budget"];
  fill("#stages .scroll", table(head, rows.map(([name, row]) => [
    words(name), row.n, ...["mean", "p50", "p95", "p99", "max"].map((key) => number(row[`${key}_ms`], 3)), number(row.budget_ms, 1),
  ])));
}

/** Columns with optional intervals; `values` are [label, value, low, high, hint]. */
function columns(id, values, most, format, says) {
  const { svg, width, height } = picture(id, 200, says);
  const x = scale(0, values.length, 36, width - 4), y = scale(0, most, height - 24, 12);
  for (const tick of ticks(0, most, 4)) {
    shape(svg, "line", { class: "grid", x1: 36, x2: width - 4, y1: y(tick), y2: y(tick) });
    shape(svg, "text", { x: 30, y: y(tick) + 4, "text-anchor": "end" }, format(tick));
  }
  const wide = Math.min((x(1) - x(0)) * 0.64, 48);
  values.forEach(([label, value, low, high, hint], index) => {
    const middle = x(index + 0.5);
    const bar = shape(svg, "rect", { class: "bar", x: middle - wide / 2, y: y(value), width: wide, height: Math.max(y(0) - y(value), 1), rx: 2, fill: "var(--prefill)" });
    shape(bar, "title", {}, hint);
    if (low !== null) {
      shape(svg, "path", { d: `M${middle} ${y(low)}V${y(high)}M${middle - 5} ${y(low)}h10M${middle - 5} ${y(high)}h10`, stroke: "var(--ink)", "stroke-width": 1.3, fill: "none" });
    }
    shape(svg, "text", { x: middle, y: height - 6, "text-anchor": "middle" }, label);
  });
}

function drawAcceptance() {
  const { by_position: positions, accepted_histogram: counts } = profile.acceptance;
  if (!positions.length) {
    nothing("acceptance", "Nothing was drafted.");
    nothing("histogram", "Nothing was drafted.");
    return;
  }
  // Where no draft was ever judged there is no acceptance to show.
  const bars = positions.map(({ position, alpha, judged, accepted }) =>
    [position, alpha?.value ?? 0, alpha?.low ?? null, alpha?.high ?? null, `position ${position}: ${accepted} of ${judged} stood`]);
  columns("acceptance", bars, 1, (tick) => tick.toFixed(1), bars.map((bar) => bar[4]).join("; "));
  const longest = positions.length;
  const rounds = Array.from({ length: longest + 1 }, (_, count) => counts[count] ?? 0);
  const counted = rounds.map((times, count) => [count, times, null, null, `${count} accepted in ${times} rounds`]);
  columns("histogram", counted, Math.max(...rounds, 1), (tick) => (Number.isInteger(tick) ? tick : ""), counted.map((bar) => bar[4]).join("; "));
}

function drawCosts() {
  const { v, c } = profile.costs;
  const { svg, width, height } = picture("costs", 220, v.map((point) => `${point.rows} rows ${number(point.value)}`).join("; "));
  const most = Math.max(...v.map((point) => point.high), 2) * 1.08;
  const x = scale(1, v.length, 34, width - 10), y = scale(0, most, height - 24, 10);
  for (const tick of ticks(0, most, 5)) {
    shape(svg, "line", { class: "grid", x1: 34, x2: width - 10, y1: y(tick), y2: y(tick) });
    shape(svg, "text", { x: 28, y: y(tick) + 4, "text-anchor": "end" }, tick);
  }
  for (const point of v) shape(svg, "text", { x: x(point.rows), y: height - 6, "text-anchor": "middle" }, point.rows);
  const reach = Math.min(v.length, most);
  shape(svg, "line", { class: "one", x1: x(1), y1: y(1), x2: x(reach), y2: y(reach) });
  const up = v.map((point) => `${x(point.rows)} ${y(point.high)}`), down = v.map((point) => `${x(point.rows)} ${y(point.low)}`).reverse();
  shape(svg, "path", { d: `M${up.join("L")}L${down.join("L")}z`, fill: "var(--prefill)", opacity: "var(--pale)" });
  shape(svg, "path", { d: `M${v.map((point) => `${x(point.rows)} ${y(point.value)}`).join("L")}`, fill: "none", stroke: "var(--prefill)", "stroke-width": 2 });
  for (const point of v) {
    const dot = shape(svg, "circle", { class: "mark", cx: x(point.rows), cy: y(point.value), r: 4, fill: "var(--prefill)" });
    shape(dot, "title", {}, `${point.rows} rows: ${interval(point)} plain steps`);
  }
  const rows = profile.break_even.by_gamma.map((each) =>
    [each.gamma, number(each.gamma * c.value + v[each.gamma].value), each.alpha === null ? "never" : number(each.alpha), number(each.speedup_at_alpha, 2, TIMES)]);
  fill("#costs .scroll", table(["\u03b3", "round costs (steps)", "break-even \u03b1", "speed-up at measured \u03b1"], rows));
}

function drawGamma() {
  const rounds = profile.rounds;
  if (!rounds.length) return nothing("gamma", "No round came after the questions' own passes.");
  const most = Math.max(...rounds.map((round) => round[1]), 1);
  const { svg, width, height } = picture("gamma", 170, `${rounds.length} rounds, drafts of 0 to ${most} tokens`);
  const x = scale(0, rounds.length, 28, width - 4), y = scale(0, most, height - 22, 8);
  for (const tick of ticks(0, most, 4).filter(Number.isInteger)) {
    shape(svg, "line", { class: "grid", x1: 28, x2: width - 4, y1: y(tick), y2: y(tick) });
    shape(svg, "text", { x: 22, y: y(tick) + 4, "text-anchor": "end" }, tick);
  }
  const steps = (pick) => `M${x(0)} ${y(0)}` + rounds.map((round, i) => `L${x(i)} ${y(pick(round))}H${x(i + 1)}`).join("") + `L${x(rounds.length)} ${y(0)}z`;
  shape(svg, "path", { class: "area", d: steps((round) => round[1]), fill: "var(--draft)", opacity: "var(--pale)" });
  shape(svg, "path", { class: "area", d: steps((round) => round[2]), fill: "var(--draft)" });
  rounds.forEach((round, i) => {
    if (i === 0 || rounds[i - 1][0] !== round[0]) {
      shape(svg, "line", { class: "axis", x1: x(i), x2: x(i), y1: y(0), y2: y(0) + 7 });
    }
  });
  shape(svg, "text", { x: width - 4, y: height - 4, "text-anchor": "end" }, `${rounds.length} rounds`);
}

function drawFacts() {
  const { machine, bundle, settings, source, memory, power } = profile;
  const known = (value) => (value === null || value === undefined ? DASH : value === true ? "yes" : value === false ? "no" : String(value));
  const facts = [
    ["model", machine.model], ["board", machine.board], ["processor", machine.processor], ["architecture", machine.architecture],
    ["cores", machine.cores], ["memory", bytes(machine.memory_bytes)], ["JetPack", machine.jetpack], ["power mode", machine.power_mode],
    ["clocks pinned", machine.clocks_pinned], ["kernel", machine.kernel], ["Python", machine.python],
    ...Object.entries(machine.software).map(([name, version]) => [name, version]),
    ["bundle", `${bundle.recipe} for ${bundle.board}, ${bundle.id.slice(0, 12)}`],
    ["camera", `${source.camera}, frames: ${source.frames}`], ["questions", settings.questions.join(" ")],
    ["decoding", `gamma ${settings.gamma}, temperature ${settings.temperature}`],
  ];
  fill("#machine .scroll", table(["fact", "value"], facts.map(([name, value]) => [name, known(value)]), "facts"));
  const engines = Object.entries(memory.engines).map(([part, held]) =>
    [words(part), bytes(held.file_bytes), bytes(held.rss_bytes), bytes(held.kv_bytes || null)]);
  engines.push(["process", DASH, bytes(memory.rss_bytes), bytes(memory.kv_bytes)]);
  fill("#memory .scroll", table(["part", "file", "resident", "KV cache"], engines));
  const spread = (entries, unit) => entries.map(([name, r]) => [name, number(r.min, 1), number(r.mean, 1), `${number(r.max, 1)} ${unit}`]);
  const energy = ["answer", "token"].map((what) => {
    const joules = (way) => number(power[way][`energy_per_${what}_j`], what === "token" ? 4 : 3, " J");
    return [`${what === "token" ? "a" : "an"} ${what}`, joules("drafted"), joules("plain")];
  });
  fill("#sensors .scroll", table(["energy", "drafted", "plain"], energy), table(["sensor", "lowest", "mean", "highest"], [
    ["module", DASH, number(power.mean_w), number(power.max_w, 2, " W")],
    ...spread(Object.entries(power.rails_w), "W"),
    ...spread(Object.entries(profile.temperatures_c), "\u00b0C"),
    ...spread(Object.entries(profile.clocks_mhz), "MHz"),
    ["GPU load", DASH, number(profile.gpu_load === null ? null : profile.gpu_load * 100, 0, " %"), DASH],
  ]));
}

function drawCharts() {
  drawSpeedup();
  drawTimeline();
  drawStages();
  drawAcceptance();
  drawCosts();
  drawGamma();
  document.body.dataset.drawn = "yes";
}

drawHead();
drawTiles();
drawFacts();
prepareTimeline();
drawCharts();
let drawnAt = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === drawnAt) return;
  drawnAt = innerWidth;
  requestAnimationFrame(drawCharts);
});
