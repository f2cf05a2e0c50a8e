import { FaceLivenessDetectorCore } from "@aws-amplify/ui-react-liveness";
import { useEffect, useRef } from "react";
import type { Session } from "./api";
import { deadlineSeconds, firstOnly, type Ending } from "./journey";
import type { Texts } from "./languages";
import "../node_modules/@aws-amplify/ui/dist/theme.css";
import "../node_modules/@aws-amplify/ui/dist/styles/base.css";
import "../node_modules/@aws-amplify/ui/dist/styles/button.css";
import "../node_modules/@aws-amplify/ui/dist/styles/flex.css";
import "../node_modules/@aws-amplify/ui/dist/styles/icon.css";
import "../node_modules/@aws-amplify/ui/dist/styles/loader.css";
import "../node_modules/@aws-amplify/ui/dist/styles/text.css";
import "../node_modules/@aws-amplify/ui/dist/styles/visuallyHidden.css";
import "../node_modules/@aws-amplify/ui/dist/styles/liveness.css";
import "./detector.css";

const WASM_VERSION = "4.11.0";
const CAMERA_ERRORS = ["CAMERA_ACCESS_ERROR", "CAMERA_FRAMERATE_ERROR", "DEFAULT_CAMERA_NOT_FOUND_ERROR"];

interface Props {
  session: Session;
  texts: Texts;
  onEnd: (ending: Ending) => void;
}

/** For support, beside the person: the page itself says the same of every cause. */
function note(why: string) {
  console.info(`The check came to no end: ${why}`);
}

/** The provider's own component, which films and streams; its first terminal event is the check's end. */
export default function Detector({ session, texts, onEnd }: Props) {
  // One for the life of the component, whatever is drawn again.
  const end = useRef(firstOnly(onEnd)).current;

  useEffect(() => {
    // With no face in view the component never reports anything.
    const timer = setTimeout(() => {
      note("DEADLINE");
      end("deadline");
    }, deadlineSeconds(session.seconds) * 1000);
    const offline = () => end("offline");
    window.addEventListener("offline", offline);
    return () => {
      clearTimeout(timer);
      window.removeEventListener("offline", offline);
    };
  }, [end, session]);

  return (
    <FaceLivenessDetectorCore
      sessionId={session.session_id}
      region={session.region}
      disableStartScreen
      displayText={texts.detector}
      onAnalysisComplete={async () => end("finished")}
      onUserCancel={() => end("cancelled")}
      onError={({ state }) => {
        note(state);
        end(CAMERA_ERRORS.includes(state) ? "camera" : "failed");
      }}
      // The page has a screen of its own for every end.
      components={{ ErrorView: () => null }}
      config={{
        credentialProvider: async () => ({
          ...session.credentials,
          expiration: new Date(session.credentials.expiration),
        }),
        ...(session.endpoint ? { endpointOverride: session.endpoint } : {}),
        faceModelUrl: `${location.origin}/face-model/model.json`,
        binaryPath: `${location.origin}/assets/tfjs-${WASM_VERSION}-`,
      }}
    />
  );
}
