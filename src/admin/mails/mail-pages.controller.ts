import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query } from '@nestjs/common';
import { Drafts } from '../../delivery/preflight/drafts.service.js';
import { variablesOf } from '../../delivery/preflight/variables.templates.js';
import { sampleData, SAMPLE_READER } from '../../delivery/mails/sample-data.js';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { WRITTEN, type WrittenMail, type WrittenMailPlace } from '../../delivery/mails/written-mail.js';
import { type StoredWrittenMail, WrittenMailsService } from '../../delivery/mails/written-mails.service.js';
import { CLOCK, type Clock } from '../../infra/clock.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, MailFrame, Page, SeeOther } from '../answers/answer.js';
import { type FormProblem, messagesOf } from '../forms/form-problems.schemas.js';
import { keyOfTitle } from '../forms/own-key.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { typedTexts } from '../forms/typed-text.js';

const PAGE_ROWS = 50;
const MAX_BODY = 100_000;
const MAX_LINE = 200;
/** Of what is read: what is too long is shown again whole, as it was typed. */
const MAX_READ = 1_000_000;
/** Only a preview shows it: a broadcast says who it is from. */
const SENDER = { name: 'You', email: 'you@example.com', postalAddress: 'Your postal address' };
const LABELS = { subject: 'Subject', preview: 'Preview', body: 'The mail' };

type MailTyped = Omit<WrittenMail, 'key'>;

/** Mails that are written here, to be sent as broadcasts. */
@Controller('admin/mails')
export class MailPagesController {
  constructor(
    private readonly mails: WrittenMailsService,
    private readonly templates: TemplatesService,
    private readonly drafts: Drafts,
    @Inject(CONFIG) private readonly config: Config,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  @Get()
  async list(@Query('cursor') cursor: string | string[] | undefined): Promise<Answer> {
    const rows = await this.mails.page(cursorOf(cursor), PAGE_ROWS + 1);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, ({ id, key, subject, updatedAt }) => ({
      ...{ id, key, subject, updatedAt },
    }));
    return new Page('written-mails', { mails: data, nextCursor });
  }

  @Get('new')
  blank(): Answer {
    return formPage(null, { subject: '', preview: '', body: '' });
  }

  /** Keeps it, or shows it as it was typed without keeping it. */
  @Post()
  @HttpCode(200)
  async create(@Body() body: unknown): Promise<Answer> {
    const typed = typedFrom(body);
    return this.act(null, typed, body, async () => {
      await this.mails.create(keyOfTitle(typed.subject).slice(0, 40) || 'mail', typed);
    });
  }

  @Get(':id')
  async edit(@Param('id') id: string): Promise<Answer> {
    const mail = await this.mails.get(checkedId(id, 'mail'));
    return formPage(mail, mail);
  }

  @Post(':id')
  @HttpCode(200)
  async update(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const mail = await this.mails.get(checkedId(id, 'mail'));
    const typed = typedFrom(body);
    return this.act(mail, typed, body, async () => this.mails.update(id, typed));
  }

  @Post(':id/remove')
  async remove(@Param('id') id: string): Promise<Answer> {
    const mail = await this.mails.get(checkedId(id, 'mail'));
    try {
      await this.mails.remove(id);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return formPage(mail, mail, [{ name: '', label: '', message: error.message }], 409);
    }
    return new SeeOther('/admin/mails');
  }

  private async act(
    mail: StoredWrittenMail | null,
    typed: MailTyped,
    body: unknown,
    keep: () => Promise<void>,
  ): Promise<Answer> {
    const problems = problemsOf(typed);
    if (problems.length > 0) return formPage(mail, typed, problems);
    try {
      if (typedTexts(body, 20)('action') === 'preview') return await this.preview(typed);
      await keep();
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return formPage(mail, typed, [problemOf(error)]);
    }
    return new SeeOther('/admin/mails');
  }

  private async preview(typed: MailTyped): Promise<Answer> {
    const template = await this.templates.compileWritten({ ...typed, key: `${WRITTEN}preview` });
    const names = variablesOf(`${template.subject}\n${template.html}\n${template.text}`);
    const [{ baseUrl }, now] = [this.config, this.clock.now()];
    // A program may ask for it, too, and give the data.
    const data = { ...sampleData('sequence', baseUrl, now), ...sampleData('api', baseUrl, now, names) };
    const draft = { template, kind: 'sequence' as const, data, sender: SENDER, funnelTitle: 'Your news' };
    return new MailFrame((await this.drafts.render(draft, SAMPLE_READER, false)).html);
  }
}

function problemsOf({ subject, preview, body }: MailTyped): FormProblem[] {
  return [
    ...tooLong('subject', subject, MAX_LINE),
    ...tooLong('preview', preview, MAX_LINE),
    ...tooLong('body', body, MAX_BODY),
    ...(subject === '' ? [{ name: 'subject', label: LABELS.subject, message: 'give it a subject' }] : []),
    ...(body === '' ? [{ name: 'body', label: LABELS.body, message: 'write something' }] : []),
  ];
}

/** At the field that it stands in, with the line of the body. */
function problemOf({ message, facts }: DomainError): FormProblem {
  const { mail, reason = message } = facts as { mail?: WrittenMailPlace; reason?: string };
  const name = mail?.field ?? 'body';
  const line = mail?.line === undefined ? '' : `line ${mail.line}: `;
  return { name, label: LABELS[name], message: `${line}${reason}` };
}

function tooLong(name: keyof typeof LABELS, { length }: string, most: number): FormProblem[] {
  if (length <= most) return [];
  const message = `it has ${length.toLocaleString('en')} characters, and ${most.toLocaleString('en')} are the most`;
  return [{ name, label: LABELS[name], message }];
}

function formPage(
  mail: StoredWrittenMail | null,
  typed: MailTyped,
  problems: FormProblem[] = [],
  status = 422,
): Answer {
  const view = { mail, typed, problems, errors: messagesOf(problems) };
  return new Page('written-mail', view, problems.length === 0 ? 200 : status);
}

function typedFrom(body: unknown): MailTyped {
  const text = typedTexts(body, MAX_READ);
  return { subject: text('subject'), preview: text('preview'), body: text('body').replaceAll('\r\n', '\n') };
}
