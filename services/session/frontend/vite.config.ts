import { defineConfig } from "vite";

export default defineConfig({
  // The document is the session service's: only the program and its styles are built, named by their contents.
  define: { global: "globalThis" },
  esbuild: { jsx: "automatic", legalComments: "none" },
  build: {
    outDir: "../static",
    emptyOutDir: true,
    manifest: true,
    target: "es2020",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 2000,
    reportCompressedSize: false,
    rollupOptions: { input: "src/main.tsx" },
  },
});
