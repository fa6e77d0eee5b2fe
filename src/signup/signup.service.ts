import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import type { TouchSource } from '../affiliates/referrals.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { hasOptedOut, leftSince } from '../subscribers/subscribers.queries.js';
import type { SubscriberFields } from '../subscribers/subscriber.js';
import { SubscribersService } from '../subscribers/subscribers.service.js';
import { SuppressionsService } from '../subscribers/suppressions.service.js';
import { ConfirmationService } from './confirmation.service.js';
import type { Form } from './forms.service.js';
import type { Origin } from './origin.js';
import { SignupTraces } from './signup-traces.service.js';
import type { Submission } from './submission.js';

interface Press {
  form: Form;
  submission: Submission;
  origin: Origin;
  source: TouchSource;
}

/** A visitor becomes a subscriber. One transaction: person, consent, sign-up, confirmation mail, or nothing. */
@Injectable()
export class SignupService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly subscribers: SubscribersService,
    private readonly suppressions: SuppressionsService,
    private readonly confirmation: ConfirmationService,
    private readonly traces: SignupTraces,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Answers nothing about the address: known, new or suppressed, the visitor sees the same page. */
  async signUp(form: Form, submission: Submission, origin: Origin, source: TouchSource = {}): Promise<void> {
    await this.dataSource.transaction(async (manager) =>
      this.signUpIn(manager, { form, submission, origin, source, isLate: false }),
    );
  }

  /**
   * As `signUp`, of one that was kept when it came, `origin.at`: once, however often it is handed in, and not of somebody who was
   * erased or has left since. False while the person's leaving waits to come into force, which was before it.
   */
  async signUpLate(
    form: Form,
    submission: Submission,
    origin: Origin & { at: Date },
    source: TouchSource,
  ): Promise<boolean> {
    return this.dataSource.transaction(async (manager) => {
      const rows: { leaves: boolean }[] = await manager.query(
        `select exists (select 1 from waiting_leaving l join subscriber s on s.id = l.reader_id where s.email_key = $1) as leaves`,
        [submission.email.key],
      );
      if (rows[0]?.leaves === true) return false;
      if (!(await this.isErased(submission.email.key, origin.at, manager)))
        await this.signUpIn(manager, { form, submission, origin, source, isLate: true });
      return true;
    });
  }

  /**
   * Whether nobody is there by that address who was there at that time, and nothing is to be written of them: who was erased since
   * and has signed up anew is another one.
   */
  async isErased(emailKey: string, at: Date, manager = this.dataSource.manager): Promise<boolean> {
    const rows: { is: boolean }[] = await manager.query(
      `select not exists (select 1 from subscriber where email_key = $1 and created_at <= $3)
         and exists (select 1 from suppression where email_hash = $2 and scope = 'all' and reason <> 'manual') as is`,
      [emailKey, this.suppressions.hash(emailKey), at],
    );
    return rows[0]?.is === true;
  }

  private async signUpIn(
    manager: EntityManager,
    { form, submission, origin, source, isLate }: Press & { isLate: boolean },
  ): Promise<void> {
    const person = await this.subscribers.upsert(manager, submission);
    // Under the lock of the person's row: another process may hand in the same one.
    if (isLate && (await isOver(manager, person.id, form, origin))) return;
    await this.subscribers.recordConsent(manager, {
      subscriberId: person.id,
      kind: 'granted',
      purpose: 'marketing',
      consentText: form.consentText,
      formSlug: form.slug,
      ...origin,
    });
    const visitorId = this.traces.visitorId(origin);
    const left =
      (person.status !== 'active' && person.status !== 'pending') ||
      (await hasOptedOut(manager, person.id, form.funnelKey));
    const signup = await this.join(manager, {
      formId: form.id,
      subscriberId: person.id,
      visitorId,
      reopen: left,
      answers: submission.answers,
    });
    await this.traces.signedUp(manager, {
      form,
      signupId: signup.id,
      // Without a mail that asks, whoever types an address must not become the affiliate of somebody we know.
      mayRefer: signup.status === 'pending' && (form.optIn === 'double' || person.created),
      subscriberId: person.id,
      visitorId,
      source,
      at: origin.at,
    });
    if (person.status === 'complained') return;
    // A mailbox that was full may have room again; a dead one gets no mail.
    if (person.status === 'bounced' && !(await this.suppressions.mayComeBack(submission.email.key, manager)))
      return;
    // Who has left, all mails or this topic, or is suppressed, is asked first: with single opt-in anybody could put
    // them back on the list.
    const isFree = !left && (await this.suppressions.of(submission.email.key, manager)).length === 0;
    if (form.optIn === 'single' && isFree && signup.status === 'pending')
      await this.confirmation.confirmIn(manager, signup.id, origin, null);
    // Also who has confirmed before: the page promises a mail, and without its press anybody could begin their letters anew.
    else await this.confirmation.ask(manager, { form, signup, person: submission, subscriberId: person.id });
  }

  private async join(
    manager: EntityManager,
    row: {
      formId: string;
      subscriberId: string;
      visitorId: Buffer;
      reopen: boolean;
      answers: SubscriberFields;
    },
  ): Promise<{ id: string; status: 'pending' | 'confirmed'; confirmations: number }> {
    const rows: { id: string; status: 'pending' | 'confirmed'; confirmations: number }[] =
      await manager.query(
        `insert into signup (form_id, subscriber_id, status, visitor_id, created_at, answers) values ($1, $2, 'pending', $3, $4, $6)
       on conflict (form_id, subscriber_id) do update set
         visitor_id = case when signup.status = 'pending' then coalesce(signup.visitor_id, excluded.visitor_id)
           when $5 then excluded.visitor_id end,
         answers = coalesce(signup.answers || excluded.answers, excluded.answers, signup.answers),
         status = case when $5 then 'pending' else signup.status end
       returning id, status, confirmation_count as confirmations`,
        [
          row.formId,
          row.subscriberId,
          row.visitorId,
          this.clock.now(),
          row.reopen,
          Object.keys(row.answers).length === 0 ? null : JSON.stringify(row.answers),
        ],
      );
    const signup = rows[0];
    if (!signup) throw new Error('the sign-up was neither made nor found');
    return signup;
  }
}

/** Whether it is done, or they have left since: their last word counts. */
async function isOver(
  manager: EntityManager,
  subscriberId: string,
  form: Form,
  origin: Origin,
): Promise<boolean> {
  if (await hasGranted(manager, subscriberId, form, origin)) return true;
  return origin.at !== undefined && leftSince(manager, subscriberId, origin.at, form.funnelKey);
}

/** Whether that very press is in the database: it stands there to the millisecond. Served by consent_event_subscriber. */
async function hasGranted(
  manager: EntityManager,
  subscriberId: string,
  { slug }: Form,
  { at }: Origin,
): Promise<boolean> {
  const rows: unknown[] = await manager.query(
    `select 1 from consent_event
     where subscriber_id = $1 and purpose = 'marketing' and kind = 'granted' and form_slug = $2 and at = $3 limit 1`,
    [subscriberId, slug, at],
  );
  return rows.length > 0;
}
