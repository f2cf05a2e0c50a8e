/** What the session service knows of this verification and lets the page know. */
export interface Facts {
  screen: "start" | "check" | "answer" | "wait" | "finished" | "expired" | "used_up" | "later";
  attempt: number;
  tries_left: number;
  seconds_left: number;
  requester: string;
  purpose: string;
  /** What is asked besides the check: "code", "question" and which, or nothing. */
  asks: string;
  asked_again: boolean;
  lights_optional: boolean;
  /** Whether this page films; else a page of the provider's does, and the browser comes back. */
  films: boolean;
  consent_version: string;
  form_token: string;
}

/** The attempt is filmed on a page of the provider's. */
export interface Elsewhere {
  attempt: number;
  seconds: number;
  redirect: string;
}

/** One attempt: the provider's session, for how many seconds, and what the browser streams with. */
export interface Session {
  attempt: number;
  redirect?: undefined;
  session_id: string;
  seconds: number;
  region: string;
  endpoint: string | null;
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken: string; expiration: string };
}

export interface Wish {
  page: string;
  lights: boolean;
  consent: { version: string; language: string };
}

/** Thrown when the service cannot be reached. */
export class OfflineError extends Error {}

/** Thrown when a part is away for now; `afterSeconds` is when to ask again. */
export class BusyError extends Error {
  constructor(readonly afterSeconds: number) {
    super("busy");
  }
}

/** Thrown when others are before this person, whose place is kept: their turn is in about so many seconds. */
export class NotYetError extends Error {
  constructor(
    readonly seconds: number,
    readonly askAgainSeconds: number,
  ) {
    super("not yet");
  }
}

/** Thrown when the verification does not stand where the page believed; `facts` is where it stands. */
export class MovedOnError extends Error {
  constructor(readonly facts: Facts) {
    super("moved on");
  }
}

/** Thrown when this browser is not, or no longer, let in. */
export class RefusedError extends Error {}

const TIMEOUT_MILLISECONDS = 15_000;

export class Api {
  private formToken = "";

  constructor(private readonly base: string) {}

  state(): Promise<Facts> {
    return this.facts("GET", "state");
  }

  begin(wish: Wish): Promise<Session | Elsewhere> {
    return this.call<Session | Elsewhere>("POST", "attempt", wish);
  }

  finished(attempt: number): Promise<Facts> {
    return this.facts("POST", "finished", { attempt });
  }

  ended(attempt: number): Promise<Facts> {
    return this.facts("POST", "ended", { attempt });
  }

  answer(answer: string): Promise<Facts> {
    return this.facts("POST", "answer", { answer });
  }

  declined(): Promise<Facts> {
    return this.facts("POST", "declined", {});
  }

  private async facts(method: string, path: string, body?: object): Promise<Facts> {
    const facts = await this.call<Facts>(method, path, body);
    this.formToken = facts.form_token;
    return facts;
  }

  private async call<T>(method: string, path: string, body?: object): Promise<T> {
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), TIMEOUT_MILLISECONDS);
    let answer: Response;
    let content: unknown;
    try {
      answer = await fetch(`${this.base}/${path}`, {
        method,
        cache: "no-store",
        credentials: "same-origin",
        // It is to arrive even when the window is being closed.
        keepalive: method === "POST",
        signal: abort.signal,
        headers: { accept: "application/json", "x-form-token": this.formToken },
        ...(body ? { body: JSON.stringify(body) } : {}),
      });
      content = await answer.json();
    } catch {
      throw new OfflineError("no answer");
    } finally {
      clearTimeout(timer);
    }
    if (answer.status === 202) {
      const line = content as { wait_seconds: number; ask_again_seconds: number };
      throw new NotYetError(line.wait_seconds, line.ask_again_seconds);
    }
    if (answer.ok) return content as T;
    if (answer.status === 409) throw new MovedOnError(content as Facts);
    if (answer.status === 503) throw new BusyError((content as { after_seconds?: number }).after_seconds ?? 3);
    throw new RefusedError((content as { error?: string }).error ?? String(answer.status));
  }
}
