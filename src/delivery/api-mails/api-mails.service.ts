import { createHash, randomUUID } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { addressHash } from '../../subscribers/address-hash.js';
import { DomainError } from '../../values/domain-error.js';
import type { EmailAddressParse } from '../../values/email-address.js';
import { hintOf } from '../mails/foreign-tags.js';
import type { RenderedMail } from '../mails/mail-renderer.service.js';
import type { MailTemplate } from '../mails/mjml.templates.js';
import { funnelVariables, unknownVariables } from '../mails/template-variables.js';
import { TemplatesService } from '../mails/templates.service.js';
import type { Sender } from '../message/message.js';
import { MessagesService } from '../planning/messages.service.js';
import type { DraftReader } from '../preflight/draft-reader.js';
import { Drafts, NO_SENDER, type Draft } from '../preflight/drafts.service.js';
import { emptyPlaces } from '../preflight/variables.templates.js';

/** One mail that a program asks for. */
export interface WantedMail {
  template: string;
  to: Extract<EmailAddressParse, { ok: true }>;
  /** What the template prints as `{{ data.… }}`. */
  data: Record<string, unknown>;
  subject?: string | undefined;
  replyTo?: string | undefined;
  /** Whose sender and title it has. */
  funnel?: string | undefined;
  sender?: Sender | undefined;
}

interface MadeMail extends Draft {
  template: MailTemplate & { source: string };
  rendered: RenderedMail;
  subscriberId: string | null;
}

type Reader = DraftReader & { id: string | null };

/**
 * Mails that a program asks for one by one: a receipt of a shop, a link to log in. Each goes through the ledger as our own
 * receipts do, so it is tried again and sent once more when nobody can say whether it arrived, asks for no consent, and goes
 * to no address that is dead or has complained.
 */
@Injectable()
export class ApiMails {
  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    private readonly drafts: Drafts,
    private readonly messages: MessagesService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** The mail as it would be sent. Throws as {@link send} does. */
  async preview(
    wanted: WantedMail,
  ): Promise<
    Pick<RenderedMail, 'subject' | 'html' | 'text'> & { sender: Sender; subscriberId: string | null }
  > {
    const { rendered, sender, subscriberId } = await this.made(wanted);
    const { subject, html, text } = rendered;
    return { subject, html, text, sender, subscriberId };
  }

  /**
   * Plans the mail and returns its id. `once` names the request: one with the same name plans no other mail, however late it
   * comes. `admit` may refuse a new one, in its transaction. Throws `TEMPLATE_NOT_FOUND`, `TEMPLATE_INVALID`,
   * `FUNNEL_NOT_FOUND`, `MESSAGE_SENDER_INVALID`, `MESSAGE_VARIABLES_INVALID` and `MESSAGE_DATA_INVALID`: what would come out wrong is not sent.
   */
  async send(
    wanted: WantedMail,
    once: string = randomUUID(),
    admit: (manager: EntityManager) => Promise<void> = async () => undefined,
  ): Promise<string> {
    const { to, template: key, funnel = '' } = wanted;
    const dedupeKey = `api:${createHash('sha256').update(once).digest('base64url')}`;
    // What has gone may be of a template that prints more by now, or is gone itself: refused, it would be asked for anew.
    const before = await plannedBefore(this.dataSource.manager, dedupeKey);
    if (before !== null) return before;
    const { template, sender, data } = await this.made(wanted);
    // By itself: its rows are shared by all mails of the template, and held until the end of a transaction.
    const templateId = await this.templates.store(this.dataSource.manager, key, template);
    return this.dataSource.transaction(async (manager) => {
      const [planned] = await this.messages.plan(manager, [
        {
          ...{ dedupeKey, class: 'transactional', kind: 'api' },
          subscriberId: (await this.reader(manager, to, 'for key share')).id,
          ...{ funnelKey: funnel, templateId, data, sender },
          address: to.address,
          addressHash: addressHash(this.config.secretKey, to.key),
          dueAt: this.clock.now(),
        },
      ]);
      if (planned !== undefined) await admit(manager);
      const id = planned?.id ?? (await plannedBefore(manager, dedupeKey));
      if (id === null) throw new Error('the mail gave no row');
      return id;
    });
  }

