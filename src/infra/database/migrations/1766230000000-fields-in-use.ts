import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * Defines the fields that programs have given people without defining them: one that is not defined is refused from now on,
 * and what these programs send must go on. Of values of several types it is a text. Reads everybody once.
 */
export class FieldsInUse1766230000000 implements MigrationInterface {
  async up(runner: QueryRunner): Promise<void> {
    await runner.query(
      `insert into subscriber_field (key, label, type, created_at)
       select v.key, v.key, case when bool_and(jsonb_typeof(v.value) = 'number') then 'number'
           when bool_and(jsonb_typeof(v.value) = 'boolean') then 'boolean' else 'text' end, now()
       from subscriber s cross join jsonb_each(s.fields) v
       where v.key ~ '^[a-z][a-zA-Z0-9]{0,49}$' and v.key not in ('email', 'emailDomain', 'name', 'timeZone', 'locale')
         and not exists (select from subscriber_field f where f.key = v.key)
       group by v.key on conflict (key) do nothing`,
    );
  }

  async down(): Promise<void> {
    throw new Error('Migrations run forward only. Restore a backup to go back.');
  }
}
