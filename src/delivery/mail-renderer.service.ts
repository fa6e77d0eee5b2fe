import { Inject, Injectable } from '@nestjs/common';
import { Liquid, type Template } from 'liquidjs';
import { CONFIG, type Config } from '../infra/config.js';
import { registerLiquidFilters } from '../infra/http/liquid-filters.js';
import { clickToken, openToken } from '../tracking/tracking-token.js';
import { DomainError } from '../values/domain-error.js';
import { encodeIds, signToken } from '../values/signed-token.js';
import { resolveLinks, staticLinkIds, unescapeAttribute } from './mail-links.js';
import type { ClaimedMessage } from './message.js';
import { TemplatesService } from './templates.service.js';

export interface RenderedMail {
  subject: string;
  html: string;
  text: string;
  unsubscribeUrl: string;
}

interface ParsedVersion {
  subject: Template[];
  html: Template[];
  text: Template[];
  staticLinks: ReadonlySet<string>;
}

/** `templates`: a tag such as `include` finds nothing, least of all a file of this machine. */
const LIMITS = { parseLimit: 1_000_000, renderLimit: 1_000, memoryLimit: 20_000_000, templates: {} };
const LINE_BREAK = /[\r\n\u2028\u2029]/;

/** Fills in one person's mail. What a subscriber typed is data: it is escaped, and never read as a template. */
@Injectable()
export class MailRenderer {
  readonly #html = new Liquid({ outputEscape: 'escape', ownPropertyOnly: true, ...LIMITS });
  readonly #text = new Liquid({ ownPropertyOnly: true, ...LIMITS });
  readonly #parsed = new Map<string, ParsedVersion>();

  constructor(
    private readonly templates: TemplatesService,
    @Inject(CONFIG) private readonly config: Config,
  ) {
    registerLiquidFilters(this.#html);
    registerLiquidFilters(this.#text);
  }

  /** Throws `MAIL_UNSENDABLE` for a mail that must not leave as it is, however often it is tried. */
  async render(message: ClaimedMessage): Promise<RenderedMail> {
    const version = await this.parsed(message.templateId);
    const variables = this.variables(message);
    const html = String(await this.#html.render(version.html, variables));
    if (message.class === 'marketing' && !html.includes(variables.unsubscribeUrl))
      throw new DomainError('MAIL_UNSENDABLE', 'the mail has no link to unsubscribe', { id: message.id });
    return {
      subject: oneLine(String(await this.#text.render(version.subject, variables))),
      html: this.track(html, message, version.staticLinks),
      text: String(await this.#text.render(version.text, variables)),
      unsubscribeUrl: variables.unsubscribeUrl,
    };
  }

  private variables(message: ClaimedMessage): Record<string, unknown> & { unsubscribeUrl: string } {
    const { baseUrl, secretKey } = this.config;
    const ids = encodeIds([message.subscriberId ?? '0', message.id]);
    const name = message.subscriberName ?? '';
    const url = (path: string, purpose: string): string =>
      `${baseUrl}/${path}/${signToken(secretKey, purpose, ids)}`;
    return {
      ...withOwnLinks(message, baseUrl, secretKey),
      subscriber: {
        email: message.address,
        ...(name === '' ? {} : { name, firstName: name.split(/\s+/)[0] }),
      },
      sender: message.sender,
      funnel: { title: message.funnelTitle ?? '' },
      baseUrl,
      unsubscribeUrl: url('u', 'unsubscribe'),
      preferencesUrl: url('preferences', 'preferences'),
    };
  }

  /** Without consent to be tracked there is no pixel and every link is the real one. */
  private track(html: string, message: ClaimedMessage, staticLinks: ReadonlySet<string>): string {
    const { baseUrl, secretKey } = this.config;
    if (message.class !== 'marketing' || !message.trackingConsent) return resolveLinks(html, (_, url) => url);
    const marked = resolveLinks(html, (linkId, url) => {
      if (!/^https?:\/\//i.test(url)) return url;
      const personal = staticLinks.has(linkId) ? null : url;
      return `${baseUrl}/c/${clickToken(secretKey, { messageId: message.id, linkId, url: personal })}`;
    });
    const pixel = `<img src="${baseUrl}/o/${openToken(secretKey, message.id)}.gif" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`;
    return marked.includes('</body>') ? marked.replace('</body>', () => `${pixel}</body>`) : marked + pixel;
  }

  private async parsed(id: string): Promise<ParsedVersion> {
    const known = this.#parsed.get(id);
    if (known) return known;
    const { subject, html, text } = await this.templates.version(id);
    const parsed = {
      subject: this.#text.parse(unescapeAttribute(subject)),
      html: this.#html.parse(html),
      text: this.#text.parse(text),
      staticLinks: staticLinkIds(html),
    };
    this.#parsed.set(id, parsed);
    return parsed;
  }
}

/** Our own personal links hang on the message alone, so an offer's link can be made here and checked later. */
function withOwnLinks(
  { id, data }: ClaimedMessage,
  baseUrl: string,
  secret: Buffer,
): Record<string, unknown> {
  const offer = data.offer;
  if (typeof offer !== 'object' || offer === null || !('slug' in offer)) return data;
  const token = signToken(secret, 'message', encodeIds([id]));
  return { ...data, offer: { ...offer, url: `${baseUrl}/offer/${String(offer.slug)}?m=${token}` } };
}

/** The template's own line breaks are gone by now: one in the result came from data, and has no business there. */
function oneLine(subject: string): string {
  if (LINE_BREAK.test(subject.trim()))
    throw new DomainError('MAIL_UNSENDABLE', 'the subject has a line break in it');
  const line = subject.replace(/[\p{Cc}\u202A-\u202E\u2066-\u2069]+/gu, ' ').trim();
  if (line === '') throw new DomainError('MAIL_UNSENDABLE', 'the subject is empty');
  return line;
}
