import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { convert } from 'html-to-text';
import { Liquid } from 'liquidjs';
import mjml2html from 'mjml';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { DomainError } from '../values/domain-error.js';
import { linkTemplates, markLinks } from './mail-links.js';

const FOLDER = resolve('templates');

/** A mail with its variables still open: subject, HTML and text are Liquid. */
export interface MailTemplate {
  subject: string;
  html: string;
  text: string;
}

export interface MailTemplateVersion extends MailTemplate {
  id: string;
}

/**
 * MJML is compiled once per version of a mail; a recipient costs Liquid only. A version is named by its content, so the
 * same source is the same row and a planned message keeps the words it was planned with. Owns `email_template`, `link`.
 */
@Injectable()
export class TemplatesService {
  readonly #versions = new Map<string, MailTemplateVersion>();

  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Compiles `templates/<key>.mjml`. Throws `TEMPLATE_INVALID` with file, line and reason. */
  async compile(key: string): Promise<MailTemplate & { source: string }> {
    const path = join(FOLDER, `${key}.mjml`);
    const source = await readFile(path, 'utf8').catch((cause: unknown) => {
      throw new DomainError('TEMPLATE_NOT_FOUND', `there is no templates/${key}.mjml`, { key }, { cause });
    });
    const { html, errors } = await mjml2html(source, {
      filePath: path,
      validationLevel: 'soft',
      keepComments: false,
      ...INCLUDES,
    });
    const first = errors[0];
    if (first)
      throw new DomainError('TEMPLATE_INVALID', `templates/${key}.mjml:${first.line}: ${first.message}`, {
        key,
        line: first.line,
      });
    const subject = /<title>([\s\S]*?)<\/title>/.exec(html)?.[1]?.trim() ?? '';
    if (subject === '')
      throw new DomainError(
        'TEMPLATE_INVALID',
        `templates/${key}.mjml:1: <mj-title> is missing; it is the subject`,
        { key },
      );
    const text = convert(html, TEXT_OPTIONS);
    checkLiquid(key, [subject, html, text]);
    return { subject: subject.replace(/\s+/g, ' '), html, text, source };
  }

  /** Compiles and stores; returns the id of the version. Unchanged content gives the version that is there. */
  async publish(manager: EntityManager, key: string): Promise<string> {
    const { subject, html, text, source } = await this.compile(key);
    const marked = markLinks(html, await this.linkIds(manager, linkTemplates(html)));
    const hash = createHash('sha256')
      .update(subject)
      .update('\0')
      .update(marked)
      .update('\0')
      .update(text)
      .digest();
    const rows: { id: string }[] = await manager.query(
      `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at)
       values ($1, $2, $3, $4, $5, $6, $7)
       on conflict (key, content_hash) do update set mjml_source = excluded.mjml_source returning id`,
      [key, hash, source, subject, marked, text, this.clock.now()],
    );
    return rows[0]?.id ?? '';
  }

  /** From memory after the first time: a version never changes. */
  async version(id: string): Promise<MailTemplateVersion> {
    const known = this.#versions.get(id);
    if (known) return known;
    const rows: MailTemplateVersion[] = await this.dataSource.query(
      'select id, subject, html, body_text as text from email_template where id = $1',
      [id],
    );
    const version = rows[0];
    if (!version) throw new DomainError('TEMPLATE_NOT_FOUND', `there is no mail version ${id}`, { id });
    this.#versions.set(id, version);
    return version;
  }

  private async linkIds(manager: EntityManager, templates: string[]): Promise<Map<string, string>> {
    const ids = new Map<string, string>();
    for (const template of templates) {
      const rows: { id: string }[] = await manager.query(
        `insert into link (url_template, url_hash, created_at) values ($1, $2, $3)
         on conflict (url_hash) do update set url_template = excluded.url_template returning id`,
        [template, createHash('sha256').update(template).digest(), this.clock.now()],
      );
      ids.set(template, rows[0]?.id ?? '');
    }
    return ids;
  }
}

const INCLUDES = { ignoreIncludes: false, includePath: [FOLDER] };

const TEXT_OPTIONS = {
  wordwrap: 78,
  selectors: [
    { selector: 'img', format: 'skip' },
    { selector: 'a', options: { hideLinkHrefIfSameAsText: true } },
    { selector: 'h1', options: { uppercase: false } },
    { selector: 'h2', options: { uppercase: false } },
    { selector: 'table', format: 'block' },
  ],
};

const liquid = new Liquid();

function checkLiquid(key: string, parts: string[]): void {
  try {
    for (const part of parts) liquid.parse(part);
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.message.split('\n')[0] ?? '') : String(cause);
    if (reason.includes('undefined filter')) return;
    throw new DomainError('TEMPLATE_INVALID', `templates/${key}.mjml: ${reason}`, { key }, { cause });
  }
}
