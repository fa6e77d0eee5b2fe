import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { notFound } from '../../values/not-found.js';
import { linkTemplates, markLinks } from '../mails/mail-links.js';
import { MailRenderer, type RenderedMail } from '../mails/mail-renderer.service.js';
import type { Sender } from '../message/message.js';
import type { MailTemplate } from '../mails/mjml.templates.js';
import type { MailKind } from '../mails/template-variables.js';
import { TemplatesService } from '../mails/templates.service.js';
import type { DraftReader } from './draft-reader.js';
import { sampleData, SAMPLE_READER } from '../mails/sample-data.js';
import { kindOf, variablesOf } from './variables.templates.js';

export interface Draft {
  template: MailTemplate;
  kind: MailKind;
  sender: Sender;
  funnelTitle: string;
  data: Record<string, unknown>;
}

export interface PreviewWanted {
  template: string;
  /** Left out: a reader who is made up. */
  subscriberId?: string | undefined;
  funnel?: string | undefined;
  kind?: MailKind | undefined;
}

export interface MailPreview extends Pick<RenderedMail, 'subject' | 'html' | 'text'> {
  /** Names of what it prints that examples stand in for. */
  invented: string[];
  /** Who it would be from. */
  sender: Sender;
}

/** What is wrong with a draft is said to whoever asks for it. */
const TELLS_NOBODY = { hidden: async () => undefined, linksLeftOut: async () => undefined };
/** Stands in for a link's id; real ones are as long at ten million links. */
const FIRST_DRAFT_LINK = 10_000_000;

/** Stands in where no funnel says who writes. */
export const NO_SENDER: Sender = {
  name: 'Your name',
  email: 'you@example.com',
  postalAddress: 'Your postal address',
};

/** Renders a mail that is not published, with the code that renders the real ones. Its links and tokens work for nobody. */
@Injectable()
export class Drafts {
  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** The mail as this subscriber would get it. Throws `TEMPLATE_INVALID`, `SUBSCRIBER_NOT_FOUND`, `MAIL_UNSENDABLE`. */
  async preview(
    wanted: PreviewWanted & { known?: Record<string, object>; words?: MailTemplate & { source: string } },
  ): Promise<MailPreview> {
    const template = wanted.words ?? (await this.templates.compile(wanted.template));
    const { source, subject: line, html: body, text: plain } = template;
    const kind = wanted.kind ?? kindOf(`${source}${body}`);
    const { known = {} } = wanted;
    const names = variablesOf(`${line}\n${body}\n${plain}`);
    const sample = sampleData(kind, this.config.baseUrl, this.clock.now(), names);
    const data = { ...sample, ...known };
    // What is known of one may be a part: the rest of it stays an example, such as the secret address of a file.
    if (known.download) data.download = { ...(sample.download as object), ...known.download };
    const used = new Set(names.map((name) => name.split('.')[0] ?? ''));
    const reader = wanted.subscriberId === undefined ? SAMPLE_READER : await this.reader(wanted.subscriberId);
    const examples = [...Object.keys(sample), ...(reader === SAMPLE_READER ? ['subscriber'] : [])];
    const invented = examples.filter((name) => used.has(name) && !(name in known));
    const draft = { template, kind, data, ...(await this.senderOf(wanted.funnel)) };
    const { subject, html, text } = await this.render(draft, reader, false);
    return { subject, html, text, invented, sender: draft.sender };
  }

  /** Throws `MAIL_UNSENDABLE` for a mail that must not leave as it is. */
  async render(draft: Draft, reader: DraftReader, tracked: boolean): Promise<RenderedMail> {
    return this.filler(draft)(reader, tracked);
  }

  /**
   * As {@link render}, for many readers: the mail is parsed once. `isJudged`: one that hides what every reader must see is
   * unsendable, too.
   */
  filler(
    draft: Draft,
    { isJudged = false } = {},
  ): (reader: DraftReader, tracked: boolean) => Promise<RenderedMail> {
    const { subject, html, text } = draft.template;
    const ids = linkTemplates(html).map((link, index) => [link, String(FIRST_DRAFT_LINK + index)] as const);
    const version = { id: '0', subject, text, html: markLinks(html, new Map(ids)), isJudged };
    const renderer = new MailRenderer({ version: async () => version }, this.config, TELLS_NOBODY);
    return async (reader, tracked) =>
      renderer.render({
        id: '0',
        class: isMarketing(draft.kind) ? 'marketing' : 'transactional',
        address: reader.email,
        sender: draft.sender,
        data: draft.data,
        funnelTitle: draft.funnelTitle,
        // Nobody: a link in a preview must not unsubscribe the person whose name is shown.
        subscriberId: null,
        subscriberName: reader.name,
        subscriberFields: reader.fields,
        trackingConsent: tracked,
        templateId: '0',
      });
  }

  /** Who the mails of a funnel are from; without a key those of the first funnel. Throws `FUNNEL_NOT_FOUND`. */
  async senderOf(funnelKey: string | undefined): Promise<{ sender: Sender; funnelTitle: string }> {
    const rows: { sender: Sender; funnelTitle: string | null }[] = await this.dataSource.query(
      `select s.sender, coalesce(f.title, s.title) as "funnelTitle" from sequence s left join funnel f on f.key = s.funnel_key
       where $1::text is null or s.funnel_key = $1 order by s.id limit 1`,
      [funnelKey ?? null],
    );
    const [found] = rows;
    if (found) return { sender: found.sender, funnelTitle: found.funnelTitle ?? '' };
    if (funnelKey !== undefined) throw notFound('funnel', funnelKey, 'key');
    return { sender: NO_SENDER, funnelTitle: 'Your funnel' };
  }

  private async reader(subscriberId: string): Promise<DraftReader> {
    const rows: DraftReader[] = await this.dataSource.query(
      'select email, name, fields from subscriber where id = $1',
      [subscriberId],
    );
    const [reader] = rows;
    if (!reader) throw notFound('subscriber', subscriberId);
    return reader;
  }
}

export function isMarketing(kind: MailKind): boolean {
  return kind === 'sequence' || kind === 'offer';
}
