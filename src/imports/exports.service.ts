import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import type { Condition } from '../segments/condition.js';
import { SegmentsService } from '../segments/segments.service.js';
import { FieldsService } from '../subscribers/fields.service.js';
import { exportHeader, exportRow, type ExportedPerson } from './export-row.js';

const BATCH = 5_000;

/** Tables of subscribers on their way out. */
@Injectable()
export class ExportsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly segments: SegmentsService,
    private readonly fields: FieldsService,
  ) {}

  /** Everybody, or those of a segment. Throws `SEGMENT_NOT_FOUND` before the first piece. */
  async subscribers(segmentKey: string | null): Promise<AsyncGenerator<string>> {
    if (segmentKey === null) return this.people(null);
    const { [segmentKey]: conditions = null } = await this.segments.conditionsOf([segmentKey]);
    return this.people(conditions);
  }

  /**
   * Everybody, or those who meet the conditions, as a table that spreadsheets cannot execute and our own import reads back
   * the same. Holds one batch in memory. Who signs up meanwhile may be in it or not.
   */
  async people(conditions: Condition | null): Promise<AsyncGenerator<string>> {
    if (conditions === null) return this.pieces({ text: 'true', parameters: [] });
    const compiler = await this.segments.compiler();
    return this.pieces(compiler(conditions, 3));
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
