import type { EntityManager } from 'typeorm';
import type { MovedObject } from './moved-objects.queries.js';

/**
 * What else moves with an object, as lines of the plan: who has signed up by a form and not confirmed, and split tests that
 * have counted the orders of an offer. Called once for each plan that moves something; reads the sign-ups of the form.
 */
export async function movedAlong(manager: EntityManager, moved: readonly MovedObject[]): Promise<string[]> {
  const lines: string[] = [];
  for (const { kind, key, funnel, to } of moved) {
    if (kind === 'form') {
      const people = await unconfirmed(manager, key);
      if (people > 0)
        lines.push(
          `form ${key}: ${people} signed up by it and ${people === 1 ? 'has' : 'have'} not confirmed; when they do, they get the sequence of funnel ${to} and no more that of ${funnel}`,
        );
    }
    if (kind !== 'offer') continue;
    for (const step of await testsOfMoney(manager, funnel))
      lines.push(
        `offer ${key}: its orders count for funnel ${to} from now on, and no more for the split test at step ${step} of funnel ${funnel}, which is judged by revenue`,
      );
  }
  return lines;
}

async function unconfirmed(manager: EntityManager, slug: string): Promise<number> {
  const [row]: { people: number }[] = await manager.query(
    `select count(*)::int as people from signup g join form f on f.id = g.form_id join subscriber s on s.id = g.subscriber_id
     where f.slug = $1 and g.status = 'pending' and s.status in ('pending', 'active')`,
    [slug],
  );
  return row?.people ?? 0;
}

/** The steps of split tests that run and are judged by the orders of the funnel. */
async function testsOfMoney(manager: EntityManager, funnel: string): Promise<string[]> {
  const rows: { step: string }[] = await manager.query(
    `select distinct step_key as step from experiment
     where decided_at is null and funnel_key = $1 and jsonb_typeof(terms -> 'cap') = 'object' order by 1`,
    [funnel],
  );
  return rows.map(({ step }) => step);
}
