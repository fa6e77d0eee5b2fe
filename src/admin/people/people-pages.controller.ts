import { Controller, Get, Query, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { DataSource } from 'typeorm';
import { ExportsService } from '../../imports/exports.service.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { sendCsv } from '../../infra/http/send-csv.js';
import type { Condition } from '../../segments/condition.js';
import { SegmentsService } from '../../segments/segments.service.js';
import { SUBSCRIBER_STATUSES } from '../../subscribers/subscription-status.js';
import { DomainError } from '../../values/domain-error.js';
import { JustSignedInGuard } from '../access/just-signed-in.guard.js';
import { type Answer, Page } from '../answers/answer.js';
import {
  conditionOfSearch,
  partOfSearch,
  type PeopleSearch,
  queryOfSearch,
  readSearch,
} from './people-search.js';
import { countSubscribers } from './subscriber-pages.queries.js';

const PAGE_ROWS = 50;
/** Enough to choose from; the others are found by their page. */
const MAX_SEGMENTS = 200;

/** Who is there: everybody, or those of a search, on the page and as a table to take away. */
@Controller('admin/subscribers')
export class PeoplePagesController {
  constructor(
    private readonly segments: SegmentsService,
    private readonly exports: ExportsService,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async list(@Query() query: Record<string, unknown>): Promise<Answer> {
    const search = readSearch(query);
    const condition = await this.conditionOf(search);
    const beforeId = cursorOf(query['cursor']);
    const rows = await this.segments.people(condition ?? EVERYBODY, { beforeId, limit: PAGE_ROWS + 1 });
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => row);
    return new Page('subscribers', {
      ...{ subscribers: data, nextCursor, search, isSearch: condition !== null },
      ...{ statuses: SUBSCRIBER_STATUSES, segments: await this.segments.page(undefined, MAX_SEGMENTS) },
      searchQuery: queryOfSearch(search),
      total: condition
        ? await this.segments.count(condition)
        : await countSubscribers(this.dataSource.manager),
    });
  }

  @Get('export.csv')
  @UseGuards(JustSignedInGuard)
  async export(@Query() query: Record<string, unknown>, @Res() reply: FastifyReply): Promise<void> {
    const search = readSearch(query);
    const { segment } = search;
    const pieces = await this.exports.people(await this.conditionOf(search), {
      ...{ by: 'owner', what: partOfSearch(search) },
    });
    await sendCsv(reply, `${segment === '' ? 'subscribers' : segment}.csv`, pieces);
  }

  private async conditionOf(search: PeopleSearch): Promise<Condition | null> {
    if (search.segment === '') return conditionOfSearch(search, null);
    const found = await this.segments.conditionsOf([search.segment]);
    const segment = found[search.segment];
    if (!segment) throw new DomainError('SEGMENT_NOT_FOUND', 'There is no such segment');
    return conditionOfSearch(search, segment);
  }
}

/** Nobody has another status. */
const EVERYBODY: Condition = { status: [...SUBSCRIBER_STATUSES] };
