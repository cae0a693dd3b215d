// Shows what the run's WebSocket says: figures as JSON, pictures behind two letters.
// Each message is acknowledged once it is drawn, so a slow page gets the newest instead of a queue.

const byId = (id) => document.getElementById(id);
const put = (id, text) => { const at = byId(id); if (at.textContent !== text) at.textContent = text; };
const HEAD = 2; // letters before a picture
const RETRY_MS = 1000;

if (location.search) history.replaceState(null, "", location.pathname); // the token is a cookie now

function quantity(value) {
  for (const [limit, prefix] of [[1e6, " M"], [1e3, " k"]]) {
    if (value >= limit) return `${Number((value / limit).toPrecision(3))}${prefix}`;
  }
  return String(Math.round(value));
}

function element(name, text = "", kind = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = kind;
  return made;
}

function showState(state) {
  const shown = { loading: "loading the bundle", ended: "the run has ended", lost: "connection lost" };
  byId("state").dataset.state = state;
  put("state", shown[state] ?? state);
}

function showAnswer(now) {
  put("clip", now.question ? `clip ${now.about}` : "");
  if (now.question) put("question", now.question);
  const pieces = now.pieces.flatMap(({ text, drafted }) => {
    const words = text.trimStart(); // the space before them is nobody's
    return [text.slice(0, text.length - words.length), element("span", words, drafted ? "drafted" : "")];
  });
  byId("text").replaceChildren(...pieces);
  byId("cursor").toggleAttribute("data-on", now.state === "answering" && now.answer_ms === null);
  // Screen readers hear whole answers, not every token.
  if (now.answer_ms !== null) put("spoken", now.pieces.map((p) => p.text).join(""));
  const rounds = now.rounds.map(({ gamma, accepted }) => {
    const round = element("span", "", "round");
    for (let i = 0; i < gamma; i++) round.append(element("i", "", i < accepted ? "accepted" : ""));
    round.append(element("i", "", "own"));
    round.title = `${accepted} of ${gamma} drafts accepted`;
    return round;
  });
  byId("rounds").replaceChildren(...rounds);
}

function showFigures(now) {
  const last = now.rounds.at(-1);
  put("acceptance", now.acceptance === null ? "–" : `${Math.round(now.acceptance * 100)} %`);
  put("per-pass", now.per_pass === null ? "–" : now.per_pass.toFixed(1));
  put("gamma", last ? String(last.gamma) : "–");
  put("speedup", now.speedup ? `${now.speedup.ratio.toFixed(2)}×` : "–");
  put("speedup-kind", now.speedup ? `speed-up, ${now.speedup.timed ? "timed" : "estimated"}` : "speed-up");
  put("answer-ms", now.answer_ms === null ? (now.question ? "…" : "–") : `${Math.round(now.answer_ms)} ms`);
  put("answers", String(now.answers));
}

function showCamera(now) {
  put("sensor", now.sensor && `${now.sensor} pixels`);
  put("rate", quantity(now.rates.at(-1) ?? 0));
  const highest = Math.max(1, ...now.rates);
  const shift = 64 - now.rates.length;
  const points = now.rates.map((rate, i) => `${i + shift},${(15.5 - (rate / highest) * 15).toFixed(1)}`);
  byId("rates").firstElementChild.setAttribute("points", points.join(" "));
  put("drops", `${quantity(now.events_dropped)} events dropped, ${now.clips_dropped} clips`);
  put("frames-kind", { rendered: "drawn from the events" }[now.frames] ?? now.frames);
}

function showStages(stages) {
  const highest = Math.max(1e-9, ...stages.map(([, ms]) => ms));
  const rows = stages.map(([name, ms]) => {
    const row = element("tr");
    const title = element("th", name.replaceAll("_", " "));
    title.scope = "row";
    const bar = element("i");
    bar.style.width = `${(ms / highest) * 100}%`;
    const share = element("td");
    share.append(bar);
    row.append(title, share, element("td", `${ms.toFixed(1)} ms`));
    return row;
  });
  byId("stages").tBodies[0].replaceChildren(...rows);
}

function showLatest(latest) {
  const items = latest.toReversed().map((said) => {
    const item = element("li");
    item.append(element("p", `clip ${said.clip} | ${said.question} | ${Math.round(said.answer_ms)} ms`, "small"));
    item.append(element("p", said.text));
    return item;
  });
  byId("latest").replaceChildren(...items);
}

function imageOf(key) {
  if (key === "e") return byId("events");
  const strip = byId("frames");
  while (strip.children.length <= Number(key)) {
    const picture = element("img");
    picture.alt = `Frame ${strip.children.length + 1} of the clip`;
    const item = element("li");
    item.append(picture);
    strip.append(item);
  }
  return strip.children[Number(key)].firstElementChild;
}

async function showPicture(data) {
  const key = new TextDecoder().decode(data.slice(0, HEAD)).trim();
  const image = imageOf(key);
  const old = image.src;
  image.src = URL.createObjectURL(new Blob([data.slice(HEAD)]));
  image.hidden = false;
  await image.decode().catch(() => {}); // replaced before it was drawn
  if (old.startsWith("blob:")) URL.revokeObjectURL(old);
}

let stages = "";
let latest = "";

function show(now) {
  showState(now.state);
  showAnswer(now);
  showFigures(now);
  showCamera(now);
  if (stages !== (stages = JSON.stringify(now.stages_ms))) showStages(now.stages_ms);
  if (latest !== (latest = JSON.stringify(now.latest))) showLatest(now.latest);
}

function connect() {
  const socket = new WebSocket(new URL("live", location.href.replace(/^http/, "ws")));
  let ended = false;
  socket.binaryType = "arraybuffer";
  socket.onmessage = async ({ data }) => {
    if (typeof data === "string") {
      const now = JSON.parse(data);
      ended = now.state === "ended";
      show(now);
    } else {
      await showPicture(data);
    }
    if (socket.readyState === WebSocket.OPEN) socket.send("drawn");
  };
  socket.onclose = () => {
    if (ended) return;
    showState("lost");
    setTimeout(connect, RETRY_MS);
  };
}

connect();
