import type english from "./en.json";

export type Texts = typeof english;

const FILES = import.meta.glob<Texts>("./*.json", { import: "default" });

/** The languages that the page speaks, by their own names. */
export const LANGUAGES: Record<string, string> = {
  en: "English",
  de: "Deutsch",
  es: "Español",
  fr: "Français",
  pt: "Português",
  ar: "العربية",
};

/** The first wanted language that there is, else English; `asked` comes before the browser's own. */
export function chooseLanguage(wanted: readonly string[], asked: string | null = null): string {
  for (const tag of [...(asked ? [asked] : []), ...wanted]) {
    const language = tag.toLowerCase().split("-")[0] ?? "";
    if (Object.keys(LANGUAGES).includes(language)) return language;
  }
  return "en";
}

export async function load(language: string): Promise<Texts> {
  const file = FILES[`./${language}.json`];
  if (!file) throw new Error(`no language ${language}`);
  const texts = await file();
  document.documentElement.lang = language;
  document.documentElement.dir = texts.direction;
  return texts;
}

/** Replaces {name} in a text. */
export function fill(text: string, values: Record<string, string>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole);
}
