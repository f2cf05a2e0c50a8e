// A run on the page. Lists grow in place, so that what somebody has opened stays open.

import { json } from "./json.js";
import { STATES, STATIONS, WHO, spell, stations, timed } from "./story.js";

const $ = (id) => document.getElementById(id);

export function make(tag, options = {}, ...children) {
  const { text, ...rest } = options;
  const one = Object.assign(document.createElement(tag), rest);
  if (text !== undefined) one.textContent = text;
  one.append(...children);
  return one;
}

/** The list of runs, newest first; `choose` is told which one is pressed. */
export function showRuns(runs, chosen, choose) {
  const newest = [...runs.values()].reverse();
  $("runs").replaceChildren(...newest.map((run) => {
    const button = make("button", { type: "button", className: `chip ${mark(run)}` },
      make("span", { className: "dot" }), make("code", { text: run.id.slice(0, 8) }),
      make("span", { text: run.own && !run.elsewhere ? outcome(run) : `${outcome(run)} · asked elsewhere` }));
    button.setAttribute("aria-pressed", String(run.id === chosen));
    button.addEventListener("click", () => choose(run.id));
    return button;
  }));
}

function mark(run) {
  const ending = (run.answer || run.outcome).toLowerCase();
  return run.trouble ? "bad" : ending === "success" ? "good" : ending ? "bad" : "busy";
}

function outcome(run) {
  return run.answer || (run.outcome ? run.outcome.toUpperCase() : run.trouble ? "refused" : "running");
}

/** Everything of one run; `anew`: another run was shown before. */
export function showRun(run, anew) {
  $("empty").hidden = Boolean(run);
  $("run").hidden = !run;
  if (!run) return;
  if (anew) for (const list of ["events", "messages"]) $(list).replaceChildren();
  showWay(run);
  showStates(run);
  showEvents(run);
  showMessages(run);
}

function showWay(run) {
  const found = stations(run);
  const last = run.steps.at(-1)?.station;
  $("way").replaceChildren(...STATIONS.map(([name, does]) => {
    const newest = found.get(name);
    const now = name === last && !run.ended;
    return make("li", { className: newest ? (now ? "now" : "been") : "" },
      make("strong", { text: name }), make("span", { text: does }),
      make("time", { text: newest ? spell(newest.since) : "–" }));
  }));
}

function showStates(run) {
  const reached = STATES.indexOf(run.state);
  $("states").replaceChildren(...STATES.map((state, index) => {
    const item = make("li", { className: index <= reached ? "been" : "", text: state.replace("_", " ") });
    if (index === reached) item.setAttribute("aria-current", "step");
    return item;
  }));
  $("states").hidden = !run.own;
}

function showEvents(run) {
  const steps = timed(run);
  const list = $("events");
  const total = Math.max(1, steps.at(-1)?.since ?? 1);
  $("events-count").textContent = steps.length ? `${steps.length} steps in ${spell(total)}` : "";
  const there = new Map([...list.children].map((item) => [item.dataset.number, item]));
  steps.forEach((one, index) => {
    const item = there.get(String(one.number)) ?? eventItem(one);
    item.querySelector(".hop").textContent = index ? `+${spell(one.hop)}` : "";
    item.querySelector(".since").textContent = spell(one.since);
    item.querySelector(".again").textContent = one.repeats ? `announced ${one.repeats + 1} times, one id` : "";
    const bar = item.querySelector(".bar").style;
    bar.left = `${(100 * (one.since - one.hop)) / total}%`;
    bar.width = `max(2px, ${(100 * one.hop) / total}%)`;
    if (list.children[index] !== item) list.insertBefore(item, list.children[index] ?? null);
  });
}

function eventItem(one) {
  const line = [
    make("span", { className: `station is-${one.station}`, text: one.station }),
    make("span", { className: "name" }, make("strong", { text: one.name }), make("small", { text: one.detail }),
      make("small", { className: "again" })),
    make("span", { className: "times" }, make("span", { className: "hop" }), make("small", { className: "since" })),
    make("span", { className: "track" }, make("span", { className: "bar" })),
  ];
  const item = make("li");
  item.dataset.number = String(one.number);
  item.dataset.step = one.name;
  if (!one.event) {
    item.append(make("div", { className: "line" }, ...line));
    return item;
  }
  const { type, event_id: id, source, place, key, bytes, data } = one.event;
  const facts = { type, id, source, topic: place, key, bytes: `${bytes}` };
  item.append(make("details", {}, make("summary", { className: "line" }, ...line), definitions(facts),
    data === undefined ? make("p", { className: "hint", text: "Not asked for on this page: its data is not shown." })
      : json(data)));
  return item;
}

function definitions(facts) {
  const list = make("dl");
  for (const [name, value] of Object.entries(facts)) {
    if (value) list.append(make("dt", { text: name }), make("dd", { text: value }));
  }
  return list;
}

function showMessages(run) {
  const list = $("messages");
  $("messages-count").textContent = run.messages.length ? `${run.messages.length} on the wire` : "";
  run.messages.forEach((message, index) => {
    const item = list.children[index] ?? list.appendChild(messageItem(message));
    const status = index === 0 && run.inboxStatus ? { verified: run.inboxStatus === 200, status: run.inboxStatus } : null;
    item.querySelector(".at").textContent = arrival(run.arrivals[message.correlation] ?? status);
  });
}

function arrival(received) {
  if (!received) return "";
  return received.verified ? `arrived, answered ${received.status}` : `refused, answered ${received.status}`;
}

function messageItem(message) {
  const badge = message.verified ? "✓ verified" : "✗ not verified";
  const proof = message.verified
    ? `Hash fits the canonical form (RFC 8785); ${message.key_kind} signature fits the key at ${message.key_name}, which DNSSEC vouches for.`
    : message.problem;
  const details = make("details", { className: "card message" },
    make("summary", {},
      make("strong", { text: message.subject ?? "a message" }),
      make("span", { className: `badge ${message.verified ? "good" : "bad"}`, text: badge }),
      make("small", { text: `${message.from ?? "?"} → ${message.to ?? "?"}` }),
      make("small", { className: "at" })),
    make("p", { className: "proof", text: proof }),
    json(message.parsed ?? message.text),
    make("details", { className: "wire" }, make("summary", { text: `As it is on the wire, ${new Blob([message.text]).size} bytes` }),
      json(message.text)));
  details.dataset.subject = message.subject ?? "";
  return details;
}

/** The bank's side: what it was told. */
export function showResult(run) {
  const result = $("result");
  const [kind, text] = resultOf(run);
  result.className = `result ${kind}`;
  if (result.textContent !== text) result.textContent = text;
}

function resultOf(run) {
  if (!run?.own) return ["", ""];
  if (run.answer === "SUCCESS") return ["good", "SUCCESS. The bank has a signed answer: it is you."];
  if (run.answer === "FAILURE") return ["bad", "FAILURE. The bank has a signed answer; why, it is not told."];
  if (run.answer) return ["bad", `${run.answer}. No answer could be had: ask again.`];
  if (run.trouble) return ["bad", run.trouble];
  if (run.elsewhere && run.outcome) {
    return [run.outcome === "success" ? "good" : "bad", `${run.outcome}, says verdict.reached. This one was asked for elsewhere.`];
  }
  if (run.elsewhere) return ["busy", "Asked for elsewhere; the pop-up came to this phone."];
  return ["busy", `Waiting for the answer; ${WHO[run.who] ?? "somebody"} stands before the camera.`];
}
