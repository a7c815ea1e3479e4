import { ConvexProvider, ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { Broken } from "./Broken";
import "./style.css";

const convexUrl = import.meta.env.VITE_CONVEX_URL || "http://127.0.0.1:3210";
const transcriberUrl = import.meta.env.VITE_TRANSCRIBER_URL || "http://127.0.0.1:8000";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no element with the id root.");

createRoot(root).render(
  <StrictMode>
    <Broken>
      <ConvexProvider client={new ConvexReactClient(convexUrl)}>
        <App apiUrl={transcriberUrl} />
      </ConvexProvider>
    </Broken>
  </StrictMode>,
);
