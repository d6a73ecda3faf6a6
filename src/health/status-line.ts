/**
 * The one line that a long job rewrites on a terminal. Quiet when the stream is no terminal.
 */
import type { WriteStream } from "node:tty";

const PERIOD_MS = 500;
const ERASE_LINE = "\r\u001b[2K";

/** A status line in place; other text on the same stream goes through `print` so that the two don't mix. */
export interface StatusLine {
  /** Writes whole lines above the status. */
  print(text: string): void;
  /** Removes the line and stops. */
  end(): void;
}

/** Shows `render()` twice a second until ended. */
export function startStatusLine(
  stream: NodeJS.WritableStream & Partial<Pick<WriteStream, "isTTY" | "columns">>,
  render: () => string,
): StatusLine {
  if (stream.isTTY !== true) return { print: (text) => void stream.write(`${text}\n`), end: () => {} };
  let ended = false;
  const draw = () => ended || stream.write(`${ERASE_LINE}${render().slice(0, (stream.columns || 80) - 1)}`);
  const timer = setInterval(draw, PERIOD_MS);
  timer.unref();
  return {
    print: (text) => {
      stream.write(`${ERASE_LINE}${text}\n`);
      draw();
    },
    end: () => {
      if (ended) return;
      ended = true;
      clearInterval(timer);
      stream.write(ERASE_LINE);
    },
  };
}

/** `1234567` as `1,234,567`. */
export function grouped(count: number | bigint): string {
  // toLocaleString loads the data of all locales first, which takes longer than to convert 10,000 records.
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}
