import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { timeZoneOr } from '../../values/zoned-time.js';
import { opensAt, type OpenHours, type WeekSpan } from '../../values/week-hours.js';
import type { SharedMail } from '../message/mail-batch.js';
import { OUTSIDE_HOURS } from '../message/state-reasons.js';
import { dueByNewClock, type ClockMail } from './due-by-new-clock.js';
import { expiresBeforeHours, type WaitingMail } from './expires-before-hours.js';

/** A shared mail with its hours as the table has them. */
export type NumberedMail = Omit<SharedMail, 'hours'> & { sendHoursId?: number };

/** What the hours of a mail are judged by. */
interface TimedMail extends WaitingMail {
  id: string;
  sendHoursId: number | null;
}

/** A mail that must wait, and until when. */
interface ClosedMail {
  id: string;
  until: Date;
}

/**
 * The hours in which mails may go. A few hundred rows stand for those of all messages, so each message carries a number
 * and no text. The only writer of `send_hours`; its rows never change.
 */
@Injectable()
export class SendHours {
  readonly #ids = new Map<string, number>();
  readonly #hours = new Map<number, OpenHours>();

  constructor(private readonly dataSource: DataSource) {}

  /** Asks the database once per process for each different hours. */
  async number(shared: readonly SharedMail[]): Promise<NumberedMail[]> {
    const unknown = shared.flatMap(({ hours }) =>
      hours === undefined || this.#ids.has(nameOf(hours)) ? [] : [hours],
    );
    if (unknown.length > 0) await this.learn(unknown);
    return shared.map(({ hours, ...mail }): NumberedMail => {
      const sendHoursId = hours === undefined ? undefined : this.#ids.get(nameOf(hours));
      return sendHoursId === undefined ? mail : { ...mail, sendHoursId };
    });
  }

  /** Those of the mails whose hours are closed at `now`. Costs nothing for mails without hours. */
  async closed(mails: readonly TimedMail[], now: Date): Promise<ClosedMail[]> {
    const timed = mails.filter(({ sendHoursId }) => sendHoursId !== null);
    if (timed.length === 0) return [];
    await this.load(timed.map(({ sendHoursId }) => sendHoursId ?? 0));
    const openings = new Map<number | null, Date | null>();
    return timed.flatMap((mail): ClosedMail[] => {
      const { id, sendHoursId } = mail;
      let until = openings.get(sendHoursId);
      if (until === undefined) {
        const hours = this.#hours.get(sendHoursId ?? 0);
        openings.set(sendHoursId, (until = hours === undefined ? null : opensAt(hours, now)));
      }
      return until === null || expiresBeforeHours(until, mail) ? [] : [{ id, until }];
    });
  }

  /** Of a mail that was asked about by `closed`. */
  hoursOf({ sendHoursId }: Pick<TimedMail, 'sendHoursId'>): OpenHours | null {
    return this.#hours.get(sendHoursId ?? 0) ?? null;
  }

  /**
   * The clocks of these readers have changed: the hours of what waits for them are those of their new ones, what waits
   * for its hours to open waits for their opening there, as late by its DKIM key as it was, and what a broadcast sends at an hour
   * of theirs goes at that. Of who has no zone any more they are those of the fallback of sequence or broadcast. Called when zones
   * change; locks the mails in one order. Served by `message_subscriber` and by keys.
   */
  async changeZones(manager: EntityManager, subscriberIds: readonly string[], now: Date): Promise<void> {
    const rows: (ClockMail & {
      id: string;
      spans: WeekSpan[];
      timeZone: string;
      zone: string | null;
      fallback: string;
    })[] = await manager.query(
      `select m.id, h.spans, h.time_zone as "timeZone", s.time_zone as zone,
           coalesce(v.definition ->> 'fallbackZone', b.timing #>> '{local,fallbackZone}', 'UTC') as fallback,
           coalesce(m.state = 'ready' and m.state_reason = $2, false) as "isClosed", m.due_at as "dueAt", m.expires_at as "expiresAt",
           b.id is not null and m.state = 'ready' and m.state_reason is null as "isAtHour",
           coalesce(jsonb_path_exists(b.split, '$.arms[*].at'), false) as "isOfArm"
         from message m join send_hours h on h.id = m.send_hours_id join subscriber s on s.id = m.subscriber_id
           left join enrollment e on e.id = m.enrollment_id left join sequence_version v on v.id = e.version_id
           left join broadcast b on b.id = m.broadcast_id
         where m.subscriber_id = any($1::bigint[]) and m.state in ('ready', 'held') and b.timing #>> '{local,timezone}' is null
         order by m.id for update of m`,
      [subscriberIds, OUTSIDE_HOURS],
    );
    const moved = rows.flatMap(({ id, spans, timeZone: before, zone, fallback, ...mail }) => {
      // As in `load`: one that is not known here would stop the changes of everybody who is looked at with it.
      const { zone: timeZone } = timeZoneOr(zone, timeZoneOr(fallback, 'UTC').zone);
      const hours = { spans, timeZone };
      if (timeZone === before) return [];
      const known = timeZoneOr(before, 'UTC').zone;
      return [{ id, hours, dueAt: dueByNewClock(mail, { before: known, hours, now }) }];
    });
    if (moved.length === 0) return;
    await this.learn(moved.map(({ hours }) => hours));
    await manager.query(
      `update message m set send_hours_id = u.hours, due_at = coalesce(u.due_at, m.due_at),
         planned_for = case when m.planned_for = m.due_at then coalesce(u.due_at, m.planned_for) else m.planned_for end
       from unnest($1::bigint[], $2::int[], $3::timestamptz[]) as u (id, hours, due_at) where m.id = u.id`,
      [
        moved.map(({ id }) => id),
        moved.map(({ hours }) => this.#ids.get(nameOf(hours))),
        moved.map(({ dueAt }) => dueAt),
      ],
    );
  }

  /** Not in the transaction of the caller: its end must not take back a row that this process remembers. */
  private async learn(all: readonly OpenHours[]): Promise<void> {
    const texts = [...new Set(all.map(nameOf))];
    const rows: { id: number; place: number }[] = await this.dataSource.query(
      `with given as (
         select g.hours -> 'spans' as spans, g.hours ->> 'timeZone' as time_zone, g.place
         from unnest($1::jsonb[]) with ordinality as g (hours, place)),
       added as (
         insert into send_hours (spans, time_zone) select spans, time_zone from given
         on conflict (spans, time_zone) do update set time_zone = excluded.time_zone returning id, spans, time_zone)
       select a.id, g.place::int - 1 as place from added a join given g on g.spans = a.spans and g.time_zone = a.time_zone`,
      [texts],
    );
    for (const { id, place } of rows) this.#ids.set(texts[place] ?? '', id);
  }

  private async load(ids: readonly number[]): Promise<void> {
    const unknown = [...new Set(ids)].filter((id) => !this.#hours.has(id));
    if (unknown.length === 0) return;
    const rows: { id: number; spans: WeekSpan[]; timeZone: string }[] = await this.dataSource.query(
      'select id, spans, time_zone as "timeZone" from send_hours where id = any($1::int[])',
      [unknown],
    );
    // A clock that is not known here would stop this claim, and each after it, with everybody's mails.
    for (const { id, spans, timeZone } of rows)
      this.#hours.set(id, { spans, timeZone: timeZoneOr(timeZone, 'UTC').zone });
  }
}

function nameOf({ spans, timeZone }: OpenHours): string {
  return JSON.stringify({ spans, timeZone });
}
