import { BroadcastPlanner } from '../../../src/broadcasts/broadcast-planner.service.js';
import { BroadcastsModule } from '../../../src/broadcasts/broadcasts.module.js';
import { MessagesService } from '../../../src/delivery/planning/messages.service.js';
import { JobRunner } from '../../../src/infra/jobs/job-runner.js';
import { openSmtpSink, type SmtpSink } from '../../support/smtp-sink.js';
import { API_KEY, BROWSER, OPENED_AT, openShop, type Shop } from '../orders/shop.js';
import { FOREVER } from './desk.js';
import { empty } from '../../support/database.js';

export const SENDER = { name: 'Ada', email: 'ada@example.com', postalAddress: '12 Mill Lane' };
export const UNTIL = '2026-03-05T09:00:00.000Z';
export const HOUR_MS = 3_600_000;

export type Body = Record<string, unknown>;

/** A shop that writes broadcasts about what it sells, and a relay that takes them. */
export interface OfferShop {
  shop: Shop;
  sink: SmtpSink;
  api(method: 'get' | 'post' | 'patch', path: string, body?: Body): Promise<Body>;
  draft(change: Body): Promise<Body>;
  /** Written, started, and sent as far as it is due; its id. */
  started(change: Body, when?: Body): Promise<string>;
  /** Plans and sends what is due. */
  settle(): Promise<void>;
  /** So many active readers, p1@example.com and on. */
  people(count: number): Promise<void>;
  /** An offer, and so many readers. */
  soldTo(count: number, offer?: Parameters<Shop['publishOffer']>[0]): Promise<void>;
  /** The offer's link in somebody's mail, and what the mail says of the price. */
  mailOf(email: string): Promise<{ subject: string; token: string; text: string }>;
  /** What the offer's page and its checkout ask of whoever comes by the mail. */
  asked(email: string, slug?: string): Promise<string[]>;
  buy(email: string, slug?: string, buyer?: string): Promise<void>;
  /** Nobody, nothing sent, and the clock back. */
  clear(): Promise<void>;
  close(): Promise<void>;
}

export async function openOfferShop(): Promise<OfferShop> {
  const sink = await openSmtpSink();
  const shop = await openShop({ modules: [BroadcastsModule], smtpPort: Number(new URL(sink.url).port) });
  const api: OfferShop['api'] = async (method, path, body = {}) => {
    const asked = shop.http[method](`/api/v1/broadcasts${path}`).set('Authorization', `Bearer ${API_KEY}`);
    const answer = await (method === 'get' ? asked : asked.send(body));
    return { status: answer.status, ...(answer.body as Body) };
  };
  const draft: OfferShop['draft'] = async (change) =>
    api('post', '', {
      ...{ title: 'Kit', template: 'emails/offer', audience: { everybody: true }, sender: SENDER },
      ...change,
    });
  const settle = async (): Promise<void> => {
    const runner = shop.app.get(JobRunner, { strict: false });
    for (let round = 0; round < 4; round++) {
      await shop.app.get(BroadcastPlanner, { strict: false }).run(FOREVER);
      await runner.run('delivery.send-due');
    }
  };
  const people = async (count: number): Promise<void> => {
    await shop.db.query(
      `insert into subscriber (email, email_key, status, created_at, updated_at)
       select 'p' || g || '@example.com', 'p' || g || '@example.com', 'active', $2, $2 from generate_series(1, $1::int) g`,
      [count, OPENED_AT],
    );
  };
  return {
    ...{ shop, sink, api, draft, settle, people, ...readersOf(shop, sink) },
    started: async (change, when = {}) => {
      const { id } = await draft(change);
      const { status, detail } = await api('post', `/${String(id)}/start`, when);
      if (status !== 200) throw new Error(`the broadcast did not start: ${String(detail)}`);
      await settle();
      return String(id);
    },
    soldTo: async (count, offer = {}) => {
      await shop.publishOffer(offer);
      await people(count);
    },
    clear: async () => {
      shop.clock.set(OPENED_AT);
      sink.mails.length = 0;
      await empty(shop.db, 'message, subscriber, broadcast, conversion, orders, alert');
    },
    close: async () => {
      await shop.close();
      await sink.close();
    },
  };
}

function readersOf(shop: Shop, sink: SmtpSink): Pick<OfferShop, 'mailOf' | 'asked' | 'buy'> {
  const mailOf: OfferShop['mailOf'] = async (email) => {
    const mail = sink.mails.find(({ to }) => to.includes(email));
    const rows: { id: string }[] = await shop.db.query(
      `select m.id from message m join subscriber s on s.id = m.subscriber_id
       where s.email = $1 and m.broadcast_id is not null order by m.id desc limit 1`,
      [email],
    );
    const messages = shop.app.get(MessagesService, { strict: false });
    return {
      subject: mail?.parsed.subject ?? '',
      token: messages.messageToken(rows[0]?.id ?? ''),
      text: mail?.parsed.text ?? '',
    };
  };
  return {
    mailOf,
    asked: async (email, slug = 'kit') => {
      const { token } = await mailOf(email);
      const page = await shop.http.get(`/offer/${slug}?m=${token}`).expect(200);
      const checkout = await shop.http.get(`/checkout/${slug}?m=${token}`).expect(200);
      const seen = /[?&;]seen=(\d+)/.exec(checkout.text)?.[1] ?? '';
      return [/€\d+\.\d\d/.exec(page.text)?.[0] ?? '', `€${(Number(seen) / 100).toFixed(2)}`];
    },
    buy: async (email, slug = 'kit', buyer = email) => {
      const { token } = await mailOf(email);
      const post = (path: string, form: object) =>
        shop.http.post(path).set('User-Agent', BROWSER).type('form').send(form);
      const pay = await post(`/checkout/${slug}`, { email: buyer, m: token }).expect(303);
      await post(pay.headers['location'] ?? '', { outcome: 'paid' }).expect(303);
    },
  };
}
