import { Controller, Get, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { BouncesService } from '../bounces/bounces.service.js';
import type { BounceVerdict } from '../bounces/judged-mail.js';
import { decodeCursor, toPage } from '../infra/http/page.js';
import { PageRenderer } from '../infra/http/page-renderer.js';
import { sendPage } from '../infra/http/send-page.js';
import { reasonWords, sourceWords, VERDICT_WORDS } from './bounce-view.js';
import { OwnerAccess } from './owner-access.service.js';

const PAGE_ROWS = 50;

/** What came back: bounces and complaints, and what each has done. Reads and changes nothing. */
@Controller('admin/bounces')
export class BouncesPageController {
  constructor(
    private readonly access: OwnerAccess,
    private readonly bounces: BouncesService,
    private readonly pages: PageRenderer,
  ) {}

  @Get()
  async page(
    @Query() query: Record<string, unknown>,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const owner = await this.access.require(request, reply);
    if (owner === null) return;
    const verdict = isVerdict(query['verdict']) ? query['verdict'] : undefined;
    const beforeId = typeof query['cursor'] === 'string' ? decodeCursor(query['cursor']) : null;
    const rows = await this.bounces.list({ verdict, beforeId: beforeId ?? undefined, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => ({
      ...row,
      // Without a token of ours it has had no effect, whatever it says.
      ...VERDICT_WORDS[row.trusted && isVerdict(row.verdict) ? row.verdict : 'ignore'],
      reason: reasonWords(row.reason),
      source: sourceWords(row.source),
    }));
    const tabs = Object.entries(VERDICT_WORDS).map(([value, { label }]) => ({
      value,
      label,
      active: value === verdict,
    }));
    const view = { bounces: data, nextCursor, tabs, verdict: verdict ?? null };
    sendPage(reply, 200, await this.pages.render('admin/bounces', { ...this.access.frame(owner), ...view }));
  }
}

function isVerdict(given: unknown): given is BounceVerdict {
  return typeof given === 'string' && Object.hasOwn(VERDICT_WORDS, given);
}
