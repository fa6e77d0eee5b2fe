import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { openCourse, type Course } from '../course.js';

let t: Course;
beforeAll(async () => {
  t = await openCourse();
});
afterAll(async () => t?.test.close());
afterEach(async () => t.clear());

const OFFER = '- { key: pitch, offer: course-kit, email: emails/offer, delay: 1 day }';

/** Has the person's mail told them a price of their own until then, and gone; the price that the step's mail then tells. */
async function priceAfter(endedAt: string): Promise<unknown> {
  const person = await t.person('ann@example.com');
  await t.enroll(person);
  const place = await t.place(person);
  await t.db.query(
    `insert into enrollment_offer (enrollment_id, offer_slug, subscriber_id, product_id, amount_minor, currency, expires_at, created_at)
     select $1, 'course-kit', $2, product_id, 2450, 'EUR', $3, $4 from offer where slug = 'course-kit'`,
    [place?.['id'], person, endedAt, t.clock.now()],
  );
  t.clock.advance(2 * 86_400_000);
  await t.run();
  const rows: { price: unknown }[] = await t.db.query(
    `select data #> '{offer,price,amountMinor}' as price from message where subscriber_id = $1 and step_key = 'pitch'`,
    [person],
  );
  return rows[0]?.price;
}

it('a mail tells the discount that everybody gets where a lower price of the reader’s own has ended', async () => {
  await t.publish(OFFER);
  expect(await priceAfter(new Date(t.clock.now().getTime() + 3_600_000).toISOString())).toBe(3_430);
});
