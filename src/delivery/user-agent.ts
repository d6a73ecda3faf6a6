/** The name this exporter gives itself to collectors (OTLP exporter specification, "User Agent"). */
import { readFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
  version: string;
};

/** `runtime-evidence/VERSION`; the version is the package's. */
export const USER_AGENT = `runtime-evidence/${version}`;
