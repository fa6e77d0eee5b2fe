import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A field that somebody has as null was defined as a text where all others have a number, and the next number was refused. Nulls are no values:
 * none is kept any more. Only a field as the upgrade had defined it can be a text and have numbers alone. Reads everybody twice.
 */
export class FieldsWithNulls1766310000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `update subscriber set fields = jsonb_strip_nulls(fields)
       where exists (select from jsonb_each(fields) v where jsonb_typeof(v.value) = 'null')`,
    );
    await runner.query(
      `update subscriber_field f set type = v.type from (
         select v.key, min(jsonb_typeof(v.value)) as type from subscriber s cross join jsonb_each(s.fields) v
         group by v.key having min(jsonb_typeof(v.value)) = max(jsonb_typeof(v.value))) v
       where v.key = f.key and f.type = 'text' and f.label = f.key and v.type in ('number', 'boolean')`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
