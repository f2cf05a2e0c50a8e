// After the build: the detector's WebAssembly beside the program, every file a second time compressed, and the licences
// of all that is in it.
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const assets = "../static/assets";
const wasm = "node_modules/@tensorflow/tfjs-backend-wasm";
const { version } = JSON.parse(readFileSync(join(wasm, "package.json"), "utf8"));
const expected = /WASM_VERSION = "([^"]+)"/.exec(readFileSync("src/detector.tsx", "utf8"))?.[1];
if (version !== expected) throw new Error(`src/detector.tsx names tfjs-backend-wasm ${expected}, installed is ${version}`);
for (const name of readdirSync(join(wasm, "dist")).filter((file) => file.endsWith(".wasm")))
  copyFileSync(join(wasm, "dist", name), join(assets, `tfjs-${version}-${name}`));

const texts = new Map();
const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8"));
for (const [path, facts] of Object.entries(packages)) {
  if (!path || facts.dev || !existsSync(path)) continue;
  const file = readdirSync(path).find((name) => /^(licen[cs]e|copying)/i.test(name));
  const text = file ? readFileSync(join(path, file), "utf8").trim() : `Licence: ${facts.license ?? "see the package"}`;
  texts.set(text, [...(texts.get(text) ?? []), `${path.replace(/^.*node_modules\//, "")} ${facts.version}`]);
}
const licences = [...texts].map(([text, names]) => `${names.join("\n")}\n\n${text}\n`).join(`\n${"-".repeat(80)}\n\n`);
writeFileSync(join(assets, "licences.txt"), licences);

for (const name of readdirSync(assets).filter((file) => /\.(js|css|wasm|txt)$/.test(file)))
  writeFileSync(join(assets, `${name}.gz`), gzipSync(readFileSync(join(assets, name)), { level: 9 }));
