/** Text from the other side of a connection, made fit to show: one line, bounded, without our own secrets. */

const TEXT_LENGTH_MAX = 300;

/** Values shorter than this are not treated as secrets: replacing "1" everywhere would only garble the text. */
const SECRET_LENGTH_MIN = 4;

/**
 * @param secrets values that must never be shown, such as those of request headers; a server may echo them
 */
export function remoteText(text: string, secrets: readonly string[]): string {
  // Cut with room before replacing, so that a secret that spans the cut is still found as a whole.
  let clean = text.slice(0, 16 * TEXT_LENGTH_MAX);
  for (const secret of secrets) {
    if (secret.length >= SECRET_LENGTH_MIN) clean = clean.replaceAll(secret, "[redacted]");
  }
  clean = clean.replace(/[\s\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]+/gu, " ").trim();
  return clean.length > TEXT_LENGTH_MAX ? `${clean.slice(0, TEXT_LENGTH_MAX)}…` : clean;
}

/** The secret part of header values: the value itself, and the credential after a scheme such as `Bearer`. */
export function headerSecrets(headers: Iterable<readonly [name: string, value: string]>): string[] {
  const secrets = new Set<string>();
  for (const [, value] of headers) {
    secrets.add(value);
    const credential = /^[A-Za-z][\w-]* +(\S.*)$/.exec(value)?.[1];
    if (credential !== undefined) secrets.add(credential);
  }
  // Longest first: a secret that contains another is replaced as a whole.
  return [...secrets].sort((a, b) => b.length - a.length);
}

/** What we say and, where there is one, what the other side said about it. */
export function said(text: string, message: string | undefined): string {
  return message === undefined || message === "" ? text : `${text}: ${message}`;
}
