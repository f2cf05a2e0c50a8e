// Whether this browser can film for the scan page, and if not, why, as a person would want to hear it.

/** {can, hint, link}: `hello` is what the server says of the system. */
export async function ownCamera(hello) {
  if (!hello.films) {
    return { can: false, hint: "Your own camera needs the scan page’s program: make page, with Node 18.19 or newer." };
  }
  const devices = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
  if (!devices.some((device) => device.kind === "videoinput")) {
    return { can: false, hint: "This browser has no camera. The stand-in’s serves: it films without one." };
  }
  try {
    await fetch(`${hello.streaming}/`, { mode: "no-cors", cache: "no-store" });
  } catch {
    const hint = "Before your own camera can be used, let your browser take the stand-in’s certificate, once:";
    return { can: false, hint, link: `${hello.streaming}/` };
  }
  return { can: true, hint: "Your video stays on this machine. The stand-in recognises nobody: it sees who you choose above." };
}

export const STAND_IN = "No video: the scan page runs as plain HTML, and the stand-in films by itself.";
