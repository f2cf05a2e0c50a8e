// The wallet's pop-up: the scan page in a frame, opened and closed when the signed messages say so and never else.

import { make } from "./show.js";

const screen = document.getElementById("screen");
const state = document.getElementById("phone-state");
let shown = "";
let looked = 0;

// A frame without scripts does not refresh itself either: after "I am done" the page is fetched again, as it asks for.
const AGAIN_MILLISECONDS = [2500, 6000];

function lookAgain(run) {
  const done = run.steps.filter((one) => one.name === "capture.completed").length;
  if (!run.byStandIn || done <= looked) return;
  looked = done;
  for (const wait of AGAIN_MILLISECONDS) {
    setTimeout(() => {
      const frame = screen.querySelector("iframe");
      if (frame && shown === run.url && looked === done) frame.src = run.url;
    }, wait);
  }
}

export function showPhone(run) {
  if (run?.own && run.popup === "open") lookAgain(run);
  const wanted = !run?.own ? "idle" : run.popup === "open" ? run.url : run.popup || "waiting";
  if (wanted === shown) return;
  shown = wanted;
  looked = 0;
  if (run?.own && run.popup === "open") {
    state.textContent = "pop-up open";
    const frame = make("iframe", { title: "The scan page, in the wallet", className: "page" });
    if (run.byStandIn) frame.sandbox = "allow-forms allow-same-origin"; // no scripts: the page as plain HTML
    else frame.allow = "camera";
    frame.src = run.url;
    screen.replaceChildren(frame);
    return;
  }
  const says = {
    idle: ["idle", "A wallet. Nothing asks for it."],
    waiting: ["idle", "The signed message that opens the pop-up is on its way."],
    closed: ["closed", "ClosePopup@Wallet came: the wallet has closed the page. What came of it, only the bank is told."],
  }[wanted];
  state.textContent = says[0];
  screen.replaceChildren(make("p", { className: "rest", text: says[1] }));
}
