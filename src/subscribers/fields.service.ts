import { Inject, Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { CLOCK, type Clock } from '../infra/clock.js';
import { holdFunnels } from '../infra/database/funnel-lock.js';
import { retriedAfterDeadlock } from '../infra/database/deadlock.js';
import { DomainError } from '../values/domain-error.js';
import { notFound } from '../values/not-found.js';
import { checkFieldValue, type FieldDefinition } from './field.js';
import type { SubscriberFields } from './subscriber.js';
import { fieldDefinitions } from './subscribers.queries.js';
import { type Use, usesInWords, usesOfField } from './uses.queries.js';

export interface StoredField extends FieldDefinition {
  id: string;
  createdAt: Date;
}

const FIELD = `select id, key, label, type, choices, created_at as "createdAt" from subscriber_field`;

interface FieldFault {
  field: string;
  message: string;
  allowed: string | string[];
}

/** Of the fields there are, so many are named to whoever has named another. */
const MAX_ALLOWED = 100;

/** Somebody who changes several people and we who change all may have each other's. */
const TRIES = 5;

/** The owner's own fields and their types. Owns `subscriber_field`; the values stand with the subscriber. */
@Injectable()
export class FieldsService {
  constructor(
    private readonly dataSource: DataSource,
    @Inject(CLOCK) private readonly clock: Clock,
  ) {}

  /** Every field by its key: what segments may ask and imports may fill. */
  async definitions(): Promise<Map<string, FieldDefinition>> {
    return fieldDefinitions(this.dataSource.manager);
  }

  /** Newest first, below `beforeId`. */
  async page(beforeId: string | undefined, limit: number): Promise<StoredField[]> {
    return this.dataSource.query(`${FIELD} where ($1::bigint is null or id < $1) order by id desc limit $2`, [
      beforeId ?? null,
      limit,
    ]);
  }

  /** Throws `FIELD_NOT_FOUND`. */
  async get(id: string, manager: EntityManager = this.dataSource.manager): Promise<StoredField> {
    const rows: StoredField[] = await manager.query(`${FIELD} where id = $1`, [id]);
    if (rows[0]) return rows[0];
    throw notFound('field', id);
  }

  /** Throws `FIELD_ALREADY_EXISTS`. */
  async create({ key, label, type, choices }: FieldDefinition): Promise<StoredField> {
    const rows: { id: string }[] = await this.dataSource.query(
      `insert into subscriber_field (key, label, type, choices, created_at) values ($1, $2, $3, $4, $5)
       on conflict (key) do nothing returning id`,
      [key, label, type, JSON.stringify(choices), this.clock.now()],
    );
    const id = rows[0]?.id;
    if (id !== undefined) return this.get(id);
    throw new DomainError('FIELD_ALREADY_EXISTS', `key: there is a field "${key}"`, { field: 'key' });
  }

  /**
   * The type stays: values were checked by it. Choices are only added, since people may have the old ones. Throws
   * `FIELD_NOT_FOUND` and `FIELD_CHOICES_INVALID`.
   */
  async update(
    id: string,
    { label, choices }: { label?: string | undefined; choices?: string[] | undefined },
  ): Promise<StoredField> {
    const before = await this.get(id);
    if (choices !== undefined) {
      const missing = before.choices.filter((choice) => !choices.includes(choice));
      const message =
        before.type !== 'choice'
          ? `choices: a field of type ${before.type} has none`
          : `choices: keep ${missing.join(', ')}, people may have it`;
      if (before.type !== 'choice' || missing.length > 0)
        throw new DomainError('FIELD_CHOICES_INVALID', message, { field: 'choices' });
    }
    await this.dataSource.query(
      `update subscriber_field set label = coalesce($2, label), choices = coalesce($3::jsonb, choices) where id = $1`,
      [id, label ?? null, choices === undefined ? null : JSON.stringify(choices)],
    );
    return this.get(id);
  }

  /** What would not let it go. */
  async usesOf(key: string): Promise<Use[]> {
    return usesOfField(this.dataSource.manager, key);
  }

  /**
   * The values go with it: a field that nobody can see must not keep what people were promised is deleted. Locks every
   * subscriber who has one. Throws `FIELD_NOT_FOUND`, and `FIELD_IN_USE_CONFLICT` while something asks for it.
   */
  async remove(id: string): Promise<void> {
    await retriedAfterDeadlock(TRIES, async () =>
      this.dataSource.transaction(async (manager) => this.removeIn(manager, id)),
    );
  }

  private async removeIn(manager: EntityManager, id: string): Promise<void> {
    // A funnel that asks for it may be on its way.
    await holdFunnels(manager);
    const { key } = await this.get(id, manager);
    const uses = await usesOfField(manager, key);
    if (uses.length > 0)
      throw new DomainError('FIELD_IN_USE_CONFLICT', `The field "${key}" is used by ${usesInWords(uses)}`, {
        uses,
      });
    // People first, then what `field_block` holds of the field, as an erasure does.
    await manager.query(
      'update subscriber set fields = fields - $1::text, updated_at = $2 where fields ? $1::text',
      [key, this.clock.now()],
    );
    await manager.query('delete from subscriber_field where id = $1', [id]);
  }

  /**
   * Values must fit the type of their field, and a field that is not defined is refused: mistyped, it would be kept where no
   * segment and no mail asks for it. `known` are those that the person has from before fields had to be defined. Throws
   * `FIELD_VALUE_INVALID` naming each.
   */
  async check(fields: SubscriberFields | undefined, known: SubscriberFields = {}): Promise<void> {
    const given = Object.entries(fields ?? {}).filter(([, value]) => value !== null);
    if (given.length === 0) return;
    const definitions = await this.definitions();
    const errors = given.flatMap(([key, value]): FieldFault[] => {
      const definition = definitions.get(key);
      if (definition === undefined)
        return Object.hasOwn(known, key) ? [] : [notDefined(key, [...definitions.keys()])];
      const checked = checkFieldValue(definition, value);
      if (checked.ok) return [];
      return [{ field: `fields.${key}`, message: `must be ${checked.allowed}`, allowed: checked.allowed }];
    });
    if (errors.length === 0) return;
    const named = errors.map(({ field, message }) => `${field} ${message}`).join('; ');
    throw new DomainError('FIELD_VALUE_INVALID', named, { errors });
  }
}

function notDefined(key: string, allowed: string[]): FieldFault {
  return {
    field: `fields.${key}`,
    message: 'is no field that is defined; define it with POST /api/v1/fields, or on the page Fields',
    allowed: allowed.slice(0, MAX_ALLOWED),
  };
}
