import { Body, Controller, Get, HttpCode, Param, Post } from '@nestjs/common';
import type { BroadcastReport } from '../../broadcasts/broadcast.js';
import { BroadcastPreviews } from '../../broadcasts/broadcast-previews.service.js';
import { BroadcastWords } from '../../broadcasts/broadcast-words.service.js';
import { broadcastChange } from '../../broadcasts/broadcasts.schemas.js';
import { BroadcastsService } from '../../broadcasts/broadcasts.service.js';
import { rewordingOf, waitingWords, type Rewording } from '../../broadcasts/rewording.js';
import type { MailPlace } from '../../delivery/mails/written-mail.js';
import { TemplatesService } from '../../delivery/mails/templates.service.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, MailFrame, Page, SeeOther } from '../answers/answer.js';
import { type FormProblem, messagesOf } from '../forms/form-problems.schemas.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { typedTexts } from '../forms/typed-text.js';
import { mayReword, waitingOf } from './broadcast-detail.js';

const LABELS = { template: 'Mail', subject: 'Subject' };
const ADVICE = {
  template: 'choose a mail',
  subject: 'use one line of at most 300 characters, or leave it empty for the subject of the mail',
};
const MAX_TYPED = 1_000;

/** Where the owner mends what a broadcast says that stands still. */
@Controller('admin/broadcasts')
export class BroadcastWordsController {
  constructor(
    private readonly broadcasts: BroadcastsService,
    private readonly words: BroadcastWords,
    private readonly previews: BroadcastPreviews,
    private readonly templates: TemplatesService,
  ) {}

  @Get(':id/words')
  async form(@Param('id') id: string): Promise<Answer> {
    const broadcast = await this.paused(id);
    return this.page(broadcast, waitingWords(broadcast));
  }

  /** Takes them over, or shows them as they were typed. */
  @Post(':id/words')
  @HttpCode(200)
  async change(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const broadcast = await this.paused(id);
    const text = typedTexts(body, MAX_TYPED);
    const typed = { template: text('template'), subject: text('subject') || null };
    const read = broadcastChange.safeParse(typed);
    if (!read.success) {
      const names = read.error.issues.map(({ path }) => (path[0] === 'subject' ? 'subject' : 'template'));
      return this.page(
        broadcast,
        typed,
        [...new Set(names)].map((name) => problem(name, ADVICE[name])),
      );
    }
    try {
      if (text('action') === 'preview') return await this.preview(broadcast, typed);
      await this.words.edit(id, typed);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return this.page(broadcast, typed, [problem(fieldOf(error), error.message)]);
    }
    return new SeeOther(`/admin/broadcasts/${id}`);
  }

  private async preview(broadcast: BroadcastReport, typed: Rewording): Promise<Answer> {
    const shown = { ...broadcast, ...waitingWords(broadcast, typed), state: 'draft' as const };
    return new MailFrame((await this.previews.preview(shown, 0)).html);
  }

  private async paused(id: string): Promise<BroadcastReport> {
    const broadcast = await this.broadcasts.get(checkedId(id, 'broadcast'));
    if (!mayReword(broadcast)) {
      // Says what stands in the way.
      if (broadcast.state === 'paused') rewordingOf(broadcast, { subject: null });
      throw new DomainError(
        'BROADCAST_STATE_CONFLICT',
        'Its words can be changed while it is a draft, or paused',
      );
    }
    return broadcast;
  }

  private async page(
    broadcast: BroadcastReport,
    { template = '', subject = null }: Rewording,
    problems: FormProblem[] = [],
  ): Promise<Answer> {
    const { mails } = await this.previews.choices();
    const now = waitingWords(broadcast);
    const known = mails.some(({ key }) => key === now.template);
    const place = await this.templates.placeOf({ template: now.template }, { source: '', line: null });
    const view = {
      ...{ id: broadcast.id, broadcastTitle: broadcast.title, waiting: waitingOf(broadcast) },
      ...{ subject: subject ?? '', isTest: broadcast.split !== null, hasBegun: broadcast.startedAt !== null },
      mails: [...(known ? [] : [{ key: now.template, subject: '' }]), ...mails].map((mail) => ({
        ...{ ...mail, chosen: mail.key === template },
      })),
      ...{ template: now.template, edit: place.mail?.edit ?? null, file: place.file ?? null },
      isWrittenAnew: await this.previews.isWrittenAnew(broadcast),
      ...{ problems, errors: messagesOf(problems) },
    };
    return new Page('broadcast-words', view, problems.length === 0 ? 200 : 422);
  }
}

/** A preflight names the first of what it found. */
function fieldOf({ facts }: DomainError): keyof typeof LABELS {
  const { mail, findings = [] } = facts as MailPlace & { findings?: MailPlace[] };
  return (mail ?? findings[0]?.mail)?.ownSubject ? 'subject' : 'template';
}

function problem(name: keyof typeof LABELS, message: string): FormProblem {
  return { name, label: LABELS[name], message };
}
