import { Body, Controller, Get, Header, Headers, Param, Post, Put, Query } from '@nestjs/common';
import { z } from 'zod';
import { ApiRoute } from '../infra/http/api-route.js';
import { unchangedSince } from '../infra/http/etag.js';
import { pageQuery, toPage, type PageQuery } from '../infra/http/page.js';
import type { FunnelRow } from './funnel-store.service.js';
import { FunnelsService } from './funnels.service.js';
import { FunnelPreflightService } from './templates/funnel-preflight.service.js';
import {
  APPLY_ERRORS,
  applyBody,
  exportQuery,
  FUNNEL_EXAMPLE,
  funnelKey,
  funnelList,
  funnelListQuery,
  funnelPreflight,
  funnelResponse,
  lintBody,
  lintResponse,
  planResponse,
  rollbackBody,
  rollbackResponse,
  versionList,
} from './funnels.schemas.js';

/** What its column holds; a cursor may say more. */
const MAX_VERSION = 2_147_483_647;

const written = (funnel: FunnelRow): unknown => funnel;

@Controller('api/v1/funnels')
export class FunnelsController {
  constructor(
    private readonly funnels: FunnelsService,
    private readonly preflights: FunnelPreflightService,
  ) {}

  @Get()
  @ApiRoute({ summary: 'List funnels', tag: 'funnels', response: funnelList })
  async list(@Query({ schema: funnelListQuery }) query: z.output<typeof funnelListQuery>): Promise<unknown> {
    const archived = query.archived === 'true';
    const rows = await this.funnels.page({ beforeId: query.cursor, limit: query.limit + 1, archived });
    return toPage(
      rows,
      query.limit,
      ({ key, title, version, updatedAt, archivedAt, peopleAfter, definition }) => ({
        ...{ key, title, version, updatedAt, archivedAt, peopleAfter, definition },
      }),
    );
  }

