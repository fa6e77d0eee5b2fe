import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { SuppressionsService } from '../../subscribers/suppressions.service.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { EnrollingService } from './enrolling.service.js';
import { EXIT } from '../steps/exit-reasons.js';
import { ReactionsService } from '../events/reactions.service.js';
import { SequencesService, type EnrollmentRow, type SequenceRow } from '../sequences.service.js';

/** What became of people whom the owner has put into a sequence. */
export type EnrollOutcome = 'enrolled' | 'notActive' | 'suppressed' | 'optedOut' | 'mayNotJoin';

const REFUSALS: Readonly<Record<Exclude<EnrollOutcome, 'enrolled'>, [code: string, text: string]>> = {
  notActive: [
    'SUBSCRIBER_NOT_ACTIVE_CONFLICT',
    'the subscriber is not active, so there is no consent to mails',
  ],
  suppressed: ['ADDRESS_SUPPRESSED_CONFLICT', 'the address is on the suppression list'],
  optedOut: ['TOPIC_OPTED_OUT_CONFLICT', 'the subscriber does not want the mails of this funnel'],
  mayNotJoin: [
    'ENROLLMENT_REENTRY_CONFLICT',
    'the subscriber is or was in the sequence, and its reentry does not let them join again now',
  ],
};

export interface Candidate {
  id: string;
  emailKey: string;
  entryKey?: string | undefined;
}

/** People whom the owner puts into a sequence or takes out of it, as all rules of joining allow. */
@Injectable()
export class ManualEnrollmentsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly sequences: SequencesService,
    private readonly enrolling: EnrollingService,
    private readonly reactions: ReactionsService,
    private readonly suppressions: SuppressionsService,
  ) {}

  /** Throws `SEQUENCE_NOT_FOUND`, and `SEQUENCE_CLOSED_CONFLICT` where its funnel is archived. */
  async sequence(id: string): Promise<Pick<SequenceRow, 'key' | 'funnelKey'>> {
    const row = await this.sequences.find(id);
    if (row === null) throw notFound('sequence', id);
    if (!row.isClosed) return row;
    const message = `the funnel "${row.funnelKey}" is archived: nobody joins its sequence`;
    throw new DomainError('SEQUENCE_CLOSED_CONFLICT', message, { id, funnel: row.funnelKey });
  }

  /** Throws `SEQUENCE_NOT_FOUND`, `STEP_NOT_FOUND`, and a conflict that says why the person may not join. */
  async add(sequenceId: string, person: Candidate, at: string | undefined): Promise<EnrollmentRow> {
    const sequence = await this.sequence(sequenceId);
    const outcomes = await this.dataSource.transaction(async (manager) =>
      this.addAll(manager, sequence, [person], at),
    );
    const outcome = outcomes.get(person.id) ?? 'notActive';
    if (outcome !== 'enrolled') {
      const [code, text] = REFUSALS[outcome];
      throw new DomainError(code, text, { subscriberId: person.id, sequenceId });
    }
    const rows = await this.sequences.enrollments({ subscriberId: person.id, limit: 200 });
    const row = rows.find(({ sequenceKey }) => sequenceKey === sequence.key);
    if (!row) throw new Error('an enrollment that was just made is gone');
    return row;
  }

  /** In the caller's transaction. Whom it leaves out, it says why. */
  async addAll(
    manager: EntityManager,
    { key, funnelKey }: Pick<SequenceRow, 'key' | 'funnelKey'>,
    people: readonly Candidate[],
    at: string | undefined,
  ): Promise<Map<string, EnrollOutcome>> {
    const rows: { id: string; status: string; suppressed: boolean; optedOut: boolean }[] =
      await manager.query(
        `select s.id, s.status, exists (select 1 from suppression x where x.email_hash = decode(p.hash, 'hex')) as suppressed,
         exists (select 1 from topic_opt_out t where t.subscriber_id = s.id and t.topic_key = $3) as "optedOut"
       from unnest($1::bigint[], $2::text[]) as p (id, hash) join subscriber s on s.id = p.id order by s.id`,
        [
          people.map(({ id }) => id),
          people.map(({ emailKey }) => this.suppressions.hash(emailKey).toString('hex')),
          funnelKey,
        ],
      );
    const outcomes = new Map<string, EnrollOutcome>();
    for (const { id, status, suppressed, optedOut } of rows) {
      const left = suppressed ? 'suppressed' : optedOut ? 'optedOut' : 'mayNotJoin';
      outcomes.set(id, status === 'active' ? left : 'notActive');
    }
    const allowed = people.filter(({ id }) => outcomes.get(id) === 'mayNotJoin');
    const newcomers = allowed.map(({ id, entryKey }) => ({ subscriberId: id, data: '{}', entryKey }));
    for (const id of await this.enrolling.join(manager, key, newcomers, { at })) outcomes.set(id, 'enrolled');
    return outcomes;
  }

  /** What was planned for the person is not sent. Repeating it changes nothing. Throws `ENROLLMENT_NOT_FOUND`. */
  async remove(enrollmentId: string): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      if (await this.reactions.exit(manager, enrollmentId, EXIT.removed())) return;
      throw notFound('enrollment', enrollmentId);
    });
  }
}
