// JSON as coloured text, made of text nodes alone: nothing of a message is ever taken for HTML.

const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|\b(true|false|null)\b/g;

/** A <pre> of a value, or of a text that is no JSON as it is. */
export function json(value) {
  const pre = document.createElement("pre");
  pre.tabIndex = 0;
  const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    pre.append(text.slice(end, match.index));
    const kind = match[2] ? "name" : match[1] ? "text" : match[3] ? "number" : "word";
    pre.append(span(kind, match[1] ?? match[0]), match[2] ?? "");
    end = match.index + match[0].length;
  }
  pre.append(text.slice(end));
  return pre;
}

function span(kind, text) {
  const one = document.createElement("span");
  one.className = `json-${kind}`;
  one.textContent = text;
  return one;
}
