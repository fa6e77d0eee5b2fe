import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { fieldDefinitions } from '../subscribers/subscribers.queries.js';
import type { Sender } from '../delivery/message/message.js';
import { CLOCK, type Clock } from '../infra/clock.js';
import type { KeptTexts } from '../values/template-texts.js';
import { DomainError } from '../values/domain-error.js';

import { type AskedField, type FormField, formFields } from './form-fields.js';

interface FormContent {
  headline: string;
  subheadline?: string | undefined;
  bullets: string[];
  button: string;
  fields?: AskedField[] | undefined;
  confirmTemplateId: string;
  /** The texts of its pages and of what they include; without them the pages are those of the folder. */
  pages?: KeptTexts | undefined;
  funnelTitle: string;
}

interface FormDefinition {
  slug: string;
  funnelKey: string;
  template: string;
  optIn: 'double' | 'single';
  consentText: string;
  content: FormContent;
  leadMagnetFileId: string | null;
  sequenceKey: string;
  sender: Sender;
}

export interface Form extends FormDefinition {
  id: string;
}

const COLUMNS = `id, slug, funnel_key as "funnelKey", template, opt_in as "optIn", consent_text as "consentText", content,
  lead_magnet_file_id as "leadMagnetFileId", sequence_key as "sequenceKey", sender`;

/** Where people sign up. The only writer of `form`. */
@Injectable()
export class FormsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Throws `FORM_SLUG_CONFLICT` when another funnel has the address, and its form is not offline. */
  async publish(manager: EntityManager, form: FormDefinition): Promise<void> {
    const rows: unknown[] = await manager.query(
      `insert into form (slug, funnel_key, template, opt_in, consent_text, content, lead_magnet_file_id, sequence_key, sender, created_at, updated_at)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)
       on conflict (slug) do update set funnel_key = excluded.funnel_key, template = excluded.template, opt_in = excluded.opt_in, consent_text = excluded.consent_text,
         content = excluded.content, lead_magnet_file_id = excluded.lead_magnet_file_id, sequence_key = excluded.sequence_key,
         sender = excluded.sender, updated_at = excluded.updated_at, archived_at = null
       where form.funnel_key = excluded.funnel_key or form.archived_at is not null returning id`,
      [
        form.slug,
        form.funnelKey,
        form.template,
        form.optIn,
        form.consentText,
        JSON.stringify(form.content),
        form.leadMagnetFileId,
        form.sequenceKey,
        JSON.stringify(form.sender),
        this.clock.now(),
      ],
    );
    if (rows.length === 0)
      throw new DomainError('FORM_SLUG_CONFLICT', `slug: another funnel has a form "${form.slug}"`, {
        slug: form.slug,
      });
  }

  /** Gives the form to another funnel; who has signed up there stays with it. */
  async moveTo(manager: EntityManager, slug: string, funnelKey: string): Promise<void> {
    await manager.query('update form set funnel_key = $2 where slug = $1', [slug, funnelKey]);
  }

  /** Takes the funnel's other forms offline. Who has signed up there stays. */
  async archiveExcept(manager: EntityManager, funnelKey: string, slugs: readonly string[]): Promise<void> {
    await manager.query(
      'update form set archived_at = $3 where funnel_key = $1 and slug <> all($2::text[]) and archived_at is null',
      [funnelKey, slugs, this.clock.now()],
    );
  }

  /** Brings the funnel's forms back; returns those that are its own still. */
  async restore(manager: EntityManager, funnelKey: string, slugs: readonly string[]): Promise<string[]> {
    const [rows]: [{ slug: string }[], number] = await manager.query(
      'update form set archived_at = null where funnel_key = $1 and slug = any($2::text[]) returning slug',
      [funnelKey, slugs],
    );
    return rows.map(({ slug }) => slug);
  }

  /** Whose form was at this address, which is offline now; null: there was none, or it is there. */
  async closed(slug: string): Promise<Pick<Form, 'sender'> | null> {
    const rows: Pick<Form, 'sender'>[] = await this.dataSource.query(
      'select sender from form where slug = $1 and archived_at is not null',
      [slug],
    );
    return rows[0] ?? null;
  }

  async findBySlug(slug: string): Promise<Form | null> {
    const rows: Form[] = await this.dataSource.query(
      `select ${COLUMNS} from form where slug = $1 and archived_at is null`,
      [slug],
    );
    return rows[0] ?? null;
  }

  /** The address of the form that stands in for one that is offline; null when its funnel has none, or it never was. */
  async successor(slug: string): Promise<string | null> {
    const rows: { slug: string }[] = await this.dataSource.query(
      `select n.slug from form o join form n on n.funnel_key = o.funnel_key and n.archived_at is null
       where o.slug = $1 and o.archived_at is not null order by n.id desc limit 1`,
      [slug],
    );
    return rows[0]?.slug ?? null;
  }

  /** What the form asks beside address and name. */
  async fieldsOf({ content }: Form, manager: EntityManager = this.dataSource.manager): Promise<FormField[]> {
    const { fields = [] } = content;
    return fields.length === 0 ? [] : formFields(fields, await fieldDefinitions(manager));
  }

  async findById(manager: EntityManager, id: string): Promise<Form | null> {
    const rows: Form[] = await manager.query(`select ${COLUMNS} from form where id = $1`, [id]);
    return rows[0] ?? null;
  }

  async list(page: { beforeId?: string | undefined; limit: number }): Promise<Form[]> {
    return this.dataSource.query(
      `select ${COLUMNS} from form where archived_at is null and ($1::bigint is null or id < $1) order by id desc limit $2`,
      [page.beforeId ?? null, page.limit],
    );
  }
}
