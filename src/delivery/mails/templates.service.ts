import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { TEMPLATES_DIR } from '../../infra/http/templates-dir.js';
import { alwaysShown } from './hidden-duties.js';
import { DomainError } from '../../values/domain-error.js';
import { notFound } from '../../values/not-found.js';
import { linkTemplates, markLinks, unmarkLinks } from './mail-links.js';
import { compileMail, type MailTemplate } from './mjml.templates.js';
import { compileWrittenMail } from './written-mail.files.js';
import { withoutOutsideStyles } from './outside-styles.js';
import {
  mjmlOfWritten,
  type MailFoot,
  type MailPlace,
  WRITTEN,
  type WrittenMail,
  writtenPlace,
  type WrittenSource,
} from './written-mail.js';

interface MailTemplateVersion extends MailTemplate {
  id: string;
  /** Made since a mail is refused that hides its way out or its sender's address: one that does so for a reader is held. */
  isJudged: boolean;
}

interface TemplateRow {
  id: string;
  key: string;
  subject: string;
  createdAt: Date;
}

/**
 * Part of what names a version that may hide from some readers what the law wants shown. The same words of before such mails
 * were judged are a version of their own: sequences that run on them go on, and what is published anew is judged.
 */
const JUDGED = 'judged';

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

  /**
   * Compiles `<key>.mjml` of a folder, with another subject if one is given. Throws `TEMPLATE_NOT_FOUND` or
   * `TEMPLATE_INVALID` with file, line and reason. `written/…` is a mail of the web app.
   */
  async compile(
    key: string,
    subject: string | null = null,
    folder = TEMPLATES_DIR,
  ): Promise<MailTemplate & { source: string }> {
    if (isWritten(key, folder)) return this.compileStored(key, subject);
    return compileMail(folder, key, subject);
  }

  /** As it was written, kept or not. Throws `TEMPLATE_INVALID`. */
  async compileWritten(
    mail: WrittenMail,
    subject: string | null = null,
  ): Promise<MailTemplate & { source: string }> {
    return compileWrittenMail(mail, subject);
  }

  private async compileStored(
    key: string,
    subject: string | null,
    foot: MailFoot = 'marketing',
  ): Promise<MailTemplate & { source: string }> {
    const mail = await this.written(key);
    if (mail) return compileWrittenMail(mail, subject, foot);
    throw notFound('template', key, 'key');
  }

  /**
   * As `compile`, for a mail that somebody waits for: one of the web app has no way out below it then. One that only a funnel
   * has brought is as its latest version says.
   */
  async compileService(key: string): Promise<MailTemplate & { source: string }> {
    if (isWritten(key, TEMPLATES_DIR)) return this.compileStored(key, null, 'service');
    try {
      return await this.compile(key);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'TEMPLATE_NOT_FOUND') throw error;
      const rows: { id: string }[] = await this.dataSource.query(
        'select id from email_template where key = $1 order by id desc limit 1',
        [key],
      );
      if (rows[0] === undefined) throw error;
      return this.compiled(rows[0].id);
    }
  }

  private async written(key: string): Promise<WrittenSource | undefined> {
    const rows: WrittenSource[] = await this.dataSource.query(
      'select id, key, subject, preview, body from written_mail where key = $1',
      [key],
    );
    return rows[0];
  }

  /**
   * Where what stands in a line of the MJML is found by its owner: in a file, or in the form of the web app, where no line
   * is named that says something else by now. `subject` took the place of the one in the mail. Asks for a connection only
   * where `compile` does: a change of a funnel holds one, and tries its mails in a folder of its own.
   */
  async placeOf(
    {
      template: key,
      subject = null,
      folder = TEMPLATES_DIR,
    }: { template: string; subject?: string | null; folder?: string | undefined },
    { source, line }: { source: string; line: number | null },
  ): Promise<MailPlace> {
    const mail = isWritten(key, folder) ? await this.written(key) : undefined;
    if (mail) {
      const own = writtenPlace(mail, line, subject);
      if (own.ownSubject) return { mail: own };
      const stands =
        line !== null && mjmlOfWritten(mail).split('\n')[line - 1] === source.split('\n')[line - 1];
      return { mail: stands ? own : writtenPlace(mail, null, null) };
    }
    const file = `templates/${key}.mjml`;
    return line === null ? { file } : { file, line };
  }

  /**
   * The mails below `templates/emails` that have a way out, as marketing must, each with the subject as it is written, behind
   * those that were written in the web app, the newest first.
   */
  async marketingMails(): Promise<{ key: string; subject: string }[]> {
    const names = await readdir(join(TEMPLATES_DIR, 'emails'), { recursive: true });
    const keys = names.filter((name) => name.endsWith('.mjml')).map((name) => `emails/${name.slice(0, -5)}`);
    const mails = await Promise.all(
      keys.map(async (key) => {
        const source = await readFile(join(TEMPLATES_DIR, `${key}.mjml`), 'utf8');
        const subject = /<mj-title>([\s\S]*?)<\/mj-title>/.exec(source)?.[1] ?? '';
        return { key, subject: subject.trim(), leaves: /mail-foot-marketing|unsubscribeUrl/.test(source) };
      }),
    );
    const written: { key: string; subject: string }[] = await this.dataSource.query(
      'select key, subject from written_mail order by id desc limit 200',
    );
    const files = mails
      .filter(({ leaves }) => leaves)
      .map(({ key, subject }) => ({ key, subject }))
      .toSorted((a, b) => (a.key < b.key ? -1 : 1));
    return [...written, ...files];
  }

  /**
   * Compiles and stores; returns the id of the version. Unchanged content gives the version that is there. `ownSubject`,
   * which may hold Liquid, takes the place of the template's.
   */
  async publish(
    manager: EntityManager,
    key: string,
    ownSubject: string | null = null,
    folder = TEMPLATES_DIR,
  ): Promise<string> {
    return this.store(manager, key, await this.compile(key, ownSubject, folder));
  }

  /** As `publish`, of what `compile` gave. */
  async store(
    manager: EntityManager,
    key: string,
    { subject, html, text, source }: MailTemplate & { source: string },
  ): Promise<string> {
    const marked = markLinks(html, await this.linkIds(manager, linkTemplates(html)));
    const words = [subject, marked, text, ...(mayHideDuties(html) ? [JUDGED] : [])];
    const hash = createHash('sha256').update(words.join('\0')).digest();
    // As it is with nearly every mail that a program asks for: nothing is written, and nobody waited for.
    const same: { id: string }[] = await manager.query(
      'select id from email_template where key = $1 and content_hash = $2 and mjml_source = $3',
      [key, hash, source],
    );
    if (same.length > 0) return idOf(same);
    const rows: { id: string }[] = await manager.query(
      `insert into email_template (key, content_hash, mjml_source, subject, html, body_text, created_at, is_judged)
       values ($1, $2, $3, $4, $5, $6, $7, true)
       on conflict (key, content_hash) do update set mjml_source = excluded.mjml_source returning id`,
      [key, hash, source, subject, marked, text, this.clock.now()],
    );
    return idOf(rows);
  }

  /** From memory after the first time: a version never changes. Throws `TEMPLATE_NOT_FOUND`. */
  async version(id: string): Promise<MailTemplateVersion> {
    const known = this.#versions.get(id);
    if (known) return known;
    const rows: MailTemplateVersion[] = await this.dataSource.query(
      'select id, subject, html, body_text as text, is_judged as "isJudged" from email_template where id = $1',
      [id],
    );
    const version = rows[0];
    if (!version) throw notFound('template', id);
    // One that was stored before outside style sheets were left out has them still.
    const { html } = withoutOutsideStyles(version.html, []);
    this.#versions.set(id, { ...version, html });
    return { ...version, html };
  }

  /** As `compile` gave the version when it was stored. Throws `TEMPLATE_NOT_FOUND`. */
  async compiled(id: string): Promise<MailTemplate & { source: string }> {
    const { subject, html, text } = await this.version(id);
    const source = (await this.byId(id))?.mjml ?? '';
    return { subject, html: unmarkLinks(html), text, source };
  }

  /** The latest version of each mail, newest first. */
  async list({ beforeId, limit }: { beforeId: string | undefined; limit: number }): Promise<TemplateRow[]> {
    return this.dataSource.query(
      `select id, key, subject, created_at as "createdAt" from email_template t
       where not exists (select 1 from email_template later where later.key = t.key and later.id > t.id)
         and ($1::bigint is null or id < $1) order by id desc limit $2`,
      [beforeId ?? null, limit],
    );
  }

  /** Null when there is no such version. */
  async byId(id: string): Promise<(TemplateRow & { mjml: string; text: string; versions: number }) | null> {
    const rows: (TemplateRow & { mjml: string; text: string; versions: number })[] =
      await this.dataSource.query(
        `select id, key, subject, created_at as "createdAt", mjml_source as mjml, body_text as text,
         (select count(*)::int from email_template other where other.key = t.key) as versions
       from email_template t where id = $1`,
        [id],
      );
    return rows[0] ?? null;
  }

  private async linkIds(manager: EntityManager, templates: string[]): Promise<Map<string, string>> {
    const known: { id: string; template: string }[] = await manager.query(
      'select id, url_template as template from link where url_hash = any ($1::bytea[])',
      [templates.map(hashOf)],
    );
    const ids = new Map(known.map(({ id, template }) => [template, id]));
    for (const template of templates.filter((one) => !ids.has(one))) {
      const rows: { id: string }[] = await manager.query(
        `insert into link (url_template, url_hash, created_at) values ($1, $2, $3)
         on conflict (url_hash) do update set url_template = excluded.url_template returning id`,
        [template, hashOf(template), this.clock.now()],
      );
      ids.set(template, idOf(rows));
    }
    return ids;
  }
}

/** Whether it is a mail of the web app: a funnel brings its own texts, which may have such a key. */
function isWritten(key: string, folder: string): boolean {
  return folder === TEMPLATES_DIR && key.startsWith(WRITTEN);
}

/** Of a mail to readers who may leave; receipts have nothing to hide. */
function mayHideDuties(html: string): boolean {
  return html.includes('unsubscribeUrl') && !alwaysShown(html, '{{ sender.postalAddress }}');
}

function hashOf(link: string): Buffer {
  return createHash('sha256').update(link).digest();
}

function idOf(rows: { id: string }[]): string {
  const id = rows[0]?.id;
  if (id === undefined) throw new Error('the upsert gave no row');
  return id;
}
