const plainText = /^[ !#-[\]-~]*$/;

/** JSON of a string. Most are in JSON what they are, which is faster to see than to write anew. */
export function jsonString(text: string): string {
  return plainText.test(text) ? `"${text}"` : JSON.stringify(text);
}
