const MAIL_TABS = ['html', 'text', 'source', 'headers'] as const;
type MailTab = (typeof MAIL_TABS)[number];

/** The part asked for; anything else shows the mail as its reader sees it. */
export function mailTab(asked: unknown): MailTab {
  return MAIL_TABS.find((tab) => tab === asked) ?? 'html';
}

/**
 * The policy a mail is shown under. A mail is whatever its sender wrote, so it gets an origin of its own (`sandbox`
 * without allow-same-origin), and links leave the sandbox only by the reader's click. Pictures come from us alone.
 */
export function mailPolicy(baseUrl: string): string {
  return [
    'sandbox allow-popups allow-popups-to-escape-sandbox',
    "default-src 'none'",
    `img-src 'self' data: ${new URL(baseUrl).origin}`,
    "style-src 'unsafe-inline'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ].join('; ');
}

/** As for a mail, for a page that the owner writes: what it looks like comes from our style sheet, too. */
export function pagePolicy(baseUrl: string): string {
  const { origin } = new URL(baseUrl);
  return [
    'sandbox',
    "default-src 'none'",
    `img-src 'self' data: ${origin}`,
    `style-src 'self' 'unsafe-inline' ${origin}`,
    "form-action 'none'",
    "frame-ancestors 'self'",
  ].join('; ');
}

/** Without it a link would open inside the frame, where our pages refuse to be shown. */
export function withLinksInNewTab(html: string): string {
  const base = '<base target="_blank">';
  const head = /<head[^>]*>/i.exec(html);
  if (head === null) return base + html;
  const end = head.index + head[0].length;
  return html.slice(0, end) + base + html.slice(end);
}
