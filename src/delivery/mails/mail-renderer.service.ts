import { Inject, Injectable } from '@nestjs/common';
import { decodeHTML } from 'entities';
import { CONFIG, type Config } from '../../infra/config.js';
import { mailedLink } from '../../infra/files/download-link.js';
import { isOpenable, isTrackable } from '../../tracking/click-target.js';
import { clickToken, openToken } from '../../tracking/tracking-token.js';
import { DomainError } from '../../values/domain-error.js';
import { signIds } from '../../values/signed-token.js';
import { FROM_HTML, MailFlaws } from './mail-flaws.service.js';
import { alwaysShown, hiddenDuties, printsHtml } from './hidden-duties.js';
import {
  emit,
  parseHtmlPart,
  parseTextPart,
  readerFields,
  type LinkTarget,
  type ParsedPart,
} from './liquid.templates.js';
import { alternativeBody, type MailBody } from './mail-bytes.transport.js';
import { EncodedEmitter, PlainEmitter, type MailEmitter } from './mail-emitter.js';
import {
  escapeAttribute,
  isJudgedOnly,
  linkTags,
  personalLinks,
  staticLinkIds,
  unmarkLinks,
  withoutScriptLinks,
} from './mail-links.js';
import type { Scope } from './mail-steps.templates.js';
import type { ClaimedMessage } from '../message/message.js';
import { shownParts } from './shown-parts.js';
import { funnelVariables } from './template-variables.js';
import { TemplatesService } from './templates.service.js';
import { UnfitMail } from './unfit-mail.js';

interface MailHead {
  subject: string;
  unsubscribeUrl: string;
}

export interface RenderedMail extends MailHead {
  html: string;
  text: string;
  /** Addresses of links that lead nowhere for this reader; their words stand in the mail without a link. */
  leftOut: string[];
}

interface EncodedMail extends MailHead {
  body: MailBody;
}

/** Those of the mail itself, before those that were planned with it. */
type Variables = Scope & { own: { unsubscribeUrl: string } };

interface ParsedVersion {
  subject: ParsedPart;
  html: ParsedPart;
  text: ParsedPart;
  staticLinks: ReadonlySet<string>;
  /** Addresses, as Liquid, by their ids. */
  personalLinks: ReadonlyMap<string, string>;
  isJudged: boolean;
  /** By the sender's postal address, whether nothing a reader has can hide it, or the way out. */
  alwaysShown: (postalAddress: string) => boolean;
  printsHtml: boolean;
}

/** By the address that leads nowhere, its link in the template, or `FROM_HTML`. */
type LeftOut = Map<string, string>;

