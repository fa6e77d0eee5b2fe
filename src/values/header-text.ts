/**
 * Text that may become part of a mail header or a subject: one line without control characters, line and paragraph
 * separators, bidirectional overrides and isolates, or halves of characters. They start new headers, or make a reader
 * see another name than there is. Said to whoever typed it, never taken away in silence. The marks U+200E and U+200F,
 * which names in Arabic and Hebrew use, stay allowed.
 */
export const HEADER_TEXT = /^[^\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u202A-\u202E\u2066-\u2069]*$/u;

export const HEADER_TEXT_ADVICE = 'use one line, without line breaks, control or direction characters';
