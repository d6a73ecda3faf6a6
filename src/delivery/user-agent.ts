/** The name this exporter gives itself to collectors (OTLP exporter specification, "User Agent"). */
import { packageVersion } from "../otlp/resource.ts";

/** `runtime-evidence/VERSION`; the version is the package's. */
export const USER_AGENT = `runtime-evidence/${packageVersion}`;