  private async made(wanted: WantedMail): Promise<MadeMail> {
    const template = await this.templates.compileService(wanted.template);
    const from = await this.from(wanted);
    const reader = await this.reader(this.dataSource.manager, wanted.to);
    const draft = { template, kind: 'api', data: dataOf(wanted), ...from } as const;
    this.refuseEmptyPlaces(draft, reader);
    return { ...draft, rendered: await this.filledIn(draft, reader), subscriberId: reader.id };
  }

  /** The title of a funnel that nobody named would be none of the mail's. */
  private async from({ funnel, sender }: WantedMail): Promise<Pick<Draft, 'sender' | 'funnelTitle'>> {
    const of = await this.drafts.senderOf(funnel);
    if (sender === undefined && of.sender.email === NO_SENDER.email)
      throw new DomainError(
        'MESSAGE_SENDER_INVALID',
        'There is nobody to write as yet: give a sender, or apply a funnel with one',
        { field: 'sender' },
      );
    return { sender: sender ?? of.sender, funnelTitle: funnel === undefined ? '' : of.funnelTitle };
  }

  /** Who has the address. Locked, they are not erased before the mail is there, which then goes with them. */
  private async reader(
    manager: EntityManager,
    { key, address }: WantedMail['to'],
    lock: 'for key share' | '' = '',
  ): Promise<Reader> {
    const rows: Reader[] = await manager.query(
      `select id, email, name, fields from subscriber where email_key = $1 ${lock}`,
      [key],
    );
    return { ...(rows[0] ?? { id: null, name: null, fields: {} }), email: address };
  }

  /** What a subscriber lacks comes out empty, as in all their mails; what the program has to give does not. */
  private refuseEmptyPlaces({ template, data, sender, funnelTitle }: Draft, reader: Reader): void {
    const parts = [template.subject, template.html, template.text];
    const foreign = unknownVariables(parts.join('\n'), 'api').map(({ name }) => name);
    const values = {
      ...{ ...data, sender, baseUrl: this.config.baseUrl, locale: 'en' },
      subscriber: { email: reader.email, fields: {} },
      funnel: funnelVariables(funnelTitle),
    };
    const missing = [...emptyPlaces(parts, values)].filter(
      (name) => !name.startsWith('subscriber.') && !foreign.includes(name),
    );
    if (foreign.length + missing.length === 0) return;
    const errors = [
      ...foreign.map((name) => ({
        field: 'template',
        message: `it prints {{ ${name} }}, which mails of the API do not have${hintOf(name, 'api')}`,
      })),
      ...missing.map((name) => ({
        field: fieldOf(name),
        message: `the template prints {{ ${name} }}, which is not given`,
      })),
    ];
    throw new DomainError(
      'MESSAGE_VARIABLES_INVALID',
      `The template prints what is not there: ${[...foreign, ...missing].join(', ')}`,
      { errors },
    );
  }

  private async filledIn(draft: Draft, reader: DraftReader): Promise<RenderedMail> {
    const mail = await this.drafts.render(draft, reader, false).catch((error: unknown) => {
      const words = error instanceof Error ? (error.message.split('\n')[0] ?? '') : '';
      const field = error instanceof DomainError && 'ownSubject' in draft.data ? 'subject' : 'data';
      throw refusedData(field, `the mail cannot be filled in: ${words.replace(/, line:\d+, col:\d+/, '')}`);
    });
    if (mail.leftOut.length > 0)
      throw refusedData('data', 'a link of the mail leads nowhere: give whole addresses, with https://');
    return mail;
  }
}

function dataOf({ data, subject, replyTo }: WantedMail): Record<string, unknown> {
  return {
    data,
    ...(subject === undefined ? {} : { ownSubject: subject }),
    ...(replyTo === undefined ? {} : { replyTo }),
  };
}

/** What of the request has to give it: a name of a loop is of the data, and so is what has no name of ours. */
function fieldOf(name: string): string {
  if (name.startsWith('data.')) return name;
  return name.startsWith('funnel') ? 'funnel' : 'data';
}

function refusedData(field: string, reason: string): DomainError {
  return new DomainError('MESSAGE_DATA_INVALID', reason, { field });
}

async function plannedBefore(manager: EntityManager, dedupeKey: string): Promise<string | null> {
  const rows: { id: string }[] = await manager.query('select id from message where dedupe_key = $1', [
    dedupeKey,
  ]);
  return rows[0]?.id ?? null;
}
