import { PartnerAccess } from '../../../src/affiliates/partner/partner-access.service.js';
import { API_KEY, linkIn, type TestApp } from '../../support/app.js';

const BROWSER = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
/** Of a person who opens a link. */
export const HEADERS = { 'user-agent': BROWSER, 'accept-language': 'en', 'sec-fetch-dest': 'document' };

export interface Partner {
  id: string;
  code: string;
  email: string;
}
export type Partners = ReturnType<typeof partnersOf>;

/** The first cookie of an answer, as a browser sends it back. */
export const cookieOf = ({ headers }: { headers: Record<string, unknown> }): string =>
  String((headers['set-cookie'] as string[] | undefined)?.[0] ?? '').split(';')[0] ?? '';

/** What the tests do with affiliates, by the public pages and the API. */
export function partnersOf(t: TestApp) {
  const api = (method: 'get' | 'post' | 'patch' | 'delete', path: string, body?: object) => {
    const request = t.http[method](`/api/v1/${path}`).set('Authorization', `Bearer ${API_KEY}`);
    return body === undefined ? request : request.send(body);
  };
  const make = async (fields: { code: string; email: string; recruiterId?: string }): Promise<Partner> => {
    const { body } = await api('post', 'affiliates', { name: '=1+1', ...fields }).expect(201);
    return { ...fields, id: body.id as string };
  };
  const click = async (code: string, headers: object = HEADERS) =>
    t.http
      .get(`/a/${code}`)
      .set({ ...headers })
      .redirects(0);
  const figures = async (id: string) => (await api('get', `affiliates/${id}`).expect(200)).body;
  const earned = async (orderId: string) =>
    (await api('get', `commissions?orderId=${orderId}`).expect(200)).body.data as {
      id: string;
      affiliateId: string;
      tier: number;
      state: string;
      refusal: string | null;
      amount: { amountMinor: number };
      clawedBack: { amountMinor: number };
    }[];
  const brief = async (orderId: string) =>
    (await earned(orderId)).map(({ affiliateId, tier, amount, refusal }) => [
      affiliateId,
      ...[tier, amount.amountMinor, refusal],
    ]);

  /** Somebody sends the checkout of the demo funnel's offer; the path of the payment. */
  const place = async (email: string, cookie = ''): Promise<string> => {
    const placed = await t.http
      .post('/checkout/launch-kit')
      .set({ 'User-Agent': BROWSER, Cookie: cookie })
      .type('form')
      .send({ email })
      .expect(303);
    return String(placed.headers['location']);
  };
  /** The id of the newest order, which is paid by that path. */
  const paid = async (path: string): Promise<string> => {
    await t.http.post(path).type('form').send({ outcome: 'paid' }).expect(303);
    const rows: { id: string }[] = await t.dataSource.query('select max(id) as id from orders');
    return rows[0]?.id ?? '';
  };
  const buy = async (email: string, cookie = ''): Promise<string> => paid(await place(email, cookie));
  return { api, make, click, figures, earned, brief, buy, place, paid };
}

export type Door = ReturnType<typeof doorOf>;

/** How affiliates come to their page. */
export function doorOf(t: TestApp) {
  const links = async (email: string): Promise<string[]> => {
    await t.app.get(PartnerAccess, { strict: false }).settled();
    await t.runDue();
    return (await t.mailsTo(email))
      .filter(({ subject }) => subject.includes('affiliate page'))
      .map((mail) => linkIn(mail, /\/partner\/enter\//));
  };
  const ask = async (email: string) => t.http.post('/partner/login').type('form').send({ email });
  const enter = async (path: string) => t.http.post(path).redirects(0);
  const page = async (cookie: string) =>
    (await t.http.get('/partner').set('Cookie', cookie).expect(200)).text;
  return { links, ask, enter, page };
}
