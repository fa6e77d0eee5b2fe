import { Body, Controller, Get, Param, Post, Query, Res, UseGuards } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { DataSource } from 'typeorm';
import { ExportsService } from '../../imports/exports.service.js';
import { cursorOf, idSchema, toPage } from '../../infra/http/page.js';
import { sendCsv } from '../../infra/http/send-csv.js';
import { MEMBERSHIP_STATES } from '../../orders/memberships/membership.js';
import type { MembershipFilter, MembershipRow } from '../../orders/memberships/memberships.queries.js';
import { MembershipsService } from '../../orders/memberships/memberships.service.js';
import type { Subscriber } from '../../subscribers/subscriber.js';
import { SubscribersService } from '../../subscribers/subscribers.service.js';
import { DomainError } from '../../values/domain-error.js';
import { parseEmailAddress } from '../../values/email-address.js';
import { JustSignedInGuard } from '../access/just-signed-in.guard.js';
import { type Answer, Page, SeeOther } from '../answers/answer.js';
import {
  endErrors,
  grantErrors,
  type MembershipErrors,
  type MembershipSearch,
  type MembershipTyped,
  membershipTypedFrom,
  readMembershipSearch,
} from './membership-form.schemas.js';
import { productChoices } from './membership-pages.queries.js';
import { changeView } from './membership-view.js';
import { checkedId } from '../forms/page-id.schemas.js';
import { queryOfSearch } from '../people/people-search.js';

const PAGE_ROWS = 50;

/** Members: who is one by which product and until when; given, prolonged and ended by hand as over the API. */
@Controller('admin/memberships')
export class MembershipPagesController {
  constructor(
    private readonly memberships: MembershipsService,
    private readonly subscribers: SubscribersService,
    private readonly exports: ExportsService,
    private readonly dataSource: DataSource,
  ) {}

  @Get()
  async list(@Query() query: Record<string, unknown>): Promise<Answer> {
    const search = readMembershipSearch(query);
    const filter = await this.filterOf(search);
    const page = { beforeId: cursorOf(query['cursor']), limit: PAGE_ROWS + 1 };
    const rows = await this.memberships.list(filter, page);
    const { data, nextCursor } = toPage(rows, PAGE_ROWS, (row) => row);
    const searchQuery = queryOfSearch(search);
    return new Page('memberships', {
      ...{ memberships: data, nextCursor, search, searchQuery, isSearch: searchQuery !== '' },
      ...{ products: await productChoices(this.dataSource.manager), states: MEMBERSHIP_STATES },
    });
  }

  /** What the page shows, all of it, to take away. */
  @Get('members.csv')
  @UseGuards(JustSignedInGuard)
  async csv(@Query() query: Record<string, unknown>, @Res() reply: FastifyReply): Promise<void> {
    const filter = await this.filterOf(readMembershipSearch(query));
    await this.exports.tell('owner', 'members');
    await sendCsv(reply, 'members.csv', this.memberships.csv(filter));
  }

  /** For the person of `subscriber`, where the page of a person leads here. */
  @Get('new')
  async blank(@Query('subscriber') subscriber: unknown): Promise<Answer> {
    const id = idSchema.safeParse(subscriber);
    const person = id.success ? await this.subscribers.find(id.data) : null;
    return this.form({ ...membershipTypedFrom({}), email: person?.email ?? '' });
  }

  @Post()
  async give(@Body() body: unknown): Promise<Answer> {
    const typed = membershipTypedFrom(body);
    const { email, product, lasts, reason } = typed;
    const person = await this.personOf(email);
    const errors = grantErrors(typed);
    if (person === null) errors.email = 'nobody here has this address';
    if (product === '') errors.product = 'choose a product';
    if (person === null || Object.keys(errors).length > 0) return this.form(typed, errors, 422);
    const order = { subscriberId: person.id, productKey: product, term: lasts, reason, seen: null };
    const given = await this.granted(order);
    if ('id' in given) return new SeeOther(`/admin/memberships/${given.id}`);
    const [current] = await this.memberships.list({ subscriberId: person.id, product }, { limit: 1 });
    return this.form(typed, given, 409, current);
  }

  @Get(':id')
  async show(@Param('id') id: string): Promise<Answer> {
    return this.page(await this.memberships.get(checkedId(id, 'membership')));
  }

  @Post(':id/prolong')
  async prolong(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const { subscriberId, productKey } = await this.memberships.get(checkedId(id, 'membership'));
    const typed = membershipTypedFrom(body);
    const { lasts, reason, seen } = typed;
    const errors = grantErrors(typed);
    const done =
      Object.keys(errors).length > 0
        ? errors
        : await this.granted({ subscriberId, productKey, term: lasts, reason, seen });
    if ('id' in done) return new SeeOther(`/admin/memberships/${id}`);
    const prolong = { typed, errors: done };
    return this.page(await this.memberships.get(id), { prolong }, done.form === undefined ? 422 : 409);
  }

  @Post(':id/end')
  async end(@Param('id') id: string, @Body() body: unknown): Promise<Answer> {
    const typed = membershipTypedFrom(body);
    const errors = endErrors(typed);
    const found = await this.memberships.get(checkedId(id, 'membership'));
    if (errors.reason !== undefined) return this.page(found, { end: { typed, errors } }, 422);
    await this.memberships.end(id, typed.reason);
    return new SeeOther(`/admin/memberships/${id}`);
  }

  private async filterOf({ q, product, state }: MembershipSearch): Promise<MembershipFilter> {
    // A whole address is looked up, which an index serves; a part of one is looked for.
    const person = await this.personOf(q);
    const who = person === null ? { addressPart: q || undefined } : { subscriberId: person.id };
    return { ...who, product: product || undefined, state: state || undefined };
  }

  private async personOf(email: string): Promise<Subscriber | null> {
    const parsed = parseEmailAddress(email);
    return parsed.ok ? this.subscribers.findByEmailKey(parsed.key) : null;
  }

  /** What the product refuses, said in the form. */
  private async granted(
    order: Parameters<MembershipsService['grant']>[0],
  ): Promise<MembershipRow | MembershipErrors> {
    try {
      return await this.memberships.grant(order);
    } catch (error) {
      if (!(error instanceof DomainError)) throw error;
      if (error.code === 'PRODUCT_NOT_FOUND') return { form: 'This product is no longer sold.' };
      if (error.code !== 'MEMBERSHIP_CHANGED_CONFLICT') throw error;
      return { form: 'It has changed since you opened this page. Look at it as it is now, then send again.' };
    }
  }

  private async form(
    typed: MembershipTyped,
    errors: MembershipErrors = {},
    status = 200,
    current?: MembershipRow,
  ): Promise<Answer> {
    const products = (await productChoices(this.dataSource.manager)).filter(({ isArchived }) => !isArchived);
    return new Page('membership-form', { typed, errors, products, current: current ?? null }, status);
  }

  private async page(
    membership: MembershipRow,
    forms: Partial<Record<'prolong' | 'end', { typed: MembershipTyped; errors: MembershipErrors }>> = {},
    status = 200,
  ): Promise<Answer> {
    const history = (await this.memberships.history(membership.id)).map((row) => changeView(row));
    const seen = membership.updatedAt.toISOString();
    return new Page('membership', { membership, history: history.toReversed(), seen, ...forms }, status);
  }
}
