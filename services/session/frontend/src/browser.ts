/** A name for this loaded page, by chance: 128 bits. */
export function pageName(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const KEY = `scan:${location.pathname}`;

/** Which attempt this tab began; survives a reload, and no other tab sees it. */
export const remembered = {
  get(): number {
    try {
      return Number(sessionStorage.getItem(KEY)) || 0;
    } catch {
      return 0; // storage is switched off
    }
  },
  set(attempt: number): void {
    try {
      sessionStorage.setItem(KEY, String(attempt));
    } catch {
      return;
    }
  },
};

/** Asks for the camera and lets it go again. Throws getUserMedia's errors. */
export async function askForCamera(): Promise<void> {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" }, audio: false });
  for (const track of stream.getTracks()) track.stop();
}
