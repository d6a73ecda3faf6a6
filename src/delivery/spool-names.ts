/** The names of what is in a spool's directory. */

/** Where files go that can't be sent. */
export const DAMAGED_FOLDER = "damaged";

/** Far more than will ever be offered, and far from the last safe integer: numbers go on from the highest. */
const SEQUENCE_MAX = 9e15;

/** Sixteen digits hold every safe integer, so that the order of names is the order of numbers. */
export function requestFileName(sequence: number): string {
  return `${String(sequence).padStart(16, "0")}.request`;
}

/** A name of the directory, understood. */
export type SpoolName =
  | { readonly kind: "request"; readonly sequence: number }
  /** A file whose writing was never finished. */
  | { readonly kind: "temporary" }
  /** Says that a stream began and has not ended. */
  | { readonly kind: "stream"; readonly streamId: string }
  | { readonly kind: "unknown" };

/** What a name stands for; the lock's are unknown here. */
export function readSpoolName(name: string): SpoolName {
  if (/^\d{16}\.request\.tmp$/.test(name)) return { kind: "temporary" };
  const sequence = Number(/^(\d{16})\.request$/.exec(name)?.[1]);
  if (sequence <= SEQUENCE_MAX) return { kind: "request", sequence };
  const streamId = /^([0-9a-f]{1,64})\.stream$/.exec(name)?.[1];
  return streamId === undefined ? { kind: "unknown" } : { kind: "stream", streamId };
}

/** The name of the file that stands for a stream; `undefined` where the id is not hexadecimal. */
export function streamFileName(streamId: string): string | undefined {
  const name = `${streamId}.stream`;
  return readSpoolName(name).kind === "stream" ? name : undefined;
}
