import { AffiliatesService } from '../../../../src/affiliates/affiliates.service.js';
import { FrequencyCapService } from '../../../../src/delivery/pacing/frequency-cap.service.js';
import { MessagesService } from '../../../../src/delivery/planning/messages.service.js';
import { FunnelsService } from '../../../../src/funnels/funnels.service.js';
import { emailKeyOf, timeIn } from '../../../../src/funnels/simulation/persona-script.js';
import type { Persona } from '../../../../src/funnels/simulation/personas.schemas.js';
import type { SimulatedPerson, SimulationOrder } from '../../../../src/funnels/simulation/simulate.js';
import type { TimelineEntry } from '../../../../src/funnels/simulation/timeline.js';
import { JobRunner } from '../../../../src/infra/jobs/job-runner.js';
import { OffersService } from '../../../../src/offers/offers.service.js';
import { CheckoutService } from '../../../../src/orders/checkout.service.js';
import { OrdersService } from '../../../../src/orders/orders.service.js';
import { RefundsService } from '../../../../src/orders/refunds/refunds.service.js';
import { UpsellsService } from '../../../../src/orders/upsells/upsells.service.js';
import { PAUSE_DAYS, type PauseDays } from '../../../../src/privacy/preferences.js';
import { PausesService } from '../../../../src/privacy/pauses.service.js';
import { EnrollmentsService } from '../../../../src/sequences/enrollments/enrollments.service.js';
import { EventsService } from '../../../../src/sequences/events/events.service.js';
import { ReactionsService } from '../../../../src/sequences/events/reactions.service.js';
import { ConfirmationService } from '../../../../src/signup/confirmation.service.js';
import { FormsService } from '../../../../src/signup/forms.service.js';
import { SignupService } from '../../../../src/signup/signup.service.js';
import { UnsubscribeService } from '../../../../src/signup/unsubscribe.service.js';
import { ListsService } from '../../../../src/subscribers/lists.service.js';
import { SubscribersService } from '../../../../src/subscribers/subscribers.service.js';
import { parseEmailAddress } from '../../../../src/values/email-address.js';
import type { TestApp } from '../../../support/app.js';
import { ReplayedBroadcasts, type Plan } from './replay-broadcasts.js';

const ORIGIN = { ip: '203.0.113.5', userAgent: 'Firefox', pageUrl: 'https://example.com/' };
const DAY_MS = 86_400_000;

/** Does in a real installation, on its fixed clock, what simulated people did, and runs what falls due. */
export class Replay {
  /** Where enrollments were found waiting after each moment. */
  readonly waits = new Map<string, string[]>();
  readonly #ids = new Map<string, string>();
  readonly #told = new Map<string, string>();
  /** The link of the upsell that each person was shown last. */
  readonly #upsell = new Map<string, string>();
  readonly broadcasts: ReplayedBroadcasts;
  /** What the owner does, and who comes without the form. */
  readonly #plans: Plan[] = [];

