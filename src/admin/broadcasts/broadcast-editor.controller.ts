import { Body, Controller, Get, Param, Post, Query } from '@nestjs/common';
import type { BroadcastDraft, BroadcastReport } from '../../broadcasts/broadcast.js';
import { BroadcastPreviews } from '../../broadcasts/broadcast-previews.service.js';
import { BroadcastsService } from '../../broadcasts/broadcasts.service.js';
import type { MailPlace } from '../../delivery/mails/written-mail.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, MailFrame, Page, SeeOther } from '../answers/answer.js';
import {
  broadcastFormPage,
  newBroadcast,
  readBroadcast,
  typedBroadcast,
  typedOfBroadcast,
  type BroadcastTyped,
} from './broadcast-form.js';
import { checkedId } from '../forms/page-id.schemas.js';

/** Where the owner writes a broadcast, and sees what its readers will. */
@Controller('admin/broadcasts')
export class BroadcastEditorController {
  constructor(
    private readonly broadcasts: BroadcastsService,
    private readonly previews: BroadcastPreviews,
  ) {}

  @Get('new')
  async blank(@Query('mail') mail: string | string[] | undefined): Promise<Answer> {
    return this.page({ typed: newBroadcast(await this.previews.choices(), mail) });
  }

  @Post()
  async create(@Body() body: unknown): Promise<Answer> {
    return this.save(body, null);
  }

  @Get(':id/edit')
  async edit(@Param('id') id: string): Promise<Answer> {
    const before = await this.draft(id);
    return this.page({ typed: typedOfBroadcast(before), before });
  }

  @Post(':id/edit')
  async change(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    return this.save(body, await this.draft(id));
  }

  @Get(':id/preview')
  async preview(@Param('id') id: string, @Query('arm') arm: string | string[] | undefined): Promise<Answer> {
    const broadcast = await this.broadcasts.get(checkedId(id, 'broadcast'));
    const { html } = await this.previews.preview(broadcast, typeof arm === 'string' ? Number(arm) : 0);
    return new MailFrame(html);
  }

  private async save(body: unknown, before: BroadcastReport | null): Promise<Answer> {
    const typed = typedBroadcast(body);
    const read = readBroadcast(typed, before);
    if ('errors' in read) return this.page({ typed, before, status: 422, errors: read.errors });
    try {
      const { id } = await this.stored(read, before);
      return new SeeOther(`/admin/broadcasts/${id}`);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      const errors = { [fieldOf(error)]: error.message };
      return this.page({ typed, before, status: 422, errors });
    }
  }

  private async stored(draft: BroadcastDraft, before: BroadcastReport | null): Promise<BroadcastReport> {
    if (before === null) return this.broadcasts.create(draft);
    const { audience, ...rest } = draft;
    return this.broadcasts.edit(before.id, before.resendOf === null ? { ...rest, audience } : rest);
  }

  private async draft(id: string): Promise<BroadcastReport> {
    const broadcast = await this.broadcasts.get(checkedId(id, 'broadcast'));
    if (broadcast.state === 'draft') return broadcast;
    throw new DomainError('BROADCAST_STATE_CONFLICT', 'It has been started, and its words are frozen');
  }

  private async page({
    typed,
    before = null,
    status = 200,
    errors = {},
  }: {
    typed: BroadcastTyped;
    before?: BroadcastReport | null;
    status?: number;
    errors?: Record<string, string>;
  }): Promise<Answer> {
    const form = broadcastFormPage(typed, await this.previews.choices(), errors);
    const action = before === null ? '/admin/broadcasts' : `/admin/broadcasts/${before.id}/edit`;
    const back = before === null ? '/admin/broadcasts' : `/admin/broadcasts/${before.id}`;
    const isResend = before !== null && before.resendOf !== null;
    return new Page('broadcast-form', { form, action, back, isNew: before === null, isResend }, status);
  }
}

/** Beside which field a refusal of the product stands. */
function fieldOf({ code, facts }: DomainError): string {
  if (code === 'BROADCAST_OFFER_INVALID')
    return String(facts['field']).startsWith('offer') ? 'offer' : 'armOffer';
  if (code === 'BROADCAST_SPLIT_INVALID') return 'arms.0.subject';
  if (code === 'SEGMENT_NOT_FOUND' || code === 'FUNNEL_NOT_FOUND') return 'audience';
  if ((facts as MailPlace).mail?.ownSubject) return 'subject';
  return 'template';
}
