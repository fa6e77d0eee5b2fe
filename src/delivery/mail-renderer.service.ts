import { Inject, Injectable } from '@nestjs/common';
import { CONFIG, type Config } from '../infra/config.js';
import { isTrackable } from '../tracking/click-target.js';
import { clickToken, openToken } from '../tracking/tracking-token.js';
import { DomainError } from '../values/domain-error.js';
import { encodeIds, signToken } from '../values/signed-token.js';
import {
  emit,
  fillIn,
  parseHtmlPart,
  parseTextPart,
  type LinkTarget,
  type ParsedPart,
} from './liquid.templates.js';
import { EncodedEmitter, PlainEmitter, type MailEmitter } from './mail-emitter.js';
import { escapeAttribute, staticLinkIds, unescapeAttribute } from './mail-links.js';
import type { ClaimedMessage } from './message.js';
import { TemplatesService } from './templates.service.js';

export interface RenderedMail<T = string> {
  subject: string;
  html: T;
  text: T;
  unsubscribeUrl: string;
}

interface ParsedVersion {
  subject: ParsedPart;
  html: ParsedPart;
  text: ParsedPart;
  staticLinks: ReadonlySet<string>;
}

/** What rendering reads of a message; a preview brings its own. */
export type RenderedMessage = Pick<
  ClaimedMessage,
  | 'id'
  | 'class'
  | 'address'
  | 'sender'
  | 'data'
  | 'funnelTitle'
  | 'subscriberId'
  | 'subscriberName'
  | 'subscriberFields'
  | 'trackingConsent'
> & { templateId: string };

const LINE_BREAK = /[\r\n\u2028\u2029]/;
const BODY_END = '</body>';

/** Fills in one person's mail. A template is parsed, and its fixed texts encoded, once per version and process. */
@Injectable()
export class MailRenderer {
  readonly #parsed = new Map<string, Promise<ParsedVersion>>();

