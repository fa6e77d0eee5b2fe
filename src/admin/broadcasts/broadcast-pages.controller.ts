import { Body, Controller, Get, Param, Post, Query, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { BroadcastReport } from '../../broadcasts/broadcast.js';
import { BroadcastPreviews } from '../../broadcasts/broadcast-previews.service.js';
import { BroadcastReports } from '../../broadcasts/broadcast-reports.service.js';
import { BroadcastResends } from '../../broadcasts/broadcast-resends.service.js';
import { BroadcastUnknowns } from '../../broadcasts/broadcast-unknowns.service.js';
import { BroadcastsService } from '../../broadcasts/broadcasts.service.js';
import { mailsOf } from '../../broadcasts/rewording.js';
import { hasHours } from '../../broadcasts/split.js';
import { placeInWords } from '../../delivery/mails/written-mail.js';
import { HeldService } from '../../delivery/waiting/held.service.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { DomainError } from '../../values/domain-error.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { ownerOf } from '../access/owner-of-request.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { broadcastDetail } from './broadcast-detail.js';
import { typedBroadcast, type BroadcastTyped } from './broadcast-form.js';
import { readResend, readStart, startFormPage } from './broadcast-start-form.js';
import { broadcastView } from './broadcast-view.js';
import { checkedId } from '../forms/page-id.schemas.js';

/** Each row counts its mails, which takes a moment for big ones. */
const PAGE_ROWS = 20;

interface Answered {
  status?: number;
  typed?: BroadcastTyped;
  errors?: Record<string, string>;
  resendError?: string;
  /** Refused as mails of the first one wait: the owner may leave those people out. */
  resendWaits?: boolean;
}

/** How the owner's broadcasts stand, their start, and the brakes. */
@Controller('admin/broadcasts')
export class BroadcastPagesController {
  constructor(
    private readonly broadcasts: BroadcastsService,
    private readonly reports: BroadcastReports,
    private readonly resends: BroadcastResends,
    private readonly previews: BroadcastPreviews,
    private readonly unknowns: BroadcastUnknowns,
    private readonly held: HeldService,
  ) {}

  @Get()
  async list(@Query('cursor') cursor: string | string[] | undefined): Promise<Answer> {
    const beforeId = cursorOf(cursor);
    const rows = await this.reports.reportsOf({ beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, broadcastView);
    return new Page('broadcasts', { broadcasts: data, nextCursor });
  }

  @Get(':id')
  async one(
    @Param('id') id: string,
    @Query('check') check: string | string[] | undefined,
    @Query('tested') tested: string | string[] | undefined,
  ): Promise<Answer> {
    const report = await this.reports.get(checkedId(id, 'broadcast'));
    const findings =
      check === undefined || report.state !== 'draft' ? null : (await this.broadcasts.check(id)).findings;
    return this.page(
      report,
      {},
      {
        findings: findings?.map((one) => ({ ...one, place: one.mail && placeInWords(one.mail) })) ?? null,
        test: { sent: tested !== undefined },
      },
    );
  }

  @Post(':id/start')
  async start(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const typed = typedBroadcast(body);
    const report = await this.reports.get(checkedId(id, 'broadcast'));
    const read = readStart(typed, { hours: report.split !== null && hasHours(report.split) });
    if ('errors' in read) return this.page(report, { status: 422, typed, errors: read.errors });
    try {
      await this.broadcasts.start(id, read.at, read.timing);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return this.page(report, { status: 422, typed, errors: { time: error.message } });
    }
    return new SeeOther(`/admin/broadcasts/${id}`);
  }

  @Post(':id/resend')
  async resend(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    checkedId(id, 'broadcast');
    const typed = typedBroadcast(body);
    const refused = async (resendError: string, resendWaits = false): Promise<Answer> =>
      this.page(await this.reports.get(id), { status: 422, typed, resendError, resendWaits });
    const read = readResend(typed);
    if ('error' in read) return refused(read.error);
    try {
      const draft = await this.resends.draft(id, read);
      return new SeeOther(`/admin/broadcasts/${draft.id}`);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code === 'BROADCAST_NOT_FOUND') throw error;
      return refused(error.message, error.code === 'BROADCAST_WAITING_CONFLICT');
    }
  }

  @Post(':id/unknown/resend')
  async resendUnknown(@Param('id') id: string): Promise<Answer> {
    try {
      await this.unknowns.resend(checkedId(id, 'broadcast'));
    } catch (error) {
      if (!(error instanceof DomainError) || error.code === 'BROADCAST_NOT_FOUND') throw error;
      return this.page(await this.reports.get(id), { status: 422 }, { unknownError: error.message });
    }
    return new SeeOther(`/admin/broadcasts/${id}`);
  }

  /** To whoever presses the button, and to nobody else. */
  @Post(':id/test')
  async test(
    @Param('id') id: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ): Promise<Answer> {
    const report = await this.reports.get(checkedId(id, 'broadcast'));
    const to = parseEmailAddress(ownerOf(request)?.email ?? '');
    const arm: unknown = Reflect.get(Object(body), 'arm');
    if (!to.ok) return this.page(report, { status: 422 }, { test: { error: to.reason } });
    try {
      await this.previews.test(id, { to, ...(typeof arm === 'string' ? { arm } : {}) });
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      return this.page(report, { status: 422 }, { test: { error: error.message } });
    }
    return new SeeOther(`/admin/broadcasts/${id}?tested=1#mail-title`);
  }

  @Post(':id/:action')
  async act(@Param('id') id: string, @Param('action') action: string): Promise<Answer> {
    checkedId(id, 'broadcast');
    if (action === 'pause') await this.broadcasts.pause(id);
    else if (action === 'resume') await this.broadcasts.resume(id);
    else if (action === 'cancel') await this.broadcasts.cancel(id);
    else throw new DomainError('BROADCAST_NOT_FOUND', 'There is no such broadcast');
    return new SeeOther(`/admin/broadcasts/${id}`);
  }

  private async page(
    report: BroadcastReport,
    { status = 200, typed = {}, errors = {}, resendError, resendWaits = false }: Answered = {},
    more: Record<string, unknown> = {},
  ): Promise<Answer> {
    const begun = report.startedAt !== null;
    const previews = await Promise.all(
      mailsOf(report).map(async (_, arm) => this.previews.preview(report, arm).catch(readable)),
    );
    const view = {
      ...broadcastDetail({
        report,
        subjects: previews.map(({ subject }) => subject),
        size: begun ? null : await this.broadcasts.audienceSize(report.id),
        results: begun ? await this.reports.results(report.id) : null,
      }),
      resendable: begun ? await this.unknowns.resendable(report.id) : 0,
      heldForOwner: begun ? await this.held.countOf(report.id) : 0,
      warnings: report.state === 'draft' ? await this.broadcasts.audienceFindings(report) : [],
      reader: previews[0]?.reader ?? null,
      start: startFormPage(typed, errors),
      resend: {
        ...{ error: resendError, subject: typed['resendSubject']?.[0] ?? '' },
        unless: typed['unless']?.[0] ?? 'opened',
        waits: resendWaits,
      },
      ...more,
    };
    return new Page('broadcast', view, status);
  }
}

/** A mail that cannot be shown still has a page; the frame says what is wrong with it. */
function readable(error: unknown): { subject: string; reader: null } {
  if (error instanceof DomainError) return { subject: `(${error.message})`, reader: null };
  throw error;
}
