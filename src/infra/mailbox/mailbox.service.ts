import { Inject, Injectable } from '@nestjs/common';
import PostalMime, { type Email } from 'postal-mime';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../clock.js';
import { storable } from '../../values/storable-text.js';

export interface MailboxMail {
  id: string;
  subject: string;
  to: string;
  from: string;
  receivedAt: Date;
  unread: boolean;
}

export interface ParsedMail extends MailboxMail {
  html: string | null;
  text: string | null;
  headers: { name: string; value: string }[];
  /** As it came over SMTP. */
  source: string;
}

/** More than a newcomer reads; older mails are dropped so that the demo cannot fill the disk. */
const KEPT_MAILS = 5_000;

const COLUMNS = `id, subject, envelope_to as "to", from_text as "from", received_at as "receivedAt", read_at is null as unread`;

/** What the built-in mailbox received. Owns `mailbox_mail`. */
@Injectable()
export class MailboxService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  async keep(mail: { raw: Buffer; from: string; to: string }): Promise<void> {
    const parsed = await parse(mail.raw);
    const sender = parsed.from?.name
      ? `${parsed.from.name} <${parsed.from.address ?? ''}>`
      : (parsed.from?.address ?? mail.from);
    const rows: { id: string }[] = await this.dataSource.query(
      `insert into mailbox_mail (envelope_from, envelope_to, subject, from_text, message_id_header, raw, received_at)
       values ($1, $2, $3, $4, $5, $6, $7) returning id`,
      [
        mail.from,
        mail.to,
        storable(parsed.subject || '(no subject)'),
        storable(sender),
        parsed.messageId === undefined ? null : storable(parsed.messageId),
        mail.raw,
        this.clock.now(),
      ],
    );
    const oldest = BigInt(rows[0]?.id ?? 0) - BigInt(KEPT_MAILS);
    if (oldest > 0n)
      await this.dataSource.query('delete from mailbox_mail where id <= $1', [oldest.toString()]);
  }

  /** The reader is erased, so the demonstration's copies of their mails go too. */
  async forget(manager: EntityManager, address: string): Promise<void> {
    await manager.query('delete from mailbox_mail where lower(envelope_to) = lower($1)', [address]);
  }

  /** Newest first; `beforeId` is the last one the caller has seen. */
  async list({ beforeId, limit }: { beforeId?: string | undefined; limit: number }): Promise<MailboxMail[]> {
    return this.dataSource.query(
      `select ${COLUMNS} from mailbox_mail where $1::bigint is null or id < $1::bigint order by id desc limit $2`,
      [beforeId ?? null, limit],
    );
  }

  /** Marks the mail as read. Null when there is no such mail. */
  async open(id: string): Promise<ParsedMail | null> {
    if (!/^\d{1,18}$/.test(id)) return null;
    const rows: (MailboxMail & { raw: Buffer })[] = await this.dataSource.query(
      `select ${COLUMNS}, raw from mailbox_mail where id = $1`,
      [id],
    );
    const row = rows[0];
    if (!row) return null;
    await this.dataSource.query('update mailbox_mail set read_at = $2 where id = $1 and read_at is null', [
      id,
      this.clock.now(),
    ]);
    const { raw, ...mail } = row;
    const parsed = await parse(raw);
    return {
      ...mail,
      html: parsed.html ?? null,
      text: parsed.text ?? null,
      headers: parsed.headers.map(({ originalKey, key, value }) => ({ name: originalKey ?? key, value })),
      source: raw.toString('utf8'),
    };
  }
}

/** A mail that cannot be read is kept all the same: it is what somebody sent, and its source can be looked at. */
async function parse(
  raw: Buffer,
): Promise<Pick<Email, 'subject' | 'from' | 'messageId' | 'html' | 'text' | 'headers'>> {
  try {
    return await PostalMime.parse(raw);
  } catch {
    return { subject: '(unreadable mail)', from: undefined, messageId: '', headers: [] };
  }
}
