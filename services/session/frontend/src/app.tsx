import { lazy, Suspense, useCallback, useEffect, useRef, useState } from "react";
import { Api, BusyError, MovedOnError, NotYetError, OfflineError, type Facts, type Session } from "./api";
import { askForCamera, pageName, remembered } from "./browser";
import { cameraView, pollSeconds, viewOf, type Ending, type View } from "./journey";
import { LANGUAGES, load, type Texts } from "./languages";
import { Screen } from "./screens";

const loadDetector = () => import("./detector");
const Detector = lazy(loadDetector);
const PATIENCE_MILLISECONDS = 20_000;

interface Props {
  api: Api;
  first: { language: string; texts: Texts };
}

export function App({ api, first }: Props) {
  const [{ language, texts }, setLanguage] = useState(first);
  const [view, setView] = useState<View>("loading");
  const [facts, setFacts] = useState<Facts | null>(null);
  const [turnAt, setTurnAt] = useState(0);
  const [session, setSession] = useState<Session | null>(null);
  const seen = useRef<View>(view);
  const page = useRef(pageName()).current;
  const attempt = useRef(remembered.get());
  // Whoever gives up in line is not served any more.
  const leaveLine = useRef(() => {});
  // An end that the service has not heard of yet.
  const untold = useRef(0);

  const show = useCallback((next: View) => {
    seen.current = next;
    setView(next);
  }, []);

  const hear = useCallback(
    (news: Facts) => {
      setFacts(news);
      show(viewOf(news, seen.current));
    },
    [show],
  );

  /** Runs a call and turns its errors into screens; returns nothing then. */
  const trying = useCallback(
    async <T,>(call: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await call();
      } catch (error) {
        if (error instanceof OfflineError) show("offline");
        else if (error instanceof BusyError) show("busy");
        else if (error instanceof MovedOnError) hear(error.facts);
        else show("elsewhere");
        return undefined;
      }
    },
    [hear, show],
  );

  const tellEnd = useCallback(async () => {
    if (!untold.current) return;
    await api.ended(untold.current);
    untold.current = 0;
  }, [api]);

  const look = useCallback(
    () =>
      trying(async () => {
        let news = await api.state();
        const mine = news.screen === "check" && news.attempt === attempt.current;
        if (mine && seen.current === "loading" && new URLSearchParams(location.search).has("returned")) {
          // Back from the provider's own page: what came of it there, the service asks the provider.
          news = await api.finished(news.attempt);
        } else if (mine && seen.current === "loading") {
          // This tab was loaded again in the middle: its camera is gone, and so is the attempt.
          untold.current = news.attempt;
          show("not_done");
        }
        await tellEnd();
        if (news.screen === "check" && seen.current === "offline") show("not_done");
        hear(news);
      }),
    [api, hear, show, tellEnd, trying],
  );

  useEffect(() => void look(), [look]);

  useEffect(() => {
    const seconds = pollSeconds(view);
    if (seconds === null) return;
    const timer = setInterval(() => void look(), seconds * 1000);
    return () => clearInterval(timer);
  }, [view, look]);

  useEffect(() => {
    const left = facts?.seconds_left;
    if (left === undefined) return;
    const timer = setTimeout(() => void look(), (left + 1) * 1000);
    return () => clearTimeout(timer);
  }, [facts, look]);

  useEffect(() => {
    // A page that comes back out of the browser's memory has a dead camera.
    const back = (event: PageTransitionEvent) => event.persisted && location.reload();
    const online = () => seen.current === "offline" && void look();
    const offline = () => ["welcome", "ready", "not_done"].includes(seen.current) && show("offline");
    const leave = () => seen.current === "check" && void api.ended(attempt.current).catch(() => undefined);
    window.addEventListener("pageshow", back);
    window.addEventListener("online", online);
    window.addEventListener("offline", offline);
    window.addEventListener("pagehide", leave);
    return () => {
      window.removeEventListener("pageshow", back);
      window.removeEventListener("online", online);
      window.removeEventListener("offline", offline);
      window.removeEventListener("pagehide", leave);
    };
  }, [api, look, show]);

  const begin = async (lights: boolean) => {
    show("starting");
    const inLine = { left: false };
    leaveLine.current = () => (inLine.left = true);
    try {
      // Before the session is created: the provider's time does not run while somebody looks for a permission.
      if (facts?.films ?? true) await askForCamera();
    } catch (error) {
      show(cameraView(error));
      return;
    }
    const wish = { page, lights, consent: { version: facts?.consent_version ?? "", language } };
    let until = Date.now() + PATIENCE_MILLISECONDS;
    await trying(async () => {
      for (;;) {
        try {
          await tellEnd();
          const made = await api.begin(wish);
          attempt.current = made.attempt;
          remembered.set(made.attempt);
          if (made.redirect !== undefined) {
            show("leaving");
            location.assign(made.redirect);
            return;
          }
          setSession(made);
          show("check");
          return;
        } catch (error) {
          if (error instanceof NotYetError) {
            // The provider takes only so many a second; the place in line is kept by the service.
            setTurnAt(Date.now() + error.seconds * 1000);
            show("in_line");
            await new Promise((resolve) => setTimeout(resolve, error.askAgainSeconds * 1000));
            if (inLine.left) return;
            until = Date.now() + PATIENCE_MILLISECONDS;
            continue;
          }
          const mine = error instanceof MovedOnError && error.facts.screen === "check" && error.facts.attempt === attempt.current;
          const later = mine || error instanceof BusyError;
          if (!later || Date.now() > until) throw error;
          // The attempt before is still being ended, or the provider is busy: the person waits, and is told so.
          await new Promise((resolve) => setTimeout(resolve, error instanceof BusyError ? error.afterSeconds * 1000 : 400));
        }
      }
    });
  };

  const ended = async (ending: Ending) => {
    setSession(null);
    if (ending === "finished") {
      show("waiting");
      await trying(async () => hear(await api.finished(attempt.current)));
      return;
    }
    untold.current = attempt.current;
    show(ending === "offline" ? "offline" : ending === "camera" ? "camera_busy" : "not_done");
    if (ending !== "offline") await trying(tellEnd);
  };

  const answer = (given: string) => {
    show("waiting");
    return trying(async () => hear(await api.answer(given)));
  };

  const decline = () => {
    leaveLine.current();
    return trying(async () => {
      await tellEnd();
      await api.declined();
      show("declined");
    });
  };

  const speak = (next: string) => void load(next).then((loaded) => setLanguage({ language: next, texts: loaded }));

  return (
    <>
      <main>
        {view === "check" && session ? (
          <Suspense fallback={<p role="status">{texts.starting.body}</p>}>
            <h1 className="unseen">{texts.check.title}</h1>
            <Detector session={session} texts={texts} onEnd={(ending) => void ended(ending)} />
          </Suspense>
        ) : (
          <Screen
            view={view}
            texts={texts}
            facts={facts}
            turnAt={turnAt}
            onAgree={() => {
              void loadDetector();
              show("ready");
            }}
            onBack={() => show("welcome")}
            onReady={() => show("ready")}
            onBegin={(lights) => void begin(lights)}
            onAnswer={(given) => void answer(given)}
            onDecline={() => void decline()}
            onLook={() => void look()}
            onTakeOver={() => {
              untold.current = facts?.attempt ?? 0;
              attempt.current = facts?.attempt ?? 0;
              show("ready");
            }}
          />
        )}
      </main>
      {view !== "check" && (
        <footer>
          <label htmlFor="language">{texts.language}</label>
          <select id="language" value={language} onChange={(event) => speak(event.target.value)}>
            {Object.entries(LANGUAGES).map(([tag, name]) => (
              <option key={tag} value={tag} lang={tag}>
                {name}
              </option>
            ))}
          </select>
        </footer>
      )}
    </>
  );
}
