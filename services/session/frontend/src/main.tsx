import { createRoot } from "react-dom/client";
import { Api } from "./api";
import { App } from "./app";
import { chooseLanguage, load } from "./languages";
import "./page.css";

const place = document.getElementById("program");
if (place) {
  const language = chooseLanguage(navigator.languages, new URLSearchParams(location.search).get("lang"));
  void load(language).then((texts) => {
    // What stands here for browsers without scripts is not needed any more.
    document.getElementById("plain")?.remove();
    createRoot(place).render(<App api={new Api(location.pathname)} first={{ language, texts }} />);
  });
}
