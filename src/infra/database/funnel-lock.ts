/** Any constant that no other lock has. */
const FUNNELS = 7_311_402_620;

/**
 * One after the other: changes of funnels, and of what a funnel was judged by and does not write itself. So what was looked at
 * is what is there when the change is written. Held until the transaction ends; the first lock it takes.
 */
export async function holdFunnels(manager: {
  query(sql: string, values: unknown[]): Promise<unknown>;
}): Promise<void> {
  await manager.query('select pg_advisory_xact_lock($1)', [FUNNELS]);
}
