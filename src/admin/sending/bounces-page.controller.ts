import { Controller, Get, Query } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BouncesService } from '../../bounces/bounces.service.js';
import type { BounceVerdict } from '../../bounces/judged-mail.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { type Answer, Page } from '../answers/answer.js';
import { bounceNames } from './bounce-names.queries.js';
import { doubtWords, LEFT, reasonWords, sourceWords, VERDICT_WORDS } from './bounce-view.js';

const PAGE_ROWS = 50;

/** What came back: bounces and complaints, and what each has done. Reads and changes nothing. */
@Controller('admin/bounces')
export class BouncesPageController {
  constructor(
    private readonly bounces: BouncesService,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async page(@Query() query: Record<string, unknown>): Promise<Answer> {
    const verdict = isVerdict(query['verdict']) ? query['verdict'] : undefined;
    const beforeId = cursorOf(query['cursor']);
    const rows = await this.bounces.list({ verdict, beforeId, limit: PAGE_ROWS + 1 });
    const { addresses, titles } = await bounceNames(this.dataSource.manager, rows);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => ({
      ...row,
      // Without a token of ours it has had no effect, whatever it says.
      ...(row.trusted && row.reason === 'unsubscribed'
        ? LEFT
        : VERDICT_WORDS[row.trusted && isVerdict(row.verdict) ? row.verdict : 'ignore']),
      doubt: doubtWords(row),
      reason: reasonWords(row.reason),
      source: sourceWords(row.source),
      email: row.subscriberId === null ? null : addresses.get(row.subscriberId),
      title: row.broadcastId === null ? null : titles.get(row.broadcastId),
    }));
    const tabs = Object.entries(VERDICT_WORDS).map(([value, { label }]) => ({
      value,
      label,
      active: value === verdict,
    }));
    return new Page('bounces', { bounces: data, nextCursor, tabs, verdict: verdict ?? null });
  }
}

function isVerdict(given: unknown): given is BounceVerdict {
  return typeof given === 'string' && Object.hasOwn(VERDICT_WORDS, given);
}
