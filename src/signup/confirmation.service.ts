import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { CONFIRMED_ALREADY, READDRESSED } from '../delivery/message/state-reasons.js';
import { CONFIG, type Config } from '../infra/config.js';
import { addressHash } from '../subscribers/address-hash.js';
import type { SubscriberFields } from '../subscribers/subscriber.js';
import { lastMove } from '../subscribers/address-changes.queries.js';
import { leftSince } from '../subscribers/subscribers.queries.js';
import { decodeIds, signIds, verifyToken } from '../values/signed-token.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { AdmissionService } from './admission.service.js';
import { answersThatHold } from './form-fields.js';
import { FormsService, type Form } from './forms.service.js';
import type { Origin } from './origin.js';
import type { Submission } from './submission.js';

/**
 * One confirmation mail a day until its button is pressed: three of them, and from then on one in 30 days. Nobody can use a
 * form to flood somebody else's mailbox: whoever is signed up by strangers, again and again, hears of it three times and
 * then at most once a month. Three for ever would be stricter, and would lock out for good whoever has lost three mails to
 * a spam folder, though nobody but they themselves can ask for another.
 */
const MAX_AT_FIRST = 3;
/**
 * Those that surely never came are no mails to flood with, so who was refused once may ask again at once. After three of
 * them within 30 days, and at an address that was given up, one a day is tried: a stranger could have a server tried for ever.
 */
const MAX_FAILED_AT_FIRST = 3;
const PURPOSE = 'confirm';

export type Confirmation =
  | {
      kind: 'confirmed';
      form: Form;
      download: { url: string; name: string } | null;
      /** Whether a first mail comes by this very confirmation. */
      mailComes: boolean;
    }
  /** Confirmed once, and gone since: an old link is no new consent. */
  | { kind: 'left'; form: Form }
  /** The mail went to an address that they had before: it proves nothing of the one they have. */
  | { kind: 'moved'; form: Form }
  /** The address is dead or its owner complained; a form does not lift that. */
  | { kind: 'refused'; form: Form };

/** What a link says: the sign-up, and the change by which its reader came to the mailbox that the mail went to, if there was one. */
interface Ticket {
  signupId: string;
  move: string | null;
}