  constructor(
    @Inject(TemplatesService) private readonly templates: Pick<TemplatesService, 'version'>,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /** The mail as people read it. Throws `MAIL_UNSENDABLE` for one that must not leave, however often it is tried. */
  async render(message: RenderedMessage): Promise<RenderedMail> {
    return this.fill(
      message,
      await this.parsed(message.templateId),
      (_, watched) => new PlainEmitter(watched),
    );
  }

  /** As {@link render}, with `html` and `text` in quoted-printable, ready for the wire. */
  async encode(message: RenderedMessage): Promise<RenderedMail<Buffer>> {
    const version = await this.parsed(message.templateId);
    return this.fill(message, version, ({ fixed }, watched) => new EncodedEmitter(fixed, watched));
  }

  private fill<T>(
    message: RenderedMessage,
    version: ParsedVersion,
    emitterFor: (part: ParsedPart, watched: readonly string[]) => MailEmitter<T>,
  ): RenderedMail<T> {
    const variables = this.variables(message);
    const { unsubscribeUrl } = variables;
    const address = escapeAttribute(message.sender.postalAddress);
    const emitter = emitterFor(version.html, message.class === 'marketing' ? [unsubscribeUrl, address] : []);
    const html = emit(version.html, variables, emitter, this.linkTarget(message, version.staticLinks));
    if (message.class === 'marketing') {
      if (!emitter.seen.has(unsubscribeUrl)) throw unsendable('the mail has no link to unsubscribe', message);
      const shown = emitter.seen.has(address) || isFixed(version.html, address);
      if (message.sender.postalAddress.trim() === '' || !shown)
        throw unsendable("the mail does not show the sender's postal address", message);
    }
    return {
      subject: oneLine(fillIn(version.subject, variables)),
      html,
      text: emit(version.text, variables, emitterFor(version.text, [])),
      unsubscribeUrl,
    };
  }

  private variables(message: RenderedMessage): Record<string, unknown> & { unsubscribeUrl: string } {
    const { baseUrl, secretKey } = this.config;
    const ids = encodeIds([message.subscriberId ?? '0', message.id]);
    const name = message.subscriberName ?? '';
    const url = (path: string, purpose: string): string =>
      `${baseUrl}/${path}/${signToken(secretKey, purpose, ids)}`;
    return {
      ...withOwnLinks(message, baseUrl, secretKey),
      subscriber: {
        email: message.address,
        fields: message.subscriberFields ?? {},
        ...(name === '' ? {} : { name, firstName: name.split(/\s+/)[0] }),
      },
      sender: message.sender,
      funnel: { title: message.funnelTitle ?? '' },
      baseUrl,
      openPixel: this.tracks(message)
        ? `<img src="${baseUrl}/o/${openToken(secretKey, message.id)}.gif" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`
        : '',
      unsubscribeUrl: url('u', 'unsubscribe'),
      preferencesUrl: url('preferences', 'preferences'),
    };
  }

  /** Without consent to be tracked there is no pixel and every link is the real one. */
  private tracks({ class: messageClass, trackingConsent }: RenderedMessage): boolean {
    return messageClass === 'marketing' && trackingConsent;
  }

  private linkTarget(message: RenderedMessage, staticLinks: ReadonlySet<string>): LinkTarget {
    const { baseUrl, secretKey } = this.config;
    if (!this.tracks(message)) return (_, url) => url;
    return (linkId, url) => {
      if (!/^https?:\/\//i.test(url)) return url;
      const personal = staticLinks.has(linkId) ? null : url;
      // Else the reader would meet our error page instead of what the link is for.
      if (personal !== null && !isTrackable(personal)) return url;
      return `${baseUrl}/c/${clickToken(secretKey, { messageId: message.id, linkId, url: personal })}`;
    };
  }

  /** Of many who ask for a version at once, as all lanes do when a broadcast begins, one reads and parses it. */
  private async parsed(id: string): Promise<ParsedVersion> {
    const known = this.#parsed.get(id);
    if (known) return known;
    const parsing = this.parse(id);
    this.#parsed.set(id, parsing);
    // It is read anew by the next who asks: the database may have been away.
    parsing.catch(() => this.#parsed.delete(id));
    return parsing;
  }

  private async parse(id: string): Promise<ParsedVersion> {
    const { subject, html, text } = await this.templates.version(id);
    return {
      subject: parseTextPart(unescapeAttribute(subject)),
      html: parseHtmlPart(withPixel(html)),
      text: parseTextPart(text),
      staticLinks: staticLinkIds(html),
    };
  }
}

/** The place of the picture that tells of an opening: last in the mail, where it delays nothing. */
function withPixel(html: string): string {
  const pixel = '{{ openPixel | raw }}';
  return html.includes(BODY_END) ? html.replace(BODY_END, () => `${pixel}${BODY_END}`) : html + pixel;
}

/** Our own personal links hang on the message alone, so an offer's link can be made here and checked later. */
function withOwnLinks(
  { id, data }: RenderedMessage,
  baseUrl: string,
  secret: Buffer,
): Record<string, unknown> {
  const offer = data['offer'];
  if (typeof offer !== 'object' || offer === null || !('slug' in offer)) return data;
  const token = signToken(secret, 'message', encodeIds([id]));
  return { ...data, offer: { ...offer, url: `${baseUrl}/offer/${String(offer.slug)}?m=${token}` } };
}

/** Where an owner wrote it into the template itself. */
function isFixed({ fixed }: ParsedPart, wanted: string): boolean {
  return [...fixed.keys()].some((text) => text.includes(wanted));
}

function unsendable(reason: string, { id }: Pick<RenderedMessage, 'id'>): DomainError {
  return new DomainError('MAIL_UNSENDABLE', reason, { id });
}

/** The template's own line breaks are gone by now: one in the result came from data, and has no business there. */
function oneLine(subject: string): string {
  if (LINE_BREAK.test(subject.trim()))
    throw new DomainError('MAIL_UNSENDABLE', 'the subject has a line break in it');
  const line = subject.replace(/[\p{Cc}\u202A-\u202E\u2066-\u2069]+/gu, ' ').trim();
  if (line === '') throw new DomainError('MAIL_UNSENDABLE', 'the subject is empty');
  return line;
}
