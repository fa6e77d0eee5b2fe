import { Body, Controller, Get, Inject, Param, Post, Query } from '@nestjs/common';
import type { Affiliate } from '../../affiliates/affiliate.js';
import { affiliateJson, createAffiliate, updateAffiliate } from '../../affiliates/affiliates.schemas.js';
import { AffiliatesService } from '../../affiliates/affiliates.service.js';
import { CONFIG, type Config } from '../../infra/config.js';
import { fieldProblems, messagesByField } from '../../infra/http/field-problems.js';
import { cursorOf, toPage } from '../../infra/http/page.js';
import { DomainError } from '../../values/domain-error.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import {
  type AffiliateTyped,
  affiliateTypedFrom,
  NOTHING_TYPED,
  problemsByField,
  typedOfAffiliate,
} from './affiliate-form.js';
import { AffiliatePage } from './affiliate-page.service.js';
import { checkedId } from '../forms/page-id.schemas.js';

const PAGE_ROWS = 50;

/** The partners: who they are, what they have brought, and the form that makes and changes them. */
@Controller('admin/affiliates')
export class AffiliatePagesController {
  constructor(
    private readonly affiliates: AffiliatesService,
    private readonly page: AffiliatePage,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get()
  async list(@Query('cursor') cursor: unknown): Promise<Answer> {
    const rows = await this.affiliates.list({ beforeId: cursorOf(cursor), limit: PAGE_ROWS + 1 });
    const figures = await this.affiliates.figures(rows.map(({ id }) => id));
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) =>
      affiliateJson(row, figures.get(row.id), this.config.baseUrl),
    );
    return new Page('affiliates', { affiliates: data, nextCursor });
  }

  @Get('new')
  async blank(): Promise<Answer> {
    return this.form({ affiliate: null, typed: NOTHING_TYPED, errors: {} });
  }

  @Post()
  async create(@Body() body: unknown): Promise<Answer> {
    const typed = affiliateTypedFrom(body);
    const { code, name, email } = typed;
    const made = await this.tried(async () => {
      const recruiterId = await this.recruiterOf(typed);
      const parsed = createAffiliate.safeParse({ code, name, email, recruiterId });
      if (parsed.success) return this.affiliates.create(parsed.data);
      return messagesByField(fieldProblems(parsed.error.issues, 'form', createAffiliate));
    });
    if (!isMade(made)) return this.form({ affiliate: null, typed, errors: made });
    return new SeeOther(`/admin/affiliates/${made.id}`);
  }

  @Get(':id')
  async show(@Param('id') id: string, @Query('cursor') cursor: unknown): Promise<Answer> {
    const view = await this.page.view(checkedId(id, 'affiliate'), cursorOf(cursor));
    return new Page('affiliate', view);
  }

  @Get(':id/edit')
  async edit(@Param('id') id: string): Promise<Answer> {
    const affiliate = await this.affiliates.get(checkedId(id, 'affiliate'));
    const { recruiterId } = affiliate;
    const recruiter = recruiterId === null ? '' : (await this.affiliates.get(recruiterId)).code;
    return this.form({ affiliate, typed: typedOfAffiliate(affiliate, recruiter), errors: {} });
  }

  @Post(':id')
  async change(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const affiliate = await this.affiliates.get(checkedId(id, 'affiliate'));
    const typed = { ...affiliateTypedFrom(body), code: affiliate.code };
    const { name, email, isPaused } = typed;
    const made = await this.tried(async () => {
      const recruiterId = await this.recruiterOf(typed);
      const state = isPaused ? 'paused' : 'active';
      const parsed = updateAffiliate.safeParse({ name, email, state, recruiterId });
      if (parsed.success) return this.affiliates.update(affiliate.id, parsed.data);
      return messagesByField(fieldProblems(parsed.error.issues, 'form', updateAffiliate));
    });
    if (!isMade(made)) return this.form({ affiliate, typed, errors: made });
    return new SeeOther(`/admin/affiliates/${affiliate.id}`);
  }

  @Post(':id/erase')
  async erase(@Param('id') id: string): Promise<Answer> {
    await this.affiliates.erase(checkedId(id, 'affiliate'));
    return new SeeOther(`/admin/affiliates/${id}`);
  }

  /** Throws `AFFILIATE_RECRUITER_INVALID` for a code that nobody has. */
  private async recruiterOf({ recruiter }: AffiliateTyped): Promise<string | null> {
    if (recruiter === '') return null;
    const found = await this.affiliates.findByCode(recruiter);
    if (found !== null) return found.id;
    const message = `recruiterId: no affiliate has the code "${recruiter}"`;
    throw new DomainError('AFFILIATE_RECRUITER_INVALID', message, { field: 'recruiterId' });
  }

  /** What a rule refuses is said at the field it is about. */
  private async tried(
    change: () => Promise<Affiliate | Record<string, string>>,
  ): Promise<Affiliate | Record<string, string>> {
    try {
      return await change();
    } catch (error) {
      if (!(error instanceof DomainError) || typeof error.facts['field'] !== 'string') throw error;
      return { [error.facts['field']]: error.message };
    }
  }

  private async form(shown: {
    affiliate: Affiliate | null;
    typed: AffiliateTyped;
    errors: Record<string, string>;
  }): Promise<Answer> {
    const { affiliate, typed } = shown;
    const problems = problemsByField(shown.errors);
    const errors = Object.fromEntries(problems.map(({ name, message }) => [name, message]));
    const view = { affiliate, typed, problems, errors };
    const status = problems.length === 0 ? 200 : 422;
    return new Page('affiliate-form', view, status);
  }
}

function isMade(made: Affiliate | Record<string, string>): made is Affiliate {
  return 'isErased' in made;
}