/** Double opt-in: the mail with the link, and what happens when its button is pressed. Owns `signup` with the sign-up. */
@Injectable()
export class ConfirmationService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly messages: MessagesService,
    private readonly forms: FormsService,
    private readonly admission: AdmissionService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Plans the mail with the link, unless this address has had enough of them since it last confirmed. */
  async ask(
    manager: EntityManager,
    {
      form,
      signup,
      person,
      subscriberId,
    }: {
      form: Form;
      signup: { id: string; confirmations: number };
      person: Pick<Submission, 'email'>;
      subscriberId: string;
    },
  ): Promise<void> {
    const now = this.clock.now();
    const hash = addressHash(this.config.secretKey, person.email.key);
    if (await this.hadEnough(manager, { subscriberId, hash, now })) return;
    await manager.query('update signup set confirmation_count = confirmation_count + 1 where id = $1', [
      signup.id,
    ]);
    const move = await lastMove(manager, subscriberId);
    const token = signIds(this.config.secretKey, PURPOSE, move === null ? [signup.id] : [signup.id, move]);
    await this.messages.plan(manager, [
      {
        dedupeKey: `confirm:${signup.id}:${signup.confirmations + 1}`,
        class: 'transactional',
        kind: 'confirmation',
        subscriberId,
        funnelKey: form.funnelKey,
        templateId: form.content.confirmTemplateId,
        data: {
          confirmUrl: `${this.config.baseUrl}/confirm/${token}`,
          form: { headline: form.content.headline },
        },
        sender: form.sender,
        address: person.email.address,
        addressHash: hash,
        dueAt: now,
        priority: 0,
      },
    ]);
  }

  /**
   * Somebody has another address from now on, and mails that asked them lately went to the old one, or wait to: they are asked at
   * the new one, by a link of its own. Nobody who has left is asked anything.
   */
  async askAgain(manager: EntityManager, subscriberId: string, email: Submission['email']): Promise<void> {
    const open: { id: string; formId: string; confirmations: number }[] = await manager.query(
      `select g.id, g.form_id as "formId", g.confirmation_count as confirmations
       from signup g join subscriber s on s.id = g.subscriber_id
         join message m on m.dedupe_key = 'confirm:' || g.id || ':' || g.confirmation_count
       where g.subscriber_id = $1 and g.status = 'pending' and s.status in ('pending', 'active')
         and m.created_at > $2::timestamptz - interval '30 days' order by g.id`,
      [subscriberId, this.clock.now()],
    );
    for (const { formId, ...signup } of open) {
      const form = await this.forms.findById(manager, formId);
      await this.messages.cancelPlanned(manager, this.keysOf(signup.id, signup.confirmations), READDRESSED);
      if (form !== null) await this.ask(manager, { form, signup, person: { email }, subscriberId });
    }
  }

  /** Called by each sign-up; locks nothing. Served by message_subscriber. */
  private async hadEnough(
    manager: EntityManager,
    { subscriberId, hash, now }: { subscriberId: string; hash: Buffer; now: Date },
  ): Promise<boolean> {
    const rows: {
      today: number;
      month: number;
      ever: number;
      failedToday: number;
      failedMonth: number;
      bounced: boolean;
    }[] = await manager.query(
      `select count(*) filter (where came and age < interval '24 hours')::int as today,
         count(*) filter (where came and age < interval '30 days')::int as month, count(*) filter (where came)::int as ever,
         count(*) filter (where failed and age < interval '24 hours')::int as "failedToday",
         count(*) filter (where failed and age < interval '30 days')::int as "failedMonth",
         (select status = 'bounced' from subscriber where id = $1) as bounced
       from (select state not in ('rejected', 'expired', 'suppressed', 'cancelled') as came, state in ('rejected', 'expired') as failed,
           $2::timestamptz - created_at as age
         from message where subscriber_id = $1 and address_hash = $3 and kind = 'confirmation' and created_at > coalesce(greatest(
           (select confirmed_at from subscriber where id = $1), (select max(confirmed_at) from signup where subscriber_id = $1)), '-infinity')) m`,
      [subscriberId, now, hash],
    );
    const found = rows[0];
    if (!found) return false;
    const { today, month, ever, failedToday, failedMonth, bounced } = found;
    const failsOften = bounced || failedMonth >= MAX_FAILED_AT_FIRST;
    return today > 0 || (ever >= MAX_AT_FIRST && month > 0) || (failsOften && failedToday > 0);
  }

  /** The form behind the link, for the page with the button; null for a link we did not write. Changes nothing. */
  async peek(token: string): Promise<Form | null> {
    const ticket = this.read(token);
    if (ticket === null) return null;
    const rows: { formId: string }[] = await this.dataSource.query(
      'select form_id as "formId" from signup where id = $1',
      [ticket.signupId],
    );
    return rows[0] ? this.forms.findById(this.dataSource.manager, rows[0].formId) : null;
  }

  /** Whether we wrote the link. Asks nobody. */
  isOurs(token: string): boolean {
    return this.read(token) !== null;
  }

  /** Pressing the button twice is pressing it once. */
  async confirm(token: string, origin: Origin): Promise<Confirmation | null> {
    const ticket = this.read(token);
    return ticket === null
      ? null
      : this.dataSource.transaction(async (manager) =>
          this.confirmIn(manager, ticket.signupId, origin, ticket),
        );
  }

  /**
   * Somebody active who had confirmed, and whom a mail has asked once more since, is admitted once more. Locks the person
   * before the sign-up, in the order in which signing up does: the other order could deadlock. `by`: whoever does it has the
   * mail with this link; without one, what they have answered fills gaps and changes nothing that is known.
   */
  async confirmIn(
    manager: EntityManager,
    signupId: string,
    origin: Origin,
    by: Ticket | null = { signupId, move: null },
  ): Promise<Confirmation | null> {
    const rows: {
      formId: string;
      subscriberId: string;
      person: string;
      status: string;
      askedSince: boolean;
      answers: SubscriberFields | null;
      confirmations: number;
    }[] = await manager.query(
      `with person as materialized (
         select id, status from subscriber where id = (select subscriber_id from signup where id = $1) for no key update)
       select g.form_id as "formId", person.id as "subscriberId", person.status as person, g.status, g.answers, g.confirmation_count as confirmations, (
           select m.created_at > g.confirmed_at from message m
           where m.dedupe_key = 'confirm:' || g.id || ':' || g.confirmation_count) is true as "askedSince"
       from person join signup g on g.subscriber_id = person.id where g.id = $1 for update of g`,
      [signupId],
    );
    const signup = rows[0];
    const form = signup ? await this.forms.findById(manager, signup.formId) : null;
    if (!signup || !form) return null;
    if (by !== null) await this.mailCame(manager, signupId, signup.confirmations);
    if (
      by !== null &&
      signup.status === 'pending' &&
      (await lastMove(manager, signup.subscriberId)) !== by.move
    )
      return { kind: 'moved', form };
    const download = await this.admission.leadMagnet(manager, form);
    if (signup.status === 'confirmed' && signup.person !== 'active') return { kind: 'left', form };
    // A press that was kept on disk may come in behind what was pressed after it.
    if (origin.at !== undefined && (await leftSince(manager, signup.subscriberId, origin.at, form.funnelKey)))
      return { kind: 'left', form };
    if (signup.status === 'confirmed' && !signup.askedSince)
      return { kind: 'confirmed', form, download, mailComes: false };
    const { subscriberId } = signup;
    const answers = await this.answersOf(manager, form, signup.answers);
    const admission = { form, signupId, subscriberId, download, origin, answers, isProven: by !== null };
    const outcome = await this.admission.admit(manager, admission);
    if (outcome === 'refused' || outcome === 'left') return { kind: outcome, form };
    await manager.query(
      // The mark of the browser says who may name an affiliate while it waits.
      `update signup set status = 'confirmed', confirmed_at = $2, answers = null, visitor_id = null where id = $1`,
      [signupId, this.clock.now()],
    );
    return { kind: 'confirmed', form, download, mailComes: outcome === 'enrolled' };
  }

  /** Where the end of the mail that asked was not known, it is now; nobody is asked once more for what they have just said. */
  private async mailCame(manager: EntityManager, signupId: string, confirmations: number): Promise<void> {
    const keys = this.keysOf(signupId, confirmations);
    await this.messages.linkUsedOf(keys, manager);
    await this.messages.cancelPlanned(manager, keys, CONFIRMED_ALREADY);
  }

  private keysOf(signupId: string, confirmations: number): string[] {
    return Array.from({ length: confirmations }, (_, n) => `confirm:${signupId}:${n + 1}`);
  }

  /** They may have waited for weeks. */
  private async answersOf(
    manager: EntityManager,
    form: Form,
    answers: SubscriberFields | null,
  ): Promise<SubscriberFields> {
    return answers === null ? {} : answersThatHold(await this.forms.fieldsOf(form, manager), answers);
  }

  private read(token: string): Ticket | null {
    const payload = verifyToken(this.config.secretKey, PURPOSE, token);
    if (payload === null) return null;
    const [signupId, move = null] = decodeIds(payload, 1) ?? decodeIds(payload, 2) ?? [];
    return signupId === undefined ? null : { signupId, move };
  }
}
