/**
 * The version of this package, from package.json, which is two folders above both `src/evidence` and
 * `dist/evidence`.
 */
import { readFileSync } from "node:fs";

const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

export const VERSION: string = manifest.version;