  constructor(
    private readonly test: TestApp,
    private readonly order: SimulationOrder,
    /** How much later than what is due the workers come. */
    private readonly lateMs = 0,
  ) {
    this.broadcasts = new ReplayedBroadcasts(test, order, this.#plans);
  }

  /** Enters the people with what is known of them before they sign up, so that split tests draw the same ones in both worlds. */
  async enterAll(): Promise<void> {
    this.test.clock.set(this.order.start);
    for (const key of ['news', 'shop'])
      if (!(await this.get(ListsService).keys()).has(key))
        await this.get(ListsService).create({ key, title: key, description: '', isPublic: false });
    for (const code of ['ada', 'bo']) await this.affiliate(code, `${code}@example.org`);
    // Ids are given in the order in which people come: it is that of their places in a broadcast.
    const people = this.order.personas.personas
      .flatMap((persona) =>
        Array.from({ length: persona.count }, (_, index) => this.arrival(persona, index + 1)),
      )
      .toSorted((a, b) => a.at.getTime() - b.at.getTime());
    for (const { persona, number, at } of people) await this.enter(persona, number, at);
    await this.broadcasts.prepare();
  }

  private arrival(persona: Persona, number: number): { persona: Persona; number: number; at: Date } {
    const { timeZone: zone = 'UTC' } = persona;
    const clockZone = typeof zone === 'string' ? zone : (zone[(number - 1) % zone.length] ?? 'UTC');
    const actor = { persona, number, seed: String(this.order.personas.seed), clockZone };
    return { persona, number, at: timeIn(actor, persona.joins, 'joins', this.order.start) };
  }

  async run(funnels: readonly string[], people: readonly SimulatedPerson[]): Promise<void> {
    const { start, days, personas } = this.order;
    // In the order in which a sequence must be there before another leads to it.
    for (const text of funnels.toReversed())
      await this.get(FunnelsService).apply(text, null, 'scenario.yaml');
    await this.broadcasts.begin();
    const { perDay = null, perWeek = null } = personas.frequencyCap ?? {};
    await this.get(FrequencyCapService).set({ perDay, perWeek });
    const actions = people
      .flatMap((person) => person.timeline.map((entry) => ({ person, entry })))
      .toSorted((a, b) => (a.entry.at < b.entry.at ? -1 : a.entry.at > b.entry.at ? 1 : 0));
    const until = start.getTime() + days * DAY_MS;
    for (;;) {
      const plans = this.#plans.toSorted((a, b) => a.at - b.at);
      const times = [
        ...(await this.nextTimes()),
        ...[...(await this.broadcasts.times()), await this.nextPauseEnd()],
        plans[0]?.at ?? Infinity,
      ];
      const now = Math.min(...times, Date.parse(actions[0]?.entry.at ?? '9999-01-01'));
      if (now >= until) {
        // The planner looks every few seconds: a broadcast whose last mail has just gone is done by then.
        if (personas.broadcasts.length > 0) await this.get(JobRunner).run('broadcasts.plan');
        return;
      }
      this.test.clock.set(new Date(now));
      for (const plan of plans.filter(({ at }) => at <= now)) {
        this.#plans.splice(this.#plans.indexOf(plan), 1);
        await plan.act();
      }
      while (actions[0] && Date.parse(actions[0].entry.at) <= now) {
        const { person, entry } = actions.shift() ?? actions[0];
        await this.act(person, entry);
      }
      if ((await this.nextPauseEnd()) <= now) await this.get(PausesService).endDue();
      this.test.clock.set(new Date(now + this.lateMs));
      await this.settle();
      await this.noteWaits();
    }
  }

  private personaOf(name: string): Persona | undefined {
    return this.order.personas.personas.find((one) => one.name === name);
  }

  private emailOf(persona: string, number: number): string {
    return emailKeyOf({ name: persona, ...this.personaOf(persona) }, number);
  }

  idOf(persona: string, number: number): string {
    return this.#ids.get(`${persona} ${number}`) ?? '';
  }

  private get<T>(token: new (...given: never[]) => T): T {
    return this.test.app.get<T>(token, { strict: false });
  }

  private async nextTimes(): Promise<number[]> {
    const times = [
      await this.get(EnrollmentsService).nextDueAt(),
      await this.get(MessagesService).nextDueAt(),
    ];
    return times.map((at) => at?.getTime() ?? Number.POSITIVE_INFINITY);
  }

  private async nextPauseEnd(): Promise<number> {
    const rows: { at: Date | null }[] = await this.test.dataSource.query(
      'select min(paused_until) as at from subscriber',
    );
    return rows[0]?.at?.getTime() ?? Number.POSITIVE_INFINITY;
  }

  private async affiliate(code: string, email: string): Promise<void> {
    await this.test.dataSource.query(
      `insert into affiliate (code, name, email, email_key, state, created_at, updated_at)
       values ($1, $1, $2, $2, 'active', now(), now()) on conflict do nothing`,
      [code, email],
    );
  }

  private async enter(persona: Persona, number: number, at: Date): Promise<void> {
    const { name, signsUp, fields, tags, lists, timeZone, isAffiliate, trackingConsent } = persona;
    const email = emailKeyOf(persona, number);
    const { dataSource } = this.test;
    const zone = typeof timeZone === 'object' ? timeZone[(number - 1) % timeZone.length] : timeZone;
    const rows: { id: string }[] = await dataSource.query(
      `insert into subscriber (email, email_key, status, time_zone, fields, tracking_consent, created_at, updated_at, name, locale)
       values ($1, $1, 'pending', $2, $3, $4, $5, $5, $6, $7) returning id`,
      [
        ...[email, zone ?? null, JSON.stringify(fields), trackingConsent, at],
        ...[persona.displayName ?? null, persona.locale ?? null],
      ],
    );
    const id = rows[0]?.id ?? '';
    if (!signsUp)
      this.#plans.push({
        at: at.getTime(),
        act: async () => dataSource.query(`update subscriber set status = 'active' where id = $1`, [id]),
      });
    this.#ids.set(`${name} ${number}`, id);
    for (const tag of tags) await this.get(SubscribersService).tag(dataSource.manager, id, tag);
    for (const list of lists) await this.putOnList(list, id, true);
    if (isAffiliate) await this.affiliate(`own-${id}`, email);
  }

  private async act(person: SimulatedPerson, entry: TimelineEntry): Promise<void> {
    const id = this.idOf(person.persona, person.number);
    const subscribers = this.get(SubscribersService);
    const reactions = this.get(ReactionsService);
    const { dataSource } = this.test;
    if (entry.what === 'signed up') return this.signUp(person);
    if (entry.what === 'confirmed') return this.confirm(id);
    if (entry.what === 'bought' || entry.what === 'shown' || entry.what === 'declined')
      return this.shop(person, entry);
    if (entry.what === 'refunded') return this.refund(id, entry);
    if (entry.what === 'opened' || entry.what === 'clicked') {
      const { at, sequence = null, step, sentAt } = entry;
      const broadcast = sequence === null ? this.broadcasts.idOf(step) : null;
      await dataSource.query(
        `insert into tracking_event (kind, message_id, class, reason, rule_version, at, subscriber_id)
         select $1, id, 'human', 'test', 1, $2, subscriber_id from message
         where subscriber_id = $3 and accepted_at = $6
           and (broadcast_id = $7 or (funnel_key = $4 and step_key = $5))`,
        [entry.what === 'opened' ? 'open' : 'click', at, id, sequence, step, sentAt, broadcast],
      );
    } else if (entry.what === 'event')
      await this.get(EventsService).tell({ subscriberId: id, name: entry.event, key: entry.key });
    else if (entry.what === 'tagged')
      await dataSource.transaction(async (manager) => {
        await subscribers.tag(manager, id, entry.tag);
        await reactions.happened(manager, [id], { kind: 'tag', tag: entry.tag });
      });
    else if (entry.what === 'untagged' || entry.what === 'changed')
      await dataSource.transaction(async (manager) => {
        if (entry.what === 'untagged') {
          if (await subscribers.untag(manager, id, entry.tag))
            await reactions.happened(manager, [id], { kind: 'untagged', tag: entry.tag });
          return;
        }
        const { fields: before } = await subscribers.update(manager, id, { fields: entry.fields });
        await reactions.changed(manager, [id], { before: new Map([[id, before]]) });
      });
    else if (entry.what === 'listed' || entry.what === 'unlisted')
      await this.putOnList(entry.list, id, entry.what === 'listed');
    else if (entry.what === 'paused') await this.get(PausesService).begin(id, daysUntil(entry));
    else if (entry.what === 'pause over') await this.get(PausesService).end(id);
    else if (entry.what === 'became affiliate') await this.becomeAffiliate(person);
    else if (entry.what === 'unsubscribed') await this.get(UnsubscribeService).byId(id, 'page');
  }

  private async putOnList(key: string, id: string, isOn: boolean): Promise<void> {
    const lists = this.get(ListsService);
    const found = (await lists.page(undefined, 100)).find((list) => list.key === key);
    await (isOn ? lists.add(found?.id ?? '', id) : lists.remove(found?.id ?? '', id));
  }

  /** As the owner does when somebody writes to them. */
  private async refund(
    id: string,
    { offer, products, total, paidAt, isPart }: Extract<TimelineEntry, { what: 'refunded' }>,
  ): Promise<void> {
    const orders: { id: string; lines: { id: string; product: string }[] }[] =
      await this.test.dataSource.query(
        `select o.id, json_agg(json_build_object('id', l.id::text, 'product', p.key)) as lines
         from orders o join offer f on f.id = o.offer_id join order_line l on l.order_id = o.id join product p on p.id = l.product_id
         where o.subscriber_id = $1 and f.slug = $2 and o.status = 'paid' and o.paid_at = $3
         group by o.id order by o.id`,
        [id, offer, paidAt],
      );
    const [order] = orders;
    const lines = order?.lines.filter(({ product }) => products.includes(product)) ?? [];
    const part = lines.length > 0 ? { lines: lines.map((line) => ({ lineId: line.id })) } : { amount: total };
    await this.get(RefundsService).refund(order?.id ?? '', isPart === true ? part : {});
  }

  private async becomeAffiliate({ persona, number }: SimulatedPerson): Promise<void> {
    const email = parseEmailAddress(this.emailOf(persona, number));
    if (!email.ok) throw new Error('nobody can become an affiliate');
    await this.get(AffiliatesService).create({
      ...{ code: `new-${this.idOf(persona, number)}`, name: persona, email, recruiterId: null },
    });
  }

  private async signUp(person: SimulatedPerson): Promise<void> {
    const email = parseEmailAddress(this.emailOf(person.persona, person.number));
    const form = await this.get(FormsService).findBySlug(this.order.definitions[0].form.slug);
    if (!email.ok || !form) throw new Error('nobody can sign up');
    const submission = { email, name: undefined, timeZone: undefined, answers: {} };
    const code = this.personaOf(person.persona)?.affiliate;
    await this.get(SignupService).signUp(form, submission, ORIGIN, { code });
  }

  private async confirm(id: string): Promise<void> {
    await this.test.dataSource.transaction(async (manager) => {
      const rows: { id: string }[] = await manager.query('select id from signup where subscriber_id = $1', [
        id,
      ]);
      await this.get(ConfirmationService).confirmIn(manager, rows[0]?.id ?? '', ORIGIN);
    });
  }

  /** The shop's own order of things: pay, be led to an upsell, answer it. */
  private async shop(
    person: SimulatedPerson,
    entry: Extract<TimelineEntry, { what: 'bought' | 'shown' | 'declined' }>,
  ): Promise<void> {
    const upsells = this.get(UpsellsService);
    if (entry.what === 'bought' && entry.upsell === undefined) return this.buy(person, entry);
    const id = this.idOf(person.persona, person.number);
    if (entry.what === 'shown') {
      const orders: { id: string }[] = await this.test.dataSource.query(
        `select id from orders where subscriber_id = $1 order by paid_at desc, id desc limit 1`,
        [id],
      );
      const order = await this.get(OrdersService).findById(orders[0]?.id ?? '');
      const path = order === null ? null : await upsells.nextPath(order);
      this.#upsell.set(id, path?.replace('/upsell/', '') ?? '');
      const opened = await upsells.open(this.#upsell.get(id) ?? '', true);
      if (opened.kind !== 'offered' || opened.terms.offer.slug !== entry.offer)
        throw new Error(`${entry.offer} is not shown, but ${opened.kind}`);
      return;
    }
    const token = this.#upsell.get(id) ?? '';
    if (entry.what === 'declined') {
      await upsells.decline(token);
      return;
    }
    const taken = await upsells.accept(token, undefined);
    if (taken.kind !== 'over' || taken.order === null)
      throw new Error(`${entry.offer} is not sold, but ${taken.kind}`);
    await this.get(OrdersService).markPaid(taken.order.id, 'test', taken.order.id);
  }

  private async buy(
    person: SimulatedPerson,
    { offer: slug, products }: Extract<TimelineEntry, { what: 'bought' }>,
  ): Promise<void> {
    const email = parseEmailAddress(this.emailOf(person.persona, person.number));
    if (!email.ok) throw new Error('nobody can buy');
    const mails: { id: string }[] = await this.test.dataSource.query(
      `select id from message where subscriber_id = $1 and state = 'accepted' order by id desc limit 1`,
      [this.idOf(person.persona, person.number)],
    );
    const messageId = mails[0]?.id ?? null;
    const terms = await this.get(OffersService).terms(slug, messageId, this.test.clock.now());
    const placed = await this.get(CheckoutService).place({
      ...{ slug, messageId, email, visitorId: null, ip: '127.0.0.1', name: null },
      withBump: products.length > 1,
      seenMinor: terms?.price.amountMinor ?? null,
    });
    if (placed.kind !== 'placed') throw new Error(`the checkout says ${placed.kind}`);
    await this.get(OrdersService).markPaid(placed.order.id, 'test', placed.order.id);
  }

  /** Runs steps and mails until nothing is due. */
  private async settle(): Promise<void> {
    const { personas } = this.order;
    const runner = this.get(JobRunner);
    const nowMs = this.test.clock.now().getTime();
    const isOpen = async (): Promise<boolean> => {
      const rows: { open: boolean }[] = await this.test.dataSource.query(
        'select exists (select 1 from sequence_signal) as open',
      );
      return rows[0]?.open === true || ((await this.nextTimes())[0] ?? 0) <= nowMs;
    };
    const broadcastIsDue = async (): Promise<boolean> =>
      (await this.broadcasts.times()).some((at) => at <= nowMs);
    // A hit is noticed by the run itself, so there is one at least.
    let round = 0;
    do {
      if (round++ > 20) throw new Error('what is due does not come to an end');
      if (personas.broadcasts.length > 0) await runner.run('broadcasts.plan');
      do await runner.run('sequences.advance-due');
      while (await isOpen());
      while (((await this.nextTimes())[1] ?? 0) <= nowMs) {
        if (round++ > 20) throw new Error('mails that are due are not sent');
        await runner.run('delivery.send-due');
      }
      // What has just gone may have been the last mail of a test.
      if (personas.broadcasts.some(({ split }) => split !== undefined)) await runner.run('broadcasts.plan');
    } while ((await broadcastIsDue()) || ((await this.nextTimes())[1] ?? 0) <= nowMs);
  }

  private async noteWaits(): Promise<void> {
    const rows: {
      id: string;
      occurrence: number;
      who: string;
      step: string;
      until: Date;
      sequence: string;
    }[] = await this.test.dataSource.query(
      `select e.id, e.occurrence, e.subscriber_id as who, e.step_key as step, e.next_at as until, q.key as sequence
         from enrollment e join sequence q on q.id = e.sequence_id where e.status = 'active' order by e.id`,
    );
    const at = this.test.clock.now().toISOString();
    for (const { id, who, step, until, sequence, occurrence } of rows) {
      const wait = `${sequence} ${occurrence} ${step} until ${until.toISOString()}`;
      if (this.#told.get(id) === wait) continue;
      this.#told.set(id, wait);
      this.waits.set(who, [...(this.waits.get(who) ?? []), `${at} ${wait}`]);
    }
  }
}

function daysUntil({ at, until }: { at: string; until: string }): PauseDays {
  const days = (Date.parse(until) - Date.parse(at)) / DAY_MS;
  return PAUSE_DAYS.find((one) => one === days) ?? 7;
}
