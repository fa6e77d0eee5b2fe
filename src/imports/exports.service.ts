import { Inject, Injectable, Logger } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { ENVIRONMENT_KEY_ID } from '../infra/access/caller.js';
import { AlertsService } from '../infra/alerts/alerts.service.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { Condition } from '../segments/condition.js';
import { SegmentsService } from '../segments/segments.service.js';
import { FieldsService } from '../subscribers/fields.service.js';
import { DAY_MS } from '../values/time-units.js';
import { exportHeader, exportRow, type ExportedPerson } from './export-row.js';

const BATCH = 5_000;
const EXPORTED_ALERT = 'subscribers:exported:';
const TOLD_DAYS = 7;

/** Who takes subscribers along: a key of the API by its id, the signed-in owner, or whoever has a shell on the server. */
type Exporter = { apiKeyId: string } | 'owner' | 'command line';

/** As what of all people the report of an import is told. */
export const rejectedOf = (importId: string): string => `rejected rows of import ${importId}`;

/** Tables of subscribers on their way out. */
@Injectable()
export class ExportsService {
  readonly #log = new Logger('Exports');

  constructor(
    private readonly dataSource: DataSource,
    private readonly segments: SegmentsService,
    private readonly fields: FieldsService,
    private readonly alerts: AlertsService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Everybody, or those of a segment. Throws `SEGMENT_NOT_FOUND` before the first piece. */
  async subscribers(segmentKey: string | null, by: Exporter): Promise<AsyncGenerator<string>> {
    const found = segmentKey === null ? {} : await this.segments.conditionsOf([segmentKey]);
    return this.people(found[segmentKey ?? ''] ?? null, { by, what: segmentKey && `segment ${segmentKey}` });
  }

  /**
   * Everybody, or those who meet the conditions, as a table that spreadsheets cannot execute and our own import reads back
   * the same. Holds one batch in memory. Who signs up meanwhile may be in it or not.
   */
  async people(
    conditions: Condition | null,
    { by, what }: { by: Exporter; what: string | null },
  ): Promise<AsyncGenerator<string>> {
    await this.tell(by, what);
    if (conditions === null) return this.pieces({ text: 'true', parameters: [] });
    const compiler = await this.segments.compiler();
    return this.pieces(compiler(conditions, 3));
  }

  /**
   * Called before a table of people is sent, also by those who make another one of them. Whoever has got hold of a key takes the
   * list first. Told once for each exporter and part, and not anew each night of a
   * backup: a small part that is taken after must not cover up the whole list, nor a large part.
   */
  async tell(
    by: Exporter,
    what: string | null,
    whose: 'Subscribers' | 'Affiliates' = 'Subscribers',
  ): Promise<void> {
    const { key, who, remedy } = whoIs(by);
    const of = what === null ? '' : ` (${what})`;
    this.#log.log(`${whose.toLowerCase()} are exported by ${who}${of}`);
    try {
      await this.alerts.raise({
        key: `${EXPORTED_ALERT}${key}${what === null ? '' : `:${what}`}`,
        severity: 'info',
        message: `${whose} were exported by ${who}${of}. If you do not know of it, ${remedy}: whoever did it has their addresses.`,
      });
    } catch (error) {
      // A disk that is full takes no alert, and then the list is what the owner wants to save.
      this.#log.error(
        `the alert about an export cannot be written: ${error instanceof Error ? error.message : ''}`,
      );
    }
  }

  /** Called by a job, hourly. What was told stays among the alerts that are over. */
  async endTold(): Promise<void> {
    const before = new Date(this.clock.now().getTime() - TOLD_DAYS * DAY_MS);
    for (const { key, lastSeenAt } of await this.alerts.open())
      if (key.startsWith(EXPORTED_ALERT) && lastSeenAt < before) await this.alerts.resolve(key);
  }

  private async *pieces(condition: { text: string; parameters: unknown[] }): AsyncGenerator<string> {
    const definitions = await this.fields.definitions();
    yield exportHeader(definitions);
    for (let after = '0'; ;) {
      const people = await this.batch(condition, after);
      const last = people.at(-1);
      if (!last) return;
      yield people.map((person) => exportRow(person, definitions)).join('');
      after = last.id;
    }
  }

  /** By the primary key; the evidence of each by consent_event_subscriber. Takes no lock. */
  private async batch(
    condition: { text: string; parameters: unknown[] },
    after: string,
  ): Promise<ExportedPerson[]> {
    return this.dataSource.query(
      `select s.id, s.email, s.name, s.status, s.time_zone as "timeZone", s.locale, s.fields, s.tracking_consent as "trackingConsent",
         s.created_at as "createdAt", s.confirmed_at as "confirmedAt",
         array(select t.name from subscriber_tag st join tag t on t.id = st.tag_id where st.subscriber_id = s.id order by t.name) as tags,
         array(select topic_key from topic_opt_out where subscriber_id = s.id order by topic_key) as "topicsOff",
         s.paused_until as "pausedUntil",
         array(select l.key from list_member m join list l on l.id = m.list_id where m.subscriber_id = s.id order by l.key) as lists,
         g.consent_text as "consentText", g.at as "consentAt", host(g.ip) as "consentIp", host(c.ip) as "confirmedIp", w.at as "leftAt"
       from subscriber s
       left join lateral (select consent_text, at, ip from consent_event where subscriber_id = s.id and purpose = 'marketing'
         and kind = 'granted' order by id desc limit 1) g on true
       left join lateral (select ip from consent_event where subscriber_id = s.id and purpose = 'marketing'
         and kind = 'confirmed' order by id desc limit 1) c on true
       left join lateral (select at from consent_event where subscriber_id = s.id and purpose = 'marketing'
         and kind = 'withdrawn' and s.status = 'unsubscribed' order by id desc limit 1) w on true
       where s.id > $1 and ${condition.text} order by s.id limit $2`,
      [after, BATCH, ...condition.parameters],
    );
  }
}

function whoIs(by: Exporter): { key: string; who: string; remedy: string } {
  if (by === 'owner')
    return { key: 'owner', who: 'you, signed in to the web app', remedy: 'change your password' };
  if (by === 'command line')
    return { key: 'command', who: 'a command on the server', remedy: 'see who may sign in there' };
  const { apiKeyId } = by;
  const who = apiKeyId === ENVIRONMENT_KEY_ID ? 'the API key of the environment' : `API key ${apiKeyId}`;
  return { key: `key:${apiKeyId}`, who, remedy: 'take that key away' };
}
