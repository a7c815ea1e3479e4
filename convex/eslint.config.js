import convexPlugin from "@convex-dev/eslint-plugin";
import reactHooks from "eslint-plugin-react-hooks";
import tseslint from "typescript-eslint";

const [convexRecommended] = convexPlugin.configs.recommended;

export default tseslint.config(
  { ignores: ["convex/_generated", "**/dist", "node_modules"] },
  ...tseslint.configs.strict,
  {
    rules: {
      "@typescript-eslint/no-unused-vars": [
        "error",
        { argsIgnorePattern: "^_", ignoreRestSiblings: true },
      ],
    },
  },
  { ...convexRecommended, files: ["convex/**/*.ts"] },
  { ...reactHooks.configs.flat.recommended, files: ["react/**", "demo/**", "tests/hook*"] },
);
