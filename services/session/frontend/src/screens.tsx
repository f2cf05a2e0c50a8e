import { useEffect, useRef, useState, type ReactNode } from "react";
import type { Facts } from "./api";
import { aboutSeconds, type View } from "./journey";
import { fill, type Texts } from "./languages";

interface Props {
  view: View;
  texts: Texts;
  facts: Facts | null;
  /** When the person's turn at the provider is, as `Date.now()` counts. */
  turnAt: number;
  onAgree: () => void;
  onBack: () => void;
  onReady: () => void;
  onBegin: (lights: boolean) => void;
  onAnswer: (answer: string) => void;
  onDecline: () => void;
  onLook: () => void;
  onTakeOver: () => void;
}

/** Every screen but the check itself. A new one takes the focus by its heading, so that it is read out. */
export function Screen(props: Props) {
  const { view, texts, facts } = props;
  const asker = facts?.requester || texts.this_service;
  const again = <Button primary onClick={props.onReady}>{texts.try_again}</Button>;
  const decline = <Button onClick={props.onDecline}>{texts.give_up}</Button>;
  switch (view) {
    case "welcome":
      return (
        <Page view={view} title={texts.welcome.title}>
          <p>{fill(texts.welcome.asks, { asker })}</p>
          {facts?.purpose && <p className="purpose">{fill(texts.welcome.purpose, { purpose: facts.purpose })}</p>}
          <h2>{texts.welcome.video}</h2>
          <ul>
            {texts.welcome.points.map((point) => (
              <li key={point}>{fill(point, { asker })}</li>
            ))}
          </ul>
          <Button primary onClick={props.onAgree}>{texts.welcome.agree}</Button>
          <Button onClick={props.onDecline}>{texts.welcome.decline}</Button>
        </Page>
      );
    case "ready":
      return <Ready {...props} />;
    case "not_done":
      return (
        <Page view={view} title={texts.not_done.title}>
          <p>{texts.not_done.body}</p>
          {again}
          {decline}
        </Page>
      );
    case "camera_refused":
    case "camera_missing":
    case "camera_busy":
      return (
        <Page view={view} title={texts[view].title}>
          <p>{texts[view].body}</p>
          {again}
          {decline}
        </Page>
      );
    case "running_elsewhere":
      return (
        <Page view={view} title={texts.running_elsewhere.title}>
          <p>{texts.running_elsewhere.body}</p>
          <Button onClick={props.onTakeOver}>{texts.running_elsewhere.here}</Button>
        </Page>
      );
    case "answer":
      return <Answer key={facts?.asks} {...props} />;
    case "in_line":
      return <InLine {...props} />;
    case "offline":
    case "busy":
      return (
        <Page view={view} title={texts[view].title}>
          <p role="status">{texts[view].body}</p>
          <Button primary onClick={props.onLook}>{texts.try_again}</Button>
        </Page>
      );
    case "done":
      return (
        <Page view={view} title={texts.done.title}>
          <p>{fill(texts.done.body, { asker })}</p>
        </Page>
      );
    case "loading":
    case "starting":
    case "leaving":
    case "waiting":
    case "check": {
      const { title, body } = view === "check" ? texts.starting : texts[view];
      return (
        <Page view={view} title={title}>
          <p role="status" className="working">{body}</p>
        </Page>
      );
    }
    case "expired":
    case "no_tries":
    case "later":
    case "declined":
    case "elsewhere":
      return (
        <Page view={view} title={texts[view].title}>
          <p>{texts[view].body}</p>
        </Page>
      );
  }
}

function Ready({ texts, facts, onBegin, onBack }: Props) {
  const [still, setStill] = useState(false);
  return (
    <Page view="ready" title={texts.ready.title}>
      <ul className="tips">
        {texts.ready.tips.map((tip) => (
          <li key={tip}>{tip}</li>
        ))}
      </ul>
      <section className="warning" aria-labelledby="lights">
        <h2 id="lights">{texts.ready.lights}</h2>
        <p>{texts.ready.warning}</p>
        {facts?.lights_optional && (
          <label className="choice">
            <input type="checkbox" checked={still} onChange={(event) => setStill(event.target.checked)} />
            <span>{texts.ready.without}</span>
          </label>
        )}
      </section>
      <Button primary onClick={() => onBegin(!still)}>{texts.ready.begin}</Button>
      <Button onClick={onBack}>{texts.back}</Button>
    </Page>
  );
}

/** What is asked besides the check; it says nothing of how that went. */
function Answer({ texts, facts, onAnswer, onDecline }: Props) {
  const [given, setGiven] = useState("");
  const [factor, question] = (facts?.asks ?? "").split(" ");
  const questions: Record<string, string> = texts.answer.questions;
  const code = factor === "code";
  return (
    <Page view="answer" title={texts.answer.title}>
      {facts?.asked_again && <p role="alert">{texts.answer.wrong}</p>}
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (given.trim()) onAnswer(given.trim());
        }}
      >
        <label htmlFor="given">{code ? texts.answer.code : (questions[question ?? ""] ?? question)}</label>
        <input
          id="given"
          required
          maxLength={200}
          value={given}
          inputMode={code ? "numeric" : "text"}
          autoComplete={code ? "one-time-code" : "off"}
          onChange={(event) => setGiven(event.target.value)}
        />
        <button type="submit" className="primary">{texts.answer.go_on}</button>
      </form>
      <Button onClick={onDecline}>{texts.give_up}</Button>
    </Page>
  );
}

/** Counts down in steps that a screen reader can keep up with. */
function InLine({ texts, turnAt, onDecline }: Props) {
  const [, draw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => draw((times) => times + 1), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <Page view="in_line" title={texts.in_line.title}>
      <p role="status" className="working">
        {fill(texts.in_line.body, { seconds: String(aboutSeconds((turnAt - Date.now()) / 1000)) })}
      </p>
      <p>{texts.in_line.keep}</p>
      <Button onClick={onDecline}>{texts.give_up}</Button>
    </Page>
  );
}

function Page({ view, title, children }: { view: View; title: string; children: ReactNode }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = title;
    if (view !== "loading") heading.current?.focus();
  }, [view, title]);
  return (
    <article data-screen={view}>
      <h1 ref={heading} tabIndex={-1}>{title}</h1>
      {children}
    </article>
  );
}

function Button({ primary = false, onClick, children }: { primary?: boolean; onClick: () => void; children: ReactNode }) {
  return (
    <button type="button" className={primary ? "primary" : "secondary"} onClick={onClick}>
      {children}
    </button>
  );
}
