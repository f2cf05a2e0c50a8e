// What the facts of the ledger come to, one run for each verification. Pure: no page, no clock.

export const STATIONS = [
  ["bank", "asks, signed"],
  ["door", "verifies, appends"],
  ["router", "claims, routes"],
  ["session", "pop-up, page"],
  ["signer", "signs"],
  ["sender", "delivers"],
  ["wallet", "opens, films"],
  ["verdict", "fetches, decides"],
  ["answer", "signed, at the bank"],
];

export const STATES = ["requested", "prompted", "opened", "session_created", "captured", "decided", "announced"];

const LATE_MS = 60_000;

/** A run: steps in the order of time, messages, and where it stands. */
export function newRun(id) {
  return {
    id, begun: null, own: false, elsewhere: false, byStandIn: false, who: "", steps: [], messages: [], arrivals: {}, states: {}, state: "", url: "", inboxStatus: 0,
    popup: "", requester: "", outcome: "", answer: null, trouble: "", ended: false,
  };
}

/** Takes one fact into its run; says whether anything is to be shown anew. */
export function take(runs, fact) {
  if (!fact.id) return false;
  if (!runs.has(fact.id)) runs.set(fact.id, newRun(fact.id));
  const run = runs.get(fact.id);
  if (run.begun === null || fact.at < run.begun) run.begun = fact.at;
  const takes = TAKES[fact.kind];
  if (takes) takes(run, fact);
  return Boolean(takes);
}

const TAKES = {
  asked(run, fact) {
    Object.assign(run, { own: true, byStandIn: fact.by_stand_in, who: fact.who });
    step(run, fact, "bank", "VerifyLocator@Identity", `${fact.bank} signs and posts`);
  },
  adopted(run, fact) {
    Object.assign(run, { own: true, elsewhere: true, byStandIn: fact.by_stand_in, who: fact.who });
  },
  answered(run, fact) {
    const milliseconds = Math.round(fact.seconds * 1000);
    step(run, fact, "bank", `${fact.status} from the inbox`, `after ${milliseconds} ms`);
    run.inboxStatus = fact.status;
    if (fact.status !== 200) Object.assign(run, { trouble: `the inbox answered ${fact.status}`, ended: true });
  },
  stage(run, fact) {
    run.who = fact.who;
  },
  event(run, fact) {
    // What was announced before may be announced again, after a reload or a restart: by the same id, as one step.
    const before = run.steps.find((one) => one.event?.event_id === fact.event_id);
    if (before) {
      before.repeats += 1;
      return;
    }
    step(run, fact, fact.station, fact.step, fact.detail + (fact.to ? ` → ${fact.to}` : ""), fact);
    if (fact.step === "verdict.reached") Object.assign(run, { outcome: fact.detail, ended: run.ended || run.elsewhere });
  },
  filmed(run, fact) {
    step(run, fact, "wallet", "camera", `the stand-in saw ${WHO[fact.who] ?? fact.who}`);
  },
  received(run, fact) {
    const verdict = fact.verified ? "signature verified" : fact.problem;
    const name = fact.peer === "bank.example" ? "answer" : "wallet";
    step(run, fact, name, fact.subject, `at ${fact.peer}: ${verdict}`);
    run.arrivals[fact.correlation] = fact;
    if (name === "answer" && fact.verified) Object.assign(run, { answer: fact.result, ended: true });
  },
  popup(run, fact) {
    if (fact.open) Object.assign(run, { url: fact.url, popup: "open", requester: fact.requester });
    else run.popup = "closed";
  },
  message(run, fact) {
    let parsed = null;
    try {
      parsed = JSON.parse(fact.text);
    } catch {
      // It is shown as it is, with the problem that the second opinion names.
    }
    run.messages.push({ ...fact, parsed, correlation: parsed?.Header?.Correlation ?? "" });
  },
  state(run, fact) {
    run.states[fact.state] = fact.at;
    run.state = fact.state;
  },
  trouble(run, fact) {
    run.trouble = fact.text;
  },
};

export const WHO = { person: "the person", stranger: "a wrong person", spoof: "a spoof", nobody: "nobody" };

function step(run, fact, station, name, detail, event = null) {
  const one = { at: fact.at, number: fact.number, station, name, detail, event, repeats: 0 };
  const later = run.steps.findIndex((other) => other.at > fact.at);
  if (later < 0) run.steps.push(one);
  else run.steps.splice(later, 0, one);
}

/** Each step with its milliseconds since the beginning and since the step before. */
export function timed(run) {
  let before = run.begun;
  return run.steps.map((one) => {
    const timing = { since: (one.at - run.begun) * 1000, hop: Math.max(0, (one.at - before) * 1000) };
    before = one.at;
    return { ...one, ...timing };
  });
}

/** For each station: how many steps, and when the newest was, in milliseconds. */
export function stations(run) {
  const found = new Map(STATIONS.map(([name]) => [name, null]));
  for (const one of timed(run)) if (found.has(one.station)) found.set(one.station, one);
  return found;
}

/** Milliseconds as a person reads them. */
export function spell(milliseconds) {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < LATE_MS) return `${(milliseconds / 1000).toFixed(2)} s`;
  return `${Math.floor(milliseconds / LATE_MS)} min ${Math.round((milliseconds % LATE_MS) / 1000)} s`;
}
