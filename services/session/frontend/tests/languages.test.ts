import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { chooseLanguage, fill, LANGUAGES } from "../src/languages";

const folder = new URL("../src/languages/", import.meta.url);
const read = (tag: string): unknown => JSON.parse(readFileSync(new URL(`${tag}.json`, folder), "utf8"));

/** The paths of all texts with what they let be filled in. */
function shape(value: unknown, path = ""): string[] {
  if (typeof value === "string") return [`${path} ${[...new Set(value.match(/\{\w+\}/g) ?? [])].sort().join()}`];
  return Object.entries(value as object).flatMap(([name, inner]) => shape(inner, `${path}.${name}`));
}

describe("the languages", () => {
  it("have one file each", () => {
    const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
    expect(files.map((name) => name.replace(".json", "")).sort()).toEqual(Object.keys(LANGUAGES).sort());
  });

  it.each(Object.keys(LANGUAGES))("%s says all that English says", (tag) => {
    expect(shape(read(tag)).sort()).toEqual(shape(read("en")).sort());
    expect(shape(read(tag)).length).toBeGreaterThan(70);
    expect(JSON.stringify(read(tag))).not.toContain('""');
  });
});

describe("choosing a language", () => {
  it("takes the first that there is, whatever its region and case", () => {
    expect(chooseLanguage(["zu", "pt-BR", "en"])).toBe("pt");
    expect(chooseLanguage(["AR-eg"])).toBe("ar");
    expect(chooseLanguage(["zu"])).toBe("en");
    expect(chooseLanguage(["de"], "fr")).toBe("fr");
    expect(chooseLanguage([], "toString")).toBe("en");
  });
});

it("fills a text and leaves what it does not know", () => {
  expect(fill("{asker} asks {x}", { asker: "a.example" })).toBe("a.example asks {x}");
});
