import { Inject, Injectable } from '@nestjs/common';
import { Liquid, type Template } from 'liquidjs';
import { CONFIG, type Config } from '../infra/config.js';
import { registerLiquidFilters } from '../infra/http/liquid-filters.js';
import { clickToken, openToken } from '../tracking/tracking-token.js';
import { encodeIds, signToken } from '../values/signed-token.js';
import { resolveLinks } from './mail-links.js';
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
}

const LIMITS = { parseLimit: 1_000_000, renderLimit: 1_000, memoryLimit: 20_000_000 };

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

  async render(message: ClaimedMessage): Promise<RenderedMail> {
    const version = await this.parsed(message.templateId);
    const variables = this.variables(message);
    const html = String(await this.#html.render(version.html, variables));
    return {
      subject: oneLine(String(await this.#text.render(version.subject, variables))),
      html: this.track(html, message),
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
  private track(html: string, message: ClaimedMessage): string {
    const { baseUrl, secretKey } = this.config;
    if (message.class !== 'marketing' || !message.trackingConsent) return resolveLinks(html, (_, url) => url);
    const marked = resolveLinks(html, (linkId, url) => {
      if (!/^https?:\/\//i.test(url)) return url;
      return `${baseUrl}/c/${clickToken(secretKey, { messageId: message.id, linkId, url })}`;
    });
    const pixel = `<img src="${baseUrl}/o/${openToken(secretKey, message.id)}.gif" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`;
    return marked.includes('</body>') ? marked.replace('</body>', `${pixel}</body>`) : marked + pixel;
  }

  private async parsed(id: string): Promise<ParsedVersion> {
    const known = this.#parsed.get(id);
    if (known) return known;
    const { subject, html, text } = await this.templates.version(id);
    const parsed = {
      subject: this.#text.parse(unescapeSubject(subject)),
      html: this.#html.parse(html),
      text: this.#text.parse(text),
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

function oneLine(subject: string): string {
  return subject.replace(/[\p{Cc}\u2028\u2029\u202A-\u202E\u2066-\u2069]+/gu, ' ').trim();
}

/** MJML escapes the title as HTML; a subject is plain text. */
function unescapeSubject(subject: string): string {
  return subject
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
}
