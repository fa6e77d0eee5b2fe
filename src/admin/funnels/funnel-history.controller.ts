import { Body, Controller, Get, HttpCode, Param, Post, Query, Req } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import { FunnelsService, type FunnelPlan } from '../../funnels/funnels.service.js';
import { parsePlanTokens } from '../../funnels/changes/plan-token.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import { MOVE_MODES, moveTyped, planShown, typedMove, type TypedMove } from './funnel-form.js';
import { ownerOf } from '../access/owner-of-request.js';

const PAGE_ROWS = 20;
const VERSION = /^[1-9]\d{0,8}$/;

interface Looked {
  plan: FunnelPlan | null;
  /** Why there is no plan. */
  refused: string | null;
  errors: Record<string, string>;
}

/** The versions of a funnel for the owner, and the way back to each. */
@Controller('admin/funnels/:key/history')
export class FunnelHistoryController {
  constructor(private readonly funnels: FunnelsService) {}

  @Get()
  async list(
    @Param('key') key: string,
    @Query('before') before: string | string[] | undefined,
  ): Promise<Answer> {
    const { title, version } = await this.funnels.get(key);
    const from = typeof before === 'string' && VERSION.test(before) ? Number(before) : undefined;
    const rows = await this.funnels.history(key, { before: from, limit: PAGE_ROWS + 1 });
    const versions = rows.slice(0, PAGE_ROWS).map((row) => ({
      ...row,
      ...{ isPresent: row.version === version, more: Math.max(row.changes.length - 6, 0) },
    }));
    const older = rows.length > PAGE_ROWS ? versions.at(-1)?.version : null;
    return new Page('funnel-history', { key, name: title, versions, older });
  }

  @Get(':version')
  async look(@Param('key') key: string, @Param('version') version: string): Promise<Answer> {
    return this.show(key, version, typedMove({}), null);
  }

  /** Goes back, or shows the plan anew: for another choice, or because it is another one by now. */
  @Post(':version')
  @HttpCode(200)
  async act(
    @Param('key') key: string,
    @Param('version') version: string,
    @Body() body: unknown,
    @Req() request: FastifyRequest,
  ): Promise<Answer> {
    const typed = typedMove(body);
    const tokens = parsePlanTokens(typed.token);
    const choice = moveTyped(typed);
    if (Reflect.get(Object(body), 'action') !== 'apply' || tokens === null || !choice.ok)
      return this.show(key, version, typed, null);
    const by = ownerOf(request)?.email ?? 'owner';
    try {
      const { move } = choice;
      await this.funnels.rollback(key, { to: numberOf(key, version), dryRun: false, move, tokens, by });
      return new SeeOther(`/admin/funnels/${key}/history`);
    } catch (error) {
      if (!(error instanceof DomainError) || error.code !== 'FUNNEL_PLAN_CONFLICT') throw error;
      return this.show(key, version, typed, error.message);
    }
  }

  private async show(
    key: string,
    version: string,
    typed: TypedMove,
    conflict: string | null,
  ): Promise<Answer> {
    const { title, version: present } = await this.funnels.get(key);
    const { plan, ...looked } = await this.planOf(key, numberOf(key, version), typed);
    const isGood = plan !== null && conflict === null;
    return new Page(
      'funnel-rollback',
      {
        ...{ key, name: title, version, present, conflict, ...looked, modes: MOVE_MODES },
        typed: { ...typed, token: plan?.token ?? '' },
        plan: plan && planShown(plan),
      },
      isGood ? 200 : conflict === null ? 422 : 409,
    );
  }

  private async planOf(key: string, to: number, typed: TypedMove): Promise<Looked> {
    const choice = moveTyped(typed);
    if (!choice.ok) return { plan: null, refused: null, errors: choice.errors };
    try {
      const plan = await this.funnels.rollback(key, { to, dryRun: true, move: choice.move });
      return { plan, refused: null, errors: {} };
    } catch (error) {
      if (!(error instanceof DomainError) || error.code.endsWith('_NOT_FOUND')) throw error;
      return { plan: null, refused: error.message, errors: {} };
    }
  }
}

/** Throws `FUNNEL_VERSION_NOT_FOUND` for what is no number of a version. */
function numberOf(key: string, version: string): number {
  if (VERSION.test(version)) return Number(version);
  throw new DomainError('FUNNEL_VERSION_NOT_FOUND', `funnel "${key}" has no version ${version}`, { key });
}
