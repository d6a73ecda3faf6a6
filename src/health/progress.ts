/**
 * How far a long job is, as one line for people: a bar, bytes, records, rate and the time left.
 */
import { grouped } from "./status-line.ts";

const BAR_CHARACTERS = 10;
const SIZE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB"] as const;

/** What is known now. */
export interface ProgressState {
  readonly bytesRead: number;
  /** Undefined where it is not known: then there is no bar and no time left. */
  readonly bytesTotal: number | undefined;
  readonly records: number;
}

/** The line for `state`, `elapsedMs` after the start. The rate is that of the whole job so far. */
export function progressText({ bytesRead, bytesTotal, records }: ProgressState, elapsedMs: number): string {
  const perSecond = Math.round((records * 1000) / Math.max(1, elapsedMs));
  const counts = `${grouped(records)} records · ${grouped(perSecond)}/s`;
  if (bytesTotal === undefined || bytesTotal === 0) return `${sizeText(bytesRead)} · ${counts}`;
  // A file may grow while it is read.
  const share = Math.min(1, bytesRead / bytesTotal);
  const done = Math.round(share * BAR_CHARACTERS);
  const bar = `[${"=".repeat(done)}${" ".repeat(BAR_CHARACTERS - done)}]`;
  const bytes = `${Math.floor(share * 100)} % of ${sizeText(bytesTotal)}`;
  const left = share === 0 ? "" : ` · ${durationText((elapsedMs * (1 - share)) / share)} left`;
  return `${bar} ${bytes} · ${counts}${left}`;
}

/** `12.4 MiB`. */
export function sizeText(byteCount: number): string {
  let size = byteCount;
  let unit = 0;
  while (size >= 1024 && unit < SIZE_UNITS.length - 1) {
    size /= 1024;
    unit++;
  }
  return `${unit === 0 ? size : size.toFixed(1)} ${SIZE_UNITS[unit]}`;
}

/** `45 s`, `3 min 20 s`, `2 h 5 min`. */
export function durationText(durationMs: number): string {
  const seconds = Math.ceil(durationMs / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${grouped(Math.floor(minutes / 60))} h ${minutes % 60} min`;
}
