// The page: facts come in by server-sent events, buttons go out; nothing else is remembered here.

import { STAND_IN, ownCamera } from "./camera.js";
import { showPhone } from "./phone.js";
import { make, showResult, showRun, showRuns } from "./show.js";
import { take } from "./story.js";

const MOST_RUNS = 50;
const $ = (id) => document.getElementById(id);
const order = $("order");
let runs = new Map();
let boot = "";
let chosen = "";
let shown = "";
let camera = { can: false, hint: "" };
let hello = null;
let services = {};
const troubles = { link: "", order: "", topics: "" };
let drawing = false;
let upTo = 0; // while what was before is told again, nothing is shown: it would open pop-ups that were closed long ago

function draw() {
  if (drawing || upTo) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    const run = runs.get(chosen);
    const own = [...runs.values()].filter((one) => one.own).at(-1);
    showRuns(runs, chosen, choose);
    showRun(run, chosen !== shown);
    shown = chosen;
    showPhone(own);
    showResult(own);
    showServices();
  });
}

function choose(id) {
  chosen = id;
  draw();
}

function showServices() {
  const names = hello?.services ?? [];
  $("services").replaceChildren(...names.map((name) => {
    const ready = services[name];
    const says = ready === undefined ? "…" : ready ? "ready" : "down";
    return make("li", { className: ready === false ? "bad" : ready ? "good" : "" },
      make("span", { className: "dot" }), name, make("span", { className: "unseen", text: ` ${says}` }));
  }));
  const down = names.filter((name) => services[name] === false);
  const are = down.length
    ? `${down.join(", ")} ${down.length > 1 ? "do" : "does"} not answer: started again at once; nothing is lost meanwhile.` : "";
  const text = [troubles.link, are, troubles.topics, troubles.order].filter(Boolean).join(" ");
  const alarm = $("alarm");
  alarm.hidden = !text;
  if (alarm.textContent !== text) alarm.textContent = text;
}

function on(fact) {
  if (fact.kind === "health") services = fact.services;
  else if (fact.kind === "trouble" && !fact.id) troubles.topics = fact.text;
  else if (take(runs, fact) && (fact.kind === "asked" || fact.kind === "adopted")) chosen = fact.id;
  if (!chosen && fact.id) chosen = fact.id;
  if (fact.number >= upTo) upTo = 0;
  while (runs.size > MOST_RUNS) runs.delete(runs.keys().next().value);
  draw();
}

function listen() {
  const source = new EventSource("/api/events");
  source.addEventListener("hello", (event) => {
    hello = JSON.parse(event.data);
    troubles.link = "";
    if (hello.boot !== boot) {
      // Another playground than before, or the first: what it remembers is all that there is.
      runs = new Map();
      [boot, chosen, shown] = [hello.boot, "", "-"];
    }
    upTo = hello.up_to;
    void lookForCamera();
    draw();
  });
  source.addEventListener("message", (event) => on(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    upTo = 0;
    troubles.link = "The playground does not answer. If facescan up has ended, start it again; this page comes back by itself or at its new address.";
    draw();
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, 2000);
  });
}

async function lookForCamera() {
  const before = camera.can;
  camera = await ownCamera(hello);
  const own = order.elements.camera[1];
  const chosenBefore = order.elements.camera.value;
  own.disabled = !camera.can;
  if (camera.can && !before) own.checked = true;
  if (!camera.can) order.elements.camera[0].checked = true;
  if (order.elements.camera.value !== chosenBefore) void tellStage();
  showHint();
}

function showHint() {
  const own = order.elements.camera.value === "own";
  const hint = $("camera-hint");
  hint.replaceChildren(own ? camera.hint : camera.can ? STAND_IN : `${STAND_IN} ${camera.hint} `);
  if (!own && camera.link) {
    hint.append(make("a", { href: camera.link, target: "_blank", rel: "noreferrer", text: "open it, accept it, come back" }));
  }
}

async function press(path, content) {
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(content) });
  if (!answer.ok) throw new Error((await answer.json()).error);
}

order.addEventListener("submit", async (event) => {
  event.preventDefault();
  $("verify").disabled = true;
  try {
    await press("/api/verify", wishes());
    troubles.order = "";
  } catch (error) {
    troubles.order = `It could not be asked for: ${error.message}.`;
  }
  $("verify").disabled = false;
  draw();
});

function wishes() {
  return { who: order.elements.who.value, camera: order.elements.camera.value };
}

async function tellStage() {
  try {
    await press("/api/stage", wishes());
  } catch (error) {
    troubles.order = error.message;
    draw();
  }
}

order.addEventListener("change", () => {
  showHint();
  void tellStage();
});

addEventListener("focus", () => hello && void lookForCamera());
navigator.mediaDevices?.addEventListener("devicechange", () => hello && void lookForCamera());
listen();
