import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  root: here("."),
  plugins: [react()],
  // The hook and the generated API stand beside the page, not below it.
  server: { fs: { allow: [here("..")] } },
  build: { outDir: here("dist"), emptyOutDir: true },
});