/** What rendering reads of a message; a preview brings its own. */
type RenderedMessage = Pick<
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
    @Inject(MailFlaws) private readonly flaws: Pick<MailFlaws, 'hidden' | 'linksLeftOut'>,
  ) {}

  /** The mail as people read it. Throws `MAIL_UNSENDABLE` for one that must not leave, however often it is tried, and `UnfitMail`. */
  async render(message: RenderedMessage): Promise<RenderedMail> {
    const version = await this.parsed(message.templateId);
    const variables = this.variables(message);
    const leftOut: LeftOut = new Map();
    const html = this.fillHtml(
      message,
      version,
      { variables, leftOut },
      (watched) => new PlainEmitter(watched),
    );
    const mail = {
      html,
      text: emit(version.text, variables, new PlainEmitter()),
      ...headOf(version, variables, message),
    };
    await this.judge(message, version, { variables, leftOut });
    return { ...mail, leftOut: [...leftOut.keys()] };
  }

  /** As {@link render}, of the mail dated `date`, with both parts in a body that is ready for the wire. */
  async encode(
    message: RenderedMessage,
    { boundary, date }: { boundary: string; date: Date },
  ): Promise<EncodedMail> {
    const version = await this.parsed(message.templateId);
    const variables = this.variables(message, date);
    const leftOut: LeftOut = new Map();
    const body = alternativeBody(boundary, {
      text: (octets) => emit(version.text, variables, new EncodedEmitter(version.text.fixed, [], octets)),
      html: (octets) =>
        this.fillHtml(
          message,
          version,
          { variables, leftOut },
          (watched) => new EncodedEmitter(version.html.fixed, watched, octets),
        ),
    });
    await this.judge(message, version, { variables, leftOut });
    return { body, ...headOf(version, variables, message) };
  }

  private fillHtml<T>(
    message: RenderedMessage,
    version: ParsedVersion,
    { variables, leftOut }: { variables: Variables; leftOut: LeftOut },
    emitterFor: (watched: readonly string[]) => MailEmitter<T>,
  ): T {
    const { unsubscribeUrl } = variables.own;
    const { html } = version;
    const address = escapeAttribute(message.sender.postalAddress);
    const emitter = emitterFor(message.class === 'marketing' ? [unsubscribeUrl, address] : []);
    const target = this.linkTarget(message, version, leftOut);
    const filled = version.printsHtml
      ? emitClean(html, { variables, target, emitter, leftOut })
      : emit(html, variables, emitter, target);
    if (message.class === 'marketing') {
      if (!emitter.seen.has(unsubscribeUrl)) throw unsendable('the mail has no link to unsubscribe', message);
      const shown = emitter.seen.has(address) || isFixed(html, address);
      if (message.sender.postalAddress.trim() === '' || !shown)
        throw unsendable("the mail does not show the sender's postal address", message);
    }
    return filled;
  }

  /**
   * Only where what a reader has may hide the way out or the address is their mail looked at: that takes as long as to make
   * it. A version of before this was judged goes on as it is, and its owner is told.
   */
  private async judge(
    message: RenderedMessage,
    version: ParsedVersion,
    { variables, leftOut }: { variables: Variables; leftOut: LeftOut },
  ): Promise<void> {
    if (leftOut.size > 0) await this.flaws.linksLeftOut(message, [...leftOut.values()]);
    const { postalAddress } = message.sender;
    if (message.class !== 'marketing' || version.alwaysShown(postalAddress)) return;
    const html = this.fillHtml(
      message,
      version,
      { variables, leftOut },
      (watched) => new PlainEmitter(watched),
    );
    const duties = { unsubscribeUrl: variables.own.unsubscribeUrl, postalAddress };
    const [hidden] = hiddenDuties(shownParts(html), duties);
    if (hidden === undefined) return;
    if (version.isJudged) throw new UnfitMail(hidden, message.id);
    await this.flaws.hidden(message, hidden);
  }

  private variables(message: RenderedMessage, date: Date | null = null): Variables {
    const { baseUrl, secretKey } = this.config;
    const ids = [message.subscriberId ?? '0', message.id];
    const name = message.subscriberName ?? '';
    const url = (path: string, purpose: string): string =>
      `${baseUrl}/${path}/${signIds(secretKey, purpose, ids)}`;
    const own = {
      subscriber: {
        email: message.address,
        fields: readerFields(message.subscriberFields ?? {}),
        ...(name === '' ? {} : { name, firstName: name.split(/\s+/)[0] }),
      },
      sender: message.sender,
      funnel: funnelVariables(message.funnelTitle),
      baseUrl,
      openPixel: this.tracks(message)
        ? `<img src="${baseUrl}/o/${openToken(secretKey, message.id)}.gif" width="1" height="1" alt="" style="display:block;width:1px;height:1px;border:0">`
        : '',
      unsubscribeUrl: url('u', 'unsubscribe'),
      // Few mails have it, and a signature costs as much as ten words.
      get preferencesUrl() {
        return url('preferences', 'preferences');
      },
    };
    return { own, outer: { own: withOwnLinks(message, { baseUrl, secretKey, date }), outer: null } };
  }

  /** Without consent to be tracked there is no pixel and every link is the real one. */
  private tracks({ class: messageClass, trackingConsent }: RenderedMessage): boolean {
    return messageClass === 'marketing' && trackingConsent;
  }

  /** A link that leads no reader anywhere is left out: of `javascript:`, of a word, of nothing at all. */
  private linkTarget(
    message: RenderedMessage,
    { staticLinks, personalLinks: personal }: ParsedVersion,
    leftOut: LeftOut,
  ): LinkTarget {
    const { baseUrl, secretKey } = this.config;
    const tracks = this.tracks(message);
    return (linkId, url) => {
      const template = personal.get(linkId);
      if (template !== undefined && !isOpenable(url, template)) {
        leftOut.set(url, template);
        return null;
      }
      if (!tracks || isJudgedOnly(linkId) || !/^https?:\/\//i.test(url)) return url;
      const own = staticLinks.has(linkId) ? null : url;
      // Else the reader would meet our error page instead of what the link is for.
      if (own !== null && !isTrackable(own)) return url;
      return `${baseUrl}/c/${clickToken(secretKey, { messageId: message.id, linkId, url: own })}`;
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
    const { subject, html, text, isJudged } = await this.templates.version(id);
    const shown = new Map<string, boolean>();
    return {
      subject: parseTextPart(decodeHTML(subject)),
      html: parseHtmlPart(withPixel(html)),
      text: parseTextPart(text),
      staticLinks: staticLinkIds(html),
      personalLinks: personalLinks(linkTags(html)),
      isJudged,
      printsHtml: printsHtml(html),
      alwaysShown: (postalAddress) => {
        const known = shown.get(postalAddress) ?? alwaysShown(unmarkLinks(html), postalAddress);
        shown.set(postalAddress, known);
        return known;
      },
    };
  }
}

/** HTML of what a reader has cannot be told apart before it is filled in: its links of scripts are left out then. */
function emitClean<T>(
  html: ParsedPart,
  {
    variables,
    target,
    emitter,
    leftOut,
  }: { variables: Variables; target: LinkTarget; emitter: MailEmitter<T>; leftOut: LeftOut },
): T {
  const clean = withoutScriptLinks(emit(html, variables, new PlainEmitter(), target));
  for (const href of clean.leftOut) leftOut.set(href, FROM_HTML);
  emitter.writeText(clean.html);
  return emitter.end();
}

/** `ownSubject`: that of one mail, in place of the template's. It is no Liquid: whoever asked for the mail has written it as it is. */
function headOf(
  { subject }: ParsedVersion,
  variables: Variables,
  { data: { ownSubject } }: RenderedMessage,
): MailHead {
  return {
    subject: oneLine(
      typeof ownSubject === 'string' ? ownSubject : emit(subject, variables, new PlainEmitter()),
    ),
    unsubscribeUrl: variables.own.unsubscribeUrl,
  };
}

/** The place of the picture that tells of an opening: last in the mail, where it delays nothing. */
function withPixel(html: string): string {
  const pixel = '{{ openPixel | raw }}';
  return html.includes(BODY_END) ? html.replace(BODY_END, () => `${pixel}${BODY_END}`) : html + pixel;
}

/**
 * Our own personal links hang on the message alone, so an offer's link can be made here and checked later. By that of an
 * order, and by those of its files, a receipt whose end is not known is known to have come, and a welcome mail by that of what it
 * hands over.
 */
function withOwnLinks(
  { id, data }: RenderedMessage,
  { baseUrl, secretKey, date }: Pick<Config, 'baseUrl' | 'secretKey'> & { date: Date | null },
): Record<string, unknown> {
  const { offer, order, download } = data;
  const slug = typeof offer === 'object' && offer !== null && 'slug' in offer ? String(offer.slug) : null;
  const page = typeof order === 'object' && order !== null && 'url' in order ? String(order.url) : null;
  const file = ownFile(download, baseUrl);
  const lasting =
    file !== null && date !== null ? { ...file, url: mailedLink(secretKey, file.url, date) } : file;
  if (slug === null && page === null && file === null) return data;
  const token = signIds(secretKey, 'message', [id]);
  return {
    ...data,
    ...(slug !== null && { offer: { ...(offer as object), url: `${baseUrl}/offer/${slug}?m=${token}` } }),
    ...(page !== null && { order: withMail(order as object, `?m=${token}`) }),
    ...(lasting !== null && { download: linked(lasting, `?m=${token}`) }),
  };
}

/** The links of a receipt, each with the mail it stands in. */
function withMail(order: object, query: string): object {
  const files: readonly unknown[] =
    'downloads' in order && Array.isArray(order.downloads) ? order.downloads : [];
  const downloads = files.map((file) =>
    typeof file === 'object' && file !== null ? linked(file, query) : file,
  );
  return { ...linked(order, query), ...('downloads' in order && { downloads }) };
}

/** What a form hands over, from our own files. */
function ownFile(download: unknown, baseUrl: string): { url: string } | null {
  if (typeof download !== 'object' || download === null || !('url' in download)) return null;
  const url = String(download.url);
  return url.startsWith(`${baseUrl}/download/`) ? { ...download, url } : null;
}

function linked(one: object, query: string): object {
  return 'url' in one ? { ...one, url: `${String(one.url)}${query}` } : one;
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
