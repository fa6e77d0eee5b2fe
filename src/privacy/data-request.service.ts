import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { MessagesService } from '../delivery/planning/messages.service.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import { CONFIG, type Config } from '../infra/config.js';
import { addressHash } from '../subscribers/address-hash.js';
import type { Subscriber } from '../subscribers/subscriber.js';
import { type FormerAddress, guardedAddress } from '../subscribers/address-changes.queries.js';
import { decodeIds, encodeIds, signExpiring, verifyExpiring } from '../values/signed-token.js';
import { DAY_MS, MINUTE_MS } from '../values/time-units.js';
import { BACK_DAYS } from './address-links.service.js';
import { PersonalLetters } from './personal-letters.service.js';

/** `my-data` hands out the file; `erase` forgets the person. Neither link stands in for the other. */
type DataPurpose = 'my-data' | 'erase';

export const DATA_LINK_MINUTES = 30;
/** One mail in ten minutes and three a day: a forwarded mail must not become a way to flood its reader. */
const PAUSE_MS = 10 * MINUTE_MS;
const MAX_A_DAY = 3;
const UNMAILABLE_ALERT = 'privacy:unmailable:';
const WISHES = { 'my-data': 'for a copy of their data', erase: 'to be erased' } as const;
/** The letter with the link, and the name that it knows the link by. */
const LETTERS = {
  'my-data': { template: 'emails/my-data', variable: 'dataUrl' },
  erase: { template: 'emails/erase', variable: 'eraseUrl' },
} as const;

/** Whoever holds a forwarded mail holds its preferences link, so the links to the data and to their end go by a mail to the address itself. */
@Injectable()
export class DataRequestService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly messages: MessagesService,
    private readonly letters: PersonalLetters,
    private readonly alerts: AlertsService,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  token(purpose: DataPurpose, subscriberId: string): string {
    const expiresAt = new Date(this.clock.now().getTime() + DATA_LINK_MINUTES * MINUTE_MS);
    return signExpiring(this.config.secretKey, purpose, encodeIds([subscriberId]), expiresAt);
  }

  /** In whose name pages without a mail of their own speak; null when nobody has written to the person. */
  async senderName(subscriberId: string): Promise<string | null> {
    return this.letters.senderName(subscriberId);
  }

  /**
   * The subscriber's id; `'expired'` for a genuine link past its end; null for one we did not write. The mail that has the
   * link came, should its end not be known.
   */
  async read(purpose: DataPurpose, token: string): Promise<string | null> {
    const content = verifyExpiring(this.config.secretKey, purpose, token, this.clock.now());
    if (content === null || content === 'expired') return content;
    const id = decodeIds(content.payload, 1)?.[0] ?? null;
    if (id === null) return null;
    // A link ends at a whole second, so it may have been written in the one before.
    const writtenMs = content.expiresAt.getTime() - DATA_LINK_MINUTES * MINUTE_MS;
    const keys = [writtenMs - 999, writtenMs].map((ms) => keyOf(purpose, id, ms));
    await this.messages.linkUsedOf([...new Set(keys)]);
    return id;
  }

  /**
   * Plans the mail with the link, unless one is on its way or the day has had its three. Tells nobody which. Who complained,
   * and an address that is dead, get no mail of any kind: the owner is told, who has a month to answer (GDPR art. 12 (3)).
   */
  async ask(person: Subscriber, purpose: DataPurpose): Promise<'mailed' | 'unmailable'> {
    const address = await this.addressFor(person);
    if ((await this.blockOf(address)) !== 'all') {
      await this.mail(person.id, address, purpose);
      return 'mailed';
    }
    await this.alerts.raise({
      key: `${UNMAILABLE_ALERT}${purpose}:${person.id}`,
      severity: 'warning',
      message: `Subscriber ${person.id} asks ${WISHES[purpose]} on their preferences page, and nothing is mailed to their address because of a complaint, a bounce or a block. Make sure who asks, and answer within a month: on their page, /admin/subscribers/${person.id}, or by the API, ${purpose === 'erase' ? `DELETE /api/v1/subscribers/${person.id}` : `GET /api/v1/subscribers/${person.id}/export`}.`,
      facts: { subscriberId: person.id, purpose },
    });
    return 'unmailable';
  }

  /**
   * Where the link goes. Whoever holds a forwarded mail can ask for another address on the page of preferences: until the one before
   * has had its time to say no, all that is known of the person goes there and nowhere else.
   */
  async addressFor(person: Pick<Subscriber, 'id' | 'email' | 'emailKey'>): Promise<FormerAddress> {
    const since = new Date(this.clock.now().getTime() - BACK_DAYS * DAY_MS);
    return (await guardedAddress(this.dataSource.manager, person.id, since)) ?? person;
  }

  /** Alerts about who is not there any more, and those whose month is over. */
  async endAnswered(): Promise<void> {
    const overSince = new Date(this.clock.now().getTime() - 31 * DAY_MS);
    for (const { key, facts, lastSeenAt } of await this.alerts.open()) {
      if (!key.startsWith(UNMAILABLE_ALERT)) continue;
      const rows: unknown[] = await this.dataSource.query('select 1 from subscriber where id = $1', [
        facts['subscriberId'],
      ]);
      if (rows.length === 0 || lastSeenAt < overSince) await this.alerts.resolve(key);
    }
  }

  /** What is not mailed to the address, whatever the status says: the owner's block leaves that as it is. */
  async blockOf({ emailKey }: Pick<Subscriber, 'emailKey'>): Promise<'all' | 'marketing' | null> {
    const rows: { scope: 'all' | 'marketing' }[] = await this.dataSource.query(
      `select scope from suppression where email_hash = $1 order by scope = 'all' desc limit 1`,
      [addressHash(this.config.secretKey, emailKey)],
    );
    return rows[0]?.scope ?? null;
  }

  private async mail(id: string, { email, emailKey }: FormerAddress, purpose: DataPurpose): Promise<void> {
    const now = this.clock.now();
    const { template, variable } = LETTERS[purpose];
    await this.dataSource.transaction(async (manager) => {
      const recent: { count: number }[] = await manager.query(
        `select count(*)::int as count from message
         where subscriber_id = $1 and step_key = $3 and created_at > $2::timestamptz - interval '24 hours'`,
        [id, now, purpose],
      );
      if ((recent[0]?.count ?? 0) >= MAX_A_DAY) return;
      await this.letters.plan(manager, {
        dedupeKey: keyOf(purpose, id, now.getTime()),
        ...{ subscriberId: id, purpose, template, address: email },
        data: {
          [variable]: `${this.config.baseUrl}/${purpose}/${this.token(purpose, id)}`,
          minutes: DATA_LINK_MINUTES,
        },
        addressHash: addressHash(this.config.secretKey, emailKey),
        expiresAt: new Date(now.getTime() + DATA_LINK_MINUTES * MINUTE_MS),
      });
    });
  }
}

/** The same for all who ask within ten minutes: one mail. */
function keyOf(purpose: DataPurpose, subscriberId: string, nowMs: number): string {
  return `${purpose}:${subscriberId}:${Math.floor(nowMs / PAUSE_MS)}`;
}
