import { Inject, Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { dutyFault } from './duty-fault.templates.js';
import { TemplatesService } from './templates.service.js';
import { WRITTEN, type WrittenMail, writtenPlace } from './written-mail.js';

export type StoredWrittenMail = WrittenMail & { id: string; updatedAt: Date };

const MAIL = 'select id, key, subject, preview, body, updated_at as "updatedAt" from written_mail';

/** Mails that are written in the web app, to be sent as broadcasts. Owns `written_mail`. */
@Injectable()
export class WrittenMailsService {
  constructor(
    private readonly dataSource: DataSource,
    private readonly templates: TemplatesService,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Newest first, below `beforeId`. */
  async page(beforeId: string | undefined, limit: number): Promise<StoredWrittenMail[]> {
    return this.dataSource.query(`${MAIL} where $1::bigint is null or id < $1 order by id desc limit $2`, [
      beforeId ?? null,
      limit,
    ]);
  }

  /** Throws `MAIL_NOT_FOUND`. */
  async get(id: string): Promise<StoredWrittenMail> {
    const rows: StoredWrittenMail[] = await this.dataSource.query(`${MAIL} where id = $1`, [id]);
    if (rows[0]) return rows[0];
    throw notFound('mail', id);
  }

  /** `name`: of its key, which gets a number where it is taken. Throws what compiling throws. */
  async create(name: string, mail: Omit<WrittenMail, 'key'>): Promise<string> {
    await this.check({ ...mail, key: `${WRITTEN}${name}` });
    for (let number = 1; ; number += 1) {
      const key = `${WRITTEN}${name}${number === 1 ? '' : `-${number}`}`;
      const rows: { id: string }[] = await this.dataSource.query(
        `insert into written_mail (key, subject, preview, body, created_at, updated_at) values ($1, $2, $3, $4, $5, $5)
         on conflict (key) do nothing returning id`,
        [key, mail.subject, mail.preview, mail.body, this.clock.now()],
      );
      if (rows[0]) return rows[0].id;
    }
  }

  /** What was planned or sent keeps its words. Throws `MAIL_NOT_FOUND` and what compiling throws. */
  async update(id: string, mail: Omit<WrittenMail, 'key'>): Promise<void> {
    const { key } = await this.get(id);
    await this.check({ ...mail, key });
    await this.dataSource.query(
      'update written_mail set subject = $2, preview = $3, body = $4, updated_at = $5 where id = $1',
      [id, mail.subject, mail.preview, mail.body, this.clock.now()],
    );
  }

  /** Its foot shows a way out, which words with HTML of their own may hide. */
  private async check(mail: WrittenMail): Promise<void> {
    const compiled = await this.templates.compileWritten(mail);
    const sender = { name: 'Ada', email: 'ada@example.com', postalAddress: '1 Main St, Springfield' };
    const fault = dutyFault(compiled, { kind: 'sequence', sender, funnelTitle: '' });
    const place = { mail: writtenPlace(mail, null, null) };
    if (fault !== null) throw new DomainError('TEMPLATE_INVALID', fault, { ...place, reason: fault });
  }

  /** Throws `MAIL_NOT_FOUND`, and `MAIL_IN_USE_CONFLICT` while a broadcast that is not over is made of it. */
  async remove(id: string): Promise<void> {
    const { key } = await this.get(id);
    const uses: { title: string }[] = await this.dataSource.query(
      `select b.title from broadcast b where b.state not in ('done', 'cancelled') and (exists (
         select 1 from email_template t
         where t.key = $1 and (t.id = b.email_template_id or t.id = any (b.arm_template_ids)))
         or jsonb_path_exists(b.split, '$.arms[*].template ? (@ == $key)', jsonb_build_object('key', $1::text)))
       order by b.id limit 5`,
      [key],
    );
    if (uses.length > 0)
      throw new DomainError(
        'MAIL_IN_USE_CONFLICT',
        `It is the mail of ${uses.map(({ title }) => `“${title}”`).join(', ')}`,
      );
    await this.dataSource.query('delete from written_mail where id = $1', [id]);
  }
}
