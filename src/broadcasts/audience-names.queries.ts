import type { EntityManager } from 'typeorm';
import type { PreflightFinding } from '../delivery/preflight/mail-checks.js';
import { nearest } from '../values/nearest.js';
import { notFound } from '../values/not-found.js';
import { type Audience, namesOf } from './audience.js';

/** Enough to find the one that was meant. */
const MAX_TAGS = 5_000;

/** Called when a draft is written: a funnel that is not there had nobody in it. Throws `FUNNEL_NOT_FOUND`. */
export async function checkFunnelOf(db: EntityManager, audience: Audience): Promise<void> {
  const { funnel } = namesOf(audience);
  if (funnel !== null && !(await isThere(db, funnel))) throw notFound('funnel', funnel, 'key');
}

/**
 * Tags that nobody ever had, and a funnel that is not there. A tag may be made before the broadcast starts, by an import or
 * a sequence: nothing that would stop it. Called by the check of a draft and by its page.
 */
export async function unknownNames(db: EntityManager, audience: Audience): Promise<PreflightFinding[]> {
  const { tags, funnel } = namesOf(audience);
  const missing: { name: string }[] =
    tags.length === 0
      ? []
      : await db.query(
          'select name from unnest($1::text[]) name where not exists (select from tag t where t.name = name.name)',
          [tags],
        );
  const all: { name: string }[] =
    missing.length === 0 ? [] : await db.query('select name from tag order by id desc limit $1', [MAX_TAGS]);
  const messages = missing.map(({ name }) => {
    const meant = nearest(
      name,
      all.map((one) => one.name),
    );
    return `there is no tag “${name}”, so nobody has it${meant === null ? '' : `; “${meant}” may be meant`}`;
  });
  if (funnel !== null && !(await isThere(db, funnel)))
    messages.push(`there is no funnel “${funnel}”, so nobody was in it`);
  return messages.map((message) => ({ check: 'audience', level: 'warn', message }));
}

async function isThere(db: EntityManager, funnel: string): Promise<boolean> {
  const rows: unknown[] = await db.query('select 1 from funnel where key = $1', [funnel]);
  return rows.length > 0;
}
