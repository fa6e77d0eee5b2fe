import { Controller, Get, Inject, Param, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { DataSource } from 'typeorm';
import { CONFIG, type Config } from '../infra/config.js';
import { takesNoWrites } from '../infra/database/lost-connection.js';
import { TrackingService } from '../tracking/tracking.service.js';
import { readCode } from './affiliate.js';
import { AffiliateTermsService, USUAL_COOKIE } from './affiliate-terms.service.js';
import { landingPath, readLanding, type Landing } from './landing.js';
import { REFERRAL_COOKIE, ReferralsService } from './referrals.service.js';
import { endOfTouch, readTouches, type Touch, withTouch, writeTouches } from './touch.js';

const TABLES = { p: 'form', offer: 'offer', checkout: 'offer' } as const;

/** The affiliate's link. It leads to a page of ours whatever is wrong with it: a visitor is one in any case. */
@Controller('a')
export class AffiliateLinkController {
  /** As it was found last, for links that name no page while the database is away. */
  #firstPage: string | null = null;

  constructor(
    private readonly referrals: ReferralsService,
    private readonly terms: AffiliateTermsService,
    private readonly tracking: TrackingService,
    private readonly dataSource: DataSource,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  @Get(':code')
  async follow(
    @Param('code') code: string,
    @Query('to') to: unknown,
    @Req() request: FastifyRequest,
    @Res() reply: FastifyReply,
  ): Promise<void> {
    const path = await this.pathOf(code, to, request, reply).catch((error: unknown) => {
      const landing = readLanding(to);
      const page = landing === null ? this.#firstPage : landingPath(landing);
      if (page === null || !takesNoWrites(error)) throw error;
      // Nothing can be looked up or counted: the page says who has led there, to the form that is sent from it.
      return this.isNavigation(request) && readCode(code) !== null ? `${page}?a=${readCode(code)}` : page;
    });
    await reply
      .header('cache-control', 'no-store')
      .header('x-robots-tag', 'noindex')
      .header('referrer-policy', 'strict-origin-when-cross-origin')
      .redirect(path, 302);
  }

  private async pathOf(
    code: string,
    to: unknown,
    request: FastifyRequest,
    reply: FastifyReply,
  ): Promise<string> {
    const touch = this.isNavigation(request) ? await this.referrals.click(code) : null;
    if (touch !== null) await this.remember(request, reply, touch);
    return (await this.pageThere(readLanding(to))) ?? (await this.firstPage()) ?? '/';
  }

  /** A person who goes to a page. A picture or frame that names the link brings nobody, nor does a look ahead. */
  private isNavigation(request: FastifyRequest): boolean {
    if (request.method !== 'GET') return false;
    const destination = request.headers['sec-fetch-dest'];
    if (destination !== undefined && destination !== 'document') return false;
    return ['human', 'unknown'].includes(this.tracking.classifyVisit(request).class);
  }

  /** With the clicks before it: a funnel may pay the first. */
  private async remember(request: FastifyRequest, reply: FastifyReply, touch: Touch): Promise<void> {
    const found = await this.terms.windows();
    const windows = found.length === 0 ? [USUAL_COOKIE] : found;
    const ends = windows.map((window) => endOfTouch(touch, window));
    const before = readTouches(this.config.secretKey, request.cookies[REFERRAL_COOKIE]);
    const touches = withTouch(before, touch, windows);
    reply.setCookie(REFERRAL_COOKIE, writeTouches(this.config.secretKey, touches), {
      path: '/',
      httpOnly: true,
      sameSite: 'lax',
      secure: this.config.baseUrl.startsWith('https:'),
      maxAge: Math.round((Math.max(...ends.map((end) => end.getTime())) - touch.at.getTime()) / 1000),
    });
  }

  private async pageThere(landing: Landing | null): Promise<string | null> {
    if (landing === null) return null;
    const rows: unknown[] = await this.dataSource.query(
      `select 1 from ${TABLES[landing.page]} where slug = $1 and archived_at is null`,
      [landing.slug],
    );
    return rows.length === 0 ? null : landingPath(landing);
  }

  /** Of the first funnel that pays affiliates, else of the first there is. */
  private async firstPage(): Promise<string | null> {
    const rows: { slug: string }[] = await this.dataSource.query(
      `select f.slug from form f left join affiliate_terms t on t.funnel_key = f.funnel_key
        where f.archived_at is null order by t.funnel_key is null, f.id limit 1`,
    );
    this.#firstPage = rows[0] ? landingPath({ page: 'p', slug: rows[0].slug }) : null;
    return this.#firstPage;
  }
}
