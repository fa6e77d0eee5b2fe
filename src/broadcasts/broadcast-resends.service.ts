import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BroadcastMailsQueries } from '../delivery/planning/broadcast-mails.queries.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { topicOf, type Broadcast, type BroadcastReport, type Resend } from './broadcast.js';
import { stillSold } from './broadcast-offers.queries.js';
import { BroadcastPreflight } from './broadcast-preflight.service.js';
import { BroadcastReports } from './broadcast-reports.service.js';
import { BroadcastsQueries } from './broadcasts.queries.js';
import { offerAgain } from './offers-of-words.js';
import { mailsOf, waitingWords } from './rewording.js';
import { saysTheSame } from './split.js';

/** The same news once more, in other words, to those whom the first mail did not reach. */
@Injectable()
export class BroadcastResends {
  constructor(
    private readonly dataSource: DataSource,
    private readonly queries: BroadcastsQueries,
    private readonly mails: BroadcastMailsQueries,
    private readonly preflight: BroadcastPreflight,
    private readonly reports: BroadcastReports,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /**
   * A draft that is started like any other; its audience is read at its start. Throws `BROADCAST_NOT_FOUND`,
   * `BROADCAST_STATE_CONFLICT` before all of the first one is under way, `BROADCAST_ALREADY_RESENT`,
   * `BROADCAST_WAITING_CONFLICT`, `BROADCAST_RESEND_INVALID`, `BROADCAST_OFFER_INVALID`, `TEMPLATE_NOT_FOUND` and `TEMPLATE_INVALID`.
   */
  async draft(id: string, resend: Resend): Promise<BroadcastReport> {
    const draftId = await this.dataSource.transaction(async (manager) => {
      const first = await this.queries.lock(manager, id);
      if (first === null) throw notFound('broadcast', id);
      checkFirst(first);
      if (resend.leaveOutWaiting !== true) checkWaiting(id, await this.mails.neverTried(manager, id));
      const { sender, title } = first;
      const offer = resend.offer === undefined ? await stillSold(manager, offerAgain(first)) : resend.offer;
      const words = { template: resend.template ?? first.template, subject: resend.subject };
      const offers = { ...(offer && { offer }) };
      if (saysTheSame({ ...words, ...offers }, mailsOf(first))) throw sameWords();
      const { templateId } = await this.preflight.publish(manager, { ...words, offer, sender });
      // Changed on the way since: some have them all the same.
      const wasOfFirst = Object.hasOwn(first.reworded ?? {}, templateId);
      const { template, subject } = waitingWords(first);
      const isOfOffer = wasOfFirst && saysTheSame({ template, subject, ...offers }, mailsOf(first));
      if (isOfOffer && (await this.mails.anyWith(manager, id, templateId))) throw sameWords();
      return this.queries.insert(
        manager,
        {
          ...{
            ...words,
            offer,
            templateId,
            sender,
            topic: topicOf(first),
            priority: first.priority,
            key: null,
            expiresAt: null,
            resendOf: id,
          },
          title: resend.title ?? `${title} (again)`.slice(0, 200),
          audience: { resendOf: id, unless: resend.unless },
        },
        this.clock.now(),
      );
    });
    return this.reports.get(draftId);
  }
}

function checkFirst({ id, state, plannedAt, split, decision, resendOf, resentBy }: Broadcast): void {
  if (resendOf !== null) throw invalid('it is itself sent once more; a person gets it twice at most', 'id');
  if (resentBy !== null) {
    const message = `it is sent once more already, as broadcast ${resentBy}`;
    throw new DomainError('BROADCAST_ALREADY_RESENT', message, { id, resentBy });
  }
  // Where everybody was in the test there is no rest, and nothing to decide.
  if (state === 'done') return;
  if (state === 'running' && plannedAt !== null && (split === null || decision !== null)) return;
  const message = 'it can be sent once more when all of its mails are on their way';
  throw new DomainError('BROADCAST_STATE_CONFLICT', message, { id, state });
}

/** Its audience are those who have got the first mail when it begins, and there is no third. */
function checkWaiting(id: string, waiting: number): void {
  if (waiting === 0) return;
  const [mails, end] =
    waiting === 1
      ? ['One of its mails still waits', 'it has gone, or leave that person out']
      : [`${waiting} of its mails still wait`, 'they have gone, or leave those people out'];
  const message = `${mails} to go for the first time. Who gets it later would not get this one: send it once more when ${end}`;
  throw new DomainError('BROADCAST_WAITING_CONFLICT', message, { id, waiting });
}

function sameWords(): DomainError {
  return invalid('subject: the first mail had these very words; give another subject or template', 'subject');
}

function invalid(message: string, field: string): DomainError {
  return new DomainError('BROADCAST_RESEND_INVALID', message, { field });
}
