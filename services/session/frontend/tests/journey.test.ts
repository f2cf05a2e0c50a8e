import { describe, expect, it } from "vitest";
import type { Facts } from "../src/api";
import { aboutSeconds, cameraView, deadlineSeconds, firstOnly, pollSeconds, viewOf, type View } from "../src/journey";

const facts = (screen: Facts["screen"], attempt = 0): Facts => ({
  screen,
  attempt,
  tries_left: 3,
  seconds_left: 600,
  requester: "shop.example",
  purpose: "",
  asks: "",
  asked_again: false,
  lights_optional: true,
  films: true,
  consent_version: "1",
  form_token: "f",
});

describe("where the page stands", () => {
  it("begins with who asks, and after a try with the next one", () => {
    expect(viewOf(facts("start"))).toBe("welcome");
    expect(viewOf(facts("start", 1))).toBe("not_done");
  });

  it("does not disturb somebody who reads or decides", () => {
    for (const seen of ["welcome", "ready", "camera_refused"] as View[])
      expect(viewOf(facts("start", 1), seen)).toBe(seen);
  });

  it("says that another window runs the check, unless it runs here", () => {
    expect(viewOf(facts("check", 1))).toBe("running_elsewhere");
    expect(viewOf(facts("check", 1), "check")).toBe("check");
  });

  it("shows one end for every outcome, and what the person did themselves", () => {
    expect(viewOf(facts("finished"), "waiting")).toBe("done");
    expect(viewOf(facts("finished"), "declined")).toBe("declined");
    expect(viewOf(facts("expired"), "ready")).toBe("expired");
    expect(viewOf(facts("used_up"), "not_done")).toBe("no_tries");
    expect(viewOf(facts("later"), "ready")).toBe("later");
  });

  it("shows what is asked besides the check as often as it is asked", () => {
    expect(viewOf(facts("answer", 1), "waiting")).toBe("answer");
    expect(viewOf(facts("answer", 1), "answer")).toBe("answer");
  });

  it("asks again where something can change, and never while it films", () => {
    expect(pollSeconds("waiting")).toBe(1);
    expect(pollSeconds("check")).toBeNull();
    expect(pollSeconds("done")).toBeNull();
  });
});

describe("the end of a check", () => {
  it("is the first that is reported, however many come", () => {
    const heard: string[] = [];
    const end = firstOnly<string>((ending) => heard.push(ending));
    for (const ending of ["failed", "failed", "finished"]) end(ending);
    expect(heard).toEqual(["failed"]);
  });

  it("comes on this page before it comes at the provider", () => {
    expect(deadlineSeconds(165)).toBe(162);
    expect(deadlineSeconds(0)).toBe(1);
  });
});

describe("a place in line", () => {
  it("is told in whole seconds, from ten on in steps of five, and never as nothing", () => {
    expect([-3, 0, 0.2, 9, 9.1, 10, 11, 39.5].map(aboutSeconds)).toEqual([1, 1, 1, 9, 10, 10, 15, 40]);
  });
});

describe("a camera that does not come", () => {
  it.each([
    ["NotAllowedError", "camera_refused"],
    ["SecurityError", "camera_refused"],
    ["NotFoundError", "camera_missing"],
    ["TypeError", "camera_missing"],
    ["NotReadableError", "camera_busy"],
    ["AbortError", "camera_busy"],
  ])("%s means %s", (name, view) => {
    expect(cameraView(Object.assign(new Error(), { name }))).toBe(view);
  });
});
