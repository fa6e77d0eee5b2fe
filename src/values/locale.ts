/**
 * A language as BCP 47 writes it: `de`, `pt-BR`, `zh-Hant-TW`, also with the underscores of POSIX and Java (`de_AT`). Null
 * for a text that is none; the name of a language in words is none.
 */
export function canonicalLocale(text: string): string | null {
  // Longer first parts are allowed by the grammar, and no language has one.
  if (!/^[a-z]{2,3}(?:[-_]|$)/i.test(text)) return null;
  try {
    return Intl.getCanonicalLocales(text.replaceAll('_', '-'))[0] ?? null;
  } catch {
    return null;
  }
}
