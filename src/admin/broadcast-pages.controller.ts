import { Body, Controller, Get, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { BroadcastReport } from '../broadcasts/broadcast.js';
import { BroadcastPreviews } from '../broadcasts/broadcast-previews.service.js';
import { BroadcastReports } from '../broadcasts/broadcast-reports.service.js';
import { BroadcastResends } from '../broadcasts/broadcast-resends.service.js';
import { BroadcastsService } from '../broadcasts/broadcasts.service.js';
import { wordsOf } from '../broadcasts/split.js';
import { cursorOf, toPage } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { seeOther, sendPage } from '../infra/http/send-page.js';
import { DomainError } from '../values/domain-error.js';
import { broadcastDetail } from './broadcast-detail.js';
import { typedBroadcast, type BroadcastTyped } from './broadcast-form.js';
import { readResend, readStart, startFormPage } from './broadcast-start-form.js';
import { broadcastView } from './broadcast-view.js';
import { OwnerAccess } from './owner-access.service.js';
import type { Owner } from './owner.service.js';
import { checkedId } from './page-id.schemas.js';

/** Each row counts its mails, which takes a moment for big ones. */
const PAGE_ROWS = 20;

interface Answered {
  status?: number;
  typed?: BroadcastTyped;
  errors?: Record<string, string>;
  resendError?: string;
}

/** How the owner's broadcasts stand, their start, and the brakes. */
@Controller('admin/broadcasts')
export class BroadcastPagesController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly broadcasts: BroadcastsService,
    private readonly reports: BroadcastReports,
    private readonly resends: BroadcastResends,
    private readonly previews: BroadcastPreviews,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async list(
    @Query('cursor') cursor: string | string[] | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const beforeId = cursorOf(cursor);
    const rows = await this.reports.reportsOf({ beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, broadcastView);
    const view = { ...this.access.frame(owner), broadcasts: data, nextCursor };
    sendPage(reply, 200, await this.pages.render('admin/broadcasts', view));
  }

  @Get(':id')
  async one(
    @Param('id') id: string,
    @Query('check') check: string | string[] | undefined,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const report = await this.reports.get(checkedId(id, 'broadcast'));
    const findings =
      check === undefined || report.state !== 'draft' ? null : (await this.broadcasts.check(id)).findings;
    await this.page(reply, owner, report, {}, { findings });
  }

  @Post(':id/start')
  async start(
    @Param('id') id: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner === null) return;
    const typed = typedBroadcast(body);
    const read = readStart(typed);
    const report = await this.reports.get(checkedId(id, 'broadcast'));
    if ('errors' in read) return this.page(reply, owner, report, { status: 422, typed, errors: read.errors });
    try {
      await this.broadcasts.start(id, read.at, read.timing);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return this.page(reply, owner, report, { status: 422, typed, errors: { time: error.message } });
    }
    await seeOther(reply, `/admin/broadcasts/${id}`);
  }

  @Post(':id/resend')
  async resend(
    @Param('id') id: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.requireForPost(request, reply);
    if (owner === null) return;
    checkedId(id, 'broadcast');
    const typed = typedBroadcast(body);
    const refused = async (resendError: string): Promise<void> =>
      this.page(reply, owner, await this.reports.get(id), { status: 422, typed, resendError });
    const read = readResend(typed);
    if ('error' in read) return refused(read.error);
    try {
      const draft = await this.resends.draft(id, read);
      await seeOther(reply, `/admin/broadcasts/${draft.id}`);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code === 'BROADCAST_NOT_FOUND') throw error;
      await refused(error.message);
    }
  }

  @Post(':id/:action')
  async act(
    @Param('id') id: string,
    @Param('action') action: string,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    if ((await this.access.requireForPost(request, reply)) === null) return;
    checkedId(id, 'broadcast');
    if (action === 'pause') await this.broadcasts.pause(id);
    else if (action === 'resume') await this.broadcasts.resume(id);
    else if (action === 'cancel') await this.broadcasts.cancel(id);
    else throw new DomainError('BROADCAST_NOT_FOUND', 'There is no such broadcast');
    await seeOther(reply, `/admin/broadcasts/${id}`);
  }

  private async page(
    reply: FastifyReply,
    owner: Owner,
    report: BroadcastReport,
    { status = 200, typed = {}, errors = {}, resendError }: Answered = {},
    more: Record<string, unknown> = {},
  ): Promise<void> {
    const begun = report.startedAt !== null;
    const previews = await Promise.all(
      wordsOf(report).map(async (_, arm) => this.previews.preview(report, arm).catch(readable)),
    );
    const view = {
      ...this.access.frame(owner),
      ...broadcastDetail({
        report,
        subjects: previews.map(({ subject }) => subject),
        size: begun ? null : await this.broadcasts.audienceSize(report.id),
        results: begun ? await this.reports.results(report.id) : null,
      }),
      reader: previews[0]?.reader ?? null,
      start: startFormPage(typed, errors),
      resend: {
        ...{ error: resendError, subject: typed['resendSubject']?.[0] ?? '' },
        unless: typed['unless']?.[0] ?? 'opened',
      },
      ...more,
    };
    sendPage(reply, status, await this.pages.render('admin/broadcast', view));
  }
}

/** A mail that cannot be shown still has a page; the frame says what is wrong with it. */
function readable(error: unknown): { subject: string; reader: null } {
  if (error instanceof DomainError) return { subject: `(${error.message})`, reader: null };
  throw error;
}
