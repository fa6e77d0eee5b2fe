import type { DataSource } from 'typeorm';
import { defineFields } from '../../src/subscribers/subscribers.queries.js';
import type { FieldType } from '../../src/subscribers/field.js';

/** Fields of subscribers that tests ask for. */
export async function defineOwnFields(
  db: DataSource,
  fields: Readonly<Record<string, FieldType>>,
): Promise<void> {
  const definitions = Object.entries(fields).map(([key, type]) => ({ key, label: key, type, choices: [] }));
  await defineFields(db.manager, definitions, new Date('2026-01-01T00:00:00Z'));
}