  @Get(':key')
  @ApiRoute({
    summary: 'One funnel with its definition',
    tag: 'funnels',
    response: funnelResponse,
    etag: written,
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async get(@Param('key', { schema: funnelKey }) key: string): Promise<unknown> {
    return this.funnels.get(key);
  }

  @Get(':key/export')
  @Header('Content-Type', 'application/yaml; charset=utf-8')
  @ApiRoute({
    summary: 'Export a funnel as YAML',
    description:
      'With the texts of its mails and pages; with templates=false without them, and an apply takes those of the folder templates.',
    tag: 'funnels',
    response: z.string(),
    status: 200,
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async export(
    @Param('key', { schema: funnelKey }) key: string,
    @Query({ schema: exportQuery }) { templates }: z.output<typeof exportQuery>,
  ): Promise<string> {
    return this.funnels.export(key, { withTexts: templates === 'true' });
  }

  @Put(':key')
  @ApiRoute({
    summary: 'Plan or apply a funnel',
    tag: 'funnels',
    response: planResponse,
    status: 200,
    ifMatch: true,
    example: { yaml: FUNNEL_EXAMPLE, dryRun: true },
    errors: [...APPLY_ERRORS, 'FUNNEL_KEY_INVALID'],
  })
  async apply(
    @Param('key', { schema: funnelKey }) key: string,
    @Body({ schema: applyBody }) body: z.output<typeof applyBody>,
    @Headers('if-match') ifMatch: string | undefined,
  ): Promise<unknown> {
    const { yaml, files, dryRun, movePeople: move, plan: tokens, unarchive } = body;
    const unchanged = unchangedSince(ifMatch, written);
    const plan = dryRun
      ? await this.funnels.plan(yaml, null, 'yaml', { key, move, files, unchanged, unarchive })
      : await this.funnels.apply(yaml, null, 'yaml', {
          key,
          move,
          files,
          unchanged,
          tokens,
          unarchive,
          by: 'API',
        });
    return { ...plan, applied: !dryRun };
  }

  @Put()
  @ApiRoute({
    summary: 'Plan or apply several funnels together',
    description:
      'The YAML holds one funnel or several with --- between them, as an export does; all of them are applied or none. A form, product or offer that stands in another of them than before moves there.',
    tag: 'funnels',
    response: planResponse,
    status: 200,
    example: { yaml: FUNNEL_EXAMPLE, dryRun: true },
    errors: APPLY_ERRORS,
  })
  async applyAll(@Body({ schema: applyBody }) body: z.output<typeof applyBody>): Promise<unknown> {
    const { yaml, files, dryRun, movePeople: move, plan: tokens, unarchive } = body;
    const plan = dryRun
      ? await this.funnels.planText(yaml, { move, files, unarchive })
      : await this.funnels.applyText(yaml, { move, files, tokens, unarchive, by: 'API' });
    return { ...plan, applied: !dryRun };
  }

  @Post('lint')
  @ApiRoute({
    summary: 'Look a funnel through before it is applied',
    description: 'Everything that would be refused, and what is likely a mistake. Changes nothing.',
    tag: 'funnels',
    response: lintResponse,
    status: 200,
    idempotent: false,
    example: { yaml: FUNNEL_EXAMPLE },
    errors: ['FUNNEL_FILE_INVALID'],
  })
  async lint(@Body({ schema: lintBody }) { yaml }: z.output<typeof lintBody>): Promise<unknown> {
    const findings = await this.funnels.lint(yaml, null);
    return { ok: findings.every(({ severity }) => severity !== 'error'), findings };
  }

  @Post(':key/preflight')
  @ApiRoute({
    summary: 'Check all mails of a funnel before they are sent',
    description:
      'Each with what this funnel fills in, such as a download or an offer, and what the DNS says of its sender. Changes nothing.',
    tag: 'funnels',
    response: funnelPreflight,
    status: 200,
    idempotent: false,
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async preflight(@Param('key', { schema: funnelKey }) key: string): Promise<unknown> {
    return this.preflights.check(key);
  }

  @Get(':key/versions')
  @ApiRoute({
    summary: 'List the versions of a funnel, newest first',
    tag: 'funnels',
    response: versionList,
    errors: ['FUNNEL_NOT_FOUND'],
  })
  async versions(
    @Param('key', { schema: funnelKey }) key: string,
    @Query({ schema: pageQuery }) { cursor, limit }: PageQuery,
  ): Promise<unknown> {
    const before = cursor === undefined ? undefined : Math.min(Number(cursor), MAX_VERSION);
    const rows = await this.funnels.history(key, { before, limit: limit + 1 });
    const numbered = rows.map((row) => ({ ...row, id: String(row.version) }));
    return toPage(numbered, limit, ({ version, appliedAt, restored, appliedBy, changes }) => ({
      version,
      appliedAt,
      restored,
      appliedBy,
      changes,
    }));
  }

  @Post(':key/rollback')
  @ApiRoute({
    summary: 'Bring back an earlier version of a funnel',
    description:
      'Mails and files are those of then. It becomes a new version, so a rollback can be rolled back itself.',
    tag: 'funnels',
    response: rollbackResponse,
    status: 200,
    example: { to: 1, dryRun: true },
    errors: ['FUNNEL_NOT_FOUND', 'FUNNEL_VERSION_NOT_FOUND', 'FUNNEL_ROLLBACK_CONFLICT', ...APPLY_ERRORS],
  })
  async rollback(
    @Param('key', { schema: funnelKey }) key: string,
    @Body({ schema: rollbackBody }) body: z.output<typeof rollbackBody>,
  ): Promise<unknown> {
    const { to, dryRun, movePeople: move, plan: tokens } = body;
    return {
      ...(await this.funnels.rollback(key, { to, dryRun, move, tokens, by: 'API' })),
      applied: !dryRun,
    };
  }
}
