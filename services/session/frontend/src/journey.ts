import type { Facts } from "./api";

/** What is on the screen. */
export type View =
  | "loading"
  | "welcome"
  | "ready"
  | "starting"
  | "in_line"
  | "leaving"
  | "check"
  | "answer"
  | "waiting"
  | "done"
  | "not_done"
  | "no_tries"
  | "later"
  | "expired"
  | "camera_refused"
  | "camera_missing"
  | "camera_busy"
  | "offline"
  | "busy"
  | "declined"
  | "elsewhere"
  | "running_elsewhere";

/** How a check came to its end in the browser: only the first of these counts. */
export type Ending = "finished" | "cancelled" | "failed" | "camera" | "deadline" | "offline";

/** Where the page stands when it hears from the service; `seen` is what it shows now. */
export function viewOf(facts: Facts, seen: View = "loading"): View {
  switch (facts.screen) {
    case "start":
      // Somebody who reads, or decides, is not disturbed.
      if (["welcome", "ready", "in_line"].includes(seen) || seen.startsWith("camera_")) return seen;
      return facts.attempt > 0 ? "not_done" : "welcome";
    case "check":
      return seen === "check" || seen === "not_done" ? seen : "running_elsewhere";
    case "answer":
      return "answer";
    case "wait":
      return "waiting";
    case "finished":
      return seen === "declined" ? seen : "done";
    case "expired":
      return "expired";
    case "used_up":
      return "no_tries";
    case "later":
      return "later";
  }
}

/** Seconds until the page asks again by itself; null: it does not. */
export function pollSeconds(view: View): number | null {
  switch (view) {
    case "waiting":
    case "running_elsewhere":
      return 1;
    case "not_done":
    case "busy":
    case "offline":
      return 3;
    case "welcome":
    case "ready":
    case "answer":
      return 20;
    default:
      return null;
  }
}

/** What a person in line is told: at least one second, from ten on in steps of five. */
export function aboutSeconds(seconds: number): number {
  const whole = Math.max(1, Math.ceil(seconds));
  return whole < 10 ? whole : Math.ceil(whole / 5) * 5;
}

/** Lets only the first ending through: the component reports some twice. */
export function firstOnly<T>(take: (value: T) => void): (value: T) => void {
  let taken = false;
  return (value) => {
    if (taken) return;
    taken = true;
    take(value);
  };
}

/** Seconds that the page gives a check: within the attempt's own, so that it ends here and not at the provider. */
export function deadlineSeconds(attemptSeconds: number): number {
  return Math.max(1, attemptSeconds - 3);
}

/** Which screen a refused camera means; the names are getUserMedia's (Media Capture and Streams, W3C). */
export function cameraView(error: unknown): View {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "camera_refused";
  if (name === "NotFoundError" || name === "OverconstrainedError" || name === "TypeError") return "camera_missing";
  return "camera_busy";
}
