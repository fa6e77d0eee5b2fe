/** The first sentence of an alert, as the subject of its mail; what stands in quotes, such as a title, may have full stops. */
export function firstSentence(text: string): string {
  return /^(?:"[^"]*"|[^"])*?[.?!](?=\s+\p{Lu}|$)/u.exec(text)?.[0].replace(/\.$/, '') ?? text;
}
